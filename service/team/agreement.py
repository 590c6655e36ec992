"""How far reviewers agree beyond what chance would have them agree; no number where there is too little to say one.

Cohen's kappa for two, Fleiss' kappa and Krippendorff's alpha for several, by NLTK. docs/team.md says what they mean.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from sqlalchemy import select
from sqlmodel import Session, col

from scoring.estimates import plain_share
from service.filters import filter_of, matches
from service.models import KnownItem, NamedQueue, Opinion, OpinionKind, Reviewer, ReviewItem, Verdict

LEAST_ITEMS = 10
"""Items that several judged before a coefficient is said: with fewer, one item moves it by a tenth and more."""
COHEN, FLEISS, ALPHA = "Cohen's kappa", "Fleiss' kappa", "Krippendorff's alpha"

Judged = list[tuple[int, int, str]]
"""(item, reviewer, label), one a judgement."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """`value` from -1 to 1: 1 all agree, 0 as much as chance; None where `sentence` says why there is none."""

    measure: str
    of: str
    value: float | None
    items: int
    same: int
    """Items on which all said the same."""
    sentence: str


@dataclass(frozen=True, slots=True)
class Calibrated:
    """How often a reviewer said of known items what is known; `low` and `high`: interval of 95 %."""

    reviewer: str
    value: float | None
    low: float
    high: float
    items: int
    same: int
    sentence: str


def agreements(session: Session, queue: NamedQueue | None = None) -> list[Agreement]:
    """Of all who judged a queue's items apart from each other, then of each pair of them."""
    judged, names = _judged(session, queue)
    pairs = [
        cohen(judged, a, b, f"{names[a]} and {names[b]}")
        for a, b in combinations(sorted({reviewer for _, reviewer, _ in judged}), 2)
        if _both(judged, a, b)
    ]
    return [fleiss(judged), alpha(judged), *pairs]


def cohen(judged: Judged, a: int, b: int, of: str) -> Agreement:
    """Two reviewers over the items that both judged (Cohen 1960)."""
    both = _both(judged, a, b)
    data = [(who, item, label) for item, who, label in judged if item in both and who in (a, b)]
    return _said(COHEN, of, data, lambda task: task.kappa_pairwise(a, b))


def fleiss(judged: Judged) -> Agreement:
    """All reviewers, over the items that the most usual number of them judged, who need not be the same (Fleiss 1971)."""
    by_item: dict[int, list[str]] = {}
    for item, _, label in judged:
        by_item.setdefault(item, []).append(label)
    sizes = Counter(len(labels) for labels in by_item.values() if len(labels) > 1)
    size = max(sizes, key=lambda one: (sizes[one], one), default=0)
    # Who said it does not matter to the coefficient: each item's labels are numbered.
    data = [(n, item, label) for item, labels in by_item.items() if len(labels) == size for n, label in enumerate(labels)]
    return _said(FLEISS, f"{size} reviewers an item" if size else "all", data, lambda task: task.pi())


def alpha(judged: Judged) -> Agreement:
    """All reviewers, however many judged each item, labels as names without order (Krippendorff 2004)."""
    counts = Counter(item for item, _, _ in judged)
    data = [(who, item, label) for item, who, label in judged if counts[item] > 1]
    return _said(ALPHA, "all", data, lambda task: task.alpha())


def calibrations(session: Session) -> list[Calibrated]:
    """Each reviewer's opinions of known items against the verdicts that are known, by name."""
    rows = session.execute(
        select(col(Reviewer.name), col(Opinion.label), col(Verdict.label))
        .join(Opinion, col(Opinion.reviewer_id) == col(Reviewer.id))
        .join(KnownItem, col(KnownItem.item_id) == col(Opinion.item_id))
        .join(Verdict, (col(Verdict.item_id) == col(Opinion.item_id)) & col(Verdict.withdrawn_at).is_(None))
        .where(col(Opinion.kind) == OpinionKind.calibration, col(Opinion.withdrawn_at).is_(None))
        .order_by(col(Reviewer.name))
    ).all()
    found: dict[str, list[bool]] = {}
    for name, said, known in rows:
        found.setdefault(name, []).append(said == known)
    return [_calibrated(name, sum(same), len(same)) for name, same in found.items()]


def _calibrated(name: str, same: int, items: int) -> Calibrated:
    share = plain_share(same, items)
    between = f"{share.low:.0%} to {share.high:.0%}"
    if share.value is None or items < LEAST_ITEMS:
        said = f"Too few for a number: the same label on {same} of {items} known items ({between})."
        return Calibrated(name, None, share.low, share.high, items, same, said)
    return Calibrated(
        name, share.value, share.low, share.high, items, same,
        f"The same label on {share.value:.0%} of {items} known items (95 % interval {between}).",
    )  # fmt: skip


def _both(judged: Judged, a: int, b: int) -> set[int]:
    return {item for item, who, _ in judged if who == a} & {item for item, who, _ in judged if who == b}


def _said(measure: str, of: str, data: Sequence[tuple[Any, int, str]], by: Any) -> Agreement:
    labels: dict[int, set[str]] = {}
    for _, item, label in data:
        labels.setdefault(item, set()).add(label)
    items, same = len(labels), sum(len(said) == 1 for said in labels.values())
    if items < LEAST_ITEMS:
        short = f"Too few: {items} items were judged by more than one; a number needs {LEAST_ITEMS}."
        return Agreement(measure, of, None, items, same, short)
    if len({label for _, _, label in data}) == 1:
        alike = f"Everybody gave every one of {items} items the same label: there is nothing to tell from chance."
        return Agreement(measure, of, None, items, same, alike)
    from nltk.metrics import agreement as nltk_agreement  # 2 s, which only this page pays

    task: Any = nltk_agreement.AnnotationTask
    value = float(by(task(data=list(data))))
    return Agreement(measure, of, value, items, same, f"{value:.2f} over {items} items; on {same} of them all said the same.")


def _judged(session: Session, queue: NamedQueue | None) -> tuple[Judged, dict[int, str]]:
    rows = session.execute(
        select(col(Opinion.item_id), col(Opinion.reviewer_id), col(Opinion.label), col(Reviewer.name))
        .join(Reviewer, col(Reviewer.id) == col(Opinion.reviewer_id))
        .join(ReviewItem, col(ReviewItem.id) == col(Opinion.item_id))
        .where(
            col(Opinion.kind) == OpinionKind.review,
            col(Opinion.withdrawn_at).is_(None),
            *(matches(filter_of(queue)) if queue else []),
        )
        .order_by(col(Opinion.id))
    ).all()
    return [(item, who, label) for item, who, label, _ in rows], {who: name for _, who, _, name in rows}
