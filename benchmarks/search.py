"""Measures search over many conversations: each beside a bare full text query of the same words in the same run.

python -m benchmarks.search --conversations 200000 --json search.json
python -m benchmarks.search --database postgresql+psycopg://USER:PASSWORD@HOST/EMPTY
"""

import argparse
import json
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from sqlalchemy import inspect, text

from service.db import Database, insert_into
from service.logs import set_up
from service.migrate import upgrade
from service.models import (
    Conversation,
    Evidence,
    Exchange,
    Feedback,
    Reviewer,
    ReviewItem,
    Searchable,
    Turn,
    Verdict,
    VerdictLabel,
)
from service.search_words import as_fts5, as_tsquery, indexed, read_question
from service.searching.fields import Order, Wanted
from service.searching.find import find
from service.searching.results import results

NOW = datetime(2026, 1, 5, tzinfo=UTC)
SIGNALS = ("intent_confidence", "answer_relevance", "user_frustration", "answer_consistency", "user_feedback")
TURNS = 5
PAGE = 25
BLOCK = 2_000
WORDS = 20_000
REVIEWED = 0.02


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search", description=__doc__)
    parser.add_argument("--conversations", type=int, default=200_000, help="each of five turns and two exchanges")
    parser.add_argument("--database", help="without tables, or as an earlier run left it; without it a new SQLite file")
    parser.add_argument("--times", type=int, default=20, help="how often each search is asked")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    set_up("error", False)
    with tempfile.TemporaryDirectory() as folder:
        db = Database(given.database or f"sqlite:///{folder}/search.db")
        if "searchable" not in inspect(db.engine).get_table_names():
            upgrade(db.url)
            build(db, given.conversations, np.random.default_rng(given.seed))
        found = measure(db, given.times, np.random.default_rng(given.seed + 1))
        db.close()
    figures = ("find p50", "p50", "p95", "bare p50", "ratio")
    shown = Table("search", *figures, caption="ms; ratio of finding to the bare query")
    for name, one in found.items():
        shown.add_row(name, *(f"{one[key]:,.1f}" if key in one else "" for key in figures))
    Console(width=None if Console().is_terminal else 120).print(shown)
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n")


# --- the rows ---------------------------------------------------------------------------------------------------------


def vocabulary() -> list[str]:
    """Made words: `w0` is said all the time, the last ones hardly ever."""
    return [f"w{i}" for i in range(WORDS)]


def build(db: Database, conversations: int, rng: np.random.Generator) -> None:
    """Rows by plain inserts, as ingest, the worker and reviewers would have left them."""
    words = np.asarray(vocabulary())
    weights = 1 / np.arange(10, WORDS + 10)
    weights /= weights.sum()
    with db.write() as session:
        session.add(Reviewer(name="anna", password_hash="-", created_at=NOW))
    for start in range(1, conversations + 1, BLOCK):
        rows = _block(range(start, min(start + BLOCK, conversations + 1)), words, weights, rng)
        with db.write() as session:
            for model, of_model in rows.items():
                if of_model:
                    session.execute(insert_into(session, model), of_model)
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))
        if not db.is_sqlite:
            for name in ("conversation", "turn", "exchange", "evidence"):
                connection.execute(text(f"SELECT setval('{name}_id_seq', (SELECT max(id) FROM {name}))"))
            connection.execute(text("VACUUM searchable"))


def _block(ids: range, words: Any, weights: Any, rng: np.random.Generator) -> dict[type[Any], list[dict[str, Any]]]:
    rows: dict[type[Any], list[dict[str, Any]]] = {
        model: [] for model in (Conversation, Turn, Feedback, Searchable, Exchange, Evidence, ReviewItem, Verdict)
    }
    lengths = rng.integers(5, 30, size=(len(ids), TURNS))
    said = iter(rng.choice(words, size=int(lengths.sum()), p=weights).tolist())
    for place, key in enumerate(ids):
        began = NOW - timedelta(minutes=int(rng.integers(0, 500_000)))
        source, channel = f"bot-{key % 3}", ("web", "phone", "mail")[int(rng.integers(0, 3))]
        texts = [" ".join(next(said) for _ in range(length)) for length in lengths[place]]
        rated = bool(rng.random() < 0.05)
        rows[Conversation].append(
            {
                "id": key,
                "source": source,
                "external_id": f"c{key}",
                "channel": channel,
                "started_at": began,
                "closed": True,
                "received_at": began,
                "details": {},
                "revision": 1,
                "searchable_revision": 1,
            }
        )
        for i, words_said in enumerate(texts):
            rows[Turn].append(
                {
                    "id": key * TURNS + i,
                    "conversation_id": key,
                    "external_id": f"t{i}",
                    "role": ("user", "bot")[i % 2],
                    "text": words_said,
                    "position": i,
                    "received_at": began,
                    "details": {},
                    "removed": False,
                }
            )
        if rated:
            rows[Feedback].append(
                {
                    "conversation_id": key,
                    "external_id": "f",
                    "turn_external_id": "t1",
                    "rating": -1.0,
                    "details": {},
                    "withdrawn": False,
                }
            )
        rows[Searchable].append(
            {
                "conversation_id": key,
                "source": source,
                "channel": channel,
                "began_at": began,
                "has_feedback": rated,
                "words": indexed([f"c{key}", *texts]),
            }
        )
        for i in (0, 1):
            _exchange(rows, key * 2 + i, key, source, texts[2 * i], texts[2 * i + 1], began, rng)
    return rows


