"""What an answer states, and where two answers to the same question contradict each other."""

import time

import pytest

from scoring.differences import contradictions
from scoring.facts import extract


def kinds(text: str) -> list[tuple[str, float]]:
    return [(fact.kind, fact.low) for fact in extract(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It costs $5.", ("money usd", 5.0)),
        ("It costs 5 dollars.", ("money usd", 5.0)),
        ("It costs EUR 1,200.50 a year.", ("money eur", 1200.5)),
        ("The fee is £2 million.", ("money gbp", 2e6)),
        ("The rate is 2.5% now.", ("percent", 2.5)),
        ("The rate is 2.5 percent now.", ("percent", 2.5)),
        ("It takes two days.", ("duration", 172800.0)),
        ("It takes 48 hours.", ("duration", 172800.0)),
        ("It is due on March 3, 2026.", ("date", 2026 * 1000.0 + 99)),
        ("It is due on 3rd of March 2026.", ("date", 2026 * 1000.0 + 99)),
        ("It is due on 2026-03-03.", ("date", 2026 * 1000.0 + 99)),
        ("We open at 9am.", ("time", 540.0)),
        ("We open at 09:00 on most days.", ("time", 540.0)),
        ("We close at 5:30 p.m. today.", ("time", 1050.0)),
        ("Up to 2 kg are free.", ("weight", 2000.0)),
        ("You get 3 attempts.", ("count attempt", 3.0)),
        ("We are open on Mondays.", ("weekday", 0.0)),
        ("Delivery is free of charge.", ("money free", 0.0)),
    ],
)
def test_a_fact_is_found_and_normalised(text: str, expected: tuple[str, float]) -> None:
    assert expected in kinds(text)


@pytest.mark.parametrize(
    "text", ["", "Hello there!", "One of them will help you.", "3/4/2026", "Hola, ¿cómo puedo ayudarle con su pedido de hoy?"]
)
def test_nothing_is_invented(text: str) -> None:
    assert [kind for kind, _ in kinds(text) if kind in ("duration", "date") or kind.startswith(("money", "count"))] == []


CONTRADICTIONS = [
    ("How long do refunds take?", "Refunds take 5 days.", "How long does a refund take?", "Refunds take 30 days."),
    ("Is shipping free?", "Yes, shipping is free.", "Do you ship for free?", "No, shipping is not free."),
    ("Is shipping free?", "Shipping is free.", "Is shipping free of charge?", "Shipping costs $5."),
    ("What does shipping cost?", "Shipping costs $5.", "How much is shipping?", "Delivery is $7.99 for all orders."),
    ("When do you open?", "We open at 9am.", "What are your opening hours?", "We are open from 10:00 to 18:00."),
    (
        "Can I return my order?",
        "You can return it within 30 days.",
        "Can I return my order?",
        "You can return it within 14 days.",
    ),
    ("Can I bring a dog?", "Dogs are allowed in all rooms.", "Are dogs allowed?", "Dogs are not allowed in the rooms."),
    (
        "Is breakfast included?",
        "Breakfast is included.",
        "Does the price include breakfast?",
        "Breakfast is not included in the price.",
    ),
    ("What is the rate?", "The interest rate is 2.5%.", "What's the rate?", "The interest rate is currently 3.1 percent."),
    ("What is the deadline?", "The deadline is March 3, 2026.", "When is the deadline?", "The deadline is 2026-04-03."),
    ("How many guests?", "Up to four guests may stay.", "How many guests can stay?", "A maximum of 6 guests can stay."),
    ("Do I need a receipt?", "You can return it with a receipt.", "Is a receipt needed?", "You can return it without a receipt."),
    ("Can I cancel?", "You can always cancel the booking.", "Can I cancel?", "You can never cancel the booking."),
]

AGREEMENTS = [
    ("What does shipping cost?", "Shipping costs $5.", "How much is shipping?", "Shipping costs 5 dollars."),
    ("When do you open?", "We open at 9am.", "What are your opening hours?", "We are open from 9:00 to 18:00."),
    (
        "When do you close on Saturday?",
        "We close at 6 pm on Saturday.",
        "When do you close on Sunday?",
        "We close at 4 pm on Sunday.",
    ),
    ("What is the fee for 100 EUR?", "The fee is 1 EUR.", "What is the fee for 200 EUR?", "The fee is 2 EUR."),
    (
        "How long is delivery?",
        "Domestic delivery takes 3 days.",
        "How long is delivery?",
        "International delivery takes 10 days.",
    ),
    (
        "Does it have parking?",
        "The Ashley Hotel has free parking.",
        "Does it have parking?",
        "The Gonville Hotel does not have parking.",
    ),
    ("What is the deadline?", "The deadline is March 3, 2026.", "When is the deadline?", "The deadline is 2026-03-03."),
    ("How long is the warranty?", "The warranty is one year.", "How long is the warranty?", "The warranty lasts 12 months."),
    ("How long does it take?", "It takes 3-5 days.", "How long does it take?", "It takes about four days."),
    ("Can I smoke?", "Smoking is not allowed here.", "May I smoke?", "Smoking isn't allowed here."),
    ("Are you open on Sunday?", "Yes.", "Are you closed on Sunday?", "No."),
]

PERSONAL = [
    (
        "Where is my order?",
        "Your order 4471 arrives on 5 January.",
        "Where is my order?",
        "Your order 5512 arrives on 9 January.",
    ),
    ("What is my balance?", "Your balance is $40.10.", "What's my balance?", "Your balance is $1,200."),
    (
        "Has my parcel been sent?",
        "Yes, your parcel was sent on Monday.",
        "Has my parcel been sent?",
        "No, your parcel was not sent yet.",
    ),
    (
        "I lost my booking number",
        "Your reference number is X1-442.",
        "I lost my booking number",
        "Your reference number is B7-913.",
    ),
]


@pytest.mark.parametrize(("question", "answer", "other_question", "other_answer"), CONTRADICTIONS)
def test_a_contradiction_is_found(question: str, answer: str, other_question: str, other_answer: str) -> None:
    found = contradictions(question, answer, other_question, other_answer, 0.9)

    assert max((one.strength for one in found), default=0) >= 0.4


@pytest.mark.parametrize(("question", "answer", "other_question", "other_answer"), AGREEMENTS + PERSONAL)
def test_what_is_no_contradiction_is_left_alone(question: str, answer: str, other_question: str, other_answer: str) -> None:
    assert contradictions(question, answer, other_question, other_answer, 0.9) == []


def test_the_difference_names_both_sides() -> None:
    (found,) = contradictions(
        "How long do refunds take?", "Refunds take 5 days.", "How long do refunds take?", "Refunds take 30 days."
    )

    assert (found.kind, found.left, found.right) == ("duration", "5 days", "30 days")


@pytest.mark.parametrize(
    "unit", ["a", "1", "$", "9 ", "no ", "1,", "- ", "1-", "january ", "a1-", "@a.", "\u202e", "😀", "my my my ", "your order "]
)
def test_a_hostile_megabyte_costs_little(unit: str) -> None:
    text = unit * (1_000_000 // len(unit))

    started = time.process_time()
    extract(text)
    contradictions("What is it?", text, "What is it?", text + " 5 days", 0.9)

    assert time.process_time() - started < 1.0
