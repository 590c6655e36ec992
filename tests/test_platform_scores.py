"""What platforms send: which scale it is on, where it lies among the bot's own, and what verdicts teach about it."""

import json
import math
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from conftest import NOW, add_reviewer, ingest, make_conversation, make_triage, rows_of, score_all
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from processes import run

from scoring.calibration import LEAST_VERDICTS, Calibration, CalibrationUnusable, judge, usual
from scoring.encoder import Encoder, HashingEncoder
from scoring.platform_scores import (
    COSINE,
    DISTANCE,
    LOGIT,
    OPEN,
    PERCENT,
    PROBABILITY,
    SAMPLE,
    History,
    HistoryUnusable,
    Reading,
    histories,
    is_fallback,
    number,
    ranking,
    read,
    scale_of,
)
from scoring.scorer import Scorer
from scoring.transcripts import Exchange, Intent, Passage, Transcript, Turn, split
from scoring.vectors import MemoryVectors
from service.db import Database
from service.learn.platform import Calibrations, answer_was_wrong, calibrate_due, intent_was_wrong
from service.models import Evidence, ItemState, Model, PlatformHistory, ReviewItem, Verdict
from service.models import Exchange as StoredExchange

Floats = NDArray[np.float64]
SHARED = Path(__file__).parents[2] / "shared"
LATER = NOW + timedelta(hours=1)


def answered(name: str, *scores: float | None, rerank: float | None = None, at: datetime | None = None) -> Transcript:
    found = tuple(Passage(score=score, rerank_score=rerank) for score in scores)
    return Transcript(
        name, (Turn("q", "user", "How long does a refund take?", at), Turn("a", "bot", "Five days.", at, retrieval=found))
    )


def understood(name: str, intent: Intent) -> Transcript:
    return Transcript(name, (Turn("q", "user", "How long does a refund take?", intent=intent), Turn("a", "bot", "Five days.")))


def exchanges_of(transcripts: Sequence[Transcript]) -> list[Exchange]:
    return [exchange for transcript in transcripts for exchange in split(transcript)]


def history_of(transcripts: Sequence[Transcript], field: str = "retrieval", now: datetime | None = None) -> History:
    return histories(exchanges_of(transcripts), now)["", field]


def likely(logits: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-logits)))


def calibration_error(chance: Floats, truth: Floats) -> float:
    """Ten bins of equal width."""
    bins = np.clip((chance * 10).astype(int), 0, 9)
    gaps = [abs(chance[bins == b].mean() - truth[bins == b].mean()) * (bins == b).mean() for b in set(bins.tolist())]
    return float(sum(gaps))


# --- reading ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ("0.63", 0.63), (" 41 ", 41.0), (None, None), ("high", None), (math.nan, None), (math.inf, None), (1e308, 1e12),
        (-1e308, -1e12),
    ],
)  # fmt: skip
def test_numbers_may_be_sent_as_text_and_must_be_finite(sent: object, meant: float | None) -> None:
    assert number(sent) == meant


def test_a_platforms_choice_comes_first_and_then_the_best() -> None:
    intent = Intent("refund", 0.4, (("hours", 0.1), ("refund", 0.4), ("return", 0.3), ("broken", None)))

    assert ranking(intent) == [("refund", 0.4), ("return", 0.3), ("hours", 0.1)]


@pytest.mark.parametrize("confidence", [None, 0.9])
def test_no_intent_matched_is_a_reading_with_and_without_a_confidence(confidence: float | None) -> None:
    (exchange,) = exchanges_of([understood("c", Intent("nlu_fallback", confidence))])

    found = read(exchange, "intent")

    assert is_fallback("nlu_fallback")
    assert found is not None
    assert found.fallback


# --- scales -------------------------------------------------------------------------------------------------------


def sent_on(scale: str, count: int, rng: np.random.Generator, base: float = 0.2, apart: float = 1.0) -> tuple[Floats, Floats]:
    """(best scores, bad or not) of a platform whose bad answers score lower."""
    bad = (rng.random(count) < base).astype(float)
    x = rng.normal(size=count) - apart * bad
    scores = {
        COSINE: lambda: np.clip(0.55 + 0.12 * x, -1, 1),
        PERCENT: lambda: np.clip(60 + 12 * x, 0, 100),
        LOGIT: lambda: 1 + 3 * x,
        OPEN: lambda: np.exp(2.5 + 0.5 * x),
        DISTANCE: lambda: np.clip(0.8 - 0.2 * x, 0, None),
        PROBABILITY: lambda: 1 / (1 + np.exp(-2 * x - 1)),
    }
    return np.asarray(scores[scale]()), bad


