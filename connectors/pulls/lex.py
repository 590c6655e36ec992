"""Amazon Lex V2 conversation logs, as they are exported: a file or a folder of them.

Shape: AWS, "Logging conversations with conversation logs" (lexv2 developer guide), and the log printed in the README of an
AWS sample (CW-Kinesis-Processor, 2022). Read are: one log a line; several or one spread over lines; a JSON list; CloudWatch's
own export to S3 (a time before each log, .gz); what `aws logs filter-log-events` and `get-log-events` print; and what a
CloudWatch subscription delivers (`logEvents`). A field that we do not know is never an error: AWS asks for that.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import httpx
from pydantic import BeforeValidator, Field

from connectors.errors import Reject
from connectors.events import At, Event, Intent, Passage, RankedIntent, Turn, TurnAdded
from connectors.pulls.base import Options, Page, Record, Sent, just_after, make_page, read_sent, told
from connectors.pulls.exported import logs_in

PAGE = 200
FALLBACK = "FallbackIntent"
PROBABILITY = "probability"
_TAG = re.compile(r"<[^<>]{0,500}>")


def _confidence(sent: Any) -> Any:
    """Sent as a number, as text, as {"score": number}, or not at all."""
    if isinstance(sent, dict):
        sent = sent.get("score")
    return None if sent in ("", None) else sent


class _Kendra(Sent):
    resultItems: list[dict[str, Any]] | None = None


class _Intent(Sent):
    name: str | None = None
    kendraResponse: _Kendra | None = None


class _Interpretation(Sent):
    nluConfidence: Annotated[float | None, BeforeValidator(_confidence)] = None
    intent: _Intent | None = None
    sentimentResponse: dict[str, Any] | None = None


class _Button(Sent):
    text: str | None = None


class _Card(Sent):
    title: str | None = None
    subtitle: str | None = None
    buttons: list[_Button] | None = None


class _Message(Sent):
    content: str | None = None
    contentType: str | None = None
    imageResponseCard: _Card | None = None


class _State(Sent):
    intent: _Intent | None = None
    dialogAction: dict[str, Any] | None = None


class _Log(Sent):
    sessionId: str
    timestamp: At | None = None
    requestId: str | None = None
    inputTranscript: str | None = None
    inputMode: str | None = None
    missedUtterance: bool | None = None
    bot: dict[str, Any] | None = None
    messages: list[_Message] | None = None
    interpretations: list[_Interpretation] | None = None
    sessionState: _State | None = None


class LexOptions(Options):
    path: Path = Field(description="an exported file, or a folder with such files at any depth")


class _Cursor(Sent):
    done: dict[str, str] = Field({})
    file: str | None = None
    stamp: str | None = None
    logs: int = 0


class Lex:
    Options = LexOptions

    def __init__(self, options: LexOptions, http: httpx.Client) -> None:
        self._path = options.path

    def fetch(self, cursor: str | None, start: datetime | None, now: datetime) -> Iterator[Page]:
        """Files that are new or changed, each in pages; a changed file is read again from its beginning."""
        before = read_sent(_Cursor, cursor.encode()) if cursor else _Cursor()
        files = self._files()
        # Files that are gone are forgotten, so that the cursor does not grow for ever.
        done = {name: stamp for name, stamp in before.done.items() if name in files}
        for name, (file, stamp) in files.items():
            if done.get(name) == stamp:
                continue
            read = before.logs if (before.file, before.stamp) == (name, stamp) else 0
            logs = islice(logs_in(file), read, None)
            while part := list(islice(logs, PAGE)):
                read += len(part)
                covered = _Cursor(done=done, file=name, stamp=stamp, logs=read)
                yield make_page(self.parse, (_record(log) for log in part if _is_wanted(log, start)), covered.model_dump_json())
            done = {**done, name: stamp}
            yield Page(_Cursor(done=done).model_dump_json())

    def parse(self, body: bytes) -> list[Event]:
        log = read_sent(_Log, body)
        return told(lambda: _turns(log, body))

    def _files(self) -> dict[str, tuple[Path, str]]:
        """By name: the file, and a stamp that changes when it does."""
        try:
            if self._path.is_dir():
                found = sorted(file for file in self._path.rglob("*") if file.is_file() and not file.name.startswith("."))
            else:
                found = [self._path]
            stats = {file: file.stat() for file in found}
        except OSError as error:
            raise Reject(f"`path`: {self._path} cannot be read: {error.strerror or type(error).__name__}") from error
        return {str(file): (file, f"{stat.st_size}-{stat.st_mtime_ns}") for file, stat in stats.items()}


def _record(log: bytes) -> Record:
    return Record(hashlib.sha256(log).hexdigest()[:32], log)


def _is_wanted(log: bytes, start: datetime | None) -> bool:
    """False for what is surely older than the start; what cannot be read is wanted, so that it is told of."""
    if start is None:
        return True
    try:
        at = _Log.model_validate_json(log).timestamp
    except ValueError:
        return True
    return at is None or at >= start


def _turns(log: _Log, body: bytes) -> list[Event]:
    """The user's words and the bot's answer. The log has one time for both: the answer is put a millisecond after."""
    name = log.requestId or hashlib.sha256(body).hexdigest()[:24]
    events: list[Event] = []
    best = log.interpretations[0] if log.interpretations else None
    if log.inputTranscript:
        sentiment = best.sentimentResponse if best else None
        events.append(
            TurnAdded(
                conversation_id=log.sessionId,
                channel=log.inputMode,
                metadata={"bot": log.bot} if log.bot else {},
                turn=Turn(
                    id=f"{name}-user",
                    role="user",
                    text=log.inputTranscript,
                    at=log.timestamp,
                    intent=_intent(log),
                    metadata={"sentiment": sentiment} if sentiment else {},
                ),
            )
        )
    answer = "\n\n".join(text for text in map(_text, log.messages or ()) if text)
    if answer:
        events.append(
            TurnAdded(
                conversation_id=log.sessionId,
                channel=log.inputMode,
                turn=Turn(
                    id=f"{name}-bot",
                    role="bot",
                    text=answer,
                    at=just_after(log.timestamp),
                    retrieval=_passages(best.intent.kendraResponse if best and best.intent else None),
                    metadata={"dialog_action": log.sessionState.dialogAction}
                    if log.sessionState and log.sessionState.dialogAction
                    else {},
                ),
            )
        )
    return events


def _intent(log: _Log) -> Intent | None:
    ranking = [
        RankedIntent(name=one.intent.name, confidence=one.nluConfidence)
        for one in log.interpretations or ()
        if one.intent is not None and one.intent.name is not None
    ]
    chosen = ranking[0] if ranking else None
    in_state = log.sessionState.intent.name if log.sessionState and log.sessionState.intent else None
    if log.missedUtterance:
        return Intent(name=FALLBACK, scale=PROBABILITY, ranking=tuple(one for one in ranking if one.name != FALLBACK))
    if chosen is None:
        return Intent(name=in_state) if in_state else None
    return Intent(name=chosen.name, confidence=chosen.confidence, scale=PROBABILITY, ranking=tuple(ranking))


def _text(message: _Message) -> str:
    if message.content is None:
        card = message.imageResponseCard or _Card()
        return "\n".join(filter(None, (card.title, card.subtitle, *(button.text for button in card.buttons or ()))))
    if message.contentType == "SSML":
        return _TAG.sub("", message.content).strip()
    if message.contentType == "CustomPayload":
        return _words(message.content)
    return message.content


def _words(payload: str) -> str:
    """The words of a payload that is JSON with a text in it; otherwise the payload as it is."""
    try:
        content = json.loads(payload)
    except (ValueError, RecursionError):
        return payload
    found = [content[key] for key in ("text", "message", "title") if isinstance(content, dict) and content.get(key)]
    return next((word for word in found if isinstance(word, str)), payload)


def _passages(kendra: _Kendra | None) -> tuple[Passage, ...] | None:
    if kendra is None or kendra.resultItems is None:
        return None
    return tuple(
        Passage(
            id=_str(item.get("id") or item.get("documentId")),
            title=_str(_inner(item.get("documentTitle"))),
            text=_str(_inner(item.get("documentExcerpt"))) or "",
            metadata={"confidence": item["scoreAttributes"]} if isinstance(item.get("scoreAttributes"), dict) else {},
        )
        for item in kendra.resultItems
    )


def _inner(sent: Any) -> Any:
    """Kendra wraps texts as {"text": …, "highlights": …}."""
    return sent.get("text") if isinstance(sent, dict) else sent


def _str(sent: Any) -> str | None:
    return sent if isinstance(sent, str) else None
