"""Any platform that posts JSON: where things stand in it is told by JMESPath in the settings, and so is how it signs."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Self

import jmespath
from jmespath.exceptions import JMESPathError
from jmespath.parser import ParsedResult
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic_core import PydanticCustomError, from_json

from connectors.errors import Reject, explain
from connectors.events import (
    ConversationClosed,
    ConversationRemoved,
    Delivery,
    Event,
    Feedback,
    FeedbackGiven,
    Ignored,
    Intent,
    Passage,
    RankedIntent,
    Role,
    Turn,
    TurnAdded,
    TurnRemoved,
    of_user,
)
from connectors.signatures import WINDOW, Algorithm, Encoding, Hmac, Scheme, SharedHeader, StandardWebhooks, Unsigned, delivery_id

MAX_EVENTS = 10_000


def _path(expression: object) -> object:
    if not isinstance(expression, str):
        return expression
    try:
        return jmespath.compile(expression)
    except JMESPathError as error:
        raise PydanticCustomError("jmespath", "is no JMESPath: see jmespath.org") from error


Path = Annotated[ParsedResult, BeforeValidator(_path)]


def _lower(name: str) -> str:
    return name.lower()


Header = Annotated[str, Field(min_length=1), AfterValidator(_lower)]


class _Options(BaseModel):
    """The fields in the order of docs/connectors/generic.md."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    signature: Literal["hmac", "header", "standard", "none"] = "hmac"
    header: Header | None = None
    algorithm: Algorithm = "sha256"
    encoding: Encoding = "hex"
    prefix: str = ""
    signed: str = "{body}"
    timestamp_header: Header | None = None
    allow_unsigned: bool = False
    id_header: Header | None = None
    id: Path | None = None

    events: Path | None = None
    conversation_id: Path
    channel: Path | None = None
    turn_id: Path | None = None
    role: Path | None = None
    roles: dict[str, Role] = {}
    text: Path | None = None
    time: Path | None = None
    edited_at: Path | None = None
    deleted: Path | None = None
    closed: Path | None = None
    removed: Path | None = None
    user: Path | None = None

    intent: Path | None = None
    confidence: Path | None = None
    ranking: Path | None = None
    intent_scale: str | None = None

    retrieval: Path | None = None
    retrieval_scale: str | None = None
    rerank_scale: str | None = None

    rating: Path | None = None
    ratings: dict[str, float] = {}
    rating_scale: str | None = None
    comment: Path | None = None
    feedback_id: Path | None = None
    feedback_turn_id: Path | None = None
    feedback_time: Path | None = None

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.signature in ("hmac", "header") and self.header is None:
            raise PydanticCustomError("header", "header: required, it names the header that holds the signature or the secret")
        if (self.signature == "none") != self.allow_unsigned:
            raise PydanticCustomError("unsigned", "signature 'none' and allow_unsigned = true go together: give both or neither")
        if self.signed.count("{body}") != 1:
            raise PydanticCustomError("signed", "signed: must hold {{body}} once, such as '{{timestamp}}.{{body}}'")
        if ("{timestamp}" in self.signed) != (self.timestamp_header is not None) and self.signature == "hmac":
            raise PydanticCustomError(
                "signed", "signed with {{timestamp}} and timestamp_header go together: give both or neither"
            )
        if self.text is not None and (self.turn_id is None or self.role is None):
            raise PydanticCustomError("text", "text: needs turn_id and role beside it")
        if self.text is None and self.rating is None and self.comment is None:
            raise PydanticCustomError("text", "give text, rating or comment: without them nothing is read")
        return self


class _Ranked(BaseModel):
    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)

    name: str
    confidence: float | None = None


