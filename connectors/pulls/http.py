"""One request to a platform, and what its outcome means: later, never, or the body. Who asks does not retry by itself."""

import json
import math
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from connectors.errors import Reject, Retry

TIMEOUT = httpx.Timeout(30.0, connect=10.0)
LONGEST_ANSWER = 120.0
"""Seconds for one whole answer: one that comes drop by drop must not outlast a lease."""
MAX_BODY = 64 * 1024 * 1024
"""Bytes of one answer; a conversation of this size is no conversation."""
LONGEST_HINT = timedelta(days=1)
PASSING = {408, 409, 423, 425, 429}
"""Statuses below 500 that say "later"."""


class Gone(Reject):
    """404 or 410: there is no such thing there."""


class Refused(Reject):
    """400 or 422: the request itself is not understood; a page token that expired reads like this."""


def make_client() -> httpx.Client:
    """For all pulls of a process. It follows no redirect, or credentials could go where nobody meant."""
    return httpx.Client(timeout=TIMEOUT, follow_redirects=False)


def fetch_json(
    http: httpx.Client,
    method: str,
    url: str,
    *,
    mend: str,
    now: datetime,
    params: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    auth: tuple[str, str] | None = None,
    body: object = None,
) -> bytes:
    """The answer's body, which is JSON.

    `mend` names the options that a refusal is about: "`api_key`", say.

    Raises
    ------
    Retry
        No connection, cut off, too slow, overloaded, or not JSON: with the platform's own hint, if it gave one.
    Gone, Refused, Reject
        It will not work as it is.
    """
    try:
        with http.stream(
            method,
            httpx.URL(url).copy_merge_params({name: value for name, value in (params or {}).items() if value is not None}),
            headers={"accept": "application/json", **(headers or {})},
            auth=auth,
            json=body,
        ) as answer:
            content = _read(answer)
    except httpx.InvalidURL as error:
        raise Reject("the address is not a URL: check `url`") from error
    except httpx.UnsupportedProtocol as error:
        raise Reject("the address must begin with http:// or https://: check `url`") from error
    except httpx.TransportError as error:
        raise Retry(f"{_host(url)} cannot be reached or broke off ({type(error).__name__})") from error
    except httpx.DecodingError as error:
        raise Retry(f"{_host(url)} sent a body that cannot be unpacked") from error
    _check(answer, content, url, mend, now)
    try:
        json.loads(content)
    except (ValueError, RecursionError) as error:
        kind = answer.headers.get("content-type", "no content type").partition(";")[0]
        raise Retry(f"{_host(url)} answered with something other than JSON ({kind[:60]})") from error
    return content


def _read(answer: httpx.Response) -> bytes:
    content, begun = bytearray(), time.monotonic()
    for part in answer.iter_bytes():
        content += part
        if time.monotonic() - begun > LONGEST_ANSWER:
            raise Retry(f"{answer.url.host} took longer than {LONGEST_ANSWER:.0f} s for one answer")
        if len(content) > MAX_BODY:
            raise Reject(f"an answer is larger than {MAX_BODY // 2**20} MiB: ask for smaller pages")
    return bytes(content)


def _check(answer: httpx.Response, content: bytes, url: str, mend: str, now: datetime) -> None:
    status, host = answer.status_code, _host(url)
    if status < 300:
        return
    if status in PASSING or status >= 500:
        raise Retry(f"{host} answered {status}", hint(answer.headers, content, now))
    if status < 400:
        raise Reject(f"{host} answered with a redirect ({status}): check `url`")
    if status in (401, 403):
        raise Reject(f"{host} refuses the credentials ({status}): check {mend}")
    if status in (404, 410):
        raise Gone(f"{host} knows no such address ({status}): check `url` and {mend}")
    if status in (400, 422):
        raise Refused(f"{host} does not understand the request ({status}): check {mend}")
    raise Reject(f"{host} answered {status}: check {mend}")


def hint(headers: Mapping[str, str], content: bytes, now: datetime) -> timedelta | None:
    """How long the platform asks us to wait, at most a day.

    Read in this order: `Retry-After` in seconds or as an HTTP date (RFC 9110, 10.2.3), `retryDelay` of Google's RetryInfo,
    `retryAfterSeconds` of Langfuse, and the `ratelimit-reset` headers in seconds from now or as a unix time.
    """
    for seconds in (
        _retry_after(headers.get("retry-after"), now),
        _in_body(content),
        _reset(headers.get("ratelimit-reset") or headers.get("x-ratelimit-reset"), now),
    ):
        if seconds is not None and math.isfinite(seconds):
            return timedelta(seconds=min(max(seconds, 0.0), LONGEST_HINT.total_seconds()))
    return None


def _retry_after(given: str | None, now: datetime) -> float | None:
    if not given:
        return None
    if (seconds := _number(given)) is not None:
        return seconds
    try:
        at = parsedate_to_datetime(given)
    except (ValueError, TypeError, OverflowError):
        return None
    return ((at if at.tzinfo else at.replace(tzinfo=UTC)) - now).total_seconds()


def _in_body(content: bytes) -> float | None:
    found = re.search(rb'"(?:retryDelay|retryAfterSeconds|retry_after)"\s*:\s*"?(\d{1,6}(?:\.\d{1,9})?)s?"?', content[:20_000])
    return float(found.group(1)) if found else None


def _reset(given: str | None, now: datetime) -> float | None:
    value = _number(given or "")
    if value is None:
        return None
    return value - now.timestamp() if value > 1e9 else value


def _number(given: str) -> float | None:
    try:
        return float(given)
    except ValueError:
        return None


def _host(url: str) -> str:
    try:
        return httpx.URL(url).host or "the platform"
    except httpx.InvalidURL:
        return "the platform"
