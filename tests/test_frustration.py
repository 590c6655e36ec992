"""The next user turn in its context: what is taken for unhappiness with the answer, what is not, and what the files promise."""

import re
from pathlib import Path

import numpy as np
import pytest

from scoring.encoder import Encoder
from scoring.evasions import asks_what_was_given, echoes, leaves_open
from scoring.signals.base import Batch, Evidence
from scoring.signals.user_frustration import FEATURES, UserFrustration
from scoring.tone import Tone, letter_grams, tokens
from scoring.transcripts import Role, Transcript, Turn, split
from scoring.vectors import MemoryVectors, gather
from scoring.wording import content_words
from training import frustration


def make_batch(*texts: str, encoder: Encoder, roles: tuple[Role, ...] = ("user", "bot") * 10) -> Batch:
    turns = tuple(Turn(f"t{i}", role, text) for i, (role, text) in enumerate(zip(roles, texts, strict=False)))
    exchanges = split(Transcript("c1", turns))
    vectors = gather((text for e in exchanges for text in (e.question, e.answer, e.follow_up)), encoder, MemoryVectors())
    return Batch(exchanges, vectors, [()] * len(exchanges), [None] * len(exchanges))


def last(encoder: Encoder, *texts: str) -> Evidence | None:
    """Evidence about the last answer that has a reply."""
    batch = make_batch(*texts, encoder=encoder)
    found = UserFrustration(encoder.digest).measure(batch)
    return [one for one, exchange in zip(found, batch.exchanges, strict=True) if exchange.follow_up_turns][-1]


def probability(encoder: Encoder, *texts: str) -> float:
    found = last(encoder, *texts)
    assert found is not None
    return found.probability


WANTED = "I need a cheap hotel in the north, for 2 people from Friday."


@pytest.mark.parametrize(
    "dialogue",
    [
        (WANTED, "The Grand Palace is an expensive hotel in the south.", "It has to be cheap and in the north."),
        (WANTED, "For how many people?", "2 people, as I said."),
        (WANTED, "What area would you like?", "North, I told you that already."),
        ("Is there parking?", "The hotel has 80 rooms.", "So is there parking or not?"),
        ("Is there parking?", "Did that answer your question?", "no"),
        ("Book a table for 8 pm", "I booked a table for 8 am.", "8 PM not AM"),
        ("I like comedies", "Watch Blood Cellar, a horror movie.", "Why would I like that? I said comedies"),
        ("I like comedies", "Have you seen Sunny Days?", "Yes.", "Have you seen Sunny Days?", "You already asked me that."),
        ("When do you open?", "On Monday we are closed.", "On Monday? I want to know when you open!"),
    ],
)
def test_a_wish_said_again_is_noticed(dialogue: tuple[str, ...], encoder: Encoder) -> None:
    assert probability(encoder, *dialogue) > 0.4


@pytest.mark.parametrize(
    "dialogue",
    [
        ("Book a flight to Oslo", "Do you want to return?", "no, just one way"),
        ("Book a flight to Oslo", "Shall I book it?", "No, I just wanted the price, thanks."),
        (WANTED, "The Willow is cheap and in the north. Shall I book?", "No thanks, I only need the phone number."),
        (WANTED, "The Willow is cheap and in the north. Shall I book?", "Actually, make it 4 people please."),
        (WANTED, "The Willow is cheap and in the north.", "Does it have a garden?"),
        ("I need a hotel", "Which price range?", "I don't care about the price"),
        ("I like thrillers", "Have you seen Night Harbour?", "I have seen that one, I loved it!"),
        ("I like thrillers", "Have you seen Night Harbour?", "No I haven't, what is it about?"),
        ("I saw Moon Cats", "What did you dislike about it?", "It was boring and the jokes were stupid."),
        ("I saw Moon Cats", "Why did you not like it?", "The acting was terrible, I hated it."),
        ("Is there parking?", "Did that answer your question?", "yes, it did"),
    ],
)
def test_an_answer_to_the_bot_or_a_changed_wish_is_left_alone(dialogue: tuple[str, ...], encoder: Encoder) -> None:
    assert probability(encoder, *dialogue) < 0.3


def test_a_bot_that_found_nothing_counts_but_is_not_enough(encoder: Encoder) -> None:
    reply = "And is there an Indian one?"

    found = probability(encoder, "A Thai restaurant, please", "The Lotus serves Thai food.", reply)
    nothing = probability(encoder, "A Thai restaurant, please", "Sorry, there are no Thai restaurants.", reply)

    assert found < nothing < 0.5


def test_the_same_reply_weighs_more_where_the_bot_had_been_told(encoder: Encoder) -> None:
    first = probability(encoder, "I need a table", "For how many people?", "For six people")

    again = probability(encoder, "I need a table for six people", "For how many people?", "For six people")

    assert again > first + 0.2


def test_a_negative_word_weighs_less_where_the_bot_asked_for_it(encoder: Encoder) -> None:
    reply = "It was boring, I hated the ending."

    unasked = probability(encoder, "I saw Moon Cats", "I can recommend Moon Cats 2.", reply)

    assert probability(encoder, "I saw Moon Cats", "What did you think of it?", reply) < unasked


