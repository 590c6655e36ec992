"""How far platforms' scores are to be believed: from their history, verdicts, and end users' ratings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import structlog
from sqlalchemy import func, select
from sqlmodel import Session, col

from scoring.calibration import Calibration, CalibrationUnusable
from scoring.comparison import Comparison
from scoring.platform_scores import FIELDS, History, Key, is_fallback, read
from scoring.transcripts import Exchange as Asked
from scoring.transcripts import split
from service.db import Database
from service.logs import place_of
from service.models import Evidence, Exchange, Model, PlatformHistory, ReviewItem, RootCause, Verdict, VerdictLabel
from service.transcripts import load_transcripts
from service.versions import Claimed, Fitted, fitting, last_fits, live_models, store

log = structlog.get_logger()
PLATFORM = "platform "
"""Kind of a calibration, followed by its field."""
NEW_VERDICTS = 5
"""So many more verdicts, or a fifth more, are worth a new calibration."""
STALE = timedelta(days=1)
MOST_JUDGED = 2000
RATING_WORTH = 0.25
"""An end user's rating against a reviewer's verdict: users also rate what the answer cannot help."""


def calibrate_due(db: Database, now: datetime) -> int:
    """Calibrate platforms' scores anew wherever history or verdicts have grown enough; how many were.

    What fails is logged and leaves the calibration as it was; every version is kept.
    """
    with db.read() as session:
        stored = session.execute(select(PlatformHistory)).scalars().all()
        verdicts = _verdict_counts(session)
        last = _calibrations(session)
    done = 0
    for row in sorted(stored, key=lambda row: (row.source, row.field)):
        count = verdicts.get(row.source, 0)
        try:
            history = History.read(row.content)
            if not _is_due(history, row.updated_at, count, last.get((row.source, row.field)), now):
                continue
            with fitting(db, f"{PLATFORM}{row.field}", row.source, now) as claimed:
                if claimed is not None:
                    _calibrate(db, claimed, history, count, now)
                    done += 1
        except Exception as error:  # noqa: BLE001 - one source must not keep the others waiting
            log.error("not_calibrated", source=row.source, field=row.field, error=type(error).__name__, where=place_of(error))
    return done


def answer_was_wrong(label: str, causes: Sequence[str]) -> bool | None:
    """What a verdict says of the passages behind the answer; None where it says nothing about them."""
    if label == VerdictLabel.good:
        return False
    if label == VerdictLabel.unclear or (causes and set(causes) <= {RootCause.generation, RootCause.outdated_article}):
        return None  # the passage was the right one: what was made of it, or what it said, was wrong
    return True


def intent_was_wrong(label: str, causes: Sequence[str], told: str | None, corrected: str | None) -> bool | None:
    """What a verdict says of the platform's intent `told`; None where it says nothing about it."""
    if label == VerdictLabel.unclear:
        return None
    if corrected is not None and told is not None and not is_fallback(told):
        return corrected.strip().casefold() != told.strip().casefold()
    if corrected is not None or label == VerdictLabel.out_of_scope or RootCause.intent in causes:
        return True
    return False if label == VerdictLabel.good or causes else None


@dataclass(frozen=True, slots=True)
class _Judgement:
    exchange: Asked
    label: str
    causes: Sequence[str]
    intent: str | None
    propensity: float
    worth: float

    def bad(self, field: str) -> bool | None:
        if field != "intent":
            return answer_was_wrong(self.label, self.causes)
        told = self.exchange.intent
        return None if self.worth < 1 else intent_was_wrong(self.label, self.causes, told.name if told else None, self.intent)