def _exchange(
    rows: dict[type[Any], list[dict[str, Any]]], key: int, conversation: int, source: str, question: str, answer: str,
    at: datetime, rng: np.random.Generator,
) -> None:  # fmt: skip
    priority = float(rng.beta(1, 5))
    reviewed = bool(rng.random() < REVIEWED)
    rows[Exchange].append(
        {
            "id": key,
            "conversation_id": conversation,
            "source": source,
            "turn_id": f"t{(key % 2) * 2 + 1}",
            "turn_ids": [f"t{(key % 2) * 2 + 1}"],
            "question": question,
            "answer": answer,
            "question_hash": key.to_bytes(16, "big"),
            "intent": f"intent-{min(int(rng.exponential(12)), 149)}",
            "asked_at": at,
            "priority": priority,
            "uncertainty": 0.1,
            "because": "",
            "versions": {},
            "scored_by": "",
            "created_at": at,
            "scored_at": at,
            "reviewed": reviewed,
        }
    )
    for name in rng.choice(SIGNALS, size=2, replace=False):
        probability = float(rng.beta(1, 4))
        rows[Evidence].append(
            {
                "exchange_id": key,
                "name": str(name),
                "value": probability,
                "probability": probability,
                "turn_ids": [],
                "note": "",
                "detail": {},
            }
        )
    if reviewed:
        rows[ReviewItem].append(
            {
                "id": key,
                "exchange_id": key,
                "state": "done",
                "priority": priority,
                "strategy": "value",
                "propensity": 1.0,
                "reason": "",
                "suggestions": {},
                "created_at": at,
                "fence": 1,
                "reserved": False,
            }
        )
        rows[Verdict].append(
            {
                "item_id": key,
                "reviewer_id": 1,
                "fence": 1,
                "label": str(rng.choice(list(VerdictLabel))),
                "causes": [],
                "decided_at": at,
            }
        )


# --- the searches -----------------------------------------------------------------------------------------------------


FILTERS: dict[str, dict[str, Any]] = {
    "source": {"source": "bot-1"},
    "channel": {"channel": "web"},
    "dates": {"since": date(2025, 6, 1), "until": date(2025, 6, 7)},
    "feedback": {"feedback": True},
    "intent": {"intent": "intent-3"},
    "rare intent": {"intent": "intent-100"},
    "signal": {"signal": "answer_relevance"},
    "verdict": {"verdict": "wrong"},
    "no verdict": {"verdict": "none"},
    "priority": {"least": 0.6, "most": 1.0},
}


def measure(db: Database, times: int, rng: np.random.Generator) -> dict[str, dict[str, float]]:
    """p50 and p95 in ms by kind of search; the bare query where there is one."""
    found: dict[str, dict[str, float]] = {}
    for kind, questions in _questions(rng, times).items():
        for order in Order:
            asked = [Wanted(q=question, order=order) for question in questions]
            found[f"{kind}, by {order}"] = _timed(db, asked, questions)
    for order in (Order.date, Order.priority):
        found[f"no words, by {order}"] = _timed(db, [Wanted(order=order)] * times)
        for name, given in FILTERS.items():
            found[f"{name}, by {order}"] = _timed(db, [Wanted(**given, order=order)] * times)
    names = list(FILTERS)
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            given = {**FILTERS[one], **FILTERS[other]}
            if len(given) == len(FILTERS[one]) + len(FILTERS[other]):
                found[f"{one} and {other}"] = _timed(db, [Wanted(**given)] * 5)
    return found


def _questions(rng: np.random.Generator, times: int) -> dict[str, list[str]]:
    def draw(low: int, high: int, many: int) -> list[str]:
        return [" ".join(f"w{i}" for i in rng.integers(low, high, size=many)) for _ in range(times)]

    return {
        "a rare word": draw(5_000, 20_000, 1),
        "a usual word": draw(100, 1_000, 1),
        "a frequent word": draw(5, 30, 1),
        "two usual words": draw(50, 300, 2),
        "two frequent words": draw(0, 30, 2),
        "a beginning": [f"w{i}*" for i in rng.integers(100, 999, size=times)],
        "a phrase": [f'"{one}"' for one in draw(0, 20, 2)],
    }


def _timed(db: Database, asked: list[Wanted], questions: list[str] | None = None) -> dict[str, float]:
    """Finding and showing a page, and the bare query, by turns, so that all meet the same machine."""
    finding: list[float] = []
    whole: list[float] = []
    bare: list[float] = []
    for i, wanted in enumerate(asked):
        started = time.perf_counter()
        found = find(db, wanted, None, PAGE, NOW)
        finding.append(1000 * (time.perf_counter() - started))
        with db.read() as session:
            results(session, wanted, found)
        whole.append(1000 * (time.perf_counter() - started))
        if questions:
            started = time.perf_counter()
            _bare(db, questions[i])
            bare.append(1000 * (time.perf_counter() - started))
    told = {"find p50": float(np.median(finding)), "p50": float(np.median(whole)), "p95": float(np.quantile(whole, 0.95))}
    if bare:
        told |= {"bare p50": float(np.median(bare)), "ratio": float(np.median(finding) / np.median(bare))}
    return told


def _bare(db: Database, question: str) -> None:
    terms = read_question(question).wanted
    with db.read() as session:
        if db.is_sqlite:
            statement = "SELECT rowid FROM searchable_words WHERE searchable_words MATCH :q ORDER BY rank LIMIT 25"
            session.execute(text(statement), {"q": as_fts5(terms)}).all()
        else:
            statement = (
                "SELECT conversation_id FROM searchable WHERE words @@ CAST(:q AS tsquery) "
                "ORDER BY ts_rank(words, CAST(:q AS tsquery)) DESC LIMIT 25"
            )
            session.execute(text(statement), {"q": as_tsquery(terms)}).all()


if __name__ == "__main__":
    main()