@pytest.mark.parametrize("follow_up", ["no, thanks", "No thank you.", "nope, that's all", "No, that will be all. Goodbye!"])
def test_a_polite_no_is_never_flagged(follow_up: str, encoder: Encoder) -> None:
    assert probability(encoder, "Find me a hotel", "I found the Willow. Anything else?", follow_up) < 0.15
    assert probability(encoder, "Find me a hotel", "I am sorry, there is no hotel. Anything else?", follow_up) < 0.3


def test_the_note_says_why(encoder: Encoder) -> None:
    asked = last(encoder, WANTED, "For how many people?", "Two. From Friday.")
    nothing = last(encoder, "Any Thai food?", "There are no Thai restaurants.", "Oh no, are you sure? Please check again!")

    assert asked is not None
    assert "asks_what_was_given" in asked.detail["reasons"]  # type: ignore[operator]
    assert nothing is not None
    assert "nothing_found" in nothing.detail["reasons"]  # type: ignore[operator]
    assert nothing.note.startswith("The ")


def test_another_language_says_so(encoder: Encoder) -> None:
    batch = make_batch(
        "Wo ist mein Paket?", "Das weiß ich leider nicht.", "Das ist doch nicht euer Ernst 😡", encoder=encoder,
    )  # fmt: skip

    (found,) = UserFrustration(encoder.digest).measure(batch)

    assert found is not None
    assert found.detail["language_note"] == "not calibrated for this language"
    assert found.probability > 0.25


def test_english_has_no_language_note(encoder: Encoder) -> None:
    found = last(encoder, "Where is my parcel?", "I cannot say.", "This is useless, give me a human")

    assert found is not None
    assert "language_note" not in found.detail


def test_more_trouble_never_lowers_the_probability() -> None:
    expected = frustration._EXPECTED  # the signs that the fit may not change
    weights = UserFrustration()._head

    assert weights.features == FEATURES
    assert all(weight * expected[name] >= 0 for name, weight in zip(weights.features, weights.weights, strict=True))


def test_the_written_replies_cover_many_domains() -> None:
    written = frustration.written()

    assert len(written.exchanges) >= 600
    assert len(set(written.group)) >= 14
    assert set(written.unhappy) == {0.0, frustration.MILDLY, 1.0}
    assert all(exchange.follow_up for exchange in written.exchanges)
    assert frustration.WRITTEN.suffix == frustration.DIALOGUES.suffix == ".txt"


def test_another_reply_stands_in_the_place_of_the_one_before() -> None:
    written = frustration.written()
    first = [e.follow_up for e in written.exchanges if e.question.startswith("Please book me a table at the Copper Kettle")]

    assert len(first) == 3
    assert all(reply is not None and "\n" not in reply for reply in first)


def test_a_slot_is_known_only_after_it_was_said() -> None:
    assert asks_what_was_given("on which day?", "a train to york on friday")
    assert asks_what_was_given("how many tickets do you need?", "two tickets please")
    assert not asks_what_was_given("on which day?", "a train to york")
    assert not asks_what_was_given("it leaves on friday.", "a train on friday")


def test_what_an_answer_leaves_open() -> None:
    assert leaves_open("what is their phone number?", "it is a nice place.")
    assert not leaves_open("what is their phone number?", "it is 555 0134.")
    assert not leaves_open("what is their phone number?", "which place do you mean?")
    assert not leaves_open("thank you", "you are welcome.")


def test_an_echo_throws_back_words_of_the_answer() -> None:
    assert echoes("march?! that is late", content_words("the next date is in march"))
    assert not echoes("parking?", content_words("the next date is in march"))


def test_tone_hears_words_without_its_encoder() -> None:
    texts = ["this is awful and disgusting", "thank you, that was lovely", ""]

    found = Tone("another-encoder").logits(texts, np.zeros((3, 7), dtype=np.float32))

    assert found[0] > found[2] > found[1]


def test_tone_reads_a_batch_like_its_texts_one_by_one(encoder: Encoder) -> None:
    texts = ["I hate this", "how nice", "WHY IS IT BROKEN?!", "🙂"]
    vectors = encoder.encode(texts)
    tone = Tone(encoder.digest)

    together = tone.logits(texts, vectors)

    alone = [float(tone.logits([text], vectors[i : i + 1])[0]) for i, text in enumerate(texts)]
    assert np.allclose(together, alone, atol=1e-4)
    assert tone.logits([], vectors[:0]).shape == (0,)


def test_letters_never_meet_words() -> None:
    assert not any(piece.startswith("_") for piece in tokens("_under_score_ and words"))
    assert all(piece.startswith("_") for piece in letter_grams("word"))


def test_the_tone_file_is_small_and_holds_no_code() -> None:
    kept = Path(__file__).parent.parent / "scoring" / "heads" / "tone.npz"

    with np.load(kept, allow_pickle=False) as arrays:
        names = set(arrays.files)

    assert kept.stat().st_size < 1_000_000
    assert {"grams", "weights", "rarity", "inner", "outer", "blend", "blend_words", "encoder"} <= names


def test_a_megabyte_is_read_in_time(encoder: Encoder) -> None:
    long = "no " * 50_000 + "?" * 50_000 + "a" * 50_000

    found = last(encoder, "hello there bot", long[:60_000], long)

    assert found is not None
    assert re.fullmatch(r"[\w ,.'’]+", found.note)
