"""A second look at labels that are probably slips: which they are, what speaks against each, and which were kept."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import aliased
from sqlmodel import Session, col

from service.db import chunks
from service.models import Calibration, Example, ItemState, KnownItem, Reviewer, ReviewItem, SecondLook, Verdict
from service.team import amend
from service.team.queues import names_of

SEED = "seed"
"""Who gave a label that came from a file."""
MOST_KEPT = 20


@dataclass(frozen=True, slots=True)
class Note:
    """What a fit found: example `id` is labelled `intent`, and those like it `suspected`. `suspicion` 0..1; `near`: the content
    hashes (hexadecimal) of the nearest examples of both."""

    id: int
    intent: str
    suspected: str
    suspicion: float
    near: list[str]


@dataclass(frozen=True, slots=True)
class Suspect:
    """A label that looks like a slip. `refusal`: why the reader may keep but not change it; None where they may do both."""

    id: int
    source: str
    text: str
    intent: str
    suspected: str
    suspicion: float
    given_by: str
    given_at: datetime
    verdict_id: int | None
    item_id: int | None
    near_own: tuple[str, ...]
    """The nearest other examples of the same label, nearest first."""
    near_suspected: tuple[str, ...]
    refusal: str | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """A label that a reviewer kept and that has not changed since; `id` of the example that has it."""

    id: int
    source: str
    text: str
    intent: str
    suspected: str | None
    by: str
    at: datetime


def note(session: Session, source: str, found: Iterable[Note]) -> None:
    """These labels of the source look like slips, and no others do. Labels that a reviewer kept are passed over."""
    session.execute(
        update(Example)
        .where(col(Example.source) == source, col(Example.suspected).is_not(None))
        .values(suspected=None, suspicion=None, near=None)
    )
    for one in found:
        session.execute(
            update(Example)
            .where(col(Example.id) == one.id, col(Example.intent) == one.intent, ~_kept().exists())
            .values(suspected=one.suspected, suspicion=one.suspicion, near=one.near)
            .execution_options(synchronize_session=False)
        )


def _kept() -> Any:
    """The look by which the example's label is kept."""
    return (
        select(col(SecondLook.id))
        .where(
            col(SecondLook.source) == col(Example.source),
            col(SecondLook.content_hash) == col(Example.content_hash),
            col(SecondLook.intent) == col(Example.intent),
            col(SecondLook.ended_at).is_(None),
        )
        .correlate(Example)
    )


def counts(session: Session, reviewer_id: int | None = None) -> dict[str, int]:
    """How many labels look like slips, by source."""
    found = (
        select(col(Example.source), func.count())
        .join(Verdict, col(Verdict.id) == col(Example.verdict_id), isouter=True)
        .where(col(Example.suspected).is_not(None), *_counting(), *_shown_to(session, reviewer_id))
        .group_by(col(Example.source))
        .order_by(col(Example.source))
    )
    return dict(session.execute(found).all())


def suspects(
    session: Session, reviewer_id: int | None = None, source: str | None = None, limit: int = 50, offset: int = 0
) -> list[Suspect]:
    """Labels that look like slips, the surest first. `reviewer_id`: who reads it, which decides what they see and may change."""
    wanted = (
        select(Example, Verdict)
        .join(Verdict, col(Verdict.id) == col(Example.verdict_id), isouter=True)
        .where(col(Example.suspected).is_not(None), *_counting(), *_shown_to(session, reviewer_id))
        .order_by(col(Example.suspicion).desc(), col(Example.id))
        .limit(limit)
        .offset(offset)
    )
    if source is not None:
        wanted = wanted.where(col(Example.source) == source)
    rows = [(example, verdict) for example, verdict in session.execute(wanted)]
    near = _near(session, [example for example, _ in rows], reviewer_id)
    given = _changed_by(session, [example for example, _ in rows])
    names = names_of(session)
    found = [_suspect(example, verdict, near, given, names) for example, verdict in rows]
    if reviewer_id is None:
        return found
    return [replace(one, refusal=refusal(session, one.item_id, reviewer_id)) for one in found]


def shown_example(session: Session, label_id: int, reviewer_id: int) -> Example | None:
    """The example, if its label counts and is for this reviewer to see."""
    found: Example | None = session.execute(
        select(Example)
        .join(Verdict, col(Verdict.id) == col(Example.verdict_id), isouter=True)
        .where(col(Example.id) == label_id, *_counting(), *_shown_to(session, reviewer_id))
        .execution_options(populate_existing=True)
    ).scalar_one_or_none()
    return found


def refusal(session: Session, item_id: int | None, reviewer_id: int) -> str | None:
    """Why this reviewer may not change the label that the item's verdict gave; None where they may, as anybody may a seed's."""
    item = session.get(ReviewItem, item_id) if item_id is not None else None
    if item is None or amend.may_amend(session, item, reviewer_id) is not None:
        return None
    if item.state != ItemState.done:
        return f"item {item.id} is open again: its next verdict gives the label"
    return f"only the reviewer who decided item {item.id}, or an admin, can change its label: send the item back instead"


