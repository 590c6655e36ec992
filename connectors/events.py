"""What platforms tell us, read once by pydantic: conversations, turns, feedback and the events that carry them.

The shapes are those of the transcript and webhook formats in docs/formats.md. Past these models nothing is a loose dict.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Protocol, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, model_validator
from pydantic_core import PydanticCustomError

MAX_ID_LENGTH = 255
MAX_DEPTH = 100


def _without_nul(text: str) -> str:
    # PostgreSQL cannot store U+0000; the replacement character keeps the place visible.
    return text.replace("\x00", "\ufffd") if "\x00" in text else text


def _with_zone(at: datetime) -> datetime:
    try:
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except OverflowError as error:
        raise PydanticCustomError("time", "must lie in the years 1 to 9999 in UTC") from error


def _known_role(role: object) -> object:
    if role not in ("user", "bot", "agent"):
        raise PydanticCustomError("role", "must be 'user', 'bot' or 'agent'")
    return role


Text = Annotated[str, AfterValidator(_without_nul)]
Id = Annotated[str, Field(min_length=1, max_length=MAX_ID_LENGTH), AfterValidator(_without_nul)]
At = Annotated[datetime, AfterValidator(_with_zone)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Role = Annotated[Literal["user", "bot", "agent"], BeforeValidator(_known_role)]


class _Wire(BaseModel):
    """Unknown fields are kept (see `extras`), never refused: platforms add fields without notice."""

    model_config = ConfigDict(extra="allow", frozen=True, coerce_numbers_to_str=True)

    metadata: dict[str, JsonValue] = {}

    @model_validator(mode="after")
    def _extras_can_be_kept(self) -> Self:
        _check_storable(self.model_extra, MAX_DEPTH)
        _check_storable(self.metadata, MAX_DEPTH)
        return self

    @property
    def extras(self) -> dict[str, Any]:
        """The sender's metadata together with the fields we do not know."""
        return {**(self.model_extra or {}), **self.metadata}


def _check_storable(value: object, levels: int) -> None:
    """Parsers let NaN, infinity and any depth pass; databases do not."""
    if isinstance(value, float) and not math.isfinite(value):
        raise PydanticCustomError("number", "holds a number that JSON does not have (NaN or infinity)")
    if isinstance(value, dict | list):
        if levels == 0:
            raise PydanticCustomError("depth", "is nested too deeply")
        for inner in value.values() if isinstance(value, dict) else value:
            _check_storable(inner, levels - 1)


class RankedIntent(_Wire):
    name: Text
    confidence: Number | None = None


class Intent(_Wire):
    """What the platform understood: its best intent, its own confidence and its ranking, on the platform's own scale.

    `scale` names that scale where the platform does: probability, percent, logit. It holds for the ranking too.
    """

    name: Text | None = None
    confidence: Number | None = None
    scale: Text | None = None
    ranking: tuple[RankedIntent, ...] = ()


class Passage(_Wire):
    """A retrieved passage with the platform's first-stage and reranker scores, on the platform's own scales.

    `scale` and `rerank_scale` name them where the platform does: cosine, distance, probability, percent, logit, bm25.
    """

    id: Text | None = None
    title: Text | None = None
    text: Text = ""
    score: Number | None = None
    scale: Text | None = None
    rerank_score: Number | None = None
    rerank_scale: Text | None = None


class Feedback(_Wire):
    """An end user's own rating. `scale` names the rating's range: thumb (-1/1), stars and csat (1..5), nps (0..10), percent."""

    id: Id | None = None
    rating: Number | None = None
    scale: Text | None = None
    comment: Text | None = None
    at: At | None = None

    @model_validator(mode="after")
    def _says_something(self) -> "Feedback":
        if self.rating is None and not self.comment:
            raise PydanticCustomError("empty_feedback", "needs a 'rating' or a 'comment'")
        return self


class Turn(_Wire):
    """One contribution. `retrieval` None means the platform sent none; an empty list means it searched and found nothing."""

    id: Id | None = None
    role: Role
    text: Text
    at: At | None = None
    edited_at: At | None = None
    intent: Intent | None = None
    retrieval: tuple[Passage, ...] | None = None
    feedback: tuple[Feedback, ...] = ()


class Conversation(_Wire):
    """A whole conversation, as a transcript file has it. Turns are in the order in which they were said."""

    id: Id
    turns: tuple[Turn, ...]
    channel: Text | None = None
    started_at: At | None = None
    closed: bool = False

    @model_validator(mode="after")
    def _turn_ids_differ(self) -> "Conversation":
        seen: set[str] = set()
        for place, turn in enumerate(self.turns):
            turn_id = turn_id_at(turn, place)
            if turn_id in seen:
                raise PydanticCustomError("repeated_id", "turns.{place}.id: '{id}' occurs twice", {"place": place, "id": turn_id})
            seen.add(turn_id)
        return self


