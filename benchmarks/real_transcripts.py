"""The main job on real transcripts: signed webhooks over HTTP to a running service, until all is scored.

    python -m benchmarks.real_transcripts [--data ../shared/data] [--json FILE] [--limit N] [--database-url URL]

Prints one table; each rate stands beside its floor from the same run: ingest beside a bare endpoint that only reads and
verifies, scoring beside a plain bulk `encode` of the same unique texts.
"""

import argparse
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from sklearn.metrics import roc_auc_score
from sqlalchemy import text

from benchmarks.senders import deliveries_of, prepare, send
from benchmarks.transcripts import Judged, load
from service.db import Database
from service.migrate import upgrade

SECRET = "whsec_YmVuY2htYXJrLXNlY3JldC0wMTIzNDU2Nzg5YWI="
CONNECTIONS = 64
SLICES = 20
STEADY = 200
STEADY_PER_SECOND = 1.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--limit", type=int, help="only so many conversations, for a trial")
    parser.add_argument("--database-url", help="an empty database; default: SQLite in a temporary folder")
    parser.add_argument("--ingest-only", action="store_true", help="stop after the ingest rates")
    given = parser.parse_args()
    if not given.data.is_dir():
        sys.exit(f"no data at {given.data}: name the folder with --data")
    conversations, judged = load(given.data)
    random.Random(0).shuffle(conversations)
    conversations = conversations[: given.limit]
    with tempfile.TemporaryDirectory(prefix="triage-bench-") as folder:
        url = given.database_url or f"sqlite:///{folder}/triage.db"
        figures = measure(conversations, judged, url, Path(folder), given.ingest_only)
    show(figures)
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1) + "\n")