def platform(scale: str, scores: Floats) -> list[Transcript]:
    """Its answers: two passages each, the better one first."""
    if scale in (LOGIT, PROBABILITY):
        return [answered(f"c{i}", None, rerank=float(score)) for i, score in enumerate(scores)]
    second = scores + 0.1 if scale == DISTANCE else scores - abs(scores) * 0.1
    return [answered(f"c{i}", float(a), float(b)) for i, (a, b) in enumerate(zip(scores, second, strict=True))]


def field_of(scale: str) -> str:
    return "rerank" if scale in (LOGIT, PROBABILITY) else "retrieval"


SCALES = (COSINE, PERCENT, LOGIT, OPEN, DISTANCE, PROBABILITY)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("seed", range(3))
def test_the_scale_is_known_from_the_history(scale: str, seed: int) -> None:
    scores, _ = sent_on(scale, 400, np.random.default_rng(seed))

    assert history_of(platform(scale, scores), field_of(scale)).scale == scale


def test_a_batch_is_read_on_the_scale_of_the_history() -> None:
    scores, _ = sent_on(PERCENT, 300, np.random.default_rng(1))
    history = history_of(platform(PERCENT, scores))
    low = [answered("low", 0.7), answered("lower", 0.4)]

    alone = judge(exchanges_of(low), ("retrieval",), {})
    known = judge(exchanges_of(low), ("retrieval",), {("", "retrieval"): Calibration.of(history)})

    assert {one.scale for one in alone if one} == {COSINE}
    assert {one.scale for one in known if one} == {PERCENT}
    assert all(one is not None and one.worse_than is not None and one.worse_than > 0.98 for one in known)


def test_a_platform_that_changed_its_scale_is_read_by_what_it_sends_now() -> None:
    scores, _ = sent_on(COSINE, 300, np.random.default_rng(1))
    known = {("", "retrieval"): Calibration.of(history_of(platform(COSINE, scores)))}

    judged = judge(exchanges_of([answered(f"n{i}", 11.5 + 3 * i) for i in range(12)]), ("retrieval",), known)

    assert {one.scale for one in judged if one} == {OPEN}


def test_one_slip_does_not_change_the_scale_of_many() -> None:
    readings = [Reading(0.3 + i / 1000, 0.2) for i in range(400)]

    assert scale_of("retrieval", [*readings, Reading(57.0, 57.0)]) == COSINE


def test_the_rerankers_score_goes_before_the_searchs() -> None:
    judged = judge(exchanges_of([answered("c", 14.0, rerank=0.2)]), ("rerank", "retrieval"), {})

    assert [one.score for one in judged if one] == [0.2]


@pytest.mark.parametrize("factor", [1.0, 100.0])
def test_intents_in_percent_and_in_shares_say_the_same(factor: float) -> None:
    shares = [(0.97, 0.02), (0.55, 0.4), (0.41, 0.38), (0.3, 0.02)] * 10
    shapes = [Intent("a", one * factor, (("a", one * factor), ("b", two * factor))) for one, two in shares]

    judged = judge(exchanges_of([understood(f"c{i}", intent) for i, intent in enumerate(shapes)]), ("intent",), {})

    expected = judge(
        exchanges_of([understood(f"c{i}", Intent("a", one, (("a", one), ("b", two)))) for i, (one, two) in enumerate(shares)]),
        ("intent",),
        {},
    )
    assert [one.logit for one in judged if one] == pytest.approx([one.logit for one in expected if one], rel=1e-4)


def test_an_intents_logits_are_left_alone() -> None:
    judged = judge(exchanges_of([understood("c", Intent("a", -3.2, (("a", -3.2), ("b", -7.0))))]), ("intent",), {})

    assert judged == [None]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=12), st.booleans())
def test_any_scores_are_judged_within_bounds(scores: list[float], reranked: bool) -> None:
    transcripts = [answered(f"c{i}", s, None if i % 2 else 0.5, rerank=s if reranked else None) for i, s in enumerate(scores)]

    judged = judge(exchanges_of(transcripts), ("rerank", "retrieval"), {})

    assert len(judged) == len(scores)
    assert all(one is None or one.logit is None or abs(one.logit) < 30 for one in judged)


