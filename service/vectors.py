"""Stored vectors, and the past as scoring searches it: FAISS over SQLite on one machine, pgvector on many."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sqlalchemy import Dialect, LargeBinary, TypeDecorator, bindparam, func, select, text, update
from sqlmodel import Session, col

from scoring.encoder import Encoder, Vectors
from scoring.neighbours import FaissNeighbours, Near
from scoring.past import Known
from service.db import Database, chunks, insert_into, table_of
from service.models import Exchange, Vector


class _Sent(TypeDecorator[Any]):
    """The bytes of pgvector's `vector_send`: its text, number by number, takes six times as long to read."""

    impl = LargeBinary
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Dialect) -> Vectors:
        return np.frombuffer(value, dtype=">f4", offset=4).astype(np.float32)  # after the dimensions and two bytes of nothing


class StoredVectors:
    """The table of vectors as scoring's store: every text once by content hash and encoder digest."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def get(self, digest: str, hashes: Sequence[bytes]) -> dict[bytes, Vectors]:
        kept = table_of(Vector).c
        embedding = kept.embedding if self._db.is_sqlite else func.vector_send(kept.embedding, type_=_Sent)
        found: dict[bytes, Vectors] = {}
        with self._db.read() as session:
            for part in chunks(hashes):
                wanted = select(kept.content_hash, embedding).where(kept.digest == digest, kept.content_hash.in_(part))
                found.update((bytes(h), vector) for h, vector in session.execute(wanted))
        return found

    def put(self, digest: str, vectors: Mapping[bytes, Vectors]) -> None:
        rows = [
            {"digest": digest, "content_hash": h, "dimensions": len(v), "asked": False, "embedding": v}
            for h, v in sorted(vectors.items())
        ]
        if rows:
            with self._db.write() as session:
                session.execute(insert_into(session, Vector).on_conflict_do_nothing(), rows)


def make_past(db: Database, encoder: Encoder) -> "FaissPast | PgvectorPast":
    """The past that suits the database."""
    return FaissPast(db, encoder) if db.is_sqlite else PgvectorPast(db, encoder)


class FaissPast:
    """A FAISS index in this process, filled from the database: a cache, deleting it costs time only."""

    def __init__(self, db: Database, encoder: Encoder) -> None:
        self._db = db
        self._digest = encoder.digest
        self._index = FaissNeighbours(encoder.dimensions)
        self._last_id = 0

    def refresh(self) -> int:
        """Take in exchanges that were stored since the last time, by whichever process; how many."""
        added = 0
        while True:
            with self._db.read() as session:
                rows = session.execute(
                    select(col(Exchange.id), col(Exchange.source), col(Vector.embedding))
                    .join(
                        Vector,
                        (col(Vector.content_hash) == col(Exchange.question_hash)) & (col(Vector.digest) == self._digest),
                        isouter=True,
                    )
                    .where(col(Exchange.id) > self._last_id)
                    .order_by(col(Exchange.id))
                    .limit(20_000)
                ).all()
            if not rows:
                return added
            for source in {source for _, source, _ in rows}:
                mine = [(key, vector) for key, of, vector in rows if of == source and vector is not None]
                if mine:
                    self._index.add(source, [key for key, _ in mine], np.stack([vector for _, vector in mine]))
            self._last_id = rows[-1][0]
            added += len(rows)

    def changed(self, source: str, keys: Sequence[int], questions: Vectors) -> None:
        """These exchanges, known already, ask something else now."""
        self._index.add(source, keys, questions)

    def search(self, source: str, questions: Vectors, k: int) -> list[Near]:
        return self._index.search(source, questions, k)

    def describe(self, keys: Sequence[int]) -> Mapping[int, Known]:
        return _describe(self._db, keys)


class PgvectorPast:
    """Nearest neighbours in the database: the HNSW index over the vectors of questions (see the first migration)."""

    def __init__(self, db: Database, encoder: Encoder) -> None:
        self._db = db
        self._digest = encoder.digest
        self._dimensions = encoder.dimensions

    def refresh(self) -> int:
        """Nothing to do: the database is the index."""
        return 0

    def changed(self, source: str, keys: Sequence[int], questions: Vectors) -> None:
        """Nothing to do: the database is the index."""

    def search(self, source: str, questions: Vectors, k: int) -> list[Near]:
        found: list[Near] = []
        size = int(self._dimensions)  # part of the indexed expression, so it cannot be a parameter
        nearest = text(
            f"""
            SELECT e.id, 1 - near.distance AS cosine FROM (
                SELECT content_hash, embedding::vector({size}) <=> CAST(:question AS vector({size})) AS distance
                FROM text_vector WHERE asked AND dimensions = {size} AND digest = :digest
                ORDER BY embedding::vector({size}) <=> CAST(:question AS vector({size})) LIMIT :k
            ) AS near JOIN exchange e ON e.question_hash = near.content_hash
            WHERE e.source = :source ORDER BY near.distance, e.id LIMIT :k
            """  # noqa: S608 - the only thing put in is an integer of ours
        ).bindparams(bindparam("digest", self._digest), bindparam("source", source), bindparam("k", k))
        with self._db.read() as session:
            # Filtering by digest happens after the index: iterate until k rows are found (pgvector 0.8).
            session.execute(text("SET LOCAL hnsw.iterative_scan = strict_order"))
            for question in questions:
                if not question.any():
                    found.append([])
                    continue
                as_text = "[" + ",".join(f"{x:.7g}" for x in question.tolist()) + "]"
                rows = session.execute(nearest, {"question": as_text})
                found.append([(int(key), float(cosine)) for key, cosine in rows])
        return found

    def describe(self, keys: Sequence[int]) -> Mapping[int, Known]:
        return _describe(self._db, keys)


def _describe(db: Database, keys: Sequence[int]) -> dict[int, Known]:
    known: dict[int, Known] = {}
    with db.read() as session:
        for part in chunks(keys):
            rows = session.execute(
                select(
                    col(Exchange.id),
                    col(Exchange.conversation_id),
                    col(Exchange.turn_id),
                    col(Exchange.question),
                    col(Exchange.answer),
                    col(Exchange.asked_at),
                ).where(col(Exchange.id).in_(part), ~col(Exchange.forgotten))
            )
            # Conversations go by their row's id here, as in the transcripts that are scored (see transcripts.py).
            known.update((row[0], Known(str(row[1]), *row[2:])) for row in rows)
    return known


def mark_asked(session: Session, digest: str, question_hashes: Sequence[bytes]) -> None:
    """These vectors are of questions: they enter the index that neighbours are searched in."""
    for part in chunks(sorted(set(question_hashes))):
        session.execute(
            update(Vector)
            .where(col(Vector.digest) == digest, col(Vector.content_hash).in_(part), ~col(Vector.asked))
            .values(asked=True)
        )


def vectors_of(db: Database, digest: str, hashes: Sequence[bytes], dimensions: int) -> Vectors:
    """Rows in order of `hashes`, shape (len(hashes), dimensions); zero where there is none."""
    known = StoredVectors(db).get(digest, sorted(set(hashes)))
    matrix = np.zeros((len(hashes), dimensions), dtype=np.float32)
    for row, h in enumerate(hashes):
        if h in known:
            matrix[row] = known[h]
    return matrix
