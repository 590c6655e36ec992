"""What each signal weighs in the priority: from verdicts and the propensities with which their exchanges were chosen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import structlog
from sqlalchemy import select
from sqlmodel import Session, col

from scoring.comparison import Comparison, Flags, Floats, compare, folds_of, judgement_weights
from scoring.weights import Weights, WeightsUnusable, log_losses
from service.db import Database, chunks
from service.logs import place_of
from service.models import Evidence, Exchange, Model, ReviewItem, Verdict, VerdictLabel
from service.versions import Claimed, Fitted, fitting, last_fits, live_models, store

log = structlog.get_logger()
WEIGHTS = "weights"
EVERYWHERE = ""
"""Source of the weights that hold where a source has none of its own."""
LEAST_VERDICTS = 40
LEAST_OF_EACH = 5
"""Of good and of bad answers; with fewer there is nothing to tell apart."""
OWN_VERDICTS = 200
"""From so many on a source gets weights of its own, which start from those that hold everywhere."""
REFIT_AFTER = 20
REFIT_EVERY = timedelta(days=1)
MOST_JUDGED = 20_000
_FOLDS = 10


@dataclass(frozen=True, slots=True)
class Judged:
    """Judged exchanges as arrays of n rows. `probabilities` (n, names) holds NaN where a signal found nothing."""

    names: tuple[str, ...]
    probabilities: Floats
    needed: Floats
    """1 where the answer was not good, else 0."""
    propensities: Floats
    by_chance: Flags
    decided_at: Sequence[datetime]

    def fit(self, start: Weights, rows: Flags) -> Weights:
        if not rows.any():
            return start
        return start.fit(self.names, self.probabilities[rows], self.needed[rows], self.propensities[rows])

    def losses(self, weights: Weights, rows: Flags) -> Floats:
        return log_losses(weights.priorities(self.names, self.probabilities[rows]), self.needed[rows])


def refit_weights_due(
    db: Database,
    now: datetime,
    after: int = REFIT_AFTER,
    every: timedelta = REFIT_EVERY,
    thresholds: Mapping[str, float] | None = None,
) -> int:
    """Fit the weights again where enough verdicts came or were withdrawn since the last fit; how many were fitted.

    Enough: `after` of them, or any `every` after the last fit. `thresholds`: by signal, the probability below which its
    evidence does not raise the priority. What fails is logged and leaves the live version as it was.
    """
    done = 0
    for source in _due(db, now, after, every):
        try:
            with fitting(db, WEIGHTS, source, now) as claimed:
                if claimed is not None and source in _due(db, now, after, every):
                    done += _fit(db, claimed, now, thresholds or {})
        except Exception as error:  # noqa: BLE001 - one source must not keep the others waiting
            log.error("weights_not_fitted", source=source, error=type(error).__name__, where=place_of(error))
    return done


def _due(db: Database, now: datetime, after: int, every: timedelta) -> list[str]:
    with db.read() as session:
        rows = session.execute(
            select(col(Exchange.source), col(Verdict.decided_at), col(Verdict.withdrawn_at))
            .join(ReviewItem, col(ReviewItem.exchange_id) == col(Exchange.id))
            .join(Verdict, col(Verdict.item_id) == col(ReviewItem.id))
            .where(col(Verdict.label) != VerdictLabel.unclear, col(Verdict.settled_by).is_(None))
        ).all()
        last = last_fits(session, WEIGHTS)
    of: dict[str, list[tuple[datetime, datetime | None]]] = {EVERYWHERE: []}
    for source, decided_at, withdrawn_at in rows:
        of[EVERYWHERE].append((decided_at, withdrawn_at))
        of.setdefault(source, []).append((decided_at, withdrawn_at))
    due = []
    for source, verdicts in of.items():  # first those for everywhere: the others start from them
        standing = sum(withdrawn_at is None for _, withdrawn_at in verdicts)
        if standing < (LEAST_VERDICTS if source == EVERYWHERE else OWN_VERDICTS):
            continue
        before = last.get(source)
        changed = standing if before is None else _changes(verdicts, before)
        if before is None or changed >= after or (changed and now - before.fitted_at >= every):
            due.append(source)
    return due


def _changes(verdicts: Sequence[tuple[datetime, datetime | None]], since: Model) -> int:
    """Verdicts that came, were withdrawn, or were deleted since that fit."""
    known = sum(at <= since.fitted_at and (gone is None or gone > since.fitted_at) for at, gone in verdicts)
    came = sum(at > since.fitted_at and gone is None for at, gone in verdicts)
    withdrawn = sum(at <= since.fitted_at and gone is not None and gone > since.fitted_at for at, gone in verdicts)
    return came + withdrawn + max(0, since.examples - known)


def _fit(db: Database, claimed: Claimed, now: datetime, thresholds: Mapping[str, float]) -> bool:
    """False where too few verdicts are left, or all say the same."""
    with db.read() as session:
        judged = judgements(session, None if claimed.source == EVERYWHERE else claimed.source)
        start = Weights.default() if claimed.source == EVERYWHERE else _everywhere(session)
    judged = replace(judged, probabilities=start.counted(judged.names, judged.probabilities, thresholds))
    bad = int(judged.needed.sum())
    if min(bad, len(judged.needed) - bad) < LEAST_OF_EACH:
        return False
    everything = np.ones(len(judged.needed), dtype=bool)
    weights = judged.fit(start, everything)
    fitted = Fitted(weights.version, "", len(judged.needed), weights.text().encode())
    store(db, claimed, fitted, _compared(judged, start, claimed.live).stored(), now)
    return True


def _compared(judged: Judged, start: Weights, live: Model | None) -> Comparison:
    """Ten-fold cross-validation: each verdict is judged by fits that lack it, with all the others and with those that the
    live version knew; where nothing is live, that is `start` itself."""
    count = len(judged.needed)
    known = np.asarray([live is not None and at <= live.fitted_at for at in judged.decided_at], dtype=bool)
    folds = folds_of(count, _FOLDS)
    before, after = np.zeros(count), np.zeros(count)
    for fold in set(folds.tolist()):
        held = folds == fold
        before[held] = judged.losses(judged.fit(start, known & ~held), held)
        after[held] = judged.losses(judged.fit(start, ~held), held)
    taken_back = live is not None and int(known.sum()) < live.examples
    return compare(
        before, after, judgement_weights(judged.propensities), judged.by_chance, "verdicts that neither had seen", taken_back
    )


def judgements(session: Session, source: str | None = None) -> Judged:
    """The latest verdicts that stand, with the evidence of their exchanges; "unclear" ones teach nothing, and of look-alikes
    that were settled together only the one that somebody looked at does."""
    wanted = (
        select(
            col(Exchange.id), col(Verdict.label), col(Verdict.decided_at),
            col(ReviewItem.propensity), col(ReviewItem.strategy),
        )
        .join(ReviewItem, col(ReviewItem.exchange_id) == col(Exchange.id))
        .join(Verdict, col(Verdict.item_id) == col(ReviewItem.id))
        .where(
            col(Verdict.withdrawn_at).is_(None), col(Verdict.label) != VerdictLabel.unclear, col(Verdict.settled_by).is_(None)
        )
        .order_by(col(Verdict.id).desc())
        .limit(MOST_JUDGED)
    )  # fmt: skip
    rows = session.execute(wanted if source is None else wanted.where(col(Exchange.source) == source)).all()
    ids = [row.id for row in rows]
    names, probabilities = evidence_of(session, ids)
    return Judged(
        names,
        probabilities,
        np.asarray([float(row.label != VerdictLabel.good) for row in rows]),
        np.asarray([row.propensity for row in rows], dtype=np.float64),
        np.asarray([row.strategy == "random" for row in rows], dtype=bool),
        [row.decided_at for row in rows],
    )


def evidence_of(session: Session, exchange_ids: Sequence[int]) -> tuple[tuple[str, ...], Floats]:
    """(names of signals, probabilities (n, names) with NaN where there is no evidence)."""
    found: list[Any] = []
    for part in chunks(exchange_ids):
        found += session.execute(
            select(col(Evidence.exchange_id), col(Evidence.name), col(Evidence.probability)).where(
                col(Evidence.exchange_id).in_(part)
            )
        ).all()
    names = tuple(sorted({name for _, name, _ in found}))
    column, row = {name: i for i, name in enumerate(names)}, {key: i for i, key in enumerate(exchange_ids)}
    probabilities = np.full((len(exchange_ids), len(names)), np.nan)
    for key, name, probability in found:
        probabilities[row[key], column[name]] = probability
    return names, probabilities


class LiveWeights:
    """The live weights of each source and of everywhere, loaded again when others go live."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._ids: dict[str, int] = {}
        self._known: dict[str, Weights] = {}

    def current(self) -> dict[str, Weights]:
        with self._db.read() as session:
            known = live_models(session, WEIGHTS)
            for gone in set(self._ids) - set(known):
                self._ids.pop(gone)
                self._known.pop(gone, None)
            for source, live in known.items():
                assert live.id is not None
                if self._ids.get(source) == live.id:
                    continue
                self._ids[source] = live.id
                try:
                    self._known[source] = Weights.read(session.get_one(Model, live.id).content.decode())
                except WeightsUnusable:  # written by another version of the program: the next refit replaces it
                    self._known.pop(source, None)
        return dict(self._known)


def _everywhere(session: Session) -> Weights:
    live = live_models(session, WEIGHTS).get(EVERYWHERE)
    return Weights.default() if live is None else Weights.read(session.get_one(Model, live.id).content.decode())