def measure(
    conversations: list[dict[str, Any]], judged: list[Judged], url: str, folder: Path, ingest_only: bool
) -> dict[str, Any]:
    steady = conversations[: min(STEADY, len(conversations) // 10)]
    bulk = conversations[len(steady) :]
    deliveries = deliveries_of(bulk)
    env = {
        **os.environ,
        "TRIAGE_DATABASE_URL": url,
        "TRIAGE_SOURCES": json.dumps({"standard": {"kind": "standard", "secrets": [SECRET]}}),
        "TRIAGE_SINKS": json.dumps({"folder": {"kind": "markdown", "path": str(folder / "kb")}}),
        "TRIAGE_QUEUE": json.dumps({"capacity": 100_000}),
        "TRIAGE_LOG_LEVEL": "warning",
        "HF_HUB_OFFLINE": "1",
    }
    figures: dict[str, Any] = {"conversations": len(conversations), "deliveries": len(deliveries), "database": url.split(":")[0]}

    upgrade(url)
    db = Database(url)
    port, bare_port = _free_port(), _free_port()
    web = _start({**env, "TRIAGE_PORT": str(port)}, [sys.executable, "-m", "service", "serve"], port)
    bare = _start(env, [sys.executable, "-m", "benchmarks.bare_endpoint", str(bare_port), SECRET], bare_port)
    worker = None
    try:
        figures |= _ingest(deliveries, port, bare_port)
        bare.terminate()
        if ingest_only:
            return figures
        worker = subprocess.Popen([sys.executable, "-m", "service", "worker"], env=env)
        figures |= _scoring(db)
        figures |= _steady(db, port, steady, web, worker)
        figures |= _quality(db, judged)
        figures["web_peak_mb"] = round(_peak_mb(web.pid))
        figures["worker_peak_mb"] = round(_peak_mb(worker.pid))
        figures["database_mb"] = round(_size(db, url) / 1e6, 1)
    finally:
        for process in (web, bare, worker):
            if process is not None:
                process.terminate()
                process.wait(30)
    figures |= _encoding(db, figures)
    db.close()
    return figures


# --- ingest -------------------------------------------------------------------------------------------------------


def _ingest(deliveries: list[tuple[str, bytes]], port: int, bare_port: int) -> dict[str, Any]:
    """Slice by slice, first to the bare endpoint, then to the service: a slow moment of the machine hits both."""
    taken = {"bare": 0.0, "durable": 0.0}
    size = -(-len(deliveries) // SLICES)
    for start in range(0, len(deliveries), size):
        part = deliveries[start : start + size]
        for name, to in (("bare", bare_port), ("durable", port)):
            sent = send(to, prepare(part, SECRET, "/hooks/standard"), CONNECTIONS)
            assert sent.statuses == {202: len(part)}, sent.statuses
            taken[name] += sent.seconds
    return {
        "deliveries_per_s": round(len(deliveries) / taken["durable"], 1),
        "bare_deliveries_per_s": round(len(deliveries) / taken["bare"], 1),
        "ingest_ratio": round(taken["bare"] / taken["durable"], 3),
    }


# --- scoring ------------------------------------------------------------------------------------------------------


def _scoring(db: Database) -> dict[str, Any]:
    """From the first claim (the worker's start-up aside) until nothing is due."""
    started = None
    while True:
        left, scored = (
            _count(db, "SELECT count(*) FROM conversation WHERE due_at IS NOT NULL"),
            _count(db, "SELECT count(*) FROM conversation WHERE scored_at IS NOT NULL OR claimed_until IS NOT NULL"),
        )
        if scored and started is None:
            started = time.perf_counter()
        if not left:
            break
        time.sleep(0.25)
    seconds = time.perf_counter() - (started or 0)
    exchanges = _count(db, "SELECT count(*) FROM exchange")
    return {"exchanges": exchanges, "scoring_s": round(seconds, 1), "exchanges_per_s": round(exchanges / seconds, 1)}


def _encoding(db: Database, figures: dict[str, Any]) -> dict[str, Any]:
    """Plain sentence-transformers over the same unique texts, all in one call, with nothing else running."""
    import torch
    from sentence_transformers import SentenceTransformer

    from scoring.encoder import PACKAGED, SentenceEncoder, model_folder, usable_precision
    from scoring.scorer import split
    from service.transcripts import load_transcripts

    with db.read() as session:
        ids = list(session.execute(text("SELECT id FROM conversation WHERE external_id NOT LIKE 'steady-%'")).scalars())
        transcripts, _ = load_transcripts(session, ids)
    exchanges = [exchange for transcript in transcripts.values() for exchange in split(transcript)]
    texts = {t for e in exchanges for t in (e.question, e.answer, e.follow_up) if t and not t.isspace()}
    plain = SentenceTransformer(
        str(model_folder(PACKAGED)), device="cpu", model_kwargs={"dtype": getattr(torch, usable_precision("auto"))}
    )
    plain.encode(["warm up"])
    started = time.perf_counter()
    plain.encode(sorted(texts), convert_to_tensor=True)
    seconds = time.perf_counter() - started
    rate = figures["exchanges"] / seconds
    return {
        "unique_texts": len(texts),
        "plain_encode_s": round(seconds, 1),
        "plain_exchanges_per_s": round(rate, 1),
        "scoring_ratio": round(figures["exchanges_per_s"] / rate, 3),
        "encoder": SentenceEncoder().digest,
    }


def _steady(
    db: Database, port: int, conversations: list[dict[str, Any]], web: subprocess.Popen[bytes], worker: subprocess.Popen[bytes]
) -> dict[str, Any]:
    """Conversations one by one at an even pace: from sending the closing delivery until its exchanges stand in the
    queue's order (scored, and picked where they are urgent)."""
    waits: list[float] = []
    pending: dict[str, float] = {}
    for conversation in conversations:
        conversation = {**conversation, "id": f"steady-{conversation['id']}"}
        began = time.perf_counter()
        sent = send(port, prepare(deliveries_of([conversation]), SECRET, "/hooks/standard"), 1)
        assert set(sent.statuses) == {202}, sent.statuses
        pending[conversation["id"]] = time.perf_counter()
        while time.perf_counter() - began < 1 / STEADY_PER_SECOND:
            _collect(db, pending, waits)
            time.sleep(0.02)
    deadline = time.perf_counter() + 60
    while pending and time.perf_counter() < deadline and web.poll() is None and worker.poll() is None:
        _collect(db, pending, waits)
        time.sleep(0.02)
    assert not pending, f"{len(pending)} conversations never reached the queue"
    return {
        "to_queue_p50_s": round(float(np.percentile(waits, 50)), 2),
        "to_queue_p99_s": round(float(np.percentile(waits, 99)), 2),
        "steady_conversations": len(waits),
    }


def _collect(db: Database, pending: dict[str, float], waits: list[float]) -> None:
    """An urgent exchange has arrived when it has an item or its cluster has one; others when they are scored."""
    if not pending:
        return
    with db.read() as session:
        for name in list(pending):
            row = session.execute(
                text("SELECT due_at IS NULL AND scored_at IS NOT NULL FROM conversation WHERE external_id = :name"),
                {"name": name},
            ).scalar()
            if not row:
                continue
            missing = session.execute(
                text(
                    "SELECT count(*) FROM exchange e JOIN conversation c ON c.id = e.conversation_id"
                    " WHERE c.external_id = :name AND e.priority >= 0.6 AND NOT e.reviewed"
                    " AND NOT EXISTS (SELECT 1 FROM review_item r WHERE r.cluster_id = e.cluster_id)"
                ),
                {"name": name},
            ).scalar()
            if not missing:
                waits.append(time.perf_counter() - pending.pop(name))


# --- quality and size ---------------------------------------------------------------------------------------------


def _quality(db: Database, judged: list[Judged]) -> dict[str, Any]:
    """AUROC of priority against people's judgements; of a conversation as a whole, its highest priority counts."""
    with db.read() as session:
        rows = session.execute(
            text("SELECT c.external_id, e.turn_id, e.priority FROM exchange e JOIN conversation c ON c.id = e.conversation_id")
        ).all()
    by_turn = {(name, turn_id): priority for name, turn_id, priority in rows}
    highest: dict[str, float] = {}
    for name, _, priority in rows:
        highest[name] = max(highest.get(name, 0.0), priority)
    figures: dict[str, Any] = {}
    for data in sorted({one.data for one in judged}):
        pairs = [
            (one.bad, by_turn.get((one.conversation_id, one.turn_id)) if one.turn_id else highest.get(one.conversation_id))
            for one in judged
            if one.data == data
        ]
        known = [(bad, priority) for bad, priority in pairs if priority is not None]
        if len({bad for bad, _ in known}) == 2:
            auroc = roc_auc_score([bad for bad, _ in known], [priority for _, priority in known])
            figures[f"auroc_{data}"] = round(float(auroc), 3)
            figures[f"judged_{data}"] = len(known)
    return figures


def _size(db: Database, url: str) -> float:
    if db.is_sqlite:
        path = Path(url.removeprefix("sqlite:///"))
        return float(sum(file.stat().st_size for file in path.parent.glob(path.name + "*")))
    return float(_count(db, "SELECT pg_database_size(current_database())"))


def _count(db: Database, query: str) -> int:
    with db.read() as session:
        return int(session.execute(text(query)).scalar_one())


# --- processes ----------------------------------------------------------------------------------------------------


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _start(env: dict[str, str], command: list[str], port: int) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(command, env=env)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return process
        if process.poll() is not None:
            break
        time.sleep(0.05)
    process.kill()
    sys.exit(f"{' '.join(command)} did not start")


def _peak_mb(pid: int) -> float:
    """The largest resident size so far, as Linux keeps it."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


def show(figures: dict[str, Any]) -> None:
    table = Table("what", "figure", title="Real transcripts")
    for name, value in figures.items():
        table.add_row(name, str(value))
    Console().print(table)


if __name__ == "__main__":
    main()
