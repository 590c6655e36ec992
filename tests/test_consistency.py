"""Answers that contradict each other: across conversations, inside one, and what is no contradiction at all."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from conftest import NOW, fill_queue, make_disliked, make_settings, rows_of

from scoring.contradiction import inputs, model_pairs, read
from scoring.differences import repeats
from scoring.encoder import Encoder
from scoring.facts import extract, names
from scoring.scorer import Scored, Scorer
from scoring.signals.answer_consistency import AnswerConsistency
from scoring.signals.base import Evidence
from scoring.transcripts import Role, Transcript, Turn
from scoring.vectors import MemoryVectors
from service.db import Database
from service.filters import QueueFilter
from service.models import ReviewItem
from service.queue import detail
from service.views.forms import DecisionForm
from service.views.items import item_shown

_ROOMS = ("barn", "hall", "attic", "cellar", "kitchen", "garage", "stable", "porch", "lodge", "cabin", "shed")
DAY = datetime(2026, 3, 1, tzinfo=UTC)


def conversation(name: str, *texts: str, at: datetime | None = None) -> Transcript:
    roles: tuple[Role, Role] = ("user", "bot")
    return Transcript(name, tuple(Turn(f"{name}.{i}", roles[i % 2], text, at) for i, text in enumerate(texts)))


def scored(encoder: Encoder, *transcripts: Transcript) -> list[Scored]:
    return Scorer(encoder, MemoryVectors()).score(transcripts)


def found_in(one: Scored) -> Evidence | None:
    return next((evidence for evidence in one.evidence if evidence.name == "answer_consistency"), None)


def likely(one: Scored) -> float:
    found = found_in(one)
    return found.probability if found else 0.0


class CountingModel:
    """Calls every pair a contradiction, and counts what it was asked."""

    digest = "counting"

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def logits(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        self.asked.extend(pairs)
        return np.full(len(pairs), 4.0)


CONTRADICTING = [
    ("How long does a refund take?", "Refunds take 5 working days.", "When will I get my refund?", "A refund takes 30 days."),
    ("How much is delivery?", "Delivery costs $4.95.", "What do you charge for delivery?", "We charge 9.95 USD for delivery."),
    ("Are pets allowed?", "Pets are welcome in all rooms.", "Can I bring a pet?", "Pets are not allowed in our rooms."),
    ("Do you ship to Canada?", "Yes, we ship to Canada.", "Is shipping to Canada possible?", "No, we don't ship to Canada."),
    ("What time is check-in?", "Check-in starts at 3 pm.", "When does check-in start?", "Check-in is possible from 17:00."),
    ("When does the sale begin?", "The sale begins on 3 July.", "When will the sale start?", "The sale begins on August 10th."),
]

AGREEING = [
    (
        "How long does a refund take?",
        "Refunds take 5 working days.",
        "When will I get my refund?",
        "A refund takes one working week.",
    ),
    ("How much is delivery?", "Delivery costs $4.95.", "What do you charge for delivery?", "We charge 4.95 USD for delivery."),
    ("Are pets allowed?", "Pets are not allowed.", "Can I bring a pet?", "We don't allow pets, I'm afraid."),
    ("What time is check-in?", "Check-in starts at 3 pm.", "When does check-in start?", "Check-in is possible from 15:00."),
    ("When does the sale begin?", "The sale begins on 3 July.", "When will the sale start?", "Our sale starts on July 3rd."),
]


@pytest.mark.parametrize(("question", "answer", "other_question", "other_answer"), CONTRADICTING)
def test_both_of_two_contradicting_answers_are_flagged(
    question: str, answer: str, other_question: str, other_answer: str, encoder: Encoder
) -> None:
    one, other = scored(encoder, conversation("a", question, answer), conversation("b", other_question, other_answer))

    assert likely(one) > 0.5
    assert likely(other) > 0.5


@pytest.mark.parametrize(("question", "answer", "other_question", "other_answer"), AGREEING)
def test_the_same_answer_in_other_words_is_left_alone(
    question: str, answer: str, other_question: str, other_answer: str, encoder: Encoder
) -> None:
    found = scored(encoder, conversation("a", question, answer), conversation("b", other_question, other_answer))

    assert max(map(likely, found)) < 0.5


def test_the_bot_that_takes_back_what_it_said_is_flagged_with_both_turns(encoder: Encoder) -> None:
    talk = conversation(
        "a", "Do you have pets?", "I have two dogs, they sleep on my bed.", "How sweet. What do you do for work?",
        "I work as a nurse in a hospital.", "Do you walk a lot then?", "I don't have any dogs, I never had a pet.",
    )  # fmt: skip

    found = found_in(scored(encoder, talk)[-1])

    assert found is not None
    assert found.probability > 0.5
    assert found.turn_ids == ("a.1", "a.5")
    assert "Earlier in this conversation the bot said" in found.note
    assert "two dogs" in found.note


@pytest.mark.parametrize(
    "last",
    [
        "I have two dogs, they sleep on my bed.",
        "My two dogs are called Max and Bella, they love long walks.",
        "What about you, do you have a dog?",
        "The weather is lovely today.",
    ],
)
def test_repeating_telling_more_and_asking_back_contradict_nothing(last: str, encoder: Encoder) -> None:
    talk = conversation("a", "Do you have pets?", "I have two dogs, they sleep on my bed.", "How sweet!", last)

    assert likely(scored(encoder, talk)[-1]) < 0.5


def test_what_the_user_says_is_not_held_against_the_bot(encoder: Encoder) -> None:
    talk = conversation("a", "I have no dogs at all.", "I see, thanks for telling me.", "Do you?", "I have two dogs.")

    assert likely(scored(encoder, talk)[-1]) < 0.3


def test_another_sources_bot_may_say_something_else(encoder: Encoder) -> None:
    one = Transcript("a", conversation("a", *CONTRADICTING[0][:2]).turns, source="one")
    two = Transcript("b", conversation("b", *CONTRADICTING[0][2:]).turns, source="two")

    assert [likely(found) for found in scored(encoder, one, two)] == [0.0, 0.0]


def price(name: str, amount: str, at: datetime) -> Transcript:
    return conversation(name, "How much is delivery?", f"Delivery costs {amount}.", at=at)


def test_a_price_that_changed_weeks_ago_is_less_likely_a_mistake_and_the_note_says_when(encoder: Encoder) -> None:
    old = [price(f"old{i}", "$5", DAY + timedelta(days=i)) for i in range(2)]
    new = [price(f"new{i}", "$7", DAY + timedelta(days=40 + i)) for i in range(2)]

    mixed = [likely(one) for one in scored(encoder, *[price(t.id, t.turns[1].text[15:-1], DAY) for t in (*old, *new)])]
    changed = scored(encoder, *old, *new)

    assert min(mixed) > 0.5
    assert max(map(likely, changed)) < 0.5
    for one in changed:
        found = found_in(one)
        assert found is not None
        assert "02 Mar 2026" in found.note
        assert "10 Apr 2026" in found.note
        assert "change" in str(found.detail["changed"])


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("No, I'm sorry. We deliver to Ireland and the UK, but not to Norway.", "We deliver to Ireland and the UK."),
        ("Above €75 delivery is free. Otherwise it is €5.50.", "Above €75 delivery is free."),
    ],
)
def test_a_bot_that_says_part_of_it_again_does_not_contradict_itself(encoder: Encoder, earlier: str, later: str) -> None:
    assert repeats(earlier, later)
    assert repeats(later, earlier)

    found = scored(encoder, conversation("c", "Do you deliver to Oslo?", earlier, "You did last year!", later))

    assert likely(found[1]) < 0.3


def test_what_follows_a_condition_is_no_repetition() -> None:
    assert not repeats("I do not think that we deliver to Norway.", "We deliver to Norway.")
    assert not repeats("We deliver to Norway if you pay.", "We deliver to Norway.")


def test_a_question_that_goes_on_from_an_earlier_one_is_not_compared(encoder: Encoder) -> None:
    found = scored(
        encoder,
        conversation("a", "And on Saturday?", "Yes, our carrier delivers on Saturday."),
        conversation("b", "Do you deliver on Saturday?", "No, our carrier does not deliver on Saturday."),
    )

    assert likely(found[0]) < 0.3
    assert likely(found[1]) < 0.3


def test_notes_quote_as_it_was_written(encoder: Encoder) -> None:
    found = scored(
        encoder,
        conversation("a", "When are you closed?", "Our shop is closed on Monday."),
        conversation("b", "When are you closed?", "Our shop is closed on Friday."),
        conversation("c", "Is the pool open?", "The Pool is open.", "Today?", "Sorry, the pool is closed."),
    )

    first, last = found_in(found[0]), found_in(found[3])
    assert first is not None
    assert last is not None
    assert "“Friday” where this answer says “Monday”" in first.note
    assert "“The Pool is open.”" in last.note


def test_a_slip_in_between_is_no_change_of_policy(encoder: Encoder) -> None:
    days = [(0, "$5"), (20, "$7"), (40, "$5"), (60, "$5")]

    found = scored(encoder, *[price(f"c{day}", amount, DAY + timedelta(days=day)) for day, amount in days])

    assert likely(found[1]) > 0.5


def test_the_model_is_asked_for_few_pairs_and_never_for_long_texts(encoder: Encoder) -> None:
    model = CountingModel()
    places = [f"{colour} {room}" for colour in ("red", "blue", "green", "old", "new", "small") for room in _ROOMS]
    talks = [conversation(f"c{i}", "Can I bring a dog?", f"Dogs sleep in the {place}.") for i, place in enumerate(places * 2)]

    Scorer(encoder, MemoryVectors(), entailment=model).score(talks)

    assert len(talks) > 120
    assert 0 < len(model.asked) <= 64
    assert len(set(model.asked)) == len(model.asked)
    long = " ".join(f"Sentence {i} is about the price of apples in town {i}." for i in range(40))
    assert all(len(one) < 200 and len(two) < 200 for one, two in model_pairs(long, long + " No."))


def test_a_long_conversation_stays_fast(hashing: Encoder) -> None:
    texts = [f"turn {i} tells about thing {i % 17} and number {i}" for i in range(800)]
    scorer = Scorer(hashing, MemoryVectors())
    talk = conversation("a", *texts)
    scorer.score([talk])

    started = time.process_time()
    scorer.score([talk])

    assert time.process_time() - started < 6.0


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("within one working week", "5 working days"), ("for half an hour", "30 minutes"), ("twice a day", "two times a day"),
        ("every 30 minutes", "every half hour"), ("nine in the evening", "21:00"), ("up to twenty-four hours", "up to 1 day"),
        ("on the tenth of the month", "on the 10th of each month"), ("at terminal two", "at Terminal 2"), ("60 pounds", "£60"),
        ("on weekdays", "Monday to Friday"), ("for a decade", "10 years"), ("aged eighteen", "aged 18"),
    ],
)  # fmt: skip
def test_the_same_fact_in_two_ways_agrees(one: str, two: str) -> None:
    left, right = extract(f"It is {one}."), extract(f"It is {two}.")

    assert any(fact.kind == other.kind and fact.agrees(other) for fact in left for other in right)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("twice a day", "once a day"), ("terminal 2", "terminal 5"), ("Monday to Friday", "on Sundays"),
        ("the 10th of each month", "the 25th of each month"),
    ],
)  # fmt: skip
def test_two_facts_of_a_kind_may_differ(one: str, two: str) -> None:
    left, right = extract(f"It is {one}."), extract(f"It is {two}.")

    assert {fact.kind for fact in left} & {fact.kind for fact in right}
    assert not any(fact.kind == other.kind and fact.agrees(other) for fact in left for other in right)


def test_names_are_found_inside_sentences_and_in_capitals() -> None:
    assert names("DHL brings it. Please ask the Red Cross or your GP in Leeds on Monday.") == {
        "dhl",
        "red",
        "cross",
        "gp",
        "leeds",
    }


def test_no_fee_is_a_price_and_no_negation() -> None:
    found = inputs("The account is free of charge.", "We do not charge you for the account.", 0.8)

    assert found["stance_differs"] == 0
    assert found["free_or_paid"] == 0
    assert inputs("The account is free of charge.", "The account costs £5 a month.", 0.8)["free_or_paid"] == 1


def test_an_apology_and_a_negation_deny_once() -> None:
    assert inputs("Sorry, there isn't an office in Leeds.", "There is an office in Leeds.", 0.8)["stance_differs"] == 1


def test_questions_and_greetings_are_not_compared() -> None:
    assert [one.text for one in read("Hello! I like tea. Do you?").sentences] == ["i like tea."]
    assert repeats("Hello! I like tea.", "I like tea.")


def test_the_signal_needs_no_model() -> None:
    assert AnswerConsistency().name == "answer_consistency"


def test_an_item_shows_both_answers_side_by_side_with_what_differs(db: Database, hashing: Encoder) -> None:
    question = "is the shop open on sundays"
    fill_queue(db, make_disliked(question, "Yes, it is open.", id="a"), make_disliked(question, "No, it is closed.", id="b"))
    item = rows_of(db, ReviewItem)[0]

    with db.read() as session:
        told = detail(session, item.id, None, NOW)
    shown = item_shown(told, 0, NOW, QueueFilter(), DecisionForm(), make_settings(db.url, Path()))["two_answers"]

    assert ["".join(text for text, _ in side["pieces"]) for side in shown] in (
        ["Yes, it is open.", "No, it is closed."],
        ["No, it is closed.", "Yes, it is open."],
    )
    assert [text.strip() for side in shown for text, differs in side["pieces"] if not differs] == ["it is", "it is"]
    assert shown[1]["href"].startswith("/conversations/")
