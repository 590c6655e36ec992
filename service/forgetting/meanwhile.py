"""What was forgotten while scoring had it in hand: measuring stores vectors and quotes other conversations."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlmodel import Session, col

from scoring.clauses import clauses
from service.db import chunks
from service.forgetting.forget import QUOTED, without_words
from service.models import Conversation, Exchange
from service.removals import forget_vectors


def forget_again(session: Session, texts: Mapping[int, Iterable[str]]) -> None:
    """Vectors of the texts, by conversation, of those conversations that are forgotten by now."""
    gone: set[int] = set()
    for part in chunks(sorted(texts)):
        found = select(col(Conversation.id)).where(col(Conversation.id).in_(part), col(Conversation.forgotten_at).is_not(None))
        gone |= set(session.execute(found).scalars())
    said = {text for key in gone for text in texts[key] if text.strip()}
    forget_vectors(session, said | {clause for text in said for clause in clauses(text)})


def unquote(session: Session, evidence: Sequence[dict[str, Any]]) -> None:
    """Rows of evidence about to be stored, which quote nobody who is forgotten by now."""
    forgotten: set[int] = set()
    for part in chunks(sorted({one["other_id"] for one in evidence if one["other_id"] is not None})):
        rows = select(col(Exchange.id)).where(col(Exchange.id).in_(part), col(Exchange.forgotten))
        forgotten |= set(session.execute(rows).scalars())
    for one in evidence:
        if one["other_id"] in forgotten:
            one.update(note=QUOTED, detail=without_words(one["detail"]))
