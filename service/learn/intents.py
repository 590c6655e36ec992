"""Our own intent model of each source, from seeds and reviewers' corrected intents."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import structlog
from sqlalchemy import select
from sqlmodel import Session, col

from scoring.comparison import HALF_ERROR, LEAST_JUDGED, Comparison, Flags, Floats, compare, folds_of, judgement_weights
from scoring.encoder import Encoder, Vectors
from scoring.intents import FORMAT, OUT_OF_SCOPE, IntentModel, IntentModelUnusable, chances, rehearsed
from scoring.label_slips import find_slips, nearest
from scoring.vectors import content_hash, gather
from service.db import Database
from service.logs import place_of
from service.models import Example, Model, ReviewItem, Vector, Verdict
from service.team import second_look
from service.vectors import StoredVectors
from service.versions import Claimed, Fitted, fitting, last_fits, live_models, store

log = structlog.get_logger()
INTENTS = "intents"
LEAST_EXAMPLES = 4
REFIT_AFTER = 20
REFIT_EVERY = timedelta(days=1)
_FOLDS = 3
_MANY = 5000
"""With more examples a fit takes long: one that lacks half of the judged labels has to do."""
_SHARE = 5
"""A small model is fitted again when a fifth of its examples changed, however few they are."""


@dataclass(frozen=True, slots=True)
class _Label:
    """An example as a fit reads it. `seen`: no version is judged on it, for the live one learned from it, or it was settled
    with a look-alike; seeds were chosen with certainty."""

    id: int
    text: str
    intent: str
    seen: bool
    propensity: float = 1.0
    by_chance: bool = False


def refit_due(db: Database, encoder: Encoder, now: datetime, after: int = REFIT_AFTER, every: timedelta = REFIT_EVERY) -> int:
    """`encode_examples`, then `refit_encoded_due`."""
    encode_examples(db, encoder)
    return refit_encoded_due(db, encoder.digest, now, after, every)


def encode_examples(db: Database, encoder: Encoder) -> None:
    """Encode the examples that nobody has encoded yet."""
    vector = (col(Vector.content_hash) == col(Example.content_hash)) & (col(Vector.digest) == encoder.digest)
    with db.read() as session:
        missing = select(col(Example.text)).join(Vector, vector, isouter=True).where(col(Vector.digest).is_(None))
        texts = list(session.execute(missing).scalars())
    gather(texts, encoder, StoredVectors(db))


def refit_encoded_due(db: Database, digest: str, now: datetime, after: int = REFIT_AFTER, every: timedelta = REFIT_EVERY) -> int:
    """Fit the intent model of every source where enough changed since its last fit, or where its encoder did; how many.

    Enough: `after` examples were added, relabelled or taken back, or any `every` after the last fit. Reads stored vectors
    alone, those of the encoder `digest`. What fails is logged and leaves the live version as it was.
    """
    done = 0
    for source in _due(db, digest, now, after, every):
        try:
            with fitting(db, INTENTS, source, now) as claimed:
                if claimed is not None and source in _due(db, digest, now, after, every):
                    done += _fit(db, digest, claimed, now)
        except Exception as error:  # noqa: BLE001 - one source must not keep the others waiting
            log.error("intents_not_fitted", source=source, error=type(error).__name__, where=place_of(error))
    return done


def _due(db: Database, digest: str, now: datetime, after: int, every: timedelta) -> list[str]:
    with db.read() as session:
        added: dict[str, list[datetime]] = {}
        for row in session.execute(select(col(Example.source), col(Example.added_at)).order_by(col(Example.source))):
            added.setdefault(row.source, []).append(row.added_at)
        live, last = live_models(session, INTENTS), last_fits(session, INTENTS)
    return [
        source
        for source, times in added.items()
        if len(times) >= LEAST_EXAMPLES
        and (source not in live or _is_due(times, live[source], last[source], _made_for(digest), now, after, every))
    ]


def _is_due(
    added: Sequence[datetime], live: Model, last: Model, made_for: str, now: datetime, after: int, every: timedelta
) -> bool:
    if live.encoder != made_for:
        return True
    fresh, gone = _changes(added, last)
    unseen, taken_back = _changes(added, live)
    if unseen < LEAST_JUDGED and not taken_back:
        return False  # too few to compare two versions on
    enough = max(1, min(after, len(added) // _SHARE))
    return fresh + gone >= enough or (fresh + gone > 0 and now - last.fitted_at >= every)


def _changes(added: Sequence[datetime], since: Model) -> tuple[int, int]:
    """How many examples came after that fit, and how many of its own are gone or have another label."""
    fresh = sum(at > since.fitted_at for at in added)
    return fresh, max(0, since.examples - (len(added) - fresh))


def _made_for(digest: str) -> str:
    """What a stored model must match to be read: the encoder's digest and the file's format."""
    return f"{digest} {FORMAT}"


def _fit(db: Database, digest: str, claimed: Claimed, now: datetime) -> bool:
    """False where an example has no vector yet."""
    with db.read() as session:
        labels, count, kept = _labels(session, claimed)
        live = None if claimed.live_id is None else session.get_one(Model, claimed.live_id).content
    texts, intents = [one.text for one in labels], [one.intent for one in labels]
    vectors = _stored(db, digest, texts)
    if vectors is None:
        return False
    learned = rehearsed(texts, vectors, intents)
    model = IntentModel.fit(texts, vectors, intents, 0, digest, learned)
    forced = claimed.live is not None and claimed.live.encoder != _made_for(digest)
    if live is None:
        comparison = Comparison(True, "The first version.")
    elif forced:
        comparison = Comparison(True, "The version before was fitted for other vectors.")
    else:

        def fit(rows: Flags) -> IntentModel:
            chosen = np.flatnonzero(rows)
            return IntentModel.fit([texts[i] for i in chosen], vectors[chosen], [intents[i] for i in chosen], 0, "", learned)

        taken_back = claimed.live is not None and kept < claimed.live.examples
        comparison = _compared(_from_bytes(live, digest), fit, labels, vectors, taken_back)
    fitted = Fitted(model.version, _made_for(digest), count, _through_file(model.save))
    store(db, claimed, fitted, comparison.stored(), now, forced)
    _mark_slips(db, claimed.source, labels, vectors)
    return True


def _stored(db: Database, digest: str, texts: Sequence[str]) -> Vectors | None:
    """Vectors in order, (n, dimensions), zero for a blank text; None where one is missing."""
    hashes = [content_hash(text) for text in texts]
    known = StoredVectors(db).get(digest, hashes)
    if not known or any(h not in known and not text.isspace() and text for text, h in zip(texts, hashes, strict=True)):
        return None
    zero = np.zeros_like(next(iter(known.values())))
    return np.stack([known.get(h, zero) for h in hashes])


def _labels(session: Session, claimed: Claimed) -> tuple[list[_Label], int, int]:
    """What a fit reads, a text once; the number of examples; and how many of those are known to the live version."""
    since = None if claimed.live is None else claimed.live.fitted_at
    rows = session.execute(
        select(
            col(Example.id), col(Example.text), col(Example.intent), col(Example.added_at),
            col(ReviewItem.propensity), col(ReviewItem.strategy), col(Verdict.settled_by),
        )
        .join(Verdict, col(Verdict.id) == col(Example.verdict_id), isouter=True)
        .join(ReviewItem, col(ReviewItem.id) == col(Verdict.item_id), isouter=True)
        .where(col(Example.source) == claimed.source)
        .order_by(col(Example.by_verdict), col(Example.id))
    ).all()  # fmt: skip
    labels = {
        row.text: _Label(
            row.id,
            row.text,
            row.intent,
            row.settled_by is not None or (since is not None and row.added_at <= since),
            row.propensity or 1.0,
            row.strategy == "random",
        )
        for row in rows
    }  # a verdict's label comes later, so it replaces a seed's
    return list(labels.values()), len(rows), sum(since is not None and row.added_at <= since for row in rows)


def _compared(
    live: IntentModel, fit: Callable[[Flags], IntentModel], labels: Sequence[_Label], vectors: Vectors, taken_back: bool
) -> Comparison:
    """The live version against fits that leave the judged labels out, on labels that came after the live one's fit."""
    many = len(labels) > _MANY
    unseen = [i for i, one in enumerate(labels) if not one.seen]
    folds = folds_of(len(unseen), 2 if many else _FOLDS)
    judged: list[int] = []
    before, after = [np.zeros(0)], [np.zeros(0)]
    for fold in range(1 if many else _FOLDS) if len(unseen) >= LEAST_JUDGED else ():
        held = [unseen[i] for i in np.flatnonzero(folds == fold)]
        rows = np.ones(len(labels), dtype=bool)
        rows[held] = False
        judged += held
        before.append(_losses(live, [labels[i] for i in held], vectors[held]))
        after.append(_losses(fit(rows), [labels[i] for i in held], vectors[held]))
    weights = judgement_weights(np.asarray([labels[i].propensity for i in judged], dtype=np.float64))
    by_chance = np.asarray([labels[i].by_chance for i in judged], dtype=np.bool_)
    told = "labels that neither had seen"
    return compare(np.concatenate(before), np.concatenate(after), weights, by_chance, told, taken_back, HALF_ERROR)