def kept(session: Session, reviewer_id: int | None = None, source: str | None = None, limit: int = MOST_KEPT) -> list[Kept]:
    """Labels that were kept, the latest first."""
    wanted = (
        select(Example, SecondLook, col(Reviewer.name))
        .join(
            SecondLook,
            (col(SecondLook.source) == col(Example.source))
            & (col(SecondLook.content_hash) == col(Example.content_hash))
            & (col(SecondLook.intent) == col(Example.intent)),
        )
        .join(Reviewer, col(Reviewer.id) == col(SecondLook.reviewer_id))
        .join(Verdict, col(Verdict.id) == col(Example.verdict_id), isouter=True)
        .where(col(SecondLook.ended_at).is_(None), *_counting(), *_shown_to(session, reviewer_id))
        .order_by(col(SecondLook.at).desc(), col(SecondLook.id).desc())
        .limit(limit)
    )
    if source is not None:
        wanted = wanted.where(col(Example.source) == source)
    return [
        Kept(example.id, example.source, example.text, example.intent, look.suspected, name, look.at)
        for example, look, name in session.execute(wanted)
    ]


def _counting() -> list[Any]:
    """A seed does not count where a verdict labels the same text."""
    other = aliased(Example)
    same = (col(other.source) == col(Example.source)) & (col(other.content_hash) == col(Example.content_hash))
    return [or_(col(Example.by_verdict), ~select(col(other.id)).where(same, col(other.by_verdict)).correlate(Example).exists())]


def _shown_to(session: Session, reviewer_id: int | None) -> list[Any]:
    """Labels of known items would give their verdicts away: only who decided them and admins see those, and not where they
    are served the item themselves."""
    if reviewer_id is None:
        return []
    served = select(col(Calibration.item_id)).where(
        col(Calibration.item_id) == col(Verdict.item_id), col(Calibration.reviewer_id) == reviewer_id
    )
    shown = [~served.correlate(Verdict).exists()]
    is_admin = session.execute(select(col(Reviewer.is_admin)).where(col(Reviewer.id) == reviewer_id)).scalar()
    if not is_admin:
        known = select(col(KnownItem.item_id)).where(col(KnownItem.item_id) == col(Verdict.item_id)).correlate(Verdict)
        shown.append(or_(~known.exists(), col(Verdict.reviewer_id) == reviewer_id))
    return shown


def _suspect(
    example: Example,
    verdict: Verdict | None,
    near: dict[tuple[str, str], Example],
    given: dict[tuple[str, bytes, str], str],
    names: dict[int, str],
) -> Suspect:
    beside = [near[example.source, one] for one in example.near or () if (example.source, one) in near]
    by = names.get(verdict.reviewer_id, "?") if verdict else given.get((example.source, example.content_hash, example.intent))
    return Suspect(
        id=example.id or 0,
        source=example.source,
        text=example.text,
        intent=example.intent,
        suspected=example.suspected or "",
        suspicion=example.suspicion or 0.0,
        given_by=by or SEED,
        given_at=verdict.decided_at if verdict else example.added_at,
        verdict_id=example.verdict_id,
        item_id=verdict.item_id if verdict else None,
        near_own=tuple(one.text for one in beside if one.intent == example.intent),
        near_suspected=tuple(one.text for one in beside if one.intent == example.suspected),
    )


def _near(session: Session, examples: Sequence[Example], reviewer_id: int | None) -> dict[tuple[str, str], Example]:
    """The examples that these have beside them, as they are labelled now, by source and hash."""
    hashes = sorted({bytes.fromhex(one) for example in examples for one in example.near or ()})
    found: dict[tuple[str, str], Example] = {}
    for part in chunks(hashes):
        rows = session.execute(
            select(Example)
            .join(Verdict, col(Verdict.id) == col(Example.verdict_id), isouter=True)
            .where(
                col(Example.source).in_({example.source for example in examples}),
                col(Example.content_hash).in_(part),
                *_counting(),
                *_shown_to(session, reviewer_id),
            )
        ).scalars()
        found.update(((one.source, one.content_hash.hex()), one) for one in rows)
    return found


def _changed_by(session: Session, examples: Sequence[Example]) -> dict[tuple[str, bytes, str], str]:
    """Who gave seeds the label that they have, where it was changed by a second look."""
    found: dict[tuple[str, bytes, str], str] = {}
    seeds = [one for one in examples if one.verdict_id is None]
    for part in chunks([one.content_hash for one in seeds]):
        rows = session.execute(
            select(col(SecondLook.source), col(SecondLook.content_hash), col(SecondLook.chosen), col(Reviewer.name))
            .join(Reviewer, col(Reviewer.id) == col(SecondLook.reviewer_id))
            .where(
                col(SecondLook.source).in_({one.source for one in seeds}),
                col(SecondLook.content_hash).in_(part),
                col(SecondLook.chosen) != col(SecondLook.intent),
            )
            .order_by(col(SecondLook.id))
        )
        found.update(((source, content_hash, chosen), name) for source, content_hash, chosen, name in rows)
    return found
