"""Transcripts in, scored exchanges out: every text encoded once, neighbours of the same bot only, the same result each time."""

from collections.abc import Sequence

import numpy as np
import pytest
from conftest import CountingEncoder

from scoring.clusters import cluster
from scoring.encoder import Encoder, HashingEncoder
from scoring.scorer import Scored, Scorer, UnknownSignal
from scoring.transcripts import Transcript, Turn
from scoring.vectors import MemoryVectors, gather

SAME = "where is my parcel with the blue shoes"


def make_transcript(*said: str, id: str = "c1", source: str = "") -> Transcript:
    roles = ("user", "bot")
    turns = tuple(Turn(f"t{i}", roles[i % 2], text) for i, text in enumerate(said))  # type: ignore[arg-type]
    return Transcript(id, turns, source)


def near(scored: Sequence[Scored]) -> list[list[int]]:
    """Per exchange, the indices of its neighbours in the batch."""
    return [[-key - 1 for key, _ in one.near] for one in scored]


def test_no_text_is_ever_encoded_twice() -> None:
    encoder, store = CountingEncoder(), MemoryVectors()
    transcripts = [make_transcript("hello you", "good day", "hello you", "good day", id=f"c{n}") for n in range(3)]

    Scorer(encoder, store).score(transcripts)
    Scorer(encoder, store).score(transcripts)

    assert sorted(encoder.texts) == ["good day", "hello you"]


def test_vectors_of_two_encoders_never_mix() -> None:
    store = MemoryVectors()
    gather(["hello"], HashingEncoder(384), store)
    other = CountingEncoder()
    other._dimensions = 16

    found = gather(["hello"], other, store)

    assert other.texts == ["hello"]
    assert found.of(["hello"]).shape == (1, 16)


def test_empty_texts_have_the_zero_vector_and_unknown_ones_are_a_defect() -> None:
    found = gather(["hello", "", " ", None], HashingEncoder(), MemoryVectors())

    assert not found.of(["", " ", None]).any()
    with pytest.raises(KeyError):
        found.of(["something else"])


def test_neighbours_are_of_other_conversations_and_of_the_same_source() -> None:
    transcripts = [
        make_transcript(SAME, "one", SAME, "two", id="c1", source="a"),
        make_transcript(SAME, "three", id="c2", source="a"),
        make_transcript(SAME, "four", id="c3", source="b"),
        make_transcript("something else entirely", "five", id="c4", source="a"),
    ]

    scored = Scorer(HashingEncoder(), MemoryVectors()).score(transcripts)

    assert [sorted(found) for found in near(scored)] == [[2], [2], [0, 1], [], []]


def test_look_alikes_of_a_batch_are_one_cluster_and_who_asks_nothing_is_in_none() -> None:
    transcripts = [make_transcript(SAME, "a", id="c1"), make_transcript("quite other words", "b", id="c2")]
    transcripts += [make_transcript(SAME, "c", id="c3"), make_transcript("", "d", "?", id="c4")]
    scored = Scorer(HashingEncoder(), MemoryVectors()).score(transcripts)

    assert cluster(scored, {}, look_alike=0.8) == [-1, -2, -1, None]


def test_many_copies_of_a_question_in_a_batch_are_one_cluster() -> None:
    transcripts = [make_transcript(SAME, f"answer {n}", id=f"c{n}") for n in range(40)]
    scored = Scorer(HashingEncoder(), MemoryVectors()).score(transcripts)

    assert cluster(scored, {}, look_alike=0.8) == [-1] * 40


def test_the_same_transcripts_give_the_same_scores(encoder: Encoder) -> None:
    transcripts = [
        make_transcript("How do I return my shoes?", "Your order is on its way.", "No! That is wrong.", id="c1"),
        make_transcript("When do you open?", "From 9 to 17.", "Thanks!", id="c2"),
    ]

    first = Scorer(encoder, MemoryVectors()).score(transcripts)
    second = Scorer(encoder, MemoryVectors()).score(transcripts)

    assert [(a.priority, a.evidence) for a in first] == [(b.priority, b.evidence) for b in second]
    assert first[0].priority > first[1].priority


def test_a_signal_can_be_switched_off_and_must_exist() -> None:
    transcripts = [make_transcript(SAME, "one", "that is wrong")]

    scored = Scorer(HashingEncoder(), MemoryVectors(), off=["user_frustration"]).score(transcripts)

    assert "user_frustration" not in {evidence.name for one in scored for evidence in one.evidence}
    with pytest.raises(ValueError, match="no such signal: mood"):
        Scorer(HashingEncoder(), MemoryVectors(), off=["mood"])


def test_all_signals_may_be_off_and_nothing_may_be_scored() -> None:
    names = ["intent_confidence", "answer_relevance", "user_frustration", "answer_consistency", "user_feedback"]
    scorer = Scorer(HashingEncoder(), MemoryVectors(), off=names)

    scored = scorer.score([make_transcript(SAME, "one")])

    assert [one.evidence for one in scored] == [()]
    assert scorer.score([]) == []


def test_evidence_names_turns_of_its_exchange_and_probabilities_are_some(encoder: Encoder) -> None:
    transcripts = [make_transcript("Hi", "Hello!", "Can I pay by card?", "We open at nine.", "WRONG answer!!", "Sorry.", id="c")]

    scored = Scorer(encoder, MemoryVectors()).score(transcripts)

    for one in scored:
        assert 0 <= one.priority <= 1
        assert 0 <= one.uncertainty <= 1
        for evidence in one.evidence:
            assert np.isfinite(evidence.value)
            assert 0 <= evidence.probability <= 1
            assert evidence.note
            assert set(evidence.turn_ids) <= {turn.id for turn in transcripts[0].turns}


def test_evidence_below_its_threshold_is_shown_but_raises_nothing(encoder: Encoder) -> None:
    transcript = make_transcript("How do I get a refund?", "We open at nine.", "No! That is not what I asked. Useless.")
    (plain,) = Scorer(encoder, MemoryVectors()).score([transcript])
    name = max(plain.evidence, key=lambda one: one.probability).name

    (quiet,) = Scorer(encoder, MemoryVectors(), thresholds={name: 1.0}).score([transcript])
    (same,) = Scorer(encoder, MemoryVectors(), thresholds={name: 0.01}).score([transcript])

    assert quiet.evidence == plain.evidence
    assert quiet.priority < plain.priority == same.priority
    with pytest.raises(UnknownSignal, match="signal_thresholds: no such signal: mood"):
        Scorer(encoder, MemoryVectors(), thresholds={"mood": 0.5})
