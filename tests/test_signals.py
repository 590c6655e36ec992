"""The five signals: what each notices, what it leaves alone, and that nothing a person can type breaks one."""

import math
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scoring.differences import loose_contradictions
from scoring.encoder import Encoder, HashingEncoder
from scoring.intents import Prediction
from scoring.late_interaction import LateInteraction
from scoring.platform_scores import is_fallback
from scoring.signals.answer_consistency import AnswerConsistency
from scoring.signals.answer_relevance import AnswerRelevance
from scoring.signals.base import Batch, Evidence, Neighbour, Signal
from scoring.signals.intent_confidence import IntentConfidence
from scoring.signals.user_feedback import UserFeedback, goodness
from scoring.signals.user_frustration import UserFrustration
from scoring.transcripts import Feedback, Intent, Passage, Role, Transcript, Turn, split
from scoring.vectors import MemoryVectors, gather
from scoring.weights import Weights

NOW = datetime(2026, 1, 5, tzinfo=UTC)


def make_transcript(*texts: str, roles: Sequence[Role] = ("user", "bot") * 8, name: str = "c1", source: str = "") -> Transcript:
    return Transcript(
        name, tuple(Turn(f"t{i}", role, text) for i, (role, text) in enumerate(zip(roles, texts, strict=False))), source
    )


def make_batch(
    *transcripts: Transcript, encoder: Encoder, neighbours: Sequence[Neighbour] = (), prediction: Prediction | None = None
) -> Batch:
    exchanges = [exchange for transcript in transcripts for exchange in split(transcript)]
    vectors = gather((text for e in exchanges for text in (e.question, e.answer, e.follow_up)), encoder, MemoryVectors())
    return Batch(exchanges, vectors, [neighbours] * len(exchanges), [prediction] * len(exchanges))


def make_signals(digest: str) -> list[Signal]:
    return [IntentConfidence(), AnswerRelevance(), UserFrustration(digest), AnswerConsistency(), UserFeedback()]


def answered(
    question: str = "How long does a refund take?", answer: str = "A refund takes five days.", intent: Intent | None = None,
    retrieval: tuple[Passage, ...] | None = None, feedback: tuple[Feedback, ...] = (), name: str = "c1",
) -> Transcript:  # fmt: skip
    return Transcript(
        name, (Turn("q", "user", question, intent=intent), Turn("a", "bot", answer, retrieval=retrieval, feedback=feedback))
    )


def reaction(encoder: Encoder, *texts: str, roles: Sequence[Role] = ("user", "bot") * 8) -> Evidence | None:
    """Frustration about the last answer."""
    found = UserFrustration(encoder.digest).measure(make_batch(make_transcript(*texts, roles=roles), encoder=encoder))
    return found[-1]


# Intent confidence


@pytest.mark.parametrize(
    ("intent", "doubtful"),
    [
        (Intent("refund", 0.97, (("refund", 0.97), ("return", 0.02))), False),
        (Intent("refund", 97.0, (("refund", 97.0), ("return", 2.0))), False),
        (Intent("refund", 0.41, (("refund", 0.41), ("return", 0.38))), True),
        (Intent("refund", 41, (("refund", 41), ("return", 38))), True),
        (Intent("nlu_fallback", 0.7, (("nlu_fallback", 0.7), ("refund", 0.3))), True),
        (Intent("Default Fallback Intent", 1.0), True),
        (Intent("None", 0.9), True),
        (Intent("refund", 0.2), True),
    ],
)
def test_the_platforms_own_doubt_is_seen(intent: Intent, doubtful: bool, hashing: Encoder) -> None:
    (found,) = IntentConfidence().measure(make_batch(answered(intent=intent), encoder=hashing))

    assert found is not None
    assert (found.probability > 0.45) == doubtful
    assert found.turn_ids == ("q",)


@pytest.mark.parametrize(
    "name", ["FallbackIntent", "AMAZON.FallbackIntent", "default-fallback", "out_of_scope", "input.unknown", "no match"]
)
def test_fallback_intents_are_known_by_many_names(name: str) -> None:
    assert is_fallback(name)


@pytest.mark.parametrize("name", ["refund", "phone_number", "nonetheless", "ask_fallback_phone", "unknown_charge"])
def test_other_intents_are_no_fallback(name: str) -> None:
    assert not is_fallback(name)


def test_our_own_model_is_asked_only_where_the_platform_is_silent(hashing: Encoder) -> None:
    doubt = Prediction("refund", 0.2, 0.9, (("refund", 0.2),))
    sure = Intent("refund", 0.99)

    (own,) = IntentConfidence().measure(make_batch(answered(), encoder=hashing, prediction=doubt))
    (theirs,) = IntentConfidence().measure(make_batch(answered(intent=sure), encoder=hashing, prediction=doubt))
    (neither,) = IntentConfidence().measure(make_batch(answered(), encoder=hashing))

    assert own is not None
    assert own.probability > 0.6
    assert theirs is not None
    assert theirs.probability < 0.2
    assert neither is None


