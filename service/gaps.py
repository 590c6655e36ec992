"""What is not known yet, and what somebody can do about it: for the pages and the report of an installation that begins."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlmodel import Session, col

from service.models import Article, Conversation, Example, Verdict

LEAST_EXAMPLES = 4
"""As many as our own intent model needs to be fitted."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A sentence each: what is unknown, and the next step."""

    unknown: str
    next: str


def gaps(session: Session, sources: Sequence[str]) -> list[Gap]:
    """What these sources and this installation still lack. Each question is answered by an index, whatever has piled up."""
    found = [gap for source in sources for gap in _of_source(session, source)]
    if session.execute(select(col(Article.id)).limit(1)).first() is None:
        found.append(
            Gap(
                "There are no articles: reviewers see no answer that is known to be right.",
                "Import what you have with: triage articles import PATH. Each corrected answer also makes one.",
            )
        )
    if session.execute(select(col(Verdict.id)).where(col(Verdict.withdrawn_at).is_(None)).limit(1)).first() is None:
        found.append(
            Gap(
                "There are no verdicts: how often the bot fails and what each signal is worth is not known.",
                "Review items; those that pure chance chose tell most. 'triage report' says how sure the numbers are.",
            )
        )
    return found


def _of_source(session: Session, source: str) -> list[Gap]:
    if session.execute(select(col(Conversation.id)).where(col(Conversation.source) == source).limit(1)).first() is None:
        return [
            Gap(
                f"Nothing has come from the source '{source}' yet.",
                f"Let its platform send to /hooks/{source}, or import a file with: triage import FILE --source {source}",
            )
        ]
    few = select(col(Example.id)).where(col(Example.source) == source).limit(LEAST_EXAMPLES).subquery()
    if session.execute(select(func.count()).select_from(few)).scalar_one() >= LEAST_EXAMPLES:
        return []
    return [
        Gap(
            f"There are no labelled examples for '{source}': where its platform sends no intent, nobody judges the intent.",
            f"Import some with: triage seed FILE --source {source}. Corrected intents of reviews count as well.",
        )
    ]
