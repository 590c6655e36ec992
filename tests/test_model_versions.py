"""Weights learn from verdicts; versions go live only if better; a person may choose another, and goes before any refit."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from alembic import command
from conftest import NOW, add_reviewer, rows_of
from processes import run
from sqlalchemy import bindparam, select, text, update
from sqlmodel import col

from scoring.comparison import HALF_ERROR, ONE_ERROR, compare, judgement_weights
from scoring.weights import Weights
from service.db import Database, UtcDateTime
from service.errors import Conflict, Invalid, NotFound
from service.learn.weights import LiveWeights, refit_weights_due
from service.migrate import config, upgrade
from service.models import Conversation, Evidence, Exchange, ItemState, LiveModel, Model, Reviewer, ReviewItem, Verdict
from service.versions import (
    AFTER_FAILURE,
    LEASE,
    Fitted,
    claim_fit,
    find,
    fitting,
    listed,
    release,
    renew,
    rollback,
    store,
    unpin,
    use,
)  # fmt: skip

LATER = NOW + timedelta(hours=1)
DAY = timedelta(days=1)


def judge(
    db: Database,
    count: int,
    *,
    honest: bool = True,
    first: int = 0,
    source: str = "standard",
    at: timedelta = DAY,
    noise: float = 0.0,
) -> None:
    """Verdicts on new exchanges that two signals speak of; where `honest`, the user's frustration tells which are bad."""
    rng = np.random.default_rng(first + count)
    if not rows_of(db, Reviewer):
        add_reviewer(db)
    (reviewer, *_) = rows_of(db, Reviewer)
    for n in range(first, first + count):
        bad = bool(rng.random() < 0.4)
        told = 0.85 if (bad == honest) != (rng.random() < noise) else 0.1
        with db.write() as session:
            conversation = Conversation(source=source, external_id=f"{source} {n}", received_at=NOW, details={}, channel=None)
            session.add(conversation)
            session.flush()
            exchange = Exchange(
                conversation_id=conversation.id, source=source, turn_id="a", turn_ids=["a"], question=f"q{n}", answer="a",
                question_hash=b"0" * 16, priority=0.5, uncertainty=0.5, because="", versions={}, created_at=NOW, scored_at=NOW,
                reviewed=True,
            )  # fmt: skip
            session.add(exchange)
            session.flush()
            for name, probability in (("user_frustration", told), ("answer_relevance", float(rng.uniform(0.05, 0.9)))):
                session.add(
                    Evidence(
                        exchange_id=exchange.id, name=name, value=probability, probability=probability, turn_ids=[], note="",
                        detail={},
                    )
                )  # fmt: skip
            drawn = n % 2 == 0
            item = ReviewItem(
                exchange_id=exchange.id, state=ItemState.done, priority=0.5, strategy="random" if drawn else "value",
                propensity=0.2 if drawn else 1.0, reason="", suggestions={}, created_at=NOW,
            )  # fmt: skip
            session.add(item)
            session.flush()
            session.add(
                Verdict(
                    item_id=item.id, reviewer_id=reviewer.id, fence=1, label="wrong" if bad else "good", causes=[],
                    decided_at=NOW + at,
                )
            )  # fmt: skip


def live(db: Database, kind: str = "weights", source: str = "") -> str | None:
    with db.read() as session:
        return next((one.version for one in listed(session, kind, source) if one.live), None)


def keep(db: Database, version: str, better: bool = True, at: timedelta = timedelta(0), source: str = "") -> bool:
    claimed = claim_fit(db, "weights", source, NOW + at)
    assert claimed is not None
    try:
        return store(db, claimed, Fitted(version, "", 1, b"{}"), {"better": better, "reason": "So."}, NOW + at)
    finally:
        with db.write() as session:
            session.execute(update(LiveModel).values(claimed_until=None))


# --- weights ------------------------------------------------------------------------------------------------------


def test_verdicts_make_weights_that_beat_those_that_ship(db: Database) -> None:
    judge(db, 80)

    fitted = [refit_weights_due(db, NOW + 2 * DAY), refit_weights_due(db, NOW + 2 * DAY)]

    assert fitted == [1, 0]
    (stored,) = rows_of(db, Model)
    assert stored.comparison["better"]
    assert stored.comparison["count"] == 80
    assert stored.comparison["random_count"] == 40
    assert stored.comparison["after"] < stored.comparison["before"]
    found = LiveWeights(db).current()[""]
    assert found.rising["user_frustration"] > found.rising["answer_relevance"]


