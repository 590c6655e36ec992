"""The intent model follows its examples: seeds, and reviewers' labels, which go before them. Better versions go live."""

import threading
from datetime import timedelta

import numpy as np
from conftest import NOW, rows_of
from sqlalchemy import delete, update
from sqlmodel import col

from scoring.encoder import Encoder, HashingEncoder
from service.db import Database
from service.learn.intents import IntentModels, encode_examples, refit_due, refit_encoded_due
from service.models import Example, LiveModel, Model, Vector
from service.review import learn_example
from service.team.second_look import suspects
from service.versions import AFTER_FAILURE, LEASE

SEEDS = {
    "when do you open": "hours",
    "what are your hours": "hours",
    "send my money back": "refund",
    "a refund please": "refund",
    "is the shop open today": "hours",
}
LATER = NOW + timedelta(hours=1)


def seed(db: Database, **more: str) -> None:
    label(db, {**SEEDS, **more})


def label(db: Database, labels: dict[str, str], at: timedelta = timedelta(0), verdict_id: int | None = None) -> None:
    with db.write() as session:
        for text, intent in labels.items():
            learn_example(session, "standard", text, intent, NOW + at, verdict_id)


def about(subject: str, intent: str, count: int, first: int = 0) -> dict[str, str]:
    """Questions that share a subject and little else."""
    return {f"{subject} {subject}ly thing{n} word{n * 7 % 11}": intent for n in range(first, first + count)}


def live(db: Database) -> Model:
    (slot,) = rows_of(db, LiveModel, LiveModel.kind == "intents")
    (model,) = rows_of(db, Model, Model.id == slot.model_id)
    return model  # type: ignore[no-any-return]


def test_a_model_is_fitted_once_for_the_same_examples(db: Database, hashing: Encoder) -> None:
    seed(db)

    fitted = [refit_due(db, hashing, NOW + timedelta(seconds=n)) for n in (1, 2)]

    assert fitted == [1, 0]
    assert IntentModels(db, hashing).current()["standard"].intents == ("hours", "refund")


def test_a_new_version_that_knows_more_goes_live_and_says_why(db: Database, hashing: Encoder) -> None:
    label(db, {**about("opening", "hours", 8), **about("refund", "refund", 8)})
    refit_due(db, hashing, NOW)
    label(db, about("parcel", "delivery", 12), timedelta(minutes=1))

    refit_due(db, hashing, LATER, after=12)

    assert "delivery" in IntentModels(db, hashing).current()["standard"].intents
    told = live(db).comparison
    assert told is not None
    assert told["better"]
    assert told["count"] == 12
    assert told["after"] < told["before"]
    assert "labels that neither had seen" in told["reason"]


def test_a_new_version_that_is_not_better_is_kept_but_not_live(db: Database, hashing: Encoder) -> None:
    label(db, {**about("opening", "hours", 12), **about("refund", "refund", 12)})
    refit_due(db, hashing, NOW)
    before = live(db)
    one_of_a_kind = {text: f"intent {n}" for n, text in enumerate(about("weather", "", 14))}  # no other example teaches it
    label(db, one_of_a_kind, timedelta(minutes=1))

    refit_due(db, hashing, LATER, after=12)

    assert live(db).id == before.id
    (kept,) = rows_of(db, Model, Model.id != before.id)
    assert not kept.comparison["better"]
    assert kept.comparison["reason"].startswith("Kept aside")
    assert IntentModels(db, hashing).current()["standard"].version == before.version


def test_too_few_new_labels_wait_for_more(db: Database, hashing: Encoder) -> None:
    label(db, {**about("opening", "hours", 8), **about("refund", "refund", 8)})
    refit_due(db, hashing, NOW)
    label(db, about("parcel", "delivery", 4), timedelta(minutes=1))
    too_few = refit_due(db, hashing, NOW + timedelta(days=2), after=1)
    label(db, about("parcel", "delivery", 1, first=4), timedelta(minutes=2))

    soon = refit_due(db, hashing, LATER, after=20)
    a_day_later = refit_due(db, hashing, NOW + timedelta(days=2), after=20)

    assert (too_few, soon, a_day_later) == (0, 1, 0)  # five of sixteen are a fifth


