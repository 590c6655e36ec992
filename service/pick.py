"""Scores into review items: a share by pure chance, the others by merit, within the queue's budgets. Runs in the worker."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from typing import Any

import numpy as np
import structlog
from sqlalchemy import func, select, text, update
from sqlmodel import Session, col

from scoring import acquire
from scoring.encoder import Encoder, Vectors
from service.budget import POOL, RAISED, Budget, Filled, keep_to, quotas, share_out
from service.db import Database, chunks, insert_into
from service.filters import repeat_exchange
from service.models import Evidence, Exchange, ItemState, ReviewItem, Round
from service.settings import QueueSettings
from service.settle import SETTLED
from service.suggest import Suggestions
from service.vectors import vectors_of

log = structlog.get_logger()
DAY, WEEK = timedelta(days=1), timedelta(days=7)
_PICK_LOCK = 0x7069_636B


class Picker:
    """What filling the queue needs, made once."""

    def __init__(self, db: Database, encoder: Encoder, suggestions: Suggestions, queue: QueueSettings) -> None:
        self._db = db
        self._encoder = encoder
        self._suggestions = suggestions
        self._queue = queue

    def pick_due(self, now: datetime, rng: Random) -> int:
        """Fill the queue as its budgets allow; how many items were added."""
        with self._db.read() as session:
            budget = self._budget(session, now)
            if budget.total <= 0:
                return 0
            pool = session.execute(
                select(col(Exchange.id)).where(~col(Exchange.reviewed)).order_by(col(Exchange.id).desc()).limit(POOL)
            ).scalars()
            pool_ids = sorted(pool)
            drawn = {pool_ids[choice.index]: choice for choice in acquire.draw(len(pool_ids), budget.chance, rng)}
            rows = self._candidates(session, rng.sample(pool_ids, min(len(pool_ids), 500)), set(drawn), now)
            signals = _strongest(session, [row.id for row in rows]) if self._has_quotas() else {}
            recent = _recent_signals(session, now) if self._has_quotas() else {}
            reviewed = session.execute(
                select(col(Exchange.question_hash))
                .join(ReviewItem, col(ReviewItem.exchange_id) == col(Exchange.id))
                .where(col(ReviewItem.strategy) != SETTLED)
                .order_by(col(ReviewItem.id).desc())
                .limit(1000)
            ).scalars()
            covered = [bytes(h) for h in reviewed]
            done = select(func.count()).where(col(ReviewItem.state) == ItemState.done, col(ReviewItem.strategy) != SETTLED)
            decided = session.execute(done).scalar_one()
        chosen = self._by_merit(rows, budget, signals, recent, self._vectors(covered), decided)
        picks = drawn | chosen
        suggestions = self._suggestions.of(sorted(picks))
        with self._db.write() as session:
            return self._add_items(session, picks, suggestions, len(pool_ids), budget.total, now)

    def _budget(self, session: Session, now: datetime) -> Budget:
        def count(*where: Any) -> int:
            found: int = session.execute(select(func.count()).select_from(ReviewItem).where(*where)).scalar_one()
            return found

        waiting = count(col(ReviewItem.state) == ItemState.open)
        room = self._queue.capacity - waiting
        if room <= 0:
            return Budget(0, 0, 0)
        urgent = (
            select(func.coalesce(col(Exchange.cluster_id), -col(Exchange.id)))
            .where(self._eligible(now), col(Exchange.priority) >= self._queue.urgent_priority)
            .distinct()
            .limit(room)
        )
        filled = Filled(
            waiting=waiting,
            today=count(col(ReviewItem.created_at) > now - DAY, col(ReviewItem.strategy) != SETTLED)
            if self._queue.daily_items is not None
            else 0,
            chance=count(col(ReviewItem.strategy) == "random"),
            further=count(col(ReviewItem.strategy) != "value", col(ReviewItem.round_id).is_not(None)),
            # The highest id stands for the count: counting a million rows each time would cost more than scoring.
            exchanges=session.execute(select(func.max(col(Exchange.id)))).scalar_one() or 0,
        )
        return share_out(self._queue, filled, session.execute(select(func.count()).select_from(urgent.subquery())).scalar_one())

    def _eligible(self, now: datetime) -> Any:
        """Not reviewed, no look-alike waits in the queue or was decided after this came in, and its cluster had not its fill."""
        same = col(ReviewItem.cluster_id) == col(Exchange.cluster_id)
        settled = select(col(ReviewItem.id)).where(
            same, (col(ReviewItem.state) == ItemState.open) | (col(ReviewItem.decided_at) >= col(Exchange.created_at))
        )
        eligible = ~col(Exchange.reviewed) & ~settled.exists()
        if self._queue.cluster_items is not None:
            week = select(func.count()).where(same, col(ReviewItem.created_at) > now - WEEK, col(ReviewItem.strategy) != SETTLED)
            eligible &= week.correlate(Exchange).scalar_subquery() < self._queue.cluster_items
        return eligible

    def _candidates(self, session: Session, sample: Sequence[int], drawn: set[int], now: datetime) -> list[Any]:
        """The likely failures, and a sample of the rest, without those drawn already and their look-alikes."""
        wanted = select(
            col(Exchange.id),
            col(Exchange.priority),
            col(Exchange.uncertainty),
            col(Exchange.question_hash),
            col(Exchange.cluster_id),
        ).where(self._eligible(now))
        best = session.execute(wanted.order_by(col(Exchange.priority).desc(), col(Exchange.id)).limit(1000)).all()
        rest = session.execute(wanted.where(col(Exchange.id).in_(sample))).all()
        alike = set(session.execute(select(col(Exchange.cluster_id)).where(col(Exchange.id).in_(drawn))).scalars()) - {None}
        return [
            row for row in {row.id: row for row in (*best, *rest)}.values() if row.id not in drawn and row.cluster_id not in alike
        ]

    def _by_merit(
        self,
        rows: Sequence[Any],
        budget: Budget,
        signals: Mapping[int, str],
        recent: Mapping[str | None, int],
        covered: Vectors,
        decided: int,
    ) -> dict[int, acquire.Choice]:
        """First what quotas owe to a signal, then the mixture of what is left."""
        named = {name: count for name, count in recent.items() if name is not None}
        least, most = quotas(self._queue, named, recent.get(None, 0), budget.urgent + budget.explore)
        chosen: dict[int, acquire.Choice] = {}
        clusters: set[int] = set()
        urgent, explore = budget.urgent, budget.explore

        def take(among: Iterable[Any], urgent: int, explore: int, why: str = "") -> None:
            if urgent + explore <= 0:
                return
            free = [row for row in among if _cluster_of(row) not in clusters]
            for choice in acquire.mixed(self._offered(free, covered), urgent, explore, decided):
                row = free[choice.index]
                clusters.add(_cluster_of(row))
                chosen[row.id] = replace(choice, reason=f"{choice.reason}{why}, probability {choice.propensity:g}")

        for name, share in self._queue.signal_least.items():
            before = len(chosen)
            why = f", and {share:.0%} of the items are kept for {name}"
            take([row for row in rows if signals.get(row.id) == name], min(least[name], urgent + explore), 0, why)
            spent = len(chosen) - before
            explore, urgent = max(0, explore - spent), urgent - max(0, spent - explore)
            if name in most:
                most[name] = max(0, most[name] - spent)
        order = sorted((i for i, row in enumerate(rows) if row.id not in chosen), key=lambda i: -rows[i].priority)
        kept = keep_to(most, [signals.get(row.id) for row in rows], order)
        left = [rows[i] for i in kept if _cluster_of(rows[i]) not in clusters]
        bad = {_cluster_of(row) for row in left if row.priority >= self._queue.urgent_priority}
        take(left, min(urgent, len(bad)), explore)  # chance and quotas may have taken some that were counted
        return chosen

    def _offered(self, rows: Sequence[Any], covered: Vectors) -> acquire.Candidates:
        return acquire.Candidates(
            priority=np.array([row.priority for row in rows]),
            uncertainty=np.array([row.uncertainty for row in rows]),
            vectors=self._vectors([bytes(row.question_hash) for row in rows]),
            clusters=[_cluster_of(row) for row in rows],
            covered=covered,
        )

    def _vectors(self, hashes: Sequence[bytes]) -> Vectors:
        return vectors_of(self._db, self._encoder.digest, hashes, self._encoder.dimensions)

    def _has_quotas(self) -> bool:
        return bool(self._queue.signal_least or self._queue.signal_most)

    def _add_items(
        self,
        session: Session,
        picks: Mapping[int, acquire.Choice],
        suggestions: Mapping[int, dict[str, Any]],
        pool: int,
        budget: int,
        now: datetime,
    ) -> int:
        if session.get_bind().dialect.name == "postgresql":  # two workers must not open two items of one cluster
            session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _PICK_LOCK})
        rows = session.execute(
            select(col(Exchange.id), col(Exchange.cluster_id), col(Exchange.priority), self._eligible(now).label("eligible"))
            .where(col(Exchange.id).in_(list(picks)), ~col(Exchange.reviewed))
            .order_by(col(Exchange.id))
            .with_for_update(of=Exchange)
        ).all()
        rows = sorted(rows, key=lambda row: -row.priority)
        rows = [row for row in rows if row.eligible or picks[row.id].strategy == "random"]
        if not rows:
            return 0
        counts: dict[str, int] = {}
        for row in rows:
            counts[picks[row.id].strategy] = counts.get(picks[row.id].strategy, 0) + 1
        this = Round(at=now, pool=pool, budget=budget, counts=counts)
        session.add(this)
        session.flush()
        session.execute(
            insert_into(session, ReviewItem).on_conflict_do_nothing(index_elements=["exchange_id"]),
            [
                {
                    "exchange_id": row.id,
                    "cluster_id": row.cluster_id,
                    "state": ItemState.open,
                    "priority": row.priority,
                    "strategy": picks[row.id].strategy,
                    "propensity": picks[row.id].propensity,
                    "round_id": this.id,
                    "reason": picks[row.id].reason,
                    "suggestions": suggestions.get(row.id, {}),
                    "created_at": now,
                    "fence": 0,
                }
                for row in rows
            ],
        )
        for part in chunks([row.id for row in rows]):
            session.execute(update(Exchange).where(col(Exchange.id).in_(part)).values(reviewed=True))
            repeat_exchange(session, part)
        log.info("items_added", count=len(rows), **counts)
        return len(rows)


def _cluster_of(row: Any) -> int:
    return int(row.cluster_id or -row.id)


def _strongest(session: Session, exchange_ids: Sequence[int]) -> dict[int, str]:
    """The signal that speaks strongest against each exchange, for those against which one does."""
    strongest: dict[int, str] = {}
    for part in chunks(exchange_ids):
        found = session.execute(
            select(col(Evidence.exchange_id), col(Evidence.name))
            .where(col(Evidence.exchange_id).in_(part), col(Evidence.probability) >= RAISED)
            .order_by(col(Evidence.probability), col(Evidence.name))
        )
        strongest.update((exchange_id, name) for exchange_id, name in found)
    return strongest


def _recent_signals(session: Session, now: datetime) -> dict[str | None, int]:
    """How many items of the last week were chosen by merit, by the strongest signal of each; None: by no signal."""
    recent = session.execute(
        select(col(ReviewItem.exchange_id)).where(
            col(ReviewItem.created_at) > now - WEEK, col(ReviewItem.strategy).not_in(["random", SETTLED])
        )
    )
    exchange_ids = list(recent.scalars())
    signals = _strongest(session, exchange_ids)
    counts: dict[str | None, int] = {}
    for exchange_id in exchange_ids:
        name = signals.get(exchange_id)
        counts[name] = counts.get(name, 0) + 1
    return counts