@pytest.mark.parametrize("score", [0.0, 0.7, 42.0, -5.0, 1e308])
def test_a_platform_that_always_sends_the_same_says_nothing_special(score: float) -> None:
    judged = judge(exchanges_of([answered(f"c{i}", score) for i in range(60)]), ("retrieval",), {})

    assert all(one is not None and one.worse_than is None and one.place == "" for one in judged)
    assert len({one.logit for one in judged if one}) == 1


# --- history ------------------------------------------------------------------------------------------------------


named = st.lists(st.tuples(st.integers(0, 30), st.floats(0, 1), st.integers(0, 40)), max_size=25)


def build(told: Sequence[tuple[int, float, int]]) -> History:
    transcripts = [answered(f"c{name}", score, at=NOW - timedelta(days=days)) for name, score, days in told]
    return histories(exchanges_of(transcripts), NOW).get(("", "retrieval"), History("retrieval", ()))


@settings(max_examples=60, deadline=None)
@given(named, named, named)
def test_histories_merge_in_any_order_and_any_number_of_times(
    a: list[tuple[int, float, int]], b: list[tuple[int, float, int]], c: list[tuple[int, float, int]]
) -> None:
    one, two, three = build(a), build(b), build(c)

    left, right = one.merge(two).merge(three), three.merge(two.merge(one))

    assert left == right == left.merge(one).merge(left)
    assert build([*a, *b, *c]) == left
    assert History.read(left.text()) == left


def test_a_history_stays_small_and_remembers_fairly() -> None:
    transcripts = [answered(f"c{i}", i / 5000) for i in range(5000)]

    parts = [history_of(transcripts[start : start + 250]) for start in range(0, 5000, 250)]
    whole = parts[0]
    for part in parts[1:]:
        whole = whole.merge(part)

    assert whole == history_of(transcripts)
    assert len(whole.sample) == SAMPLE
    assert len(whole.text()) < 50_000
    places = np.sort([reading.highest for reading in whole.readings])
    assert np.abs(places - np.linspace(0, 1, SAMPLE)).max() < 0.07  # Massart's bound at 99 %


def test_a_bot_whose_search_was_replaced_is_known_anew() -> None:
    old = history_of([answered(f"o{i}", 0.5, at=NOW - timedelta(days=150)) for i in range(2000)], now=NOW)
    new = history_of([answered(f"n{i}", 20.0 + i % 30, at=NOW) for i in range(2000)], now=NOW)

    both = old.merge(new)

    assert both.scale == OPEN
    assert sum(reading.highest < 1 for reading in both.readings) < 0.02 * SAMPLE


def test_no_time_and_a_time_to_come_count_as_now() -> None:
    ahead = history_of([answered("c", 0.5, at=datetime(9000, 1, 1, tzinfo=UTC))], now=NOW)

    assert ahead == history_of([answered("c", 0.5)], now=NOW)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '["retrieval", [[1]]]', '["retrieval", 3]'])
def test_what_is_no_history_is_said_so(text: str) -> None:
    with pytest.raises(HistoryUnusable):
        History.read(text)


# --- calibration --------------------------------------------------------------------------------------------------


def sides(scale: str, scores: Floats) -> Floats:
    return scores if scale == DISTANCE else -scores


@pytest.mark.parametrize("scale", SCALES)
@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([1, 9, 40, 400]), st.sampled_from([0, 12, 60, 300]), st.floats(-1, 2))
def test_the_platforms_own_order_is_kept(scale: str, seed: int, seen: int, judged: int, apart: float) -> None:
    rng = np.random.default_rng(seed)
    calibration = Calibration.of(history_of(platform(scale, sent_on(scale, seen, rng)[0]), field_of(scale)))
    if judged:  # apart below 0: the platform scores its bad answers higher
        scores, bad = sent_on(scale, judged, rng, apart=apart)
        calibration = calibration.fit(sides(scale, scores), bad)
    grid = np.sort(np.concatenate([sides(scale, sent_on(scale, 300, rng)[0]), np.linspace(-120, 120, 200)]))

    logits = calibration.logits(grid)

    assert np.isfinite(logits).all()
    assert (np.diff(logits) >= -1e-9).all()


