"""Dialogflow CX: an agent's conversation history over REST.

GET /v3beta1/{agent}/conversations lists conversations by the time they began, newest first, without what was said; GET
/v3beta1/{conversation} has the interactions. A conversation goes on for up to 48 hours: each round lists that far back, and
fetches only those that were active since the round before.
"""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Annotated, Any

import httpx
from pydantic import Field

from connectors.errors import Reject
from connectors.events import At, Event
from connectors.pulls.base import Options, Page, Record, Sent, make_page, read_sent
from connectors.pulls.dialogflow import parse_conversation
from connectors.pulls.google import GoogleToken
from connectors.pulls.http import Gone, Refused, fetch_json
from connectors.pulls.secret import Secret

LONGEST = timedelta(hours=48)
MARGIN = timedelta(minutes=10)
"""How late the history may show an interaction."""


class DialogflowOptions(Options):
    agent: str = Field(
        pattern=r"^projects/[^/]+/locations/[^/]+/agents/[^/]+$", description="projects/PROJECT/locations/LOCATION/agents/AGENT"
    )
    url: str | None = Field(None, description="the API's address; without it the one of the agent's location")
    token: Secret | None = Field(None, description="an access token; best a `command` that prints one")
    service_account_file: str | None = Field(None, description="a service account's key file (needs the extra `google`)")
    page_size: Annotated[int, Field(ge=1, le=1000)] = Field(50, description="conversations listed at a time")


class _Cursor(Sent):
    """`done`: when the last whole round began. `began` and `token`: of the round that goes on."""

    done: At | None = None
    began: At | None = None
    token: str | None = None


class _Metrics(Sent):
    interactionCount: int | None = None


class _Listed(Sent):
    name: str
    startTime: At | None = None
    duration: str | None = None


class _List(Sent):
    conversations: list[Any] | None = None
    nextPageToken: str | None = None


class DialogflowCx:
    Options = DialogflowOptions

    def __init__(self, options: DialogflowOptions, http: httpx.Client) -> None:
        if (options.token is None) == (options.service_account_file is None):
            raise Reject("give exactly one of `token` and `service_account_file`")
        self._options = options
        self._http = http
        self._token = GoogleToken(options.service_account_file, http) if options.service_account_file else options.token
        location = options.agent.split("/")[3]
        host = "dialogflow.googleapis.com" if location == "global" else f"{location}-dialogflow.googleapis.com"
        self._url = (options.url or f"https://{host}").rstrip("/")

    def fetch(self, cursor: str | None, start: datetime | None, now: datetime) -> Iterator[Page]:
        before = read_sent(_Cursor, cursor.encode()) if cursor else _Cursor()
        began, token = (before.began, before.token) if before.began is not None else (now, None)
        since = before.done - LONGEST if before.done else start
        while True:
            try:
                listed = read_sent(_List, self._list(since, token, now))
            except Refused:
                if token is None:
                    raise
                began, token = now, None  # a page token lives for a while only: the round begins again
                continue
            token = listed.nextPageToken or None
            covered = _Cursor(done=before.done, began=began, token=token) if token else _Cursor(done=began)
            records = self._records(listed.conversations or [], before.done, now)
            yield make_page(self.parse, records, covered.model_dump_json(exclude_none=True))
            if token is None:
                return

    def parse(self, body: bytes) -> list[Event]:
        return parse_conversation(body)

    def _list(self, since: datetime | None, token: str | None, now: datetime) -> bytes:
        params = {
            "pageSize": self._options.page_size,
            "pageToken": token,
            "filter": f'create_time > "{since.isoformat()}"' if since else None,
        }
        return self._get(f"{self._options.agent}/conversations", params, now)

    def _records(self, listed: list[Any], done: datetime | None, now: datetime) -> Iterator[Record]:
        for one in listed:
            body = json.dumps(one).encode()
            try:
                conversation = read_sent(_Listed, body)
            except Reject:
                yield Record(str(one)[:100], body)  # read again by `parse`, it says why
                continue
            if not _is_active(conversation, done):
                continue
            try:
                yield Record(conversation.name.rpartition("/")[2], self._get(conversation.name, None, now))
            except Gone:  # deleted meanwhile
                continue

    def _get(self, path: str, params: dict[str, Any] | None, now: datetime) -> bytes:
        assert self._token is not None
        headers = {"authorization": f"Bearer {self._token.read()}"}
        mend = "`agent` and `token` or `service_account_file` (role Dialogflow API Reader)"
        return fetch_json(self._http, "GET", f"{self._url}/v3beta1/{path}", mend=mend, now=now, params=params, headers=headers)


def _is_active(listed: _Listed, done: datetime | None) -> bool:
    """Whether something may have been said since; surely not where it ended before."""
    if done is None or listed.startTime is None or listed.duration is None:
        return True
    try:
        lasted = timedelta(seconds=float(listed.duration.removesuffix("s")))
        return listed.startTime + lasted >= done - MARGIN
    except (ValueError, OverflowError):
        return True