def test_weights_that_are_not_better_are_kept_aside(db: Database) -> None:
    judge(db, 150, noise=0.3)
    refit_weights_due(db, NOW + 2 * DAY)
    before = live(db)
    judge(db, 25, first=150, at=3 * DAY, noise=0.5)

    fitted = refit_weights_due(db, NOW + 4 * DAY)

    assert fitted == 1
    assert live(db) == before
    with db.read() as session:
        newest = listed(session)[0]
    assert newest.comparison is not None
    assert "not clearly better" in newest.comparison["reason"]


def test_few_verdicts_or_all_of_one_kind_teach_nothing(db: Database) -> None:
    judge(db, 30)
    few = refit_weights_due(db, NOW + 2 * DAY)
    judge(db, 40, first=30)
    with db.write() as session:
        session.execute(update(Verdict).values(label="good"))

    assert (few, refit_weights_due(db, NOW + 2 * DAY)) == (0, 0)


def test_withdrawn_verdicts_are_gone_from_the_next_fit(db: Database) -> None:
    judge(db, 80)
    judge(db, 40, first=80, honest=False)
    refit_weights_due(db, NOW + 2 * DAY)
    misled = LiveWeights(db).current().get("", Weights.default())
    with db.write() as session:
        late = select(col(Verdict.id)).order_by(col(Verdict.id).desc()).limit(40)
        session.execute(update(Verdict).where(col(Verdict.id).in_(late)).values(withdrawn_at=NOW + 3 * DAY))

    refit_weights_due(db, NOW + 4 * DAY)

    found = LiveWeights(db).current()[""]
    assert found.rising["user_frustration"] > misled.rising["user_frustration"]
    assert max(rows_of(db, Model), key=lambda one: one.fitted_at).examples == 80


def test_a_source_with_many_verdicts_of_its_own_gets_its_own_weights(db: Database) -> None:
    judge(db, 195, source="usual")
    judge(db, 210, source="strange", honest=False)

    refit_weights_due(db, NOW + 2 * DAY)

    known = LiveWeights(db).current()
    assert "usual" not in known
    assert known["strange"].rising["user_frustration"] < 0.2


def test_a_fit_of_weights_that_fails_leaves_the_old_ones_live_and_is_not_tried_at_once(db: Database) -> None:
    judge(db, 80)
    refit_weights_due(db, NOW + 2 * DAY)
    before = live(db)
    judge(db, 30, first=80, at=3 * DAY)
    rename(db, "evidence", "elsewhere")

    crashed, still = refit_weights_due(db, NOW + 4 * DAY), live(db)
    rename(db, "elsewhere", "evidence")
    soon, later = refit_weights_due(db, NOW + 4 * DAY + LEASE), refit_weights_due(db, NOW + 4 * DAY + AFTER_FAILURE)

    assert (crashed, soon, later) == (0, 0, 1)
    assert before == still
    assert len(rows_of(db, Model)) == 2


def rename(db: Database, table: str, name: str) -> None:
    """A fault that no fit can do anything about."""
    with db.write() as session:
        session.execute(text(f"ALTER TABLE {table} RENAME TO {name}"))


# --- going live ---------------------------------------------------------------------------------------------------


def test_of_two_workers_one_fits(db: Database) -> None:
    together = threading.Barrier(2)
    got: list[object] = []

    def work() -> None:
        together.wait()
        got.append(claim_fit(db, "weights", "", NOW))

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert sum(one is not None for one in got) == 1


def test_a_worker_that_lost_its_claim_stores_nothing(db: Database) -> None:
    slow = claim_fit(db, "weights", "", NOW)
    assert slow is not None
    assert claim_fit(db, "weights", "", NOW + LEASE) is not None

    with pytest.raises(Conflict):
        store(db, slow, Fitted("late", "", 1, b""), {"better": True, "reason": ""}, NOW + LEASE)

    assert rows_of(db, Model) == []


def test_a_fit_that_takes_long_keeps_its_claim_and_stores(db: Database) -> None:
    with fitting(db, "weights", "", NOW, lease=timedelta(seconds=0.4), beat_seconds=0.05) as slow:
        assert slow is not None
        first = slow.until
        time.sleep(0.8)
        renewed = rows_of(db, LiveModel)[0].claimed_until
        taken = claim_fit(db, "weights", "", first + timedelta(seconds=0.1))
        store(db, slow, Fitted("late", "", 1, b"{}"), {"better": True, "reason": "So."}, NOW)

    assert renewed > first + timedelta(seconds=0.1)
    assert taken is None
    assert live(db) == "late"
    assert rows_of(db, LiveModel)[0].claimed_until is None