def test_without_a_history_the_scale_decides_and_with_one_the_place_counts() -> None:
    scores = 0.85 + 0.03 * np.random.default_rng(0).normal(size=500)  # a model that calls all texts alike
    low = np.asarray([-0.80])

    curves = [Calibration.of(history_of(platform(COSINE, scores[:n]))).logits(low)[0] for n in (1, 10, 50, 500)]
    by_scale = usual("retrieval", COSINE, low)

    assert by_scale is not None
    assert abs(curves[0] - by_scale[0]) < 0.05
    assert curves == sorted(curves)
    assert curves[-1] > by_scale[0] + 0.5


def test_few_verdicts_change_nothing_and_more_change_more() -> None:
    scores, _ = sent_on(COSINE, 400, np.random.default_rng(0))
    calibration = Calibration.of(history_of(platform(COSINE, scores)))
    at = np.asarray([-0.7])
    start = likely(calibration.logits(at))[0]

    after = [likely(calibration.fit(-scores[:n], np.ones(n)).logits(at))[0] for n in (LEAST_VERDICTS - 1, 20, 100, 400)]

    assert after[0] == start
    assert start < after[1] < after[2] < after[3]
    assert after[1] < 0.8 < 0.95 < after[3]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("base", [0.1, 0.2, 0.4])
def test_verdicts_mend_a_platforms_miscalibration(scale: str, base: float) -> None:
    errors = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        calibration = Calibration.of(history_of(platform(scale, sent_on(scale, 500, rng, base)[0]), field_of(scale)))
        scores, truth = sent_on(scale, 4000, rng, base)
        row = [calibration_error(likely(calibration.logits(sides(scale, scores))), truth)]
        for count in (20, 100, 400):
            judged, bad = sent_on(scale, count, rng, base)
            learned = calibration.fit(sides(scale, judged), bad)
            row.append(calibration_error(likely(learned.logits(sides(scale, scores))), truth))
        errors.append(row)

    before, *after = np.mean(errors, axis=0)

    assert after[-1] < 0.05
    assert max(after) < before + 0.05


def test_verdicts_on_what_looked_bad_do_not_make_all_look_bad() -> None:
    rng = np.random.default_rng(3)
    scores, bad = sent_on(COSINE, 4000, rng)
    calibration = Calibration.of(history_of(platform(COSINE, scores[:500])))
    propensity = np.where(bad > 0, 0.5, 0.05)  # other signals brought the bad ones to the reviewers
    chosen = rng.random(4000) < propensity

    naive = calibration.fit(-scores[chosen], bad[chosen])
    weighted = calibration.fit(-scores[chosen], bad[chosen], propensity[chosen])

    errors = [calibration_error(likely(one.logits(-scores)), bad) for one in (naive, weighted)]
    assert errors[0] > 0.2
    assert errors[1] < 0.06


def test_a_curve_that_predicts_no_better_is_not_taken() -> None:
    rng = np.random.default_rng(0)
    scores, _ = sent_on(OPEN, 500, rng)
    calibration = Calibration.of(history_of(platform(OPEN, scores)))
    as_expected = (rng.random(20) < likely(calibration.logits(-scores[:20]))).astype(float)

    assert calibration.fit(-scores[:20], as_expected) == calibration


def test_a_calibration_is_named_by_its_content_and_survives_storage() -> None:
    scores, bad = sent_on(COSINE, 200, np.random.default_rng(0), base=0.5)
    calibration = Calibration.of(history_of(platform(COSINE, scores)))
    learned = calibration.fit(-scores, bad)

    assert Calibration.read(learned.text()) == learned
    assert Calibration.read(learned.text()).version == learned.version != calibration.version
    assert learned.version.startswith("retrieval-")
    with pytest.raises(CalibrationUnusable):
        Calibration.read("{}")


# --- in the signals -----------------------------------------------------------------------------------------------


def test_a_score_that_is_low_for_this_bot_is_said_so(hashing: Encoder) -> None:
    transcripts = [answered(f"c{i}", 0.80 + i / 1000) for i in range(60)]
    scorer = Scorer(hashing, MemoryVectors())

    scored = scorer.score(transcripts)

    found = [next(e for e in one.evidence if e.name == "answer_relevance") for one in scored]
    assert found[0].detail["lower_than"] == pytest.approx(0.99, abs=0.02)
    assert found[0].detail["scale"] == COSINE
    assert str(found[0].detail["calibration"]).startswith("retrieval-")
    assert [e.probability for e in found] == sorted((e.probability for e in found), reverse=True)