# Answer relevance


def test_an_answer_to_another_question_stands_out(encoder: Encoder) -> None:
    good = answered(answer="A refund takes five working days once we have received the item.", name="c1")
    bad = answered(answer="Our shops are open from nine to six, and on Sundays until noon.", name="c2")

    fine, wrong = AnswerRelevance(LateInteraction.over(encoder)).measure(make_batch(good, bad, encoder=encoder))

    assert fine is not None
    assert wrong is not None
    assert fine.probability < 0.2 < 0.4 < wrong.probability


@pytest.mark.parametrize(
    ("question", "answer"), [("Hi", "Hello, how can I help?"), ("Thanks a lot!", "You are welcome."), ("yes please", "Done.")]
)
def test_small_talk_cannot_be_irrelevant(question: str, answer: str, encoder: Encoder) -> None:
    signal = AnswerRelevance(LateInteraction.over(encoder))

    assert signal.measure(make_batch(answered(question, answer), encoder=encoder)) == [None]


@pytest.mark.parametrize(
    "answer",
    [
        "Sorry, I don't know.",
        "I'm sorry, I didn't understand that. Could you rephrase?",
        "I could not find any information on that.",
    ],
)
def test_a_bot_that_does_not_know_is_noticed(answer: str, encoder: Encoder) -> None:
    (found,) = AnswerRelevance(LateInteraction.over(encoder)).measure(make_batch(answered(answer=answer), encoder=encoder))

    assert found is not None
    assert found.probability > 0.6
    assert "does not know" in found.note


def test_a_search_that_found_nothing_is_told_from_no_search(encoder: Encoder) -> None:
    nothing, none = AnswerRelevance(LateInteraction.over(encoder)).measure(
        make_batch(answered(retrieval=(), name="c1"), answered(name="c2"), encoder=encoder)
    )

    assert nothing is not None
    assert none is not None
    assert nothing.probability > 0.5 > none.probability


@pytest.mark.parametrize(
    ("low", "high", "scale"),
    [(0.12, 0.83, "cosine"), (12.0, 92.0, "percent"), (-6.2, 7.5, "logit"), (-0.1, 0.8, "cosine")],
)
def test_each_platforms_scale_is_recognised(low: float, high: float, scale: str, encoder: Encoder) -> None:
    weak, strong = AnswerRelevance(LateInteraction.over(encoder)).measure(
        make_batch(
            answered(retrieval=(Passage(text="x", score=low),), name="c1"), answered(retrieval=(Passage(text="x",
            score=high),), name="c2"),
            encoder=encoder,
        )
    )  # fmt: skip

    assert weak is not None
    assert strong is not None
    assert scale in str(weak.detail["scale"])
    assert weak.probability > strong.probability


# User frustration


@pytest.mark.parametrize(
    "follow_up",
    [
        "That's wrong, get me a human", "No, I asked about refunds", "no, I meant the other order", "this is useless",
        "can I speak to a real person?",
        "forget it", "How long does a refund take?", "You didn't answer my question",
        "I already told you that three times", "wow, so helpful",
        "WHY DO YOU NOT UNDERSTAND ME", "😡😡", "thanks for nothing", "still not working", "your link is broken",
    ],
)  # fmt: skip
def test_an_unhappy_reply_is_noticed(follow_up: str, encoder: Encoder) -> None:
    found = reaction(encoder, "How long does a refund take?", "Our shops are open until six.", follow_up)

    assert found is not None
    assert found.probability > 0.4
    assert found.turn_ids == ("t2",)


@pytest.mark.parametrize(
    "follow_up",
    [
        "Great, thank you!", "no thanks", "No, that's all", "actually I'd prefer the blue one", "What about Saturday?",
        "ok", "yes", "perfect, bye",
        "and how do I send it back?", "Thanks, that solved my problem", "it's 4471", "No, thank you. Have a nice day!",
    ],
)  # fmt: skip
def test_a_content_reply_is_left_alone(follow_up: str, encoder: Encoder) -> None:
    found = reaction(encoder, "How long does a refund take?", "It takes five days.", follow_up)

    assert found is not None
    assert found.probability < 0.25


def test_without_a_reply_there_is_nothing_to_read(encoder: Encoder) -> None:
    assert reaction(encoder, "How long does a refund take?", "It takes five days.") is None


