"""Langfuse: traces become exchanges, retriever spans their passages, scores feedback. Basic auth with the project's keys.

A round reads a window of time: first the traces that were active in it, then the scores that were given. Paths:
`api = "v4"` (Langfuse Cloud, self-hosted from 4): GET /api/public/v2/observations and /v3/scores, by cursor. `api = "v3"`
(self-hosted before 4): GET /api/public/traces, /traces/{id} and /v2/scores, by page. Langfuse shows data up to a quarter of
an hour late: each window begins before the end of the last one.
"""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from urllib.parse import quote

import httpx
from pydantic import Field

from connectors.events import At, Event
from connectors.pulls.base import Options, Page, Record, Sent, make_page, read_sent
from connectors.pulls.http import Gone, Refused, fetch_json
from connectors.pulls.langfuse_records import parse_record
from connectors.pulls.secret import Secret

PAGE = 50
SCORES = 100
LONG_AGO = "2020-01-01T00:00:00+00:00"


class LangfuseOptions(Options):
    public_key: str = Field(min_length=1, description="the project's public key")
    secret_key: Secret = Field(description="the project's secret key")
    url: str = Field("https://cloud.langfuse.com", description="where Langfuse is")
    api: Literal["v3", "v4"] = Field("v4", description="v4 for Langfuse Cloud and self-hosted 4; v3 for self-hosted before 4")
    overlap_minutes: Annotated[int, Field(ge=0)] = Field(30, description="how late Langfuse may show what happened")
    environment: str | None = Field(None, description="only this environment")
    score_sources: tuple[Literal["API", "ANNOTATION", "EVAL"], ...] = Field(
        ("API", "ANNOTATION"), description="whose scores count as feedback; EVAL are judgements of Langfuse's own evaluators"
    )
    scales: dict[str, str] = Field({}, description="the scale of numeric scores by their name: thumb, stars, csat, nps, percent")


class _Cursor(Sent):
    """`done`: where the last window ended. The others: of the round that goes on."""

    done: At | None = None
    until: At | None = None
    part: Literal["traces", "scores"] = "traces"
    place: str | None = None


class _Meta(Sent):
    page: int | None = None
    totalPages: int | None = None
    cursor: str | None = None


class _Listed(Sent):
    data: list[Any]
    meta: _Meta | None = None