@pytest.mark.parametrize(
    ("scores", "said"), [((0.3, 0.2), "lower than 9"), ((2.4, 2.6), "farther than 9")], ids=["cosine", "distance"]
)
def test_the_note_names_the_scale_and_the_place(scores: tuple[float, float], said: str, hashing: Encoder) -> None:
    usual_ones = (0.8, 0.7) if scores[0] < 1 else (0.6, 0.7)
    transcripts = [answered(f"c{i}", *(one + i / 1000 for one in usual_ones)) for i in range(60)]
    transcripts.append(answered("low", *scores))
    # The question is one word: only the platform can tell.
    transcripts = [Transcript(t.id, (Turn("q", "user", "refunds?"), t.turns[1])) for t in transcripts]

    *_, last = Scorer(hashing, MemoryVectors()).score(transcripts)

    (found,) = [e for e in last.evidence if e.name == "answer_relevance"]
    assert said in found.note
    assert "this bot's answers" in found.note
    assert ("cosine" if scores[0] < 1 else "distance") in found.note


def test_an_intent_that_is_unsure_for_this_bot_is_doubted_more(hashing: Encoder) -> None:
    sure = [understood(f"c{i}", Intent("refund", 0.999 - i / 100_000)) for i in range(200)]

    (low,) = Scorer(hashing, MemoryVectors()).score([understood("low", Intent("refund", 0.9))])
    *_, among = Scorer(hashing, MemoryVectors()).score([*sure, understood("low", Intent("refund", 0.9))])

    alone, place = (next(e for e in one.evidence if e.name == "intent_confidence") for one in (low, among))
    assert place.probability > alone.probability + 0.1
    assert "lower than 99% of this bot's answers" in place.note or "lower than 100%" in place.note


def test_versions_name_the_calibrations_of_the_source() -> None:
    known = {
        ("shop", "retrieval"): Calibration("retrieval", COSINE, 0, ()),
        ("bank", "intent"): Calibration("intent", PERCENT, 0, ()),
    }
    scorer = Scorer(HashingEncoder(), MemoryVectors())

    assert scorer.versions(None, known, "shop")["platform"] == known["shop", "retrieval"].version
    assert scorer.versions(None, known, "other")["platform"] is None


def test_files_are_read_against_all_that_they_hold(tmp_path: Path) -> None:
    lines = []
    for i in range(40):
        conversation = make_conversation(2, id=f"c{i}")
        conversation["turns"][1]["retrieval"] = [{"score": 30 + i}, {"score": 20 + i / 2}]
        lines.append(json.dumps(conversation))
    file = tmp_path / "t.jsonl"
    file.write_text("\n".join(lines))

    done = run(["score", str(file)], {**os.environ, "TRIAGE_ENCODER": "hashing"}, tmp_path)

    scored = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, done.stderr
    assert len({line["versions"]["platform"] for line in scored}) == 1
    (found,) = [e["detail"] for e in scored[0]["signals"] if e["name"] == "answer_relevance"]
    assert found["calibration"] == scored[0]["versions"]["platform"]
    assert found["lower_than"] > 0.9


@pytest.mark.skipif(not (SHARED / "data/connectors").is_dir(), reason="needs the real trackers in ../shared/data/connectors")
def test_real_rasa_confidences_are_read_on_their_scale() -> None:
    trackers = json.loads((SHARED / "data/connectors/rasa_tracker_helpdesk_5_conversations.json").read_text())
    parsed = [event["parse_data"] for tracker in trackers for event in tracker["events"] if event.get("parse_data")]
    intents = [
        Intent(p["intent"]["name"], p["intent"]["confidence"], tuple((r["name"], r["confidence"]) for r in p["intent_ranking"]))
        for p in parsed
    ]

    exchanges = exchanges_of([understood(f"c{i}", intent) for i, intent in enumerate(intents)])
    judged = judge(exchanges, ("intent",), {})

    assert histories(exchanges)["", "intent"].scale == PROBABILITY
    assert len(judged) == len(parsed) > 20
    order = sorted((one for one in judged if one and one.reading.lead is not None), key=lambda one: -one.score)
    assert order[0].logit is not None
    assert order[-1].logit is not None
    assert order[0].logit < order[-1].logit


