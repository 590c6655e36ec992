"""What learns: our own intent model, refitted from seeds and reviewers' corrected intents."""

import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import structlog
from sqlalchemy import func, select
from sqlmodel import Session, col

from scoring.encoder import Encoder
from scoring.intents import FORMAT, IntentModel, IntentModelUnusable
from scoring.vectors import gather
from service.db import Database, insert_into
from service.models import Example, Model
from service.vectors import StoredVectors

log = structlog.get_logger()
INTENTS = "intents"
LEAST_EXAMPLES = 4


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
    model = IntentModel.fit(vectors.of(list(examples)), list(examples.values()), 0, encoder.digest)
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
            latest = _latest(session)
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


def _latest(session: Session) -> dict[str, tuple[int, datetime]]:
    rows = session.execute(
        select(col(Model.source), col(Model.id), col(Model.fitted_at))
        .where(col(Model.kind) == INTENTS)
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