def test_a_person_who_takes_over_is_evidence_without_a_reply(encoder: Encoder) -> None:
    found = reaction(
        encoder, "My card is gone", "Cards are blue.", "Hello, this is Ann, let me help.", roles=("user", "bot", "agent")
    )

    assert found is not None
    assert found.probability > 0.4
    assert found.turn_ids == ("t1",)


def test_a_bot_that_fails_twice_is_evidence_without_a_reply(encoder: Encoder) -> None:
    sorry = "Sorry, I did not understand that. Could you rephrase?"

    found = reaction(encoder, "my card is gone", sorry, "card lost", sorry)

    assert found is not None
    assert found.probability > 0.4


@pytest.mark.parametrize(
    "follow_up",
    [
        "Das ist nicht, was ich gefragt habe",
        "これは役に立ちません",
        "لا أريد هذا",
        "no me ayudas en nada, quiero hablar con alguien",
    ],
)
def test_other_languages_are_not_guessed_at(follow_up: str, encoder: Encoder) -> None:
    assert reaction(encoder, "Wie lange dauert die Erstattung?", "Unsere Läden sind bis sechs geöffnet.", follow_up) is None


# Answer consistency


def make_neighbour(
    answer: str, question: str = "How long does a refund take?", similarity: float = 0.95, conversation: str = "c9"
) -> Neighbour:
    return Neighbour(7, conversation, "t9", question, answer, similarity)


def test_another_number_for_the_same_question_is_a_contradiction(hashing: Encoder) -> None:
    batch = make_batch(
        answered(answer="A refund takes 5 days."), encoder=hashing, neighbours=[make_neighbour("A refund takes 30 days.")]
    )

    (found,) = AnswerConsistency().measure(batch)

    assert found is not None
    assert found.probability > 0.6
    assert found.turn_ids == ("a",)
    assert "5 days" in found.note
    assert "30 days" in found.note
    assert (found.detail["key"], found.detail["conversation_id"], found.detail["turn_id"]) == (7, "c9", "t9")


def test_the_same_answer_in_other_words_is_looked_at_and_fine(hashing: Encoder) -> None:
    batch = make_batch(
        answered(answer="A refund takes 5 days."), encoder=hashing, neighbours=[make_neighbour("Refunds take five days.")]
    )

    (found,) = AnswerConsistency().measure(batch)

    assert found is not None
    assert found.probability < 0.1


@pytest.mark.parametrize(
    "neighbour", [make_neighbour("It takes 30 days.", similarity=0.5), make_neighbour("It takes 30 days.", conversation="c1")]
)
def test_unlike_questions_and_the_same_conversation_are_not_compared(neighbour: Neighbour, hashing: Encoder) -> None:
    assert AnswerConsistency().measure(make_batch(answered(), encoder=hashing, neighbours=[neighbour])) == [None]


# User feedback


@pytest.mark.parametrize(
    ("rating", "scale", "expected"),
    [
        (-1, "thumb", 0), (1, "thumb", 1), (0, "thumb", 0), (5, "stars", 1), (1, "stars", 0), (3, "csat", 0.5), (0,
        "nps", 0), (10, "nps", 1),
        (25, "percent", 0.25), (2, "1-3", 0.5), (0, "0-4", 0), (7, "1-5", None), (-1, None, 0), (1, None, 1), (4, None,
        0.75), (8, None, 0.8),
        (float("nan"), None, None),
    ],
)  # fmt: skip
def test_ratings_are_read_on_their_own_scale(rating: float, scale: str | None, expected: float | None) -> None:
    assert goodness(rating, scale) == expected


def test_a_thumb_down_is_enough_for_a_review(hashing: Encoder) -> None:
    down = Feedback(-1, "thumb", "this is wrong", NOW)

    (found,) = UserFeedback().measure(make_batch(answered(feedback=(down,)), encoder=hashing))

    assert found is not None
    assert Weights.default().weigh([[found]])[0].priority > 0.6


def test_the_latest_rating_counts(hashing: Encoder) -> None:
    first, later = Feedback(-1, "thumb", None, NOW), Feedback(1, "thumb", None, NOW + timedelta(days=2))

    (found,) = UserFeedback().measure(make_batch(answered(feedback=(later, first)), encoder=hashing))

    assert found is not None
    assert found.probability < 0.1


@pytest.mark.parametrize(("comment", "bad"), [("completely wrong", True), ("very helpful, thanks", False), ("not helpful", True)])
def test_a_comment_alone_is_judged_by_its_tone(comment: str, bad: bool, hashing: Encoder) -> None:
    (found,) = UserFeedback().measure(make_batch(answered(feedback=(Feedback(comment=comment),)), encoder=hashing))

    assert found is not None
    assert (found.probability > 0.5) == bad