# --- verdicts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("label", "causes", "wrong"),
    [
        ("good", [], False), ("wrong", [], True), ("incomplete", [], True), ("unsafe", [], True), ("out_of_scope", [], True),
        ("unclear", [], None), ("wrong", ["retrieval"], True), ("wrong", ["intent"], True), ("wrong", ["generation"], None),
        ("incomplete", ["outdated_article"], None), ("wrong", ["generation", "retrieval"], True),
    ],
)  # fmt: skip
def test_what_a_verdict_says_of_the_passages(label: str, causes: list[str], wrong: bool | None) -> None:
    assert answer_was_wrong(label, causes) is wrong


@pytest.mark.parametrize(
    ("label", "causes", "told", "corrected", "wrong"),
    [
        ("good", [], "refund", None, False), ("good", [], "refund", "return", True), ("wrong", [], "refund", "Refund ", False),
        ("wrong", [], "refund", "return", True), ("wrong", [], "refund", None, None), ("wrong", ["intent"], "refund", None, True),
        ("wrong", ["retrieval"], "refund", None, False), ("unclear", [], "refund", "return", None),
        ("out_of_scope", [], "refund", None, True), ("wrong", [], "nlu_fallback", "refund", True),
        ("good", [], None, "refund", True),
    ],
)  # fmt: skip
def test_what_a_verdict_says_of_the_intent(
    label: str, causes: list[str], told: str | None, corrected: str | None, wrong: bool | None
) -> None:
    assert intent_was_wrong(label, causes, told, corrected) is wrong


# --- in the service -----------------------------------------------------------------------------------------------


def searched(name: str, score: float, rating: float | None = None) -> dict[str, Any]:
    turns: list[dict[str, Any]] = [
        {"id": "q", "role": "user", "text": f"how long does refund {name} take", "at": NOW.isoformat()},
        {"id": "a", "role": "bot", "text": f"It takes {name} days.", "retrieval": [{"score": score}, {"score": score - 0.1}]},
    ]
    if rating is not None:
        turns[1]["feedback"] = [{"rating": rating, "scale": "thumb"}]
    return {"id": name, "closed": True, "turns": turns}


def judge_all(db: Database, label: str, above: float = -1.0, causes: Sequence[str] = ()) -> None:
    """A verdict for each exchange that has none."""
    reviewer = add_reviewer(db, name=f"r{len(rows_of(db, Verdict))}")
    with db.write() as session:
        for exchange in rows_of(db, StoredExchange, ~StoredExchange.reviewed):
            item = ReviewItem(
                exchange_id=exchange.id, state=ItemState.done, priority=0.5, strategy="random", propensity=0.5, reason="",
                suggestions={}, created_at=LATER, decided_at=LATER,
            )  # fmt: skip
            session.add(item)
            session.flush()
            told = label if exchange.priority > above else "good"
            session.add(
                Verdict(item_id=item.id, reviewer_id=reviewer, fence=1, label=told, causes=list(causes), decided_at=LATER)
            )
            session.get_one(StoredExchange, exchange.id).reviewed = True


def test_scoring_keeps_a_history_that_repeats_do_not_change(db: Database, hashing: Encoder) -> None:
    ingest(db, *(searched(f"c{i}", 0.5 + i / 100) for i in range(12)))
    score_all(make_triage(db, hashing))
    (before,) = rows_of(db, PlatformHistory)
    ingest(db, *(searched(f"c{i}", 0.5 + i / 100, rating=-1) for i in range(12)), now=LATER)

    score_all(make_triage(db, hashing), LATER + timedelta(hours=1))

    (after,) = rows_of(db, PlatformHistory)
    assert (before.source, before.field) == ("standard", "retrieval")
    assert len(History.read(before.content).sample) == 12
    assert after.content == before.content


def test_workers_that_score_at_once_lose_nothing_of_the_history(db: Database, hashing: Encoder) -> None:
    ingest(db, *(searched(f"c{i}", 0.5 + i / 1000) for i in range(60)))
    triages = [make_triage(db, HashingEncoder()) for _ in range(3)]

    def work(triage: Any) -> None:
        while triage.score_due({}, LATER, 4):
            pass

    threads = [Thread(target=work, args=(triage,)) for triage in triages]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    (row,) = rows_of(db, PlatformHistory)
    assert len(rows_of(db, StoredExchange)) == 60
    assert len(History.read(row.content).sample) == 60


