"""Measures the lead's page: how long its numbers take over a database of this size, first and again, and one chart.

python -m benchmarks.lead_page --exchanges 200000 --verdicts 20000 --database sqlite:////tmp/lead.db
"""

import argparse
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, get_args

from rich.console import Console
from rich.table import Table
from sqlalchemy import insert

from service.charts.draw import draw
from service.db import Database, chunks, table_of
from service.lead import Numbers
from service.logs import set_up
from service.migrate import upgrade
from service.models import (
    Article,
    ArticleVersion,
    Conversation,
    Evidence,
    Exchange,
    Publication,
    Reviewer,
    ReviewItem,
    Round,
    Verdict,
)
from service.quality_rows import Part, read_asked
from service.settings import SignalName

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
WEEKS = 26
LABELS = ("wrong", "incomplete", "unsafe", "out_of_scope")
INTENTS = [f"intent {n}" for n in range(60)]
BLOCK = 20_000


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lead_page", description=__doc__)
    parser.add_argument("--exchanges", type=int, default=200_000)
    parser.add_argument("--verdicts", type=int, default=20_000)
    parser.add_argument("--database", required=True, help="an empty one is filled first; a filled one is measured as it is")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    set_up("error", False)
    upgrade(given.database)
    db = Database(given.database)
    with db.read() as session:
        filled = session.get(Exchange, 1) is not None
    if not filled:
        fill(db, given.exchanges, given.verdicts, Random(given.seed))
    table = Table("what", "seconds")
    for name, seconds in measured(db):
        table.add_row(name, f"{seconds:.3f}")
    Console(width=100).print(table)
    db.close()


def measured(db: Database) -> Iterator[tuple[str, float]]:
    """(what, seconds of the processor): others' work beside it does not count."""
    kept = Numbers({}, [])
    with db.read() as session:
        yield "rows into arrays", _timed(lambda: read_asked(session))
        yield "numbers, first", _timed(lambda: kept.of(session, NOW, Part()))
        yield "numbers, again", _timed(lambda: kept.of(session, NOW, Part()))
        yield "numbers of one source", _timed(lambda: kept.of(session, NOW, Part(source="source 1")))
        lead = kept.of(session, NOW, Part())
        yield "numbers for a chart", _timed(lambda: kept.of(session, NOW, Part(), lead.state))
    yield "a chart, first", _timed(lambda: draw("weeks", lead))
    yield "a chart, again", _timed(lambda: draw("weeks", lead))