def _losses(model: IntentModel, labels: Sequence[_Label], vectors: Vectors) -> Floats:
    found = model.predict([one.text for one in labels], vectors)
    return -np.log(chances(found, [one.intent for one in labels]))


def _mark_slips(db: Database, source: str, labels: Sequence[_Label], vectors: Vectors) -> None:
    """Note which labels disagree with those of examples like them; what was noted before is forgotten."""
    inside = [i for i, one in enumerate(labels) if one.intent.lower() not in OUT_OF_SCOPE]  # negatives have nothing in common
    known, intents = vectors[inside], [labels[i].intent for i in inside]
    found = find_slips(known, intents)
    own = nearest(known, intents, [(slip.row, intents[slip.row]) for slip in found])
    other = nearest(known, intents, [(slip.row, slip.suggested) for slip in found])
    notes = [
        second_look.Note(
            labels[inside[slip.row]].id,
            intents[slip.row],
            slip.suggested,
            slip.suspicion,
            [content_hash(labels[inside[i]].text).hex() for i in (*like_own, *like_other)],
        )
        for slip, like_own, like_other in zip(found, own, other, strict=True)
    ]
    with db.write() as session:
        second_look.note(session, source, notes)


class IntentModels:
    """The live intent model of each source, loaded again when another goes live."""

    def __init__(self, db: Database, encoder: Encoder) -> None:
        self._db = db
        self._encoder = encoder
        self._ids: dict[str, int] = {}
        self._models: dict[str, IntentModel] = {}

    def current(self) -> dict[str, IntentModel]:
        with self._db.read() as session:
            for source, live in live_models(session, INTENTS).items():
                assert live.id is not None
                if self._ids.get(source) == live.id:
                    continue
                content = session.get_one(Model, live.id).content
                self._ids[source] = live.id
                try:
                    self._models[source] = _from_bytes(content, self._encoder.digest)
                except IntentModelUnusable:  # fitted for another encoder: refit_due makes a new one
                    self._models.pop(source, None)
        return dict(self._models)


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