class GenericSource:
    """Options are those of docs/connectors/generic.md.

    Raises
    ------
    Reject
        An option is unknown, or is no JMESPath, or does not fit the others; the reason names it.
    """

    def __init__(self, replay_window: timedelta = WINDOW, **options: object) -> None:
        try:
            self._options = _Options.model_validate(options)
        except ValidationError as error:
            raise Reject(explain(error)) from error
        self.scheme: Scheme = _scheme(self._options, replay_window)

    def verify(self, headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime) -> Delivery:
        sent_at = self.scheme.verify(headers, body, secrets, now)
        told = headers.get(self._options.id_header) if self._options.id_header else None
        if self._options.signature == "standard":
            told = headers.get("webhook-id")
        elif told is None and self._options.id is not None:
            try:
                found = _search(self._options.id, "id", _json(body))
                told = str(found) if isinstance(found, str | int) else None
            except Reject:  # `parse` says what is wrong with it
                told = None
        return Delivery(delivery_id(told, body), sent_at)

    def parse(self, body: bytes) -> list[Event]:
        content = _json(body)
        found = content if self._options.events is None else _search(self._options.events, "events", content)
        each = found if isinstance(found, list) else [] if found is None else [found]
        if len(each) > MAX_EVENTS:
            raise Reject(f"events: more than {MAX_EVENTS}")
        try:
            return [event for one in each for event in self._tell(one)] or [Ignored("no events")]
        except ValidationError as error:
            raise Reject(explain(error)) from error

    def _tell(self, one: Any) -> Iterator[Event]:
        conversation = self._get("conversation_id", one)
        if conversation is None:
            yield Ignored("no conversation id")
            return
        if self._get("removed", one):
            yield ConversationRemoved(conversation_id=conversation)
            return
        told = False
        turn_id, role = self._get("turn_id", one), self._role(one)
        if self._get("deleted", one):
            yield TurnRemoved(conversation_id=conversation, turn_id=turn_id, role=role)
            return
        if (text := self._get("text", one)) is not None and role is not None:
            told = True
            turn = Turn(
                id=turn_id,
                role=role,
                text=text,
                at=self._get("time", one),
                edited_at=self._get("edited_at", one),
                intent=self._intent(one),
                retrieval=self._retrieval(one),
                metadata=of_user(self._get("user", one)),
            )
            yield TurnAdded(conversation_id=conversation, turn=turn, channel=self._get("channel", one))
        rating, comment = self._get("rating", one), self._get("comment", one)
        if rating is not None or comment:
            told = True
            yield self._feedback(one, conversation, turn_id, rating, comment)
        if self._get("closed", one):
            told = True
            yield ConversationClosed(conversation_id=conversation, at=self._get("time", one))
        if not told:
            yield Ignored("role without a meaning" if text is not None else "neither text nor feedback nor an end")

    def _get(self, option: str, one: Any) -> Any:
        path: ParsedResult | None = getattr(self._options, option)
        return None if path is None else _search(path, option, one)

    def _role(self, one: Any) -> Role | None:
        found = self._get("role", one)
        known: dict[str, Role] = {"user": "user", "bot": "bot", "agent": "agent", **self._options.roles}
        return known.get(_word(found))

    def _intent(self, one: Any) -> Intent | None:
        name, confidence = self._get("intent", one), self._get("confidence", one)
        ranked = _RANKING.validate_python(self._get("ranking", one) or [])
        if name is None and confidence is None and not ranked:
            return None
        ranking = tuple(RankedIntent(name=ranked_one.name, confidence=ranked_one.confidence) for ranked_one in ranked)
        return Intent(name=name, confidence=confidence, ranking=ranking, scale=self._options.intent_scale)

    def _retrieval(self, one: Any) -> tuple[Passage, ...] | None:
        found = self._get("retrieval", one)
        if found is None:
            return None
        scales = {"scale": self._options.retrieval_scale, "rerank_scale": self._options.rerank_scale}
        return tuple(passage.model_copy(update=scales) for passage in _PASSAGES.validate_python(found))

    def _feedback(self, one: Any, conversation: Any, turn_id: Any, rating: Any, comment: Any) -> Event:
        about = self._get("feedback_turn_id", one) if self._options.feedback_turn_id is not None else turn_id
        at = self._get("feedback_time", one) if self._options.feedback_time is not None else self._get("time", one)
        given = Feedback(
            id=self._get("feedback_id", one),
            rating=self._options.ratings.get(_word(rating), rating),
            scale=self._options.rating_scale,
            comment=comment or None,
            at=at,
        )
        return FeedbackGiven(conversation_id=conversation, turn_id=about, feedback=given)

    def sample(self, conversation_id: str, now: datetime) -> bytes:
        """Nobody knows what this platform sends: the test delivery proves address and signature, and tells nothing."""
        return json.dumps({"test": conversation_id, "at": now.isoformat()}).encode()


_RANKING = TypeAdapter(list[_Ranked])
_PASSAGES = TypeAdapter(tuple[Passage, ...])


def _scheme(options: _Options, window: timedelta) -> Scheme:
    if options.signature == "standard":
        return StandardWebhooks(window)
    if options.signature == "none":
        return Unsigned()
    assert options.header is not None  # checked with the options
    if options.signature == "header":
        return SharedHeader(options.header, options.prefix)
    return Hmac(
        options.header, options.algorithm, options.encoding, options.prefix, options.signed, options.timestamp_header, window
    )


def _json(body: bytes) -> Any:
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise Reject("body: is not JSON") from error


def _search(path: ParsedResult, option: str, content: Any) -> Any:
    try:
        return path.search(content)
    except (JMESPathError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise Reject(f"{option}: the JMESPath of this source cannot be applied to this body") from error


def _word(value: Any) -> str:
    """As the settings spell it: true and false in small letters, numbers as their digits."""
    return str(value).lower() if isinstance(value, bool) else str(value)
