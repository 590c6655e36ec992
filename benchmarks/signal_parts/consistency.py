"""Do two texts of one bot contradict each other?"""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.measuring import Floats, Measured, ranked
from scoring.cross_encoder import CrossEncoder
from scoring.differences import repeats, rule_strength
from scoring.facts import extract
from scoring.signals.answer_consistency import PRIOR_ANSWERS, PRIOR_TURNS, weigh, worth_reading
from scoring.wording import content_words, plain
from training import consistency as training_consistency
from training.data import CachedVectors, read


def consistency(data: Path, vectors: CachedVectors, seed: int) -> Iterator[Measured]:
    model = CrossEncoder("packaged", "entailment")
    written = training_consistency.written_answers(vectors, held=True)
    planted = training_consistency.planted_answers(data, vectors, seed, ("who", "australia"), 1500)
    for name, rows in {"answers written for this project, held half": written, "planted, WHO and Australia": planted}.items():
        truth = np.asarray([row.contradicts for row in rows])
        inputs = [training_consistency.answer_inputs(row) for row in rows]
        alone = np.asarray([weigh("contradiction_answers", given) for given in inputs])
        logits = training_consistency.asked_all(model, [(row.answer, row.other_answer) for row in rows])
        read_all = [weigh("contradiction_answers_read", training_consistency.answer_inputs(row, logits)) for row in rows]
        rules = np.asarray([_strength(row) for row in rows])
        asked = np.asarray([worth_reading(logit, given) for logit, given in zip(alone, inputs, strict=True)])
        cascade = np.where(asked, read_all, alone)
        figures = np.asarray([float(_figures(row.answer) != _figures(row.other_answer)) for row in rows])
        different = np.asarray([1 - _shared(row.answer, row.other_answer) for row in rows])
        for by, value, least in (
            ("ours with the entailment adapter", cascade, -PRIOR_ANSWERS),
            ("ours, adapter asked about all", np.asarray(read_all), -PRIOR_ANSWERS),
            ("ours without the adapter", alone, -PRIOR_ANSWERS),
            ("rules alone", rules, 0.5),
            ("any figure differs", figures, 0.5),
            ("words differ", different, 0.5),
        ):
            yield _flagged(name, by, truth, value, least)
        for kind in dict.fromkeys(row.kind for row in rows):
            here = np.asarray([row.kind == kind for row in rows])
            for by, value in (("ours with the entailment adapter", cascade), ("ours without the adapter", alone)):
                what = f"{name}: {kind}" if truth[here][0] else f"{name}: {kind} (consistent, share flagged)"
                yield Measured(
                    "answer_consistency", what, by, int(here.sum()), recall=float((value[here] > -PRIOR_ANSWERS).mean())
                )
        what = f"{name}: share that the adapter reads"
        yield Measured("answer_consistency", what, "ours", len(rows), recall=float(asked.mean()))
    yield from _turns(data, vectors, model)
    rows_ = read(data, "nli/prosecco")
    truth = np.asarray([row["label"] == "contradiction" for row in rows_])
    told = [(row["premise"], row["hypothesis"]) for row in rows_]
    cosines = (vectors.of([one for one, _ in told]) * vectors.of([two for _, two in told])).sum(axis=1)
    yield ranked("answer_consistency", "Prosecco, politicians", "the entailment adapter alone", truth, model.logits(told))
    yield ranked("answer_consistency", "Prosecco, politicians", "cosine", truth, cosines.astype(np.float64))


def _turns(data: Path, vectors: CachedVectors, model: CrossEncoder) -> Iterator[Measured]:
    """Dialogues whose last turn contradicts an own earlier one, and the same dialogues as they were."""
    said = [one for one in training_consistency.spoken(data) if one.held]
    vectors.of([text for one in said for text in (*one.earlier, one.turn)])
    near = [list(training_consistency.nearest(one, vectors)) for one in said]
    logits = training_consistency.asked_all(
        model, [(one.earlier[at], one.turn) for one, places in zip(said, near, strict=True) for at, _ in places]
    )
    alone, cascade, read_all, cosine = [], [], [], []
    for one, places in zip(said, near, strict=True):
        kept = [(at, c) for at, c in places if not repeats(one.turn, one.earlier[at])] or places[:1]
        by_head = [weigh("contradiction_turns", training_consistency.turn_inputs(one.earlier[at], one.turn, c)) for at, c in kept]
        by_read = [
            weigh("contradiction_turns_read", training_consistency.turn_inputs(one.earlier[at], one.turn, c, logits))
            for at, c in kept
        ]
        best = int(np.argmax(by_head))
        alone.append(by_head[best])
        read_all.append(max(by_read))
        asked = worth_reading(by_head[best] + PRIOR_TURNS, {}, answers=False)
        cascade.append(max([by_read[best] if asked else by_head[best], *by_head[:best], *by_head[best + 1 :]]))
        cosine.append(places[0][1])
    for name, kept_sources in (("own turns, all dialogues", None), ("own turns, PersonaChat and Wizard", ("Personachat", "WoW"))):
        here = np.asarray([kept_sources is None or one.source in kept_sources for one in said])
        truth = np.asarray([one.target >= 0 for one in said])[here]
        for by, value in (
            ("ours with the entailment adapter", cascade),
            ("ours, adapter asked about all", read_all),
            ("ours without the adapter", alone),
            ("highest cosine to an own earlier turn", cosine),
        ):
            yield ranked("answer_consistency", name, by, truth, np.asarray(value)[here])


def _flagged(data: str, by: str, truth: NDArray[np.bool_], value: Floats, least: float) -> Measured:
    flagged = value > least
    caught = int((flagged & truth).sum())
    row = ranked("answer_consistency", data, by, truth, value)
    return Measured(**(asdict(row) | {"precision": caught / max(int(flagged.sum()), 1), "recall": caught / int(truth.sum())}))


def _strength(row: training_consistency.Answered) -> float:
    return rule_strength(row.question, row.answer, row.other_question, row.other_answer, row.question_cosine)


def _figures(text: str) -> frozenset[tuple[str, float]]:
    return frozenset((fact.kind, fact.low) for fact in extract(text))


def _shared(one: str, two: str) -> float:
    left, right = content_words(plain(one)), content_words(plain(two))
    return len(left & right) / max(len(left | right), 1)
