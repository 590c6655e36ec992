"""Whether corrections worked: what was asked again after each was published, and how much of it was flagged again.

service/outcomes.py counts; here stand the part that is looked at, corrections that are not out yet, and the sum of it all.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlmodel import Session, col

from scoring.estimates import Estimate, plain_share
from service import outcomes
from service.models import (
    ArticleStatus,
    ArticleVersion,
    Conversation,
    Exchange,
    Publication,
    PublicationState,
    ReviewItem,
    Verdict,
    Watch,
)
from service.quality import percentage
from service.quality_rows import Part, in_channel, start_of

MOST = 500
"""The latest so many corrections."""
WORKED, FLAGGED, NOT_ASKED, ON_ITS_WAY = "worked", "flagged again", "not asked again", "on its way"
OUTCOMES = (WORKED, FLAGGED, NOT_ASKED, ON_ITS_WAY)


@dataclass(frozen=True, slots=True)
class Correction:
    """An article's version that reviews led to. `asked`: exchanges since it is out that asked what it was to answer;
    `flagged`: those of them that were flagged again."""

    article_id: int
    version: int
    question: str
    source: str
    written_at: datetime
    published_at: datetime | None
    asked: int
    flagged: int
    outcome: str


@dataclass(frozen=True, slots=True)
class Corrections:
    """`worked`: of those that were asked again, the share of which nothing was flagged again."""

    made: list[Correction]
    worked: Estimate
    sentence: str


def corrections(session: Session, part: Part | None = None) -> Corrections:
    """The corrections of the part, latest first, with what became of them. Its days are those on which they were published;
    what is not out yet counts by the day on which it was written."""
    part = part or Part()
    made = [one for one in (*_waiting(session, part), *_published(session, part)) if _is_in(one, part)][:MOST]
    counts = {name: sum(one.outcome == name for one in made) for name in OUTCOMES}
    share = plain_share(counts[WORKED], counts[WORKED] + counts[FLAGGED])
    return Corrections(made, share, _sentence(counts, share))


def _sentence(counts: dict[str, int], worked: Estimate) -> str:
    total = sum(counts.values())
    if not total:
        return "No correction was written in this time."
    told = f"{total:,} correction{'' if total == 1 else 's'}: "
    if not worked.exchanges:
        return told + "none was asked about again yet, so whether they worked is not known."
    told += f"of the {worked.exchanges:,} asked about again, {counts[WORKED]:,} worked and {counts[FLAGGED]:,} were flagged again"
    if worked.value is None:
        return told + "; too few to say how often corrections work."
    return told + f" (worked: {percentage(worked.value)}, 95 % interval {percentage(worked.low)} to {percentage(worked.high)})."


def _is_in(one: Correction, part: Part) -> bool:
    day = (one.published_at or one.written_at).date()
    return (part.since is None or day >= part.since) and (part.until is None or day <= part.until)


def _published(session: Session, part: Part) -> list[Correction]:
    watched = (
        select(col(ArticleVersion.id), col(ArticleVersion.changed_at), col(Watch.source))
        .join(Watch, col(Watch.article_version_id) == col(ArticleVersion.id))
        .join(ReviewItem, col(ReviewItem.id) == col(Watch.item_id), isouter=True)
    )
    if part.source is not None:
        watched = watched.where(col(Watch.source) == part.source)
    about = {row.id: row for row in session.execute(_of_channel(watched, part))}
    found = outcomes.corrections(session, start_of(part.since) if part.since else None)
    return [
        Correction(
            one.article_id, one.version, one.question, about[one.version_id].source or "", about[one.version_id].changed_at,
            one.published_at, one.seen, one.flagged_again, FLAGGED if one.flagged_again else WORKED if one.seen else NOT_ASKED,
        )
        for one in found
        if one.version_id in about
    ]  # fmt: skip


def _waiting(session: Session, part: Part) -> list[Correction]:
    """Those that no knowledge base has yet: their publications wait, or have failed."""
    to_go_out = select(col(Publication.id)).where(col(Publication.article_version_id) == col(ArticleVersion.id))
    states = [PublicationState.published, PublicationState.cancelled]
    wanted = (
        select(
            col(ArticleVersion.article_id), col(ArticleVersion.version), col(ArticleVersion.question),
            col(ArticleVersion.changed_at), col(Exchange.source),
        )
        .join(Verdict, col(Verdict.id) == col(ArticleVersion.verdict_id))
        .join(ReviewItem, col(ReviewItem.id) == col(Verdict.item_id))
        .join(Exchange, col(Exchange.id) == col(ReviewItem.exchange_id))
        .where(
            col(Verdict.withdrawn_at).is_(None),
            col(ArticleVersion.status) == ArticleStatus.active,
            to_go_out.where(col(Publication.state).not_in(states)).exists(),
            ~to_go_out.where(col(Publication.state).in_(states)).exists(),
        )
        .order_by(col(ArticleVersion.id).desc())
        .limit(MOST)
    )  # fmt: skip
    if part.source is not None:
        wanted = wanted.where(col(Exchange.source) == part.source)
    return [
        Correction(row.article_id, row.version, row.question, row.source, row.changed_at, None, 0, 0, ON_ITS_WAY)
        for row in session.execute(_of_channel(wanted, part, joined=True))
    ]


def _of_channel(wanted: Any, part: Part, joined: bool = False) -> Any:
    """Those whose corrected exchange is of the part's channel."""
    if part.channel is None:
        return wanted
    if not joined:
        wanted = wanted.join(Exchange, col(Exchange.id) == col(ReviewItem.exchange_id))
    return wanted.join(Conversation, col(Conversation.id) == col(Exchange.conversation_id)).where(in_channel(part.channel))