def test_a_calibration_is_made_once_and_used_by_later_scores(db: Database, hashing: Encoder) -> None:
    ingest(db, *(searched(f"c{i}", 0.5 + i / 100) for i in range(30)))
    triage = make_triage(db, hashing)
    score_all(triage)

    made = [calibrate_due(db, LATER), calibrate_due(db, LATER + timedelta(seconds=30))]
    platform = Calibrations(db).current()
    ingest(db, searched("new", 0.31))
    triage.score_due({}, LATER, 10, platform)

    assert made == [1, 0]
    calibration = platform["standard", "retrieval"]
    (exchange,) = rows_of(db, StoredExchange, StoredExchange.question.contains("new"))
    assert exchange.versions["platform"] == calibration.version
    (found,) = rows_of(db, Evidence, Evidence.exchange_id == exchange.id, Evidence.name == "answer_relevance")
    assert (found.detail["calibration"], found.detail["answers_known"], found.detail["scale"]) == (
        calibration.version,
        30,
        COSINE,
    )
    assert found.detail["lower_than"] > 0.95


def test_verdicts_teach_a_sources_calibration(db: Database, hashing: Encoder) -> None:
    ingest(db, *(searched(f"c{i}", 0.8 + i / 1000) for i in range(40)))
    ingest(db, *(searched(f"o{i}", 0.8 + i / 1000) for i in range(40)), source="other")
    score_all(make_triage(db, hashing))
    calibrate_due(db, LATER)
    calibrations = Calibrations(db)
    before = calibrations.current()["standard", "retrieval"]
    judge_all(db, "wrong")

    made = calibrate_due(db, LATER + timedelta(seconds=30))

    after = calibrations.current()["standard", "retrieval"]
    assert made == 2
    assert after.verdicts == 40
    assert likely(after.logits(np.asarray([-0.8])))[0] > likely(before.logits(np.asarray([-0.8])))[0] + 0.2
    assert {m.version for m in rows_of(db, Model) if m.source == "standard"} == {before.version, after.version}


def test_users_ratings_teach_a_little(db: Database, hashing: Encoder) -> None:
    ingest(db, *(searched(f"c{i}", 0.8 + i / 1000, rating=-1) for i in range(40)))
    score_all(make_triage(db, hashing))
    calibrate_due(db, LATER)
    by_ratings = Calibrations(db).current()["standard", "retrieval"]
    judge_all(db, "wrong")

    calibrate_due(db, LATER + timedelta(seconds=30))

    by_verdicts = Calibrations(db).current()["standard", "retrieval"]
    at = np.asarray([-0.82])
    unlearned = Calibration(by_ratings.field, by_ratings.scale, by_ratings.count, by_ratings.quantiles)
    assert unlearned.logits(at)[0] < by_ratings.logits(at)[0] < by_verdicts.logits(at)[0]


def test_a_failed_calibration_leaves_the_old_one_and_the_others(db: Database, hashing: Encoder) -> None:
    ingest(db, *(searched(f"c{i}", 0.5 + i / 100) for i in range(20)))
    ingest(db, *(searched(f"o{i}", 0.5 + i / 100) for i in range(20)), source="other")
    score_all(make_triage(db, hashing))
    calibrate_due(db, LATER)
    before = Calibrations(db).current()
    judge_all(db, "wrong")
    with db.write() as session:
        session.get_one(PlatformHistory, ("other", "retrieval")).content = "broken"

    made = calibrate_due(db, LATER + timedelta(seconds=30))

    after = Calibrations(db).current()
    assert made == 1
    assert after["other", "retrieval"] == before["other", "retrieval"]
    assert after["standard", "retrieval"] != before["standard", "retrieval"]


def test_a_broken_history_does_not_stop_scoring(db: Database, hashing: Encoder) -> None:
    ingest(db, searched("a", 0.5))
    score_all(make_triage(db, hashing))
    with db.write() as session:
        session.get_one(PlatformHistory, ("standard", "retrieval")).content = "broken"
    ingest(db, searched("b", 0.6))

    score_all(make_triage(db, hashing))

    assert len(History.read(rows_of(db, PlatformHistory)[0].content).sample) == 1
    assert len(rows_of(db, StoredExchange)) == 2