def test_no_feedback_is_no_evidence(hashing: Encoder) -> None:
    assert UserFeedback().measure(make_batch(answered(), encoder=hashing)) == [None]


def test_a_one_among_stars_is_the_worst_of_five(hashing: Encoder) -> None:
    stars = [answered(feedback=(Feedback(rating),), name=f"c{rating}") for rating in (1, 5)]

    worst, best = UserFeedback().measure(make_batch(*stars, encoder=hashing))

    assert worst is not None
    assert best is not None
    assert worst.probability > 0.8 > 0.1 > best.probability


# All of them


texts = st.one_of(
    st.text(max_size=80),
    st.sampled_from(["", " ", "\0", "😡" * 50, "\u202eabc", "no " * 400, "?" * 500, "a" * 1000, "5 days", "ﷺ", "\ud7ff"]),
)
numbers = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True), st.integers(-10, 1000).map(float))
intents = st.builds(Intent, st.one_of(st.none(), texts), numbers, st.lists(st.tuples(texts, numbers), max_size=3).map(tuple))
passages = st.builds(Passage, text=texts, score=numbers, rerank_score=numbers)
ratings = st.builds(
    Feedback,
    numbers,
    st.one_of(st.none(), texts, st.sampled_from(["thumb", "stars", "nps", "1-5", "5-1"])),
    st.one_of(st.none(), texts),
)
turns = st.lists(
    st.builds(
        Turn, st.just("t"), st.sampled_from(["user", "bot", "agent"]), texts, st.none(), st.one_of(st.none(), intents),
        st.one_of(st.none(), st.lists(passages, max_size=2).map(tuple)), st.lists(ratings, max_size=2).map(tuple),
    ),
    max_size=6,
)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(turns, texts, texts)
def test_any_exchange_gives_evidence_within_bounds(given_turns: list[Turn], question: str, answer: str) -> None:
    encoder = HashingEncoder()
    batch = make_batch(
        Transcript("c1", tuple(given_turns)), encoder=encoder, neighbours=[Neighbour(1, "c2", "t", question, answer, 0.9)]
    )

    measured = [signal.measure(batch) for signal in make_signals(encoder.digest)]

    assert all(len(found) == len(batch.exchanges) for found in measured)
    for found in (one for row in measured for one in row if one is not None):
        assert 0 <= found.value <= 1
        assert 0 <= found.probability <= 1
        assert found.turn_ids
        assert found.note.strip()
        assert all(
            math.isfinite(value) for value in found.detail.values() if isinstance(value, float) and found.name != "user_feedback"
        )
    assert all(math.isfinite(one.priority) for one in Weights.default().weigh(list(zip(*measured, strict=True))))


@pytest.mark.parametrize(
    "unit",
    [
        "a",
        "no ",
        "ha ",
        "!",
        "I ",
        "very so ",
        "thank you ",
        "1",
        "a-",
        "great and ",
        "that's ",
        "how do i ",
        "\0",
        "😡",
        "speak to a ",
    ],
)
def test_a_hostile_megabyte_costs_every_signal_little(unit: str, hashing: Encoder) -> None:
    long = unit * (1_000_000 // len(unit))
    batch = make_batch(
        make_transcript(long, long + "x", long + "y"), encoder=hashing, neighbours=[make_neighbour(long + "z", long)]
    )

    for signal in make_signals(hashing.digest):
        started = time.process_time()
        signal.measure(batch)
        assert time.process_time() - started < 1.0, signal.name


def test_each_signal_is_named_after_its_module() -> None:
    assert [signal.name for signal in make_signals("")] == [
        type(signal).__module__.rpartition(".")[2] for signal in make_signals("")
    ]


def test_questions_in_other_words_are_compared_by_the_figures_that_each_answer_states_once() -> None:
    ask, answer = "From what order value is shipping free with you?", "Standard delivery is free for orders of €50 or more."
    other, other_answer = "At what amount do you stop charging for delivery?", "For baskets above €75 we take over the charge."

    found = loose_contradictions(ask, answer, other, other_answer)

    assert [(one.kind, one.left, one.right) for one in found] == [("money", "€50", "€75")]


@pytest.mark.parametrize(
    ("ask", "answer", "other", "other_answer"),
    [
        ("I wear 42, which boots?", "Take 42.5.", "Which size should I order, I wear 39?", "Take 39.5."),
        ("How long is a return possible?", "30 days.", "Until when can it go back?", "30 days from delivery, refund in 5 days."),
        ("When will my parcel come?", "In 3 days.", "When will my order be here?", "In 5 days."),
    ],
)
def test_other_questions_and_several_figures_of_a_kind_are_not_compared(
    ask: str, answer: str, other: str, other_answer: str
) -> None:
    assert loose_contradictions(ask, answer, other, other_answer) == []