def test_a_reviewers_label_goes_before_a_seed_and_gives_way_when_it_is_withdrawn(db: Database, hashing: Encoder) -> None:
    seed(db)
    label(db, {"when do you open": "visit"}, verdict_id=1)
    refit_due(db, hashing, NOW + timedelta(seconds=1))
    with_verdict = IntentModels(db, hashing).current()["standard"]
    with db.write() as session:
        session.execute(delete(Example).where(col(Example.verdict_id) == 1))

    refit_due(db, hashing, LATER)

    assert "visit" in with_verdict.intents
    assert "visit" not in IntentModels(db, hashing).current()["standard"].intents
    assert "taken back" in (live(db).comparison or {})["reason"]


def test_the_same_label_again_is_no_news(db: Database, hashing: Encoder) -> None:
    seed(db)
    refit_due(db, hashing, NOW + timedelta(seconds=1))

    label(db, SEEDS, timedelta(minutes=1))

    assert refit_due(db, hashing, NOW + timedelta(days=2), after=1) == 0


def test_another_encoder_gets_a_model_of_its_own_whoever_chose_the_old_one(db: Database, hashing: Encoder) -> None:
    other = HashingEncoder(dimensions=64)
    seed(db)
    refit_due(db, hashing, NOW + timedelta(seconds=1))
    with db.write() as session:
        session.execute(update(LiveModel).values(pinned=True))

    fitted = refit_due(db, other, NOW + timedelta(seconds=2))

    assert fitted == 1
    assert {model.encoder.split()[0] for model in rows_of(db, Model)} == {hashing.digest, other.digest}
    assert "standard" in IntentModels(db, other).current()


def test_a_refit_that_crashes_leaves_the_old_version_live_and_is_not_tried_at_once(db: Database, hashing: Encoder) -> None:
    label(db, {**about("opening", "hours", 8), **about("refund", "refund", 8)})
    refit_due(db, hashing, NOW)
    before = live(db)
    label(db, about("parcel", "delivery", 12), timedelta(minutes=1))
    encode_examples(db, hashing)
    broken = rows_of(db, Vector)[0].content_hash
    with db.write() as session:  # a vector that no fit can use
        session.execute(update(Vector).where(col(Vector.content_hash) == broken).values(embedding=np.ones(7, np.float32)))

    crashed = refit_due(db, hashing, LATER, after=12)
    with db.write() as session:
        session.execute(delete(Vector))
    soon, later = (refit_due(db, hashing, LATER + after, after=12) for after in (LEASE, AFTER_FAILURE))

    assert (crashed, soon, later) == (0, 0, 1)
    assert live(db).replaced_id == before.id
    assert len(rows_of(db, Model)) == 2


def test_two_workers_never_fit_the_same_at_once(db: Database, hashing: Encoder) -> None:
    label(db, {**about("opening", "hours", 40), **about("refund", "refund", 40)})
    encode_examples(db, hashing)
    together = threading.Barrier(2)
    fitted: list[int] = []

    def work() -> None:
        together.wait()
        fitted.append(refit_encoded_due(db, hashing.digest, LATER))

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert sorted(fitted) == [0, 1]
    assert len(rows_of(db, Model)) == 1
    assert rows_of(db, LiveModel)[0].claimed_until is None


def test_examples_without_vectors_wait_until_they_are_encoded(db: Database, hashing: Encoder) -> None:
    seed(db)

    before = refit_encoded_due(db, hashing.digest, LATER)
    encode_examples(db, hashing)

    assert (before, refit_encoded_due(db, hashing.digest, LATER)) == (0, 1)


def test_a_label_that_its_neighbours_contradict_is_pointed_out_until_it_is_changed(db: Database, hashing: Encoder) -> None:
    label(db, {**about("opening", "hours", 20), **about("refund", "refund", 20)})
    label(db, {"opening openingly thing3 word10": "refund"}, timedelta(seconds=1))
    refit_due(db, hashing, LATER)
    with db.read() as session:
        found = suspects(session)

    label(db, {"opening openingly thing3 word10": "hours"}, timedelta(minutes=2))

    assert [(one.text, one.intent, one.suspected) for one in found] == [("opening openingly thing3 word10", "refund", "hours")]
    with db.read() as session:
        assert suspects(session) == []
