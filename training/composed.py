"""Conversations put together from labelled parts, where every signal has something to read and the truth is known.

No public data set has platform scores, reactions, ratings and a verdict on the same exchange. So an exchange is drawn as
bad or good first; its question and answer come from data in which that is known, and the user reacts by `Habits`: the shares
are assumptions, stated here and varied in the benchmark. What users say is a real comment of GoEmotions.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from sklearn.linear_model import LogisticRegression

from benchmarks.planted import variants
from scoring.signals.answer_relevance import Floats
from scoring.transcripts import Feedback, Intent, Passage, Transcript, Turn
from training import relevance
from training.data import CachedVectors, Row, read

Part = Literal["train", "test"]

_SETS = ("clinc150", "banking77", "hwu64")
_EXAMPLES = 10
"""Per intent, of the platform's own recogniser: few, so that it errs as often as real ones do."""


@dataclass(frozen=True, slots=True)
class Habits:
    """How users behave: shares of all bad (or good) exchanges."""

    bad: float = 0.2
    complain: float = 0.4
    """Of the bad: the next turn is unhappy."""
    complain_anyway: float = 0.03
    """Of the good."""
    go_on: float = 0.4
    """Of either, where they do not complain: the next turn is something else."""
    thumb_down: float = 0.2
    thumb_down_anyway: float = 0.01
    thumb_up: float = 0.15
    """Of the good."""
    thumb_up_anyway: float = 0.03
    """Of the bad."""
    contradicted: float = 0.2
    """Of the bad answers by retrieval: another conversation got the opposite; both need a person."""


@dataclass(frozen=True, slots=True)
class Composed:
    """One exchange a transcript; `bad` (n,) of 0 and 1."""

    transcripts: list[Transcript]
    bad: Floats


def compose(data: Path, vectors: CachedVectors, part: Part, count: int, seed: int, habits: Habits | None = None) -> Composed:
    """At least `count` conversations: half of a bot that retrieves (FeedbackQA), half of bots that recognise intents.

    `part` "train" uses questions and comments that the heads may have been fitted on, "test" none of them.
    """
    rng, habits = np.random.default_rng(seed), habits or Habits()
    pools = [_retrieved(data, vectors, part), *(_recognised(data, vectors, name, part) for name in _SETS)]
    comments = _comments(data, part)
    transcripts, bad = [], []
    drawn: Counter[tuple[str, str]] = Counter()
    for number in range(count):
        wrong = bool(rng.random() < habits.bad)
        pool = pools[0] if number % 2 else pools[1 + number // 2 % len(_SETS)]
        source, question, answer = pool[wrong][int(rng.integers(len(pool[wrong])))]
        other = None
        if wrong and pool is pools[0] and rng.random() < habits.contradicted:
            source, question, answer = pool[False][int(rng.integers(len(pool[False])))]
            planted = [text for _, contradicts, text in variants(answer.text, rng) if contradicts]
            other = planted[int(rng.integers(len(planted)))] if planted else None
            wrong = other is not None
        # Drawn once more, it goes to another bot: no bot is asked the same by so many.
        drawn[question.text, answer.text] += 1
        source = f"{source} {drawn[question.text, answer.text]}"
        for text in (answer.text, other) if other else (answer.text,):
            turns = [question, _rated(replace(answer, text=text), wrong, rng, habits), *_reaction(comments, wrong, rng, habits)]
            transcripts.append(Transcript(f"c{len(transcripts)}", tuple(turns), source))
            bad.append(float(wrong))
    return Composed(transcripts, np.asarray(bad))


_Exchanges = dict[bool, list[tuple[str, Turn, Turn]]]
"""(source, question, answer), by whether the answer is bad."""


def _retrieved(data: Path, vectors: CachedVectors, part: Part) -> _Exchanges:
    rated = relevance.ratings(data)
    cosines = (vectors.of(rated.questions) * vectors.of(rated.answers)).sum(axis=1)
    found: _Exchanges = {True: [], False: []}
    for i, (question, answer) in enumerate(zip(rated.questions, rated.answers, strict=True)):
        if relevance.held_out(question) == (part == "test"):
            passages = (Passage(f"p{i}", None, answer, round(float(cosines[i]), 4)),)
            turns = Turn("1", "user", question), Turn("2", "bot", answer, retrieval=passages)
            found[rated.bad[i] > 0].append((rated.group[i], *turns))
    return found


def _recognised(data: Path, vectors: CachedVectors, name: str, part: Part) -> _Exchanges:
    """Of a platform whose recogniser is a logistic regression on few examples; it answers by the intent it believes in."""
    rows = [row for row in read(data, f"intents/{name}/train") if row["intent"] != "oos"]
    kept: dict[str, list[Row]] = {}
    for row in rows:
        kept.setdefault(row["intent"], []).append(row)
    few = [row for of in kept.values() for row in of[:_EXAMPLES]]
    asked = [row for of in kept.values() for row in of[_EXAMPLES : _EXAMPLES + 15]]
    asked = read(data, f"intents/{name}/test") if part == "test" else asked
    head = LogisticRegression(C=10.0, max_iter=300).fit(vectors.of([r["text"] for r in few]), [r["intent"] for r in few])
    shares = head.predict_proba(vectors.of([row["text"] for row in asked]))
    found: _Exchanges = {True: [], False: []}
    for row, share in zip(asked, shares, strict=True):
        order = np.argsort(-share)[:3]
        ranking = tuple((str(head.classes_[i]), round(float(share[i]), 4)) for i in order)
        believed = ranking[0][0]
        intent = Intent(believed, ranking[0][1], ranking)
        answer = f"I can help you with {believed.replace('_', ' ')}. Here is how it works."
        turns = Turn("1", "user", row["text"], intent=intent), Turn("2", "bot", answer)
        found[believed != row["intent"]].append((name, *turns))
    return found


def _comments(data: Path, part: Part) -> dict[bool, Sequence[str]]:
    rows = [row for row in read(data, f"emotion/goemotions/{part}") if str(row.get("text") or "").strip()]
    return {mood: [row["text"] for row in rows if bool(row.get("frustration")) == mood] for mood in (True, False)}


def _reaction(comments: dict[bool, Sequence[str]], wrong: bool, rng: np.random.Generator, habits: Habits) -> Sequence[Turn]:
    draw, unhappy = rng.random(), habits.complain if wrong else habits.complain_anyway
    if draw >= unhappy + (1 - unhappy) * habits.go_on:
        return ()
    said = comments[bool(draw < unhappy)]
    return (Turn("3", "user", said[int(rng.integers(len(said)))]),)


def _rated(answer: Turn, wrong: bool, rng: np.random.Generator, habits: Habits) -> Turn:
    draw = rng.random()
    down, up = (habits.thumb_down, habits.thumb_up_anyway) if wrong else (habits.thumb_down_anyway, habits.thumb_up)
    rating = -1.0 if draw < down else 1.0 if draw < down + up else None
    feedback = () if rating is None else (Feedback(rating, "thumb"),)
    return replace(answer, feedback=feedback)
