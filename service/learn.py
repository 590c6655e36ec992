"""What learns: our own intent model, from seeds and reviewers' corrected intents; how far platforms' scores are to be
believed, from their history, verdicts and ratings."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import structlog
from sqlalchemy import func, select
from sqlmodel import Session, col

from scoring.calibration import Calibration, CalibrationUnusable
from scoring.encoder import Encoder
from scoring.intents import FORMAT, IntentModel, IntentModelUnusable
from scoring.platform_scores import FIELDS, History, Key, is_fallback, read
from scoring.transcripts import Exchange as Asked
from scoring.transcripts import split
from scoring.vectors import gather
from service.db import Database, insert_into
from service.logs import place_of
from service.models import Evidence, Example, Exchange, Model, PlatformHistory, ReviewItem, RootCause, Verdict, VerdictLabel
from service.transcripts import load_transcripts
from service.vectors import StoredVectors

log = structlog.get_logger()
INTENTS = "intents"
PLATFORM = "platform "
"""Kind of a calibration, followed by its field."""
LEAST_EXAMPLES = 4
NEW_VERDICTS = 5
"""So many more verdicts, or a fifth more, are worth a new calibration."""
STALE = timedelta(days=1)
MOST_JUDGED = 2000
RATING_WORTH = 0.25
"""An end user's rating against a reviewer's verdict: users also rate what the answer cannot help."""


def refit_due(db: Database, encoder: Encoder, now: datetime) -> int:
    """Fit the intent model of every source whose examples, or whose encoder, changed since its last fit; how many."""
    with db.read() as session:
        changed = session.execute(
            select(col(Example.source), func.max(col(Example.added_at)), func.count()).group_by(col(Example.source))
        ).all()
        last = {
            source: (at, count, digest)
            for source, at, count, digest in session.execute(
                select(col(Model.source), col(Model.fitted_at), col(Model.examples), col(Model.encoder))
                .where(col(Model.kind) == INTENTS)
                .order_by(col(Model.fitted_at), col(Model.id))
            )
        }
    done = 0
    for source, added_at, count in changed:
        at, examples, made_for = last.get(source, (None, 0, ""))
        if count < LEAST_EXAMPLES or (at is not None and at >= added_at and examples == count and made_for == _made_for(encoder)):
            continue
        _fit(db, encoder, source, count, now)
        done += 1
    return done


def _made_for(encoder: Encoder) -> str:
    """What a stored model must match to be read: the encoder's digest and the file's format."""
    return f"{encoder.digest} {FORMAT}"


def _fit(db: Database, encoder: Encoder, source: str, count: int, now: datetime) -> None:
    with db.read() as session:
        rows = session.execute(
            select(col(Example.text), col(Example.intent))
            .where(col(Example.source) == source)
            .order_by(col(Example.by_verdict), col(Example.id))
        )
        examples = {row.text: row.intent for row in rows}  # a verdict's label comes later, so it replaces a seed's
    vectors = gather(examples, encoder, StoredVectors(db))
    model = IntentModel.fit(list(examples), vectors.of(list(examples)), list(examples.values()), 0, encoder.digest)
    row = {
        "kind": INTENTS,
        "source": source,
        "version": model.version,
        "encoder": _made_for(encoder),
        "examples": count,
        "content": _through_file(model.save),
        "fitted_at": now,
    }
    with db.write() as session:
        session.execute(
            insert_into(session, Model)
            .values(row)
            .on_conflict_do_update(index_elements=["kind", "source", "version"], set_={"fitted_at": now, "examples": count})
        )
    log.info("intents_fitted", source=source, examples=len(examples), version=model.version)


class IntentModels:
    """The latest intent model of each source, loaded again when there is a newer one."""

    def __init__(self, db: Database, encoder: Encoder) -> None:
        self._db = db
        self._encoder = encoder
        self._ids: dict[str, tuple[int, datetime]] = {}
        self._models: dict[str, IntentModel] = {}

    def current(self) -> dict[str, IntentModel]:
        with self._db.read() as session:
            latest = _latest(session, INTENTS)
            for source, (model_id, fitted_at) in latest.items():
                if self._ids.get(source) == (model_id, fitted_at):
                    continue
                content = session.get_one(Model, model_id).content
                self._ids[source] = (model_id, fitted_at)
                try:
                    self._models[source] = _from_bytes(content, self._encoder.digest)
                except IntentModelUnusable:  # fitted for another encoder: refit_due makes a new one
                    self._models.pop(source, None)
        return self._models


# --- platforms' scores --------------------------------------------------------------------------------------------


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
            _calibrate(db, row.source, history, count, now)
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


def _calibrate(db: Database, source: str, history: History, verdicts: int, now: datetime) -> None:
    with db.read() as session:
        judgements = _judgements(session, source)
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
    row = {
        "kind": f"{PLATFORM}{field}",
        "source": source,
        "version": calibration.version,
        "encoder": "",
        "examples": verdicts,
        "content": calibration.text().encode(),
        "fitted_at": now,
    }
    with db.write() as session:
        session.execute(
            insert_into(session, Model)
            .values(row)
            .on_conflict_do_update(index_elements=["kind", "source", "version"], set_={"fitted_at": now, "examples": verdicts})
        )
    log.info(
        "platform_calibrated",
        source=source,
        field=field,
        scale=calibration.scale,
        answers=calibration.count,
        verdicts=calibration.verdicts,
        version=calibration.version,
    )


def _verdict_counts(session: Session) -> dict[str, int]:
    rows = session.execute(
        select(col(Exchange.source), func.count())
        .join(ReviewItem, col(ReviewItem.exchange_id) == col(Exchange.id))
        .join(Verdict, col(Verdict.item_id) == col(ReviewItem.id))
        .where(col(Verdict.withdrawn_at).is_(None))
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
        .where(col(Exchange.source) == source, col(Verdict.withdrawn_at).is_(None))
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
    return {
        key: _Stored(_calibration(row.content), row.examples, row.fitted_at)
        for key, model_id in _latest_calibrations(session).items()
        for row in (session.get_one(Model, model_id[0]),)
    }


class Calibrations:
    """The latest calibration of each source's scores, loaded again when there is a newer one."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._ids: dict[Key, tuple[int, datetime]] = {}
        self._known: dict[Key, Calibration] = {}

    def current(self) -> Mapping[Key, Calibration]:
        with self._db.read() as session:
            for key, latest in _latest_calibrations(session).items():
                if self._ids.get(key) == latest:
                    continue
                self._ids[key] = latest
                calibration = _calibration(session.get_one(Model, latest[0]).content)
                if calibration is None:
                    self._known.pop(key, None)
                else:
                    self._known[key] = calibration
        return dict(self._known)


def _latest_calibrations(session: Session) -> dict[Key, tuple[int, datetime]]:
    return {(source, field): latest for field in FIELDS for source, latest in _latest(session, f"{PLATFORM}{field}").items()}


def _calibration(content: bytes) -> Calibration | None:
    try:
        return Calibration.read(content.decode())
    except CalibrationUnusable:  # calibrate_due makes a new one
        return None


# --- stored models ------------------------------------------------------------------------------------------------


def _latest(session: Session, kind: str) -> dict[str, tuple[int, datetime]]:
    rows = session.execute(
        select(col(Model.source), col(Model.id), col(Model.fitted_at))
        .where(col(Model.kind) == kind)
        .order_by(col(Model.fitted_at), col(Model.id))
    )
    return {source: (model_id, fitted_at) for source, model_id, fitted_at in rows}


def _through_file(save: Callable[[Path], None]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        save(path)
        return path.read_bytes()


def _from_bytes(content: bytes, encoder: str) -> IntentModel:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        path.write_bytes(content)
        return IntentModel.load(path, encoder)
