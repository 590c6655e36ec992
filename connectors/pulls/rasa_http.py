"""Rasa's HTTP API: the tracker of each conversation whose id is known, listed in a file, or listed by an address.

GET /conversations/{id}/tracker?include_events=ALL (rasa.com/docs, HTTP API, Tracker). Rasa itself has no list of its
conversations: where the tracker store can be reached, `rasa_sql` needs none.
"""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
from pydantic import Field

from connectors.errors import Reject
from connectors.events import Event
from connectors.pulls.base import Options, Page, Record, Sent, make_page, read_sent
from connectors.pulls.http import Gone, fetch_json
from connectors.pulls.rasa import parse_tracker
from connectors.pulls.secret import Secret

PAGE = 20
NAMES = ("conversation_id", "sender_id", "id")


class RasaHttpOptions(Options):
    url: str = Field(description="where Rasa's API listens, like http://rasa:5005")
    token: Secret | None = Field(None, description="what Rasa was started with as --auth-token")
    jwt: Secret | None = Field(None, description="a JSON web token signed with Rasa's --jwt-secret, of role admin")
    conversations: tuple[str, ...] = Field((), description="ids of conversations")
    conversations_file: Path | None = Field(None, description="a file of ids, one a line; read anew each time")
    conversations_url: str | None = Field(
        None, description="an address that answers with a JSON list of ids or of objects with one"
    )


class _Cursor(Sent):
    after: str | None = None


class RasaHttp:
    Options = RasaHttpOptions

    def __init__(self, options: RasaHttpOptions, http: httpx.Client) -> None:
        self._options = options
        self._http = http

    def fetch(self, cursor: str | None, start: datetime | None, now: datetime) -> Iterator[Page]:
        after = read_sent(_Cursor, cursor.encode()).after if cursor else None
        names = [name for name in self._names(now) if after is None or name > after]
        for first in range(0, len(names), PAGE):
            part = names[first : first + PAGE]
            # A whole round done: the next one begins at the first name again, for conversations go on.
            covered = part[-1] if first + PAGE < len(names) else None
            yield make_page(self.parse, self._trackers(part, start, now), json.dumps({"after": covered}))

    def parse(self, body: bytes) -> list[Event]:
        return parse_tracker(body)

    def _trackers(self, names: list[str], start: datetime | None, now: datetime) -> Iterator[Record]:
        params = {"include_events": "ALL", **self._token()}
        for name in names:
            url = f"{self._options.url.rstrip('/')}/conversations/{quote(name, safe='')}/tracker"
            try:
                body = self._get(url, params, now)
            except Gone:  # deleted meanwhile
                continue
            if start is None or _latest(body) >= start.timestamp():
                yield Record(name, body)

    def _names(self, now: datetime) -> list[str]:
        found = set(self._options.conversations)
        if self._options.conversations_file is not None:
            try:
                lines = self._options.conversations_file.read_text(encoding="utf-8").splitlines()
            except (OSError, UnicodeDecodeError) as error:
                raise Reject(f"`conversations_file` cannot be read: {type(error).__name__}") from error
            found.update(line.strip() for line in lines if line.strip())
        if self._options.conversations_url is not None:
            found.update(_listed(self._get(self._options.conversations_url, self._token(), now)))
        if not found:
            raise Reject("no conversation is named: give `conversations`, `conversations_file` or `conversations_url`")
        return sorted(found)

    def _token(self) -> dict[str, str]:
        return {"token": self._options.token.read()} if self._options.token else {}

    def _get(self, url: str, params: dict[str, str], now: datetime) -> bytes:
        headers = {"authorization": f"Bearer {self._options.jwt.read()}"} if self._options.jwt else {}
        return fetch_json(self._http, "GET", url, mend="`token` or `jwt`", now=now, params=params, headers=headers)


def _listed(body: bytes) -> Iterator[str]:
    listed: Any = json.loads(body)
    if not isinstance(listed, list):
        raise Reject("`conversations_url` does not answer with a JSON list")
    for place, one in enumerate(listed):
        name = next((one[key] for key in NAMES if one.get(key)), None) if isinstance(one, dict) else one
        if not isinstance(name, str) or not name:
            raise Reject(f"`conversations_url`: entry {place} holds no id (as text, or in {', '.join(NAMES)})")
        yield name


def _latest(body: bytes) -> float:
    """When the conversation was last active; a tracker that does not say so is taken."""
    tracker = json.loads(body)
    at = tracker.get("latest_event_time") if isinstance(tracker, dict) else None
    return float(at) if isinstance(at, int | float) else float("inf")