def _is_due(history: History, updated_at: datetime, verdicts: int, last: "_Stored | None", now: datetime) -> bool:
    if last is None or last.calibration is None:
        return True
    return (
        len(history.sample) >= 1.5 * last.calibration.count
        or abs(verdicts - last.verdicts) >= max(NEW_VERDICTS, last.verdicts // 5)
        or (updated_at > last.fitted_at and (now - last.fitted_at >= STALE or history.scale != last.calibration.scale))
    )


def _calibrate(db: Database, claimed: Claimed, history: History, verdicts: int, now: datetime) -> None:
    with db.read() as session:
        judgements = _judgements(session, claimed.source)
    field = history.field
    calibration = Calibration.of(history)
    known = [(one, bad) for one in judgements if (bad := one.bad(field)) is not None]
    if known:
        calibration = calibration.fit(
            calibration.badness([read(one.exchange, field) for one, _ in known]),
            np.asarray([float(bad) for _, bad in known]),
            np.asarray([one.propensity for one, _ in known]),
            np.asarray([one.worth for one, _ in known]),
        )
    fitted = Fitted(calibration.version, "", verdicts, calibration.text().encode())
    store(db, claimed, fitted, Comparison(True, _reason(calibration), "verdicts and ratings", len(known)).stored(), now)
    log.info(
        "platform_calibrated",
        source=claimed.source,
        field=field,
        scale=calibration.scale,
        answers=calibration.count,
        verdicts=calibration.verdicts,
        version=calibration.version,
    )


def _reason(calibration: Calibration) -> str:
    """A calibration follows what the platform sends now; what it learned from verdicts has won on verdicts left out."""
    if not calibration.verdicts:
        return f"Follows {calibration.count} answers of the platform; verdicts did not make it better, or are too few."
    return f"Follows {calibration.count} answers of the platform, and {calibration.verdicts} judgements that make it better."


def _verdict_counts(session: Session) -> dict[str, int]:
    rows = session.execute(
        select(col(Exchange.source), func.count())
        .join(ReviewItem, col(ReviewItem.exchange_id) == col(Exchange.id))
        .join(Verdict, col(Verdict.item_id) == col(ReviewItem.id))
        .where(col(Verdict.withdrawn_at).is_(None), col(Verdict.settled_by).is_(None))
        .group_by(col(Exchange.source))
    )
    return {row[0]: row[1] for row in rows}


def _judgements(session: Session, source: str) -> list[_Judgement]:
    """The latest verdicts, and ratings of exchanges that have none, with their exchanges as they were said."""
    verdicts = session.execute(
        select(
            col(Exchange.conversation_id), col(Exchange.turn_id), col(Verdict.label), col(Verdict.causes), col(Verdict.intent),
            col(ReviewItem.propensity),
        )
        .join(ReviewItem, col(ReviewItem.exchange_id) == col(Exchange.id))
        .join(Verdict, col(Verdict.item_id) == col(ReviewItem.id))
        .where(col(Exchange.source) == source, col(Verdict.withdrawn_at).is_(None), col(Verdict.settled_by).is_(None))
        .order_by(col(Verdict.id).desc())
        .limit(MOST_JUDGED)
    ).all()  # fmt: skip
    rated = session.execute(
        select(col(Exchange.conversation_id), col(Exchange.turn_id), col(Evidence.value))
        .join(Exchange, col(Exchange.id) == col(Evidence.exchange_id))
        .where(col(Evidence.name) == "user_feedback", col(Exchange.source) == source)
        .where((col(Evidence.value) <= 0.25) | (col(Evidence.value) >= 0.75))
        .order_by(col(Evidence.id).desc())
        .limit(MOST_JUDGED)
    ).all()
    told: dict[tuple[int, str], tuple[str, Sequence[str], str | None, float, float]] = {
        (row.conversation_id, row.turn_id): (
            VerdictLabel.wrong if row.value > 0.5 else VerdictLabel.good,
            (),
            None,
            1.0,
            RATING_WORTH,
        )
        for row in rated
    }
    for row in reversed(verdicts):
        told[row.conversation_id, row.turn_id] = (row.label, row.causes, row.intent, row.propensity, 1.0)
    transcripts, _ = load_transcripts(session, sorted({conversation_id for conversation_id, _ in told}))
    return [
        _Judgement(exchange, *told[conversation_id, exchange.turn_id])
        for conversation_id, transcript in sorted(transcripts.items())
        for exchange in split(transcript)
        if (conversation_id, exchange.turn_id) in told
    ]


@dataclass(frozen=True, slots=True)
class _Stored:
    """`calibration` is None where another version of the program wrote it."""

    calibration: Calibration | None
    verdicts: int
    fitted_at: datetime


def _calibrations(session: Session) -> dict[Key, _Stored]:
    """The latest of each, live or not."""
    found = {}
    for field in FIELDS:
        for source, last in last_fits(session, f"{PLATFORM}{field}").items():
            found[source, field] = _Stored(_calibration(last.content), last.examples, last.fitted_at)
    return found


class Calibrations:
    """The live calibration of each source's scores, loaded again when another goes live."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._ids: dict[Key, int] = {}
        self._known: dict[Key, Calibration] = {}

    def current(self) -> Mapping[Key, Calibration]:
        with self._db.read() as session:
            for field in FIELDS:
                for source, live in live_models(session, f"{PLATFORM}{field}").items():
                    assert live.id is not None
                    if self._ids.get((source, field)) == live.id:
                        continue
                    self._ids[source, field] = live.id
                    calibration = _calibration(session.get_one(Model, live.id).content)
                    if calibration is None:
                        self._known.pop((source, field), None)
                    else:
                        self._known[source, field] = calibration
        return dict(self._known)


def _calibration(content: bytes) -> Calibration | None:
    try:
        return Calibration.read(content.decode())
    except CalibrationUnusable:  # calibrate_due makes a new one
        return None
