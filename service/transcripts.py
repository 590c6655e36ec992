"""The wire's conversations and the database's rows, both as the transcripts that scoring reads."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import case, func, select
from sqlmodel import Session, col

from connectors import events as wire
from scoring.transcripts import Feedback, Intent, Passage, Transcript, Turn
from service import models
from service.conversations import in_order
from service.db import chunks, table_of

LONG_AGO = datetime.min.replace(tzinfo=UTC)


def from_wire(conversation: wire.Conversation) -> Transcript:
    """A conversation of a transcript file; feedback of one turn is ordered by its times."""
    return Transcript(
        id=conversation.id,
        channel=conversation.channel,
        turns=tuple(
            Turn(
                id=wire.turn_id_at(turn, place),
                role=turn.role,
                text=turn.text,
                at=turn.at,
                intent=None
                if turn.intent is None
                else Intent(
                    turn.intent.name,
                    turn.intent.confidence,
                    tuple((ranked.name, ranked.confidence) for ranked in turn.intent.ranking),
                    turn.intent.scale,
                ),
                retrieval=None
                if turn.retrieval is None
                else tuple(
                    Passage(p.id, p.title, p.text, p.score, p.rerank_score, p.scale, p.rerank_scale) for p in turn.retrieval
                ),
                feedback=tuple(
                    Feedback(f.rating, f.scale, f.comment, f.at) for f in sorted(turn.feedback, key=lambda f: f.at or LONG_AGO)
                ),
            )
            for place, turn in enumerate(conversation.turns)
        ),
    )


def load_transcripts(session: Session, ids: Sequence[int]) -> tuple[dict[int, Transcript], dict[int, int]]:
    """The conversations as scoring reads them (named by their row id), and the revision that each was read at."""
    conversations: dict[int, models.Conversation] = {}
    turns: dict[int, list[models.Turn]] = {}
    feedback: dict[int, list[models.Feedback]] = {}
    for part in chunks(ids):
        for conversation in session.execute(select(models.Conversation).where(col(models.Conversation.id).in_(part))).scalars():
            conversations[conversation.id or 0] = conversation
        for turn in session.execute(
            select(models.Turn).where(col(models.Turn.conversation_id).in_(part), ~col(models.Turn.removed))
        ).scalars():
            turns.setdefault(turn.conversation_id, []).append(turn)
        for given in session.execute(
            select(models.Feedback)
            .where(col(models.Feedback.conversation_id).in_(part), ~col(models.Feedback.withdrawn))
            .order_by(col(models.Feedback.id))
        ).scalars():
            feedback.setdefault(given.conversation_id, []).append(given)
    transcripts = {i: to_transcript(conversations[i], in_order(turns.get(i, [])), feedback.get(i, [])) for i in conversations}
    return transcripts, {i: conversation.revision for i, conversation in conversations.items()}


def load_asked(session: Session, ids: Sequence[int]) -> dict[int, Transcript]:
    """The conversations with only what tells who asked what: the bot's words, passages and feedback are left out.

    `split` finds in them every exchange that asks something.
    """
    turn = table_of(models.Turn).c
    said = case((turn.role == "user", turn.text), else_="").label("text")
    at = func.coalesce(turn.at, turn.received_at).label("at")
    wanted = select(turn.conversation_id, turn.external_id, turn.role, said, turn.intent, turn.id, turn.position, at)
    turns: dict[int, list[Any]] = {}
    for part in chunks(ids):
        for row in session.execute(wanted.where(turn.conversation_id.in_(part), ~turn.removed)):
            turns.setdefault(row[0], []).append(row)
    return {key: Transcript(str(key), _asked_turns(of_conversation)) for key, of_conversation in turns.items()}


def _asked_turns(rows: list[Any]) -> tuple[Turn, ...]:
    ordered: list[Any] = in_order(rows)
    return tuple(Turn(name, role, text, None, _intent(intent)) for _, name, role, text, intent, *_ in ordered)


def to_transcript(
    conversation: models.Conversation, turns: Sequence[models.Turn], feedback: Sequence[models.Feedback]
) -> Transcript:
    """Feedback about the conversation as a whole counts for its last answer."""
    last_bot = next((turn.external_id for turn in reversed(turns) if turn.role == "bot"), None)
    given: dict[str | None, list[Feedback]] = {}
    for one in sorted(feedback, key=lambda f: (f.at or LONG_AGO, f.external_id)):
        given.setdefault(one.turn_external_id or last_bot, []).append(Feedback(one.rating, one.scale, one.comment, one.at))
    return Transcript(
        id=str(conversation.id),
        source=conversation.source,
        channel=conversation.channel,
        turns=tuple(
            Turn(
                id=turn.external_id,
                role=turn.role,  # type: ignore[arg-type]  # checked when it came in
                text=turn.text,
                at=turn.at,
                intent=_intent(turn.intent),
                retrieval=None if turn.retrieval is None else tuple(_passage(passage) for passage in turn.retrieval),
                feedback=tuple(given.get(turn.external_id, ())),
            )
            for turn in turns
        ),
    )


def _intent(stored: Mapping[str, Any] | None) -> Intent | None:
    if stored is None:
        return None
    ranking = tuple((ranked["name"], ranked["confidence"]) for ranked in stored.get("ranking") or ())
    return Intent(stored.get("name"), stored.get("confidence"), ranking, _told(stored, "scale"))


def _passage(stored: Mapping[str, Any]) -> Passage:
    return Passage(
        stored.get("id"),
        stored.get("title"),
        stored.get("text") or "",
        stored.get("score"),
        stored.get("rerank_score"),
        _told(stored, "scale"),
        _told(stored, "rerank_scale"),
    )


def _told(stored: Mapping[str, Any], name: str) -> str | None:
    """Rows that are older than this field may hold something else of the platform's under its name."""
    told = stored.get(name)
    return told if isinstance(told, str) else None