def test_a_fit_whose_worker_was_killed_is_anybodys_within_minutes(db: Database) -> None:
    begun = subprocess.run(
        [sys.executable, "-c", _FIT_AND_DIE, db.url],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        timeout=60,
    )

    (slot,) = rows_of(db, LiveModel)
    assert (begun.returncode, begun.stdout) == (9, "fitting\n"), begun.stderr
    assert slot.claimed_until <= datetime.now(UTC) + timedelta(minutes=3)
    assert claim_fit(db, "weights", "", slot.claimed_until - timedelta(seconds=1)) is None
    assert claim_fit(db, "weights", "", slot.claimed_until) is not None


_FIT_AND_DIE = """
import os, sys
from datetime import UTC, datetime
from service.db import Database
from service.versions import fitting
with fitting(Database(sys.argv[1]), "weights", "", datetime.now(UTC)) as claimed:
    print("fitting" if claimed else "taken", flush=True)
    os._exit(9)
"""


def test_a_fit_that_is_asked_to_end_gives_its_claim_back_at_once(db: Database) -> None:
    with pytest.raises(KeyboardInterrupt), fitting(db, "weights", "", NOW):
        raise KeyboardInterrupt

    assert claim_fit(db, "weights", "", NOW) is not None


def test_a_claim_that_somebody_else_has_is_neither_renewed_nor_given_back(db: Database) -> None:
    slow = claim_fit(db, "weights", "", NOW)
    other = claim_fit(db, "weights", "", NOW + LEASE)
    assert slow is not None
    assert other is not None

    held = renew(db, slow, NOW + 9 * LEASE)
    release(db, slow)

    assert not held
    assert rows_of(db, LiveModel)[0].claimed_until == other.until


def test_a_version_goes_live_only_if_it_is_better_and_all_are_kept(db: Database) -> None:
    went = [keep(db, "v1"), keep(db, "v2", better=False, at=DAY), keep(db, "v3", at=2 * DAY)]

    assert went == [True, False, True]
    assert live(db) == "v3"
    assert [one.version for one in rows_of(db, Model)] == ["v1", "v2", "v3"]


def test_rolling_back_goes_on_to_the_version_before_and_stays(db: Database) -> None:
    for n, version in enumerate(("v1", "v2", "v3")):
        keep(db, version, at=n * DAY)

    back = []
    for _ in range(2):
        with db.write() as session:
            before = rollback(session, "weights", "")
            back.append(before.version if before else None)
    keep(db, "v4", at=4 * DAY)

    assert back == ["v2", "v1"]
    assert live(db) == "v1"
    with db.read() as session:
        told = find(session, "v4").comparison
    assert told is not None
    assert "a person chose the live version" in told["reason"]


def test_before_the_first_weights_were_those_that_ship(db: Database) -> None:
    judge(db, 80)
    refit_weights_due(db, NOW + 2 * DAY)
    weights = LiveWeights(db)
    learned = weights.current()

    with db.write() as session:
        rollback(session, "weights", "")
    with pytest.raises(Conflict), db.write() as session:
        rollback(session, "weights", "")

    assert list(learned) == [""]
    assert weights.current() == {}


def test_a_chosen_version_stays_until_it_is_unpinned(db: Database) -> None:
    keep(db, "v1")
    keep(db, "v2", at=DAY)
    with db.write() as session:
        chosen = use(session, "v1")
    keep(db, "v3", at=2 * DAY)
    pinned = live(db)

    with db.write() as session:
        unpin(session, "weights", "")
    keep(db, "v4", at=3 * DAY)

    assert (chosen.live, chosen.pinned, pinned, live(db)) == (True, True, "v1", "v4")


def test_after_an_upgrade_the_latest_version_of_each_is_live(empty_postgres_url: str, tmp_path: Path) -> None:
    for url in (empty_postgres_url, f"sqlite:///{tmp_path}/old.db"):
        command.upgrade(config(url), "0002")
        db = Database(url)
        with db.write() as session:
            for n, (kind, source) in enumerate([("intents", "a"), ("intents", "a"), ("intents", "b"), ("platform rerank", "a")]):
                row = {"kind": kind, "source": source, "version": f"v{n}", "at": NOW + n * DAY}
                session.execute(text(_OLD_MODEL).bindparams(bindparam("at", type_=UtcDateTime())), row)

        upgrade(url)

        with db.read() as session:
            assert {one.version for one in listed(session) if one.live} == {"v1", "v2", "v3"}
        db.close()


