"""The intent model follows its examples: seeds, and reviewers' labels, which go before them."""

from datetime import timedelta

from conftest import NOW, rows_of
from sqlalchemy import delete
from sqlmodel import col

from scoring.encoder import Encoder, HashingEncoder
from service.db import Database
from service.learn import IntentModels, refit_due
from service.models import Example, Model
from service.review import learn_example

SEEDS = {
    "when do you open": "hours",
    "what are your hours": "hours",
    "send my money back": "refund",
    "a refund please": "refund",
    "is the shop open today": "hours",
}


def seed(db: Database, **more: str) -> None:
    with db.write() as session:
        for text, intent in {**SEEDS, **more}.items():
            learn_example(session, "standard", text, intent, NOW)


def test_a_model_is_fitted_once_for_the_same_examples(db: Database, hashing: Encoder) -> None:
    seed(db)

    fitted = [refit_due(db, hashing, NOW + timedelta(seconds=n)) for n in (1, 2)]

    assert fitted == [1, 0]
    assert IntentModels(db, hashing).current()["standard"].intents == ("hours", "refund")


def test_a_reviewers_label_goes_before_a_seed_and_gives_way_when_it_is_withdrawn(db: Database, hashing: Encoder) -> None:
    seed(db)
    refit_due(db, hashing, NOW + timedelta(seconds=1))
    before = IntentModels(db, hashing).current()["standard"].version
    with db.write() as session:
        learn_example(session, "standard", "when do you open", "visit", NOW + timedelta(seconds=2), verdict_id=1)

    refit_due(db, hashing, NOW + timedelta(seconds=3))
    with_verdict = IntentModels(db, hashing).current()["standard"]
    with db.write() as session:
        session.execute(delete(Example).where(col(Example.verdict_id) == 1))
    refit_due(db, hashing, NOW + timedelta(seconds=4))

    assert "visit" in with_verdict.intents
    assert IntentModels(db, hashing).current()["standard"].version == before


def test_another_encoder_gets_a_model_of_its_own(db: Database, hashing: Encoder) -> None:
    other = HashingEncoder(dimensions=64)
    seed(db)
    refit_due(db, hashing, NOW + timedelta(seconds=1))

    fitted = refit_due(db, other, NOW + timedelta(seconds=2))

    assert fitted == 1
    assert {model.encoder.split()[0] for model in rows_of(db, Model)} == {hashing.digest, other.digest}
    assert "standard" in IntentModels(db, other).current()