class Langfuse:
    Options = LangfuseOptions

    def __init__(self, options: LangfuseOptions, http: httpx.Client) -> None:
        self._options = options
        self._http = http
        self._sessions: dict[str, str] = {}

    def fetch(self, cursor: str | None, start: datetime | None, now: datetime) -> Iterator[Page]:
        at = read_sent(_Cursor, cursor.encode()) if cursor else _Cursor()
        if at.until is None:
            at = _Cursor(done=at.done, until=now)
        assert at.until is not None
        since = at.done - timedelta(minutes=self._options.overlap_minutes) if at.done else start
        window = {
            "from": since.isoformat() if since else LONG_AGO,
            "to": at.until.isoformat(),
            "environment": self._options.environment,
        }
        parts: tuple[Literal["traces", "scores"], ...] = ("traces", "scores") if at.part == "traces" else ("scores",)
        for part in parts:
            place = at.place if part == at.part else None
            while True:
                try:
                    listed = self._list(part, window, place, now)
                except Refused:
                    if place is None:
                        raise
                    place = None  # a cursor lives for a while only: this part begins again
                    continue
                place = _next(listed, place)
                if place is not None:
                    covered = _Cursor(done=at.done, until=at.until, part=part, place=place)
                elif part == "traces":
                    covered = _Cursor(done=at.done, until=at.until, part="scores")
                else:
                    covered = _Cursor(done=at.until)
                records = self._traces(listed.data, now) if part == "traces" else self._scores(listed.data, now)
                yield make_page(self.parse, records, covered.model_dump_json(exclude_none=True))
                if place is None:
                    break

    def parse(self, body: bytes) -> list[Event]:
        return parse_record(body, self._options.scales)

    def _list(self, part: str, window: dict[str, str | None], place: str | None, now: datetime) -> _Listed:
        times = {"fromTimestamp": window["from"], "toTimestamp": window["to"], "environment": window["environment"]}
        if self._options.api == "v3":
            page = {"page": place or "1"}
            if part == "traces":
                query = {**times, **page, "limit": PAGE, "orderBy": "timestamp.asc", "fields": "core"}
                return self._get("/traces", query, now)
            return self._get("/v2/scores", {**times, **page, "limit": SCORES}, now)
        if part == "scores":
            return self._get("/v3/scores", {**times, "limit": SCORES, "cursor": place, "fields": "details,subject"}, now)
        query = {
            "fromStartTime": window["from"],
            "toStartTime": window["to"],
            "environment": window["environment"],
            "fields": "core,basic",
            "limit": PAGE * 4,
            "cursor": place,
        }
        return self._get("/v2/observations", query, now)

    def _traces(self, listed: list[Any], now: datetime) -> Iterator[Record]:
        """Each trace on the page once, whole."""
        names: dict[str, None] = {}
        for one in listed:
            name = one.get("id" if self._options.api == "v3" else "traceId") if isinstance(one, dict) else None
            if not isinstance(name, str) or not name:
                yield Record("trace without an id", json.dumps({"trace": one}).encode())
            else:
                names[name] = None
        for name in names:
            try:
                yield Record(name, self._trace(name, now))
            except Gone:  # deleted meanwhile
                continue

    def _trace(self, name: str, now: datetime) -> bytes:
        if self._options.api == "v3":
            return b'{"trace": %s}' % self._bytes(f"/traces/{quote(name, safe='')}", {}, now)
        query = {"traceId": name, "fields": "core,basic,io,metadata", "limit": 1000}
        return b'{"trace": {"id": %s, "observations": %s}}' % (
            json.dumps(name).encode(),
            json.dumps(self._get("/v2/observations", query, now).data).encode(),
        )

    def _scores(self, listed: list[Any], now: datetime) -> Iterator[Record]:
        for score in listed:
            if isinstance(score, dict) and score.get("source", "API") not in self._options.score_sources:
                continue
            body: dict[str, Any] = {"score": score}
            trace = _trace_of(score)
            if trace is not None:
                body["session"] = self._session_of(trace, score, now)
            name = score.get("id") if isinstance(score, dict) else None
            yield Record(f"score {name}"[:200], json.dumps(body).encode())

    def _session_of(self, trace: str, score: dict[str, Any], now: datetime) -> str | None:
        """The conversation that a score's trace belongs to; asked for where the score does not say it."""
        told = score.get("trace")
        if isinstance(told, dict) and "sessionId" in told:
            return told["sessionId"] if isinstance(told["sessionId"], str) else None
        if trace not in self._sessions:
            if len(self._sessions) > 10_000:
                self._sessions.clear()
            try:
                if self._options.api == "v3":
                    found = json.loads(self._bytes(f"/traces/{quote(trace, safe='')}", {"fields": "core"}, now))
                else:
                    rows = self._get("/v2/observations", {"traceId": trace, "fields": "core,basic", "limit": 50}, now).data
                    found = next((row for row in rows if isinstance(row, dict) and row.get("sessionId")), {})
            except Gone:
                found = {}
            session = found.get("sessionId") if isinstance(found, dict) else None
            self._sessions[trace] = session if isinstance(session, str) else ""
        return self._sessions[trace] or None

    def _get(self, path: str, query: dict[str, Any], now: datetime) -> _Listed:
        return read_sent(_Listed, self._bytes(path, query, now))

    def _bytes(self, path: str, query: dict[str, Any], now: datetime) -> bytes:
        url = f"{self._options.url.rstrip('/')}/api/public{path}"
        auth = (self._options.public_key, self._options.secret_key.read())
        mend = "`public_key`, `secret_key` and `api` (v4 for Langfuse Cloud, v3 for self-hosted before 4)"
        return fetch_json(self._http, "GET", url, mend=mend, now=now, params=query, auth=auth)


def _next(listed: _Listed, place: str | None) -> str | None:
    """Where the next page is: a cursor, or the number of a page."""
    meta = listed.meta or _Meta()
    if meta.cursor and listed.data:
        return meta.cursor if meta.cursor != place else None
    page = meta.page or 1
    return str(page + 1) if listed.data and meta.totalPages and page < meta.totalPages else None


def _trace_of(score: Any) -> str | None:
    if not isinstance(score, dict):
        return None
    about = score.get("subject")
    subject: dict[str, Any] = about if isinstance(about, dict) else {}
    for found in (score.get("traceId"), subject.get("traceId"), subject.get("id") if subject.get("kind") == "trace" else None):
        if isinstance(found, str) and found:
            return found
    return None