_OLD_MODEL = """
    INSERT INTO model (kind, source, version, encoder, examples, content, fitted_at)
    VALUES (:kind, :source, :version, '', 4, '', :at)
"""


def test_a_name_that_several_sources_have_needs_its_source(db: Database) -> None:
    keep(db, "v1", source="a")
    keep(db, "v1", source="b")

    with db.read() as session:
        with pytest.raises(Invalid, match="a, b"):
            find(session, "v1")
        with pytest.raises(NotFound):
            find(session, "v9")
        assert find(session, "v1", "b").source == "b"


def test_the_commands_list_show_use_and_roll_back(sqlite_url: str, tmp_path: Path) -> None:
    db = Database(sqlite_url)
    keep(db, "v1")
    keep(db, "v2", at=DAY)

    shown, showed = triage(db, tmp_path, "list"), triage(db, tmp_path, "show", "v2")
    used, again = triage(db, tmp_path, "use", "v1"), triage(db, tmp_path, "rollback", "weights")
    unpinned, unknown = triage(db, tmp_path, "unpin", "weights"), triage(db, tmp_path, "show", "v9")

    assert [one.returncode for one in (shown, showed, used, again, unpinned, unknown)] == [0, 0, 0, 0, 0, 1]
    assert [line.split()[2] for line in shown.stdout.splitlines()[1:]] == ["v2", "v1"]
    assert "state: live\n" in showed.stdout
    assert "reason: So." in showed.stdout
    assert "v1 is live for all until: triage models unpin weights" in used.stderr
    assert unknown.stderr == "there is no version v9\n"
    assert live(db) == "v2"
    db.close()


def triage(db: Database, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return run(["models", *words], {**os.environ, "TRIAGE_DATABASE_URL": db.url}, folder)


# --- is it better? ------------------------------------------------------------------------------------------------


def losses(*values: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.asarray(values, dtype=np.float64)


@pytest.mark.parametrize(
    ("before", "after", "better"),
    [
        ([1.0] * 30, [0.5] * 30, True),
        ([0.5] * 30, [1.0] * 30, False),
        ([1.0] * 30, [1.0] * 30, False),
        ([1.0] * 4, [0.1] * 4, False),  # too few
        ([1.0, 1.0] * 10, [0.1, 1.85] * 10, False),  # within chance
    ],
)
def test_a_version_is_better_where_its_losses_are_clearly_smaller(
    before: Sequence[float], after: Sequence[float], better: bool
) -> None:
    found = compare(losses(*before), losses(*after), np.ones(len(before)), np.zeros(len(before), dtype=bool), "verdicts")

    assert found.better == better
    assert found.count == len(before)
    assert found.reason.endswith(".")


@pytest.mark.parametrize(("errors", "better"), [(ONE_ERROR, False), (HALF_ERROR, True)])
def test_how_clearly_depends_on_how_it_was_judged(errors: float, better: bool) -> None:
    gains = np.tile([1.0, -0.8], 25)  # a mean of .1 with a standard error of .127

    found = compare(np.ones(50), 1 - gains, np.ones(50), np.zeros(50, dtype=bool), "labels", errors=errors)

    assert found.better == better


def test_the_random_share_can_speak_against_a_version(db: Database) -> None:
    by_chance = np.arange(60) % 3 == 0
    after = np.where(by_chance, 1.2, 0.2) + np.linspace(0, 0.01, 60)

    found = compare(np.ones(60), after, np.ones(60), by_chance, "verdicts")

    assert not found.better
    assert "chance" in found.reason


def test_a_rare_choice_counts_for_those_it_stands_for() -> None:
    weights = judgement_weights(losses(1.0, 0.1, 0.001))

    assert weights[1] / weights[0] == pytest.approx(10)
    assert weights[2] / weights[0] == pytest.approx(20)
    assert weights.mean() == pytest.approx(1)


def test_after_labels_are_taken_back_a_new_version_need_only_not_be_worse() -> None:
    same, worse = np.ones(30), np.full(30, 1.5)
    nobody = np.zeros(30, dtype=bool)

    assert compare(same, same, np.ones(30), nobody, "labels", taken_back=True).better
    assert not compare(same, worse, np.ones(30), nobody, "labels", taken_back=True).better
    assert compare(np.zeros(0), np.zeros(0), np.ones(0), np.zeros(0, dtype=bool), "labels", taken_back=True).better