def _timed(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


# --- a database like that of a busy half-year ---------------------------------------------------------------------


def fill(db: Database, exchanges: int, verdicts: int, rng: Random) -> None:
    """Exchanges of 26 weeks, one in twelve of which failed; a tenth of them reviewed, two of five drawn by chance."""
    rounds = 26 * 7
    failed = [rng.random() < 0.08 for _ in range(exchanges)]
    priority = [min(max(rng.gauss(0.55 if bad else 0.25, 0.2), 0.0), 1.0) for bad in failed]
    at = [NOW - timedelta(weeks=WEEKS) * (1 - n / exchanges) for n in range(exchanges)]
    by_chance = set(rng.sample(range(exchanges), verdicts * 2 // 5))
    best = sorted(range(exchanges), key=lambda n: -priority[n])
    merit = set(best[: verdicts - len(by_chance)])
    reviewed = sorted(by_chance | merit)
    _insert(
        db,
        Reviewer,
        [{"id": 1, "name": "benchmark", "password_hash": "none", "is_admin": False, "active": True, "created_at": NOW}],
    )
    _insert(
        db, Round,
        ({"id": n + 1, "at": at[min(exchanges - 1, (n + 1) * exchanges // rounds)], "pool": 20_000, "budget": verdicts // rounds,
          "counts": {"random": len(by_chance) // rounds}} for n in range(rounds)),
    )  # fmt: skip
    _insert(
        db, Conversation,
        ({"id": n + 1, "source": f"source {n % 3}", "external_id": f"c{n}", "channel": ("web", "app", None)[n % 3],
          "closed": True, "received_at": at[n], "details": {}, "revision": 1, "scored_at": at[n]} for n in range(exchanges)),
    )  # fmt: skip
    _insert(
        db, Exchange,
        ({"id": n + 1, "conversation_id": n + 1, "source": f"source {n % 3}", "turn_id": "a", "turn_ids": ["q", "a"],
          "question": f"Question {n} of somebody about something?", "answer": f"Answer {n}, in a sentence or two.",
          "question_hash": n.to_bytes(16), "intent": rng.choice(INTENTS), "asked_at": at[n], "priority": priority[n],
          "uncertainty": 0.5, "because": "benchmark", "cluster_id": n + 1 - n % 7, "versions": {}, "scored_by": "",
          "created_at": at[n], "scored_at": at[n], "reviewed": n in by_chance or n in merit} for n in range(exchanges)),
    )  # fmt: skip
    _insert(
        db, Evidence,
        ({"exchange_id": n + 1, "name": name, "value": chance, "probability": chance, "turn_ids": ["a"], "note": "", "detail": {}}
         for n in range(exchanges) for name in get_args(SignalName)[:4]
         for chance in [min(max(rng.gauss(priority[n], 0.15), 0.0), 1.0)]),
    )  # fmt: skip
    chosen = {"state": "done", "propensity": 0.1, "reason": "benchmark", "suggestions": {}, "fence": 1}
    items = (
        {
            "id": i + 1, "exchange_id": n + 1, "cluster_id": n + 1 - n % 7, "priority": priority[n],
            "strategy": "random" if n in by_chance else "value", "round_id": min(rounds, 1 + n * rounds // exchanges),
            "created_at": at[n], "decided_at": at[n] + timedelta(days=1), **chosen,
        }
        for i, n in enumerate(reviewed)
    )  # fmt: skip
    _insert(db, ReviewItem, items)
    _insert(
        db, Verdict,
        ({"id": i + 1, "item_id": i + 1, "reviewer_id": 1, "fence": 1, "label": rng.choice(LABELS) if failed[n] else "good",
          "causes": [], "decided_at": at[n] + timedelta(days=1)} for i, n in enumerate(reviewed)),
    )  # fmt: skip
    _correct(db, [(i, n) for i, n in enumerate(reviewed) if failed[n]][::40], at)
    _queue(
        db, [n for n in range(exchanges * 9 // 10, exchanges) if n not in by_chance and n not in merit][:200], len(reviewed), at
    )


def _correct(db: Database, wrong: Sequence[tuple[int, int]], at: Sequence[datetime]) -> None:
    """Each 40th failure has a correction, published an hour after its verdict."""
    content = {"question": "How?", "variants": [], "answer": "So.", "intent": None, "status": "active", "version": 1}
    articles, versions, publications = [], [], []
    for k, (i, n) in enumerate(wrong, start=1):
        then = at[n] + timedelta(days=1)
        of = {"id": k, "article_id": k}
        articles.append({"id": k, "key": f"a{k}", "updated_at": then, **content})
        versions.append({**of, "origin": "verdict", "verdict_id": i + 1, "changed_at": then, **content})
        done = {"state": "published", "attempts": 1, "published_at": then + timedelta(hours=1)}
        publications.append({**of, "article_version_id": k, "sink": "folder", "key": f"a{k}:1", **done})
    _insert(db, Article, articles)
    _insert(db, ArticleVersion, versions)
    _insert(db, Publication, publications)


def _queue(db: Database, waiting: Sequence[int], decided: int, at: Sequence[datetime]) -> None:
    chosen = {"state": "open", "priority": 0.5, "strategy": "value", "propensity": 0.1, "reason": "benchmark"}
    items = (
        {
            "id": decided + k,
            "exchange_id": n + 1,
            "cluster_id": n + 1,
            "suggestions": {},
            "created_at": at[n],
            "fence": 0,
            **chosen,
        }
        for k, n in enumerate(waiting, start=1)
    )
    _insert(db, ReviewItem, items)


def _insert(db: Database, model: type[Any], rows: Iterable[dict[str, Any]]) -> None:
    with db.write() as session:
        for block in chunks(list(rows), BLOCK):
            session.execute(insert(table_of(model)), list(block))


if __name__ == "__main__":
    main()
