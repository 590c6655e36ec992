"""The worker process: scores what has settled, fills the queue, refits, pushes publications, forgets. Any number may run."""

import gc
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING

import structlog

from connectors.articles import Sink
from service import publish
from service.db import Database
from service.forgetting.retention import Retention
from service.logs import place_of
from service.searching.index import index_due
from service.settings import Settings
from service.traces import tell_due

if TYPE_CHECKING:
    from service.pulls import Job

log = structlog.get_logger()
PICK_EVERY_SECONDS = 2.0
LEARN_EVERY_SECONDS = 10.0
WATCH_EVERY_SECONDS = 10.0
PULL_LOOK_SECONDS = 1.0
STOP_SECONDS = 5.0


def run(settings: Settings, db: Database, sinks: Mapping[str, Sink], stop: threading.Event) -> None:
    """Until `stop` is set. Publishing has a thread of its own, so that a slow knowledge base never delays scoring."""
    pushing = threading.Thread(target=_loop, args=(lambda: _sync(db, sinks), stop, settings), name="publish")
    pulling = _start_pulls(settings, db, stop)
    # Words are cut and spans joined without a model: what came in is found while scoring is busy.
    settle, retention = timedelta(seconds=settings.settle_seconds), Retention(db, settings.retention_days)

    def index() -> int:
        now = datetime.now(UTC)
        return index_due(db) + tell_due(db, settle, now) + retention.step(now)

    indexing = threading.Thread(target=_loop, args=(index, stop, settings), name="index")
    pushing.start()
    indexing.start()
    try:
        _score(settings, db, stop)
    finally:
        stop.set()
        pushing.join()
        indexing.join()
        for thread in pulling:
            thread.join(STOP_SECONDS)  # a page that takes longer is dropped with the process: it is stored whole or not at all


def _start_pulls(settings: Settings, db: Database, stop: threading.Event) -> list[threading.Thread]:
    """A thread for each pull, so that a slow platform delays no other."""
    if not settings.pulls:
        return []
    from connectors.pulls.http import make_client
    from service.privacy import make_redact
    from service.pulls import make_jobs, pull_if_due

    redact = make_redact(settings.redact, settings.redact_phone_regions)
    settle = timedelta(seconds=settings.settle_seconds)
    rng = Random()  # noqa: S311 - spreads waiting times, guards nothing

    def start(job: "Job") -> threading.Thread:
        def step() -> int:
            done = pull_if_due(db, job, redact, settle, lambda: datetime.now(UTC), rng, stop)
            stop.wait(PULL_LOOK_SECONDS)
            return done

        thread = threading.Thread(target=_loop, args=(step, stop, settings), name=f"pull {job.name}", daemon=True)
        thread.start()
        return thread

    return [start(job) for job in make_jobs(settings, make_client()).values()]


def _score(settings: Settings, db: Database, stop: threading.Event) -> None:
    """Score, rescore, fill the queue. Fits have a thread of their own, so that the queue does not wait for them."""
    # Here, not above: models and FAISS cost seconds that `triage run`'s web process must not pay.
    from scoring.encoder import make_encoder
    from service.learn.intents import IntentModels, encode_examples
    from service.learn.platform import Calibrations
    from service.learn.weights import LiveWeights
    from service.replay import replay_due
    from service.rescore import rescore_due
    from service.scorers import make_scorer
    from service.searching.meaning import answer_due
    from service.triage import Triage
    from service.vectors import StoredVectors, make_past
    from service.watch import watch_due

    started = time.monotonic()
    encoder = make_encoder(settings.encoder, settings.precision, settings.threads)
    scorer = make_scorer(settings, encoder, StoredVectors(db))
    past = make_past(db, encoder)
    past.refresh()
    gc.collect()
    gc.freeze()  # what is loaded now stays: walking it again and again was a fifth of the time of a rescoring
    triage = Triage(db, encoder, scorer, past, settings.queue)
    models, platform, weights = IntentModels(db, encoder), Calibrations(db), LiveWeights(db)
    log.info("worker_ready", encoder=encoder.digest, seconds=round(time.monotonic() - started, 1))
    rng = Random()  # noqa: S311 - draws a sample, guards nothing
    last_pick = last_read = last_watch = 0.0

    def step() -> int:
        nonlocal last_pick, last_read, last_watch
        if time.monotonic() - last_read > LEARN_EVERY_SECONDS:
            last_read = time.monotonic()
            encode_examples(db, encoder)  # here, for the encoder is this thread's
        answered = answer_due(db, encoder, past, datetime.now(UTC))  # first: somebody waits for it
        answered += replay_due(db, scorer.encoder, settings.queue.look_alike, datetime.now(UTC), scorer.entailment)
        intents, weighing = models.current(), weights.current()
        scored = triage.score_due(intents, datetime.now(UTC), settings.score_batch, platform.current(), weighing)
        rescored = rescore_due(db, scorer, encoder.digest, intents, weighing, datetime.now(UTC))
        added = 0
        if time.monotonic() - last_pick > PICK_EVERY_SECONDS or (scored and scored < settings.score_batch):
            added = triage.pick_due(datetime.now(UTC), rng)
            last_pick = time.monotonic()
        if time.monotonic() - last_watch > WATCH_EVERY_SECONDS:
            added += watch_due(db, scorer.encoder, datetime.now(UTC))
            last_watch = time.monotonic()
        return answered + scored + rescored + added

    learn = threading.Thread(
        target=_loop, args=(lambda: _learn(settings, db, encoder.digest, stop), stop, settings), name="learn", daemon=True
    )
    learn.start()
    try:
        _loop(step, stop, settings)
    finally:
        stop.set()
        learn.join(STOP_SECONDS)  # a fit that takes longer is dropped with the process: it stores all or nothing


def _learn(settings: Settings, db: Database, digest: str, stop: threading.Event) -> int:
    """Fit what has learned enough since its last fit; how many versions."""
    from service.learn.intents import refit_encoded_due
    from service.learn.platform import calibrate_due
    from service.learn.weights import refit_weights_due

    every = timedelta(hours=settings.refit_hours)
    fitted = refit_encoded_due(db, digest, datetime.now(UTC), settings.refit_after, every)
    fitted += calibrate_due(db, datetime.now(UTC))
    fitted += refit_weights_due(db, datetime.now(UTC), settings.refit_after, every, settings.signal_thresholds)
    stop.wait(LEARN_EVERY_SECONDS)
    return fitted


def _sync(db: Database, sinks: Mapping[str, Sink]) -> int:
    taken = publish.pull_due(db, sinks, datetime.now(UTC))
    return taken + publish.push_due(db, sinks, datetime.now(UTC))


def _loop(step: Callable[[], int], stop: threading.Event, settings: Settings) -> None:
    """Step until stopped; rest when there was nothing to do. A failure is logged and tried again: its rows come back."""
    failures = 0
    while not stop.is_set():
        try:
            done = step()
            failures = 0
        except Exception as error:  # noqa: BLE001 - the loop outlives whatever a step meets
            failures += 1
            done = 0
            log.error("worker_step_failed", error=type(error).__name__, where=place_of(error), in_a_row=failures)
        if not done:
            stop.wait(settings.worker_idle_seconds * min(2**failures, 60))