def turn_id_at(turn: Turn, place: int) -> str:
    """The turn's id, or one made from its place where the file gives none: the same file always gives the same ids."""
    return turn.id if turn.id is not None else f"#{place + 1}"


class TurnAdded(_Wire):
    type: Literal["turn_added"] = "turn_added"
    conversation_id: Id
    turn: Turn
    position: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    channel: Text | None = None
    started_at: At | None = None

    @model_validator(mode="after")
    def _turn_has_an_id(self) -> "TurnAdded":
        if self.turn.id is None:
            raise PydanticCustomError("turn_id_missing", "turn.id: required, so that a repeated delivery is recognised")
        return self


class TurnRemoved(_Wire):
    """The platform deleted or redacted the turn: its text goes from here too, and no other telling brings it back.

    `role` where the platform says it: the removal may come before the turn.
    """

    type: Literal["turn_removed"] = "turn_removed"
    conversation_id: Id
    turn_id: Id
    role: Role | None = None


class FeedbackGiven(_Wire):
    """`turn_id` None: the feedback is about the conversation as a whole. The same id with a later time replaces."""

    type: Literal["feedback_given"] = "feedback_given"
    conversation_id: Id
    turn_id: Id | None = None
    feedback: Feedback


class FeedbackWithdrawn(_Wire):
    """The end user took the feedback of that id back. Given again at a later time it counts again; without `at` it never does."""

    type: Literal["feedback_withdrawn"] = "feedback_withdrawn"
    conversation_id: Id
    feedback_id: Id
    at: At | None = None


class ConversationClosed(_Wire):
    type: Literal["conversation_closed"] = "conversation_closed"
    conversation_id: Id
    at: At | None = None


class ConversationRemoved(_Wire):
    """The platform deleted the whole conversation: its words go from here too, and nothing of it is taken in any more."""

    type: Literal["conversation_removed"] = "conversation_removed"
    conversation_id: Id


@dataclass(frozen=True, slots=True)
class Ignored:
    """Something authentic that tells us nothing: it is counted by its name, which holds no user's words."""

    what: str


Told = TurnAdded | TurnRemoved | FeedbackGiven | FeedbackWithdrawn | ConversationClosed | ConversationRemoved
SentEvent = Annotated[Told, Field(discriminator="type")]
"""As our own format spells them."""
Event = Told | Ignored


@dataclass(frozen=True, slots=True)
class Delivery:
    """One authentic webhook request. `id` is stable over the platform's retries."""

    id: str
    sent_at: datetime | None


class Source(Protocol):
    """A platform we receive from. Both methods are pure: time and secrets are arguments."""

    def verify(self, headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime) -> Delivery:
        """The delivery, if its signature over the raw bytes holds for one of the secrets.

        Header names are lower case.

        Raises
        ------
        Reject
            The request is not authentic, too old, or lacks a header; the reason never contains a secret.
        """
        ...

    def parse(self, body: bytes) -> list[Event]:
        """The events that the body tells, in its order.

        Raises
        ------
        Reject
            The body is not what this platform sends; the reason names the field.
        """
        ...


def of_user(user_id: object) -> dict[str, JsonValue]:
    """Metadata of a turn that name the user as the platform does, so that what they said can be found when they ask for it."""
    named = isinstance(user_id, str | int) and not isinstance(user_id, bool) and str(user_id)[:MAX_ID_LENGTH]
    return {"user_id": _without_nul(named)} if named else {}


def events_of(conversation: Conversation, first: int = 0) -> list[Event]:
    """The events that would have built this conversation, so that files and webhooks take one way in.

    `first`: the place of its first turn, where a file told earlier ones further up.
    """
    events: list[Event] = []
    for place, turn in enumerate(conversation.turns, first):
        events.append(
            TurnAdded(
                conversation_id=conversation.id,
                turn=turn if turn.id is not None else turn.model_copy(update={"id": turn_id_at(turn, place)}),
                position=place,
                channel=conversation.channel,
                started_at=conversation.started_at,
                metadata=conversation.extras,
            )
        )
    if conversation.closed:
        last = max((turn.at for turn in conversation.turns if turn.at), default=conversation.started_at)
        events.append(ConversationClosed(conversation_id=conversation.id, at=last))
    return events
