"""Access tokens of a Google service account, by google-auth."""

from typing import Any

import httpx

from connectors.errors import Reject, Retry

SCOPES = ["https://www.googleapis.com/auth/dialogflow"]


class GoogleToken:
    """Reads like a `Secret`; the token is fetched when there is none, and again before it expires."""

    def __init__(self, key_file: str, http: httpx.Client) -> None:
        self._key_file = key_file
        self._http = http
        self._credentials: Any = None

    def read(self) -> str:
        """A token that holds now.

        Raises
        ------
        Reject
            google-auth is not installed, or the key file cannot be used.
        Retry
            Google cannot be reached.
        """
        try:
            from google.auth.exceptions import GoogleAuthError, RefreshError, TransportError
            from google.oauth2.service_account import Credentials
        except ImportError as error:
            raise Reject("a service account needs: pip install 'transcript-triage[google]'") from error
        try:
            if self._credentials is None:
                self._credentials = Credentials.from_service_account_file(self._key_file, scopes=SCOPES)  # type: ignore[no-untyped-call]
            if not self._credentials.valid:
                self._credentials.refresh(self._request)
        except (OSError, ValueError) as error:
            raise Reject(f"`service_account_file` cannot be used: {type(error).__name__}") from error
        except TransportError as error:
            raise Retry("Google's token service cannot be reached") from error
        except RefreshError as error:
            if error.retryable:
                raise Retry("Google's token service gives no token for now") from error
            raise Reject("Google refuses the service account: check `service_account_file`") from error
        except GoogleAuthError as error:
            raise Reject(f"`service_account_file` cannot be used: {type(error).__name__}") from error
        return str(self._credentials.token)

    def _request(
        self, url: str, method: str = "GET", body: Any = None, headers: Any = None, timeout: Any = None, **_: Any
    ) -> Any:
        """google-auth's own idea of a request, by our client: no second HTTP library."""
        from google.auth.exceptions import TransportError

        try:
            answer = self._http.request(method, url, content=body, headers=headers, timeout=timeout or 30)
        except httpx.TransportError as error:
            raise TransportError(type(error).__name__) from error  # type: ignore[no-untyped-call]
        return _Answer(answer)


class _Answer:
    def __init__(self, answer: httpx.Response) -> None:
        self.status = answer.status_code
        self.headers = answer.headers
        self.data = answer.content
