"""Settled conversations into scores, for the queue to choose from. Runs in the worker; nothing slow inside a session."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Any

import structlog
from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.exc import OperationalError
from sqlmodel import Session, col

from scoring.calibration import Calibration
from scoring.clusters import cluster
from scoring.encoder import Encoder
from scoring.intents import IntentModel
from scoring.platform_scores import History, HistoryUnusable, Key, histories
from scoring.scorer import Scored, Scorer
from scoring.vectors import content_hash
from scoring.weights import Weights
from service.db import Database, chunks, claim, insert_into, table_of
from service.forgetting.meanwhile import forget_again, unquote
from service.logs import place_of
from service.models import Conversation, Evidence, Exchange, ItemState, PlatformHistory, ReviewItem
from service.pick import Picker
from service.settings import QueueSettings
from service.suggest import Suggestions
from service.transcripts import load_transcripts
from service.vectors import FaissPast, PgvectorPast, mark_asked
from service.versions import scored_by

log = structlog.get_logger()
SCORE_LEASE = timedelta(minutes=10)
TRY_AGAIN = timedelta(hours=1)


class Triage:
    """What the worker's scoring needs, made once: the models and the past."""

    def __init__(
        self, db: Database, encoder: Encoder, scorer: Scorer, past: FaissPast | PgvectorPast, queue: QueueSettings
    ) -> None:
        self._db = db
        self._encoder = encoder
        self._scorer = scorer
        self._past = past
        self._queue = queue
        self._picker = Picker(db, encoder, Suggestions(db, scorer.encoder, past), queue)

    def score_due(
        self,
        intents: Mapping[str, IntentModel],
        now: datetime,
        limit: int,
        platform: Mapping[Key, Calibration] | None = None,
        weights: Mapping[str, Weights] | None = None,
    ) -> int:
        """Claim conversations that have settled, score them, store the scores; how many were claimed."""
        ids, until = claim(self._db, Conversation, limit, now, SCORE_LEASE)
        if not ids:
            return 0
        self._past.refresh()
        self._score(ids, until, intents, platform or {}, weights or {}, now)
        self._past.refresh()
        return len(ids)

    def pick_due(self, now: datetime, rng: Random) -> int:
        """Fill the queue with what is worth a look (service/pick.py); how many items were added."""
        return self._picker.pick_due(now, rng)

    def _score(
        self,
        ids: Sequence[int],
        until: datetime,
        intents: Mapping[str, IntentModel],
        platform: Mapping[Key, Calibration],
        weights: Mapping[str, Weights],
        now: datetime,
    ) -> None:
        """One conversation that cannot be scored must not keep the others of its batch waiting: halve until it is alone."""
        try:
            with self._db.read() as session:
                transcripts, revisions = load_transcripts(session, ids)
            scored = self._scorer.score([transcripts[i] for i in ids], self._past, intents, platform, weights)
            with self._db.write() as session:
                self._store(session, ids, revisions, until, scored, intents, platform, weights, now)
        except OperationalError:  # the database is away: nobody's fault, the lease brings them back
            raise
        except Exception as error:  # noqa: BLE001 - whatever a text may do to a model
            if len(ids) > 1:
                self._score(ids[: len(ids) // 2], until, intents, platform, weights, now)
                self._score(ids[len(ids) // 2 :], until, intents, platform, weights, now)
                return
            log.error("conversation_not_scored", conversation_id=ids[0], error=type(error).__name__, where=place_of(error))
            with self._db.write() as session:
                later = update(Conversation).where(col(Conversation.id) == ids[0], col(Conversation.claimed_until) == until)
                session.execute(later.values(due_at=now + TRY_AGAIN, claimed_until=None))

    def _store(
        self,
        session: Session,
        ids: Sequence[int],
        revisions: Mapping[int, int],
        until: datetime,
        scored: Sequence[Scored],
        intents: Mapping[str, IntentModel],
        platform: Mapping[Key, Calibration],
        weights: Mapping[str, Weights],
        now: datetime,
    ) -> None:
        """Scores of the conversations that are still ours and unchanged; the others are due again and lose nothing."""
        ours = self._finish(session, ids, revisions, until, now)
        forget_again(session, {key: [text for one in scored for text in _said(one, key)] for key in set(ids) - ours})
        joins = cluster(scored, _clusters_of(session, scored), self._queue.look_alike)
        rows = {i: _row(one, self._scorer, intents, platform, weights, now) for i, one in enumerate(scored)}
        place: dict[int, int] = {}  # index in `scored` -> exchange id
        fresh: list[int] = []
        before = _exchanges_of(session, sorted(ours))
        kept: set[int] = set()
        for i, one in enumerate(scored):
            conversation_id = int(one.exchange.conversation_id)
            if conversation_id not in ours:
                continue
            turn_ids = set(rows[i]["turn_ids"])
            old = next((o for o in before.get(conversation_id, ()) if turn_ids & set(o.turn_ids) and o.id not in kept), None)
            if old is None:
                fresh.append(i)
            else:
                kept.add(old.id)
                place[i] = old.id
        gone = [o.id for olds in before.values() for o in olds if o.id not in kept and not o.reviewed]
        for part in chunks(gone):
            session.execute(delete(Exchange).where(col(Exchange.id).in_(part)))
        known = {old.id: old for olds in before.values() for old in olds}
        self._update(session, rows, known, scored, place)
        if fresh:
            inserted = session.execute(
                insert_into(session, Exchange).returning(col(Exchange.id), sort_by_parameter_order=True),
                [{**rows[i], "created_at": now, "reviewed": False} for i in fresh],
            ).scalars()
            place.update(zip(fresh, inserted, strict=True))
        _set_clusters(session, fresh, joins, place, {key: old.cluster_id for key, old in known.items()})
        found = [
            {
                "exchange_id": exchange_id,
                "name": evidence.name,
                "value": evidence.value,
                "probability": evidence.probability,
                "turn_ids": list(evidence.turn_ids),
                "note": evidence.note,
                "detail": {
                    **evidence.detail,
                    **_neighbour_key(evidence.detail, place),
                },
                "other_id": _neighbour_of(evidence.detail, place),
            }
            for i, exchange_id in sorted(place.items())
            for evidence in scored[i].evidence
        ]
        if found:
            unquote(session, found)
            session.execute(insert_into(session, Evidence), found)
        if session.get_bind().dialect.name == "postgresql":
            mark_asked(session, self._encoder.digest, [rows[i]["question_hash"] for i in place])
        _remember(session, histories((scored[i].exchange for i in place), now), now)
        log.info("conversations_scored", conversations=len(ours), exchanges=len(place), changed_meanwhile=len(ids) - len(ours))

    def _finish(
        self, session: Session, ids: Sequence[int], revisions: Mapping[int, int], until: datetime, now: datetime
    ) -> set[int]:
        table = table_of(Conversation)
        still = session.execute(
            select(table.c.id, table.c.revision)
            .where(table.c.id.in_(ids), table.c.claimed_until == until)
            .order_by(table.c.id)
            .with_for_update()
        ).all()
        ours = {row.id for row in still if row.revision == revisions.get(row.id)}
        late = [row.id for row in still if row.id not in ours]
        for part in chunks(sorted(ours)):
            session.execute(update(table).where(table.c.id.in_(part)).values(due_at=None, claimed_until=None, scored_at=now))
        for part in chunks(late):
            session.execute(update(table).where(table.c.id.in_(part)).values(claimed_until=None))
        return ours

    def _update(
        self,
        session: Session,
        rows: Mapping[int, dict[str, Any]],
        known: Mapping[int, Any],
        scored: Sequence[Scored],
        place: Mapping[int, int],
    ) -> None:
        """New scores for exchanges that were stored before; their items in the queue sort by the new priority."""
        if not place:
            return
        exchanges = table_of(Exchange)
        items = table_of(ReviewItem)
        in_order = sorted(place.items(), key=lambda pair: pair[1])  # as acquisition locks them: two workers never deadlock
        session.execute(
            update(exchanges).where(exchanges.c.id == bindparam("exchange")),
            [{"exchange": key, **rows[i]} for i, key in in_order],
        )
        for part in chunks(sorted(place.values())):
            session.execute(delete(Evidence).where(col(Evidence.exchange_id).in_(part)))
        session.execute(
            update(items).where(items.c.exchange_id == bindparam("exchange"), items.c.state == ItemState.open),
            [{"exchange": key, "priority": rows[i]["priority"], "intent": rows[i]["intent"]} for i, key in in_order],
        )
        for i, key in place.items():
            if bytes(known[key].question_hash) != rows[i]["question_hash"]:
                self._past.changed(rows[i]["source"], [key], scored[i].question[None, :])


def _said(one: Scored, conversation_id: int) -> list[str]:
    exchange = one.exchange
    mine = int(exchange.conversation_id) == conversation_id
    return [exchange.question, exchange.answer, exchange.follow_up or ""] if mine else []


def _clusters_of(session: Session, scored: Sequence[Scored]) -> dict[int, int]:
    keys = sorted({key for one in scored for key, _ in one.near if key >= 0})
    clusters: dict[int, int] = {}
    for part in chunks(keys):
        rows = session.execute(select(col(Exchange.id), col(Exchange.cluster_id)).where(col(Exchange.id).in_(part)))
        clusters.update((key, home) for key, home in rows if home is not None)
    return clusters


def _exchanges_of(session: Session, conversation_ids: Sequence[int]) -> dict[int, list[Any]]:
    before: dict[int, list[Any]] = {}
    for part in chunks(conversation_ids):
        rows = session.execute(
            select(
                col(Exchange.id),
                col(Exchange.conversation_id),
                col(Exchange.turn_ids),
                col(Exchange.question_hash),
                col(Exchange.cluster_id),
                col(Exchange.reviewed),
            ).where(col(Exchange.conversation_id).in_(part))
        )
        for row in rows:
            before.setdefault(row.conversation_id, []).append(row)
    return before


def _set_clusters(
    session: Session,
    fresh: Sequence[int],
    joins: Sequence[int | None],
    place: Mapping[int, int],
    known: Mapping[int, int | None],
) -> None:
    """New exchanges join their cluster; one that was scored before keeps its own."""
    table = table_of(Exchange)
    homes = []
    for i in fresh:
        home = joins[i]
        if home is not None and home < 0:  # the cluster of an exchange of this batch
            leader = place.get(-home - 1, place[i])
            home = known.get(leader) or leader
        homes.append({"exchange": place[i], "cluster_id": home})
    if homes:
        session.execute(update(table).where(table.c.id == bindparam("exchange")), homes)


def _remember(session: Session, seen: Mapping[Key, History], now: datetime) -> None:
    """Platforms' scores into their sources' histories; comes last, so that whoever waits for a row's lock waits shortly."""
    table = table_of(PlatformHistory)
    for (source, field), history in sorted(seen.items()):
        mine = (table.c.source == source) & (table.c.field == field)
        stored = select(table.c.content).where(mine).with_for_update()
        known = session.execute(stored).scalar_one_or_none()
        if known is None:
            fresh = {"source": source, "field": field, "content": history.text(), "updated_at": now}
            insert = insert_into(session, PlatformHistory).values(fresh).on_conflict_do_nothing()
            if session.execute(insert.returning(table.c.source)).first() is not None:
                continue
            known = session.execute(stored).scalar_one()  # another worker was first
        both = _merged(known, history).text()
        if both != known:
            session.execute(update(table).where(mine).values(content=both, updated_at=now))


def _merged(known: str, history: History) -> History:
    try:
        return History.read(known).merge(history)
    except HistoryUnusable:  # written by a version that kept something else: it is known anew within days
        return history


def _neighbour_key(detail: Mapping[str, Any], place: Mapping[int, int]) -> dict[str, Any]:
    return {"key": _neighbour_of(detail, place)} if "key" in detail else {}


def _neighbour_of(detail: Mapping[str, Any], place: Mapping[int, int]) -> int | None:
    """The exchange that this one's answer was compared with. One of the same batch is named by a negative key: here it gets its
    id."""
    key = detail.get("key")
    return (place.get(-key - 1) if key < 0 else key) if isinstance(key, int) else None


def _row(
    one: Scored,
    scorer: Scorer,
    intents: Mapping[str, IntentModel],
    platform: Mapping[Key, Calibration],
    weights: Mapping[str, Weights],
    now: datetime,
) -> dict[str, Any]:
    exchange = one.exchange
    told = exchange.intent.name if exchange.intent else None
    versions = scorer.versions(intents.get(exchange.source), platform, exchange.source, weights)
    return {
        "conversation_id": int(exchange.conversation_id),
        "source": exchange.source,
        "turn_id": exchange.turn_id,
        "turn_ids": [turn.id for turn in exchange.answer_turns],
        "question": exchange.question,
        "answer": exchange.answer,
        "question_hash": content_hash(exchange.question),
        "intent": told or (one.prediction.intent if one.prediction else None),
        "asked_at": (exchange.question_turns or exchange.answer_turns)[-1].at,
        "priority": one.priority,
        "uncertainty": one.uncertainty,
        "because": one.because,
        "versions": versions,
        "scored_by": scored_by(versions),
        "scored_at": now,
        "forgotten": False,
    }
