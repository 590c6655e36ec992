"""Voiceflow's transcripts over its analytics API.

POST /v1/transcript/project/{project} searches by the time a transcript began, GET /v1/transcript/{id} has its log
(docs.voiceflow.com: "Search transcripts", "Get transcript", "Trace types"). The search knows no time of change: each round
looks `revisit_hours` back, and fetches only what was updated since the round before.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from urllib.parse import quote

import httpx
from pydantic import Field

from connectors.errors import Reject
from connectors.events import At, ConversationClosed, Event, Feedback, FeedbackGiven, Intent, Passage, Turn, TurnAdded
from connectors.pulls.base import Options, Page, Record, Sent, make_page, read_sent, told
from connectors.pulls.http import Gone, fetch_json
from connectors.pulls.secret import Secret

PAGE = 50
MARGIN = timedelta(minutes=10)
"""How late the search may show a change."""
_TAG = re.compile(r"<[^<>]{0,500}>")


class VoiceflowOptions(Options):
    project: str = Field(min_length=1, description="the project's id")
    api_key: Secret = Field(description="an API key of the workspace or the project")
    environment: str | None = Field(None, description="only this environment's transcripts, by its id")
    revisit_hours: Annotated[int, Field(ge=1, le=24 * 90)] = Field(48, description="how long a transcript may still change")
    url: str = Field("https://analytics-api.voiceflow.com", description="the API's address")


class _Cursor(Sent):
    """`done`: when the last whole round began. `began` and `skip`: of the round that goes on."""

    done: At | None = None
    began: At | None = None
    skip: int = 0


class _Found(Sent):
    transcripts: list[Any] | None = None


class _Listed(Sent):
    id: str
    updatedAt: At | None = None


class _Evaluation(Sent):
    id: str | None = None
    name: str | None = None
    type: str | None = None
    value: bool | float | str | None = None
    reason: str | None = None
    updatedAt: At | None = None


class _Log(Sent):
    type: str | None = None
    data: Any = None
    createdAt: At | None = None


class _Transcript(Sent):
    id: str
    createdAt: At | None = None
    endedAt: At | None = None
    evaluations: list[_Evaluation] | None = None
    logs: list[_Log] | None = None


class _Answer(Sent):
    transcript: _Transcript


class Voiceflow:
    Options = VoiceflowOptions

    def __init__(self, options: VoiceflowOptions, http: httpx.Client) -> None:
        self._options = options
        self._http = http

    def fetch(self, cursor: str | None, start: datetime | None, now: datetime) -> Iterator[Page]:
        before = read_sent(_Cursor, cursor.encode()) if cursor else _Cursor()
        began, skip = (before.began, before.skip) if before.began is not None else (now, 0)
        since = before.done - timedelta(hours=self._options.revisit_hours) if before.done else start
        while True:
            found = read_sent(_Found, self._search(since, skip, now)).transcripts or []
            skip += len(found)
            more = len(found) >= PAGE
            covered = _Cursor(done=before.done, began=began, skip=skip) if more else _Cursor(done=began)
            yield make_page(self.parse, self._records(found, before.done, now), covered.model_dump_json(exclude_none=True))
            if not more:
                return

    def parse(self, body: bytes) -> list[Event]:
        transcript = read_sent(_Answer, body).transcript
        return told(lambda: _events(transcript))

    def _search(self, since: datetime | None, skip: int, now: datetime) -> bytes:
        wanted = {"startDate": since.isoformat() if since else None, "environmentID": self._options.environment}
        url = f"{self._options.url.rstrip('/')}/v1/transcript/project/{quote(self._options.project, safe='')}"
        params = {"take": PAGE, "skip": skip, "order": "ASC"}
        return self._ask("POST", url, now, params, {name: value for name, value in wanted.items() if value is not None})

    def _records(self, found: list[Any], done: datetime | None, now: datetime) -> Iterator[Record]:
        for one in found:
            body = json.dumps(one).encode()
            try:
                listed = read_sent(_Listed, body)
            except Reject:
                yield Record(str(one)[:100], json.dumps({"transcript": one}).encode())  # read again by `parse`, it says why
                continue
            if done is not None and listed.updatedAt is not None and listed.updatedAt < done - MARGIN:
                continue
            try:
                yield Record(
                    listed.id, self._ask("GET", f"{self._options.url.rstrip('/')}/v1/transcript/{quote(listed.id, safe='')}", now)
                )
            except Gone:  # deleted meanwhile
                continue

    def _ask(self, method: str, url: str, now: datetime, params: dict[str, Any] | None = None, body: object = None) -> bytes:
        headers = {"authorization": self._options.api_key.read()}
        return fetch_json(
            self._http, method, url, mend="`api_key` and `project`", now=now, params=params, headers=headers, body=body
        )


# --- reading ------------------------------------------------------------------------------------------------------


def _events(transcript: _Transcript) -> list[Event]:
    events: list[Event] = []
    seen: Counter[str] = Counter()
    found: tuple[Passage, ...] | None = None
    closed_at = transcript.endedAt
    for log in transcript.logs or ():
        data = log.data if isinstance(log.data, dict) else {}
        kind = str(data.get("type") or "")
        moment = f"{log.createdAt.isoformat() if log.createdAt else '-'}-{log.type}-{kind}"
        seen[moment] += 1
        key = f"{moment}-{seen[moment]}"[:250]
        if log.type == "action":
            turn = _asked(key, kind, data, log)
            found = None
        elif kind == "knowledgeBase":
            found = _passages(data.get("payload"))
            continue
        elif kind == "end":
            closed_at = closed_at or log.createdAt
            continue
        else:
            turn = _said(key, kind, data, log, found)
        if turn is not None:
            events.append(TurnAdded(conversation_id=transcript.id, started_at=transcript.createdAt, turn=turn))
            found = found if turn.role == "user" else None
    events += _rated(transcript)
    if closed_at is not None:
        events.append(ConversationClosed(conversation_id=transcript.id, at=closed_at))
    return events


def _asked(key: str, kind: str, data: dict[str, Any], log: _Log) -> Turn | None:
    """What the user wrote or pressed; a launch tells nothing."""
    payload = data.get("payload")
    if isinstance(payload, str) and kind != "launch":
        return Turn(id=key, role="user", text=payload, at=log.createdAt) if payload else None
    if not isinstance(payload, dict) or kind == "launch":
        return None
    text = next((payload[name] for name in ("query", "label", "text") if isinstance(payload.get(name), str)), None)
    if not text:
        return None
    intent = payload.get("intent")
    name = intent.get("name") if isinstance(intent, dict) else None
    confidence = payload.get("confidence")
    return Turn(
        id=key,
        role="user",
        text=text,
        at=log.createdAt,
        intent=Intent(
            name=name,
            confidence=confidence if isinstance(confidence, int | float) and not isinstance(confidence, bool) else None,
            scale="probability" if isinstance(confidence, int | float) and 0 <= confidence <= 1 else None,
        )
        if isinstance(name, str) and name
        else None,
    )


def _said(key: str, kind: str, data: dict[str, Any], log: _Log, found: tuple[Passage, ...] | None) -> Turn | None:
    payload = data.get("payload")
    if not isinstance(payload, dict):
        return None
    if kind in ("text", "speak"):
        text = payload.get("message")
        if not isinstance(text, str) or not text.strip():
            return None
        return Turn(id=key, role="bot", text=_TAG.sub("", text) if kind == "speak" else text, at=log.createdAt, retrieval=found)
    if kind == "choice":
        names = [one.get("name") for one in _list(payload.get("buttons")) if isinstance(one, dict)]
        text = "\n".join(f"[{name}]" for name in names if isinstance(name, str) and name)
        return Turn(id=key, role="bot", text=text, at=log.createdAt) if text else None
    if kind in ("cardV2", "card"):
        described = payload.get("description")
        parts = [payload.get("title"), described.get("text") if isinstance(described, dict) else described]
        text = "\n".join(part for part in parts if isinstance(part, str) and part)
        return Turn(id=key, role="bot", text=text, at=log.createdAt, retrieval=found) if text else None
    return None


def _passages(payload: Any) -> tuple[Passage, ...] | None:
    """The chunks that the knowledge base found, with their similarity."""
    if not isinstance(payload, dict) or not isinstance(payload.get("chunks"), list):
        return None
    passages = []
    for chunk in payload["chunks"]:
        if not isinstance(chunk, dict):
            continue
        about = chunk.get("documentData")
        document: dict[str, Any] = about if isinstance(about, dict) else {}
        score = chunk.get("score")
        passages.append(
            Passage(
                id=_text(chunk.get("chunkID") or chunk.get("documentID")),
                title=_text(document.get("name") or document.get("url")),
                text=_text(chunk.get("content")) or "",
                score=score if isinstance(score, int | float) and not isinstance(score, bool) else None,
                scale="cosine" if isinstance(score, int | float) else None,
            )
        )
    return tuple(passages)


def _rated(transcript: _Transcript) -> list[Event]:
    """Evaluations that were given for the whole conversation: yes or no as a thumb, numbers on a scale of that name."""
    events: list[Event] = []
    for one in transcript.evaluations or ():
        rating, scale, comment = _rating(one)
        if rating is None and not comment:
            continue
        key = f"evaluation-{one.id or one.name or 'unnamed'}"[:250]
        feedback = Feedback(id=key, rating=rating, scale=scale, comment=comment, at=one.updatedAt, metadata={"by": "voiceflow"})
        events.append(FeedbackGiven(conversation_id=transcript.id, feedback=feedback))
    return events


def _rating(one: _Evaluation) -> tuple[float | None, str | None, str | None]:
    if isinstance(one.value, bool):
        return (1.0 if one.value else -1.0), "thumb", one.reason
    if isinstance(one.value, int | float):
        kind: Literal["csat"] | None = "csat" if "csat" in (one.name or "").lower() and 1 <= one.value <= 5 else None
        return float(one.value), kind or f"voiceflow {one.name or one.type or 'number'}", one.reason
    told_in_words = ": ".join(filter(None, (one.value, one.reason)))
    return None, None, told_in_words or None


def _list(sent: Any) -> list[Any]:
    return sent if isinstance(sent, list) else []


def _text(sent: Any) -> str | None:
    return sent if isinstance(sent, str) and sent else None
