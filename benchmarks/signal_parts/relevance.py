"""Does the answer address the question, as users rated it, and is the gold passage first?"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from sklearn.model_selection import GroupKFold

from benchmarks.measuring import Measured, ranked
from benchmarks.signal_parts.exchanges import batch_of, exchange_of
from scoring.late_interaction import LateInteraction
from scoring.signals.answer_relevance import FEATURES, SHORT_FEATURES, AnswerRelevance, judgeable, shortness
from training import relevance
from training.data import CachedVectors, read, turns_of
from training.late_interaction import Candidates


def answers(data: Path, vectors: CachedVectors, seed: int) -> Iterator[Measured]:
    words = relevance.words_of(vectors)
    rated, passages = relevance.ratings(data), relevance.retrieval(data, vectors)
    others = relevance.look_alikes(_kept(passages, False), seed), relevance.replies(data, seed)
    inputs, beside = relevance.inputs_of(rated, vectors, words), [relevance.inputs_of(one, vectors, words) for one in others]
    columns, short = relevance.columns(SHORT_FEATURES), shortness(inputs)
    name, likely = "FeedbackQA ratings, questions unseen", np.zeros(len(rated.bad))
    for seen, held in GroupKFold(5).split(inputs, groups=rated.questions):  # both heads fitted again without the fold
        part = rated.where(np.isin(np.arange(len(likely)), seen).tolist())
        bias, slopes = relevance.fit_head([inputs[seen], beside[0]], [part, others[0]], seed)
        parts = [one[:, columns] for one in (inputs[seen], *beside)]
        bias_short, slopes_short = relevance.fit_head(parts, [part, *others], seed)
        for_short = inputs[held][:, columns] @ slopes_short + bias_short
        likely[held] = (1 - short[held]) * (inputs[held] @ slopes + bias) + short[held] * for_short
    yield ranked("answer_relevance", name, "ours", rated.bad > 0, likely)
    yield from _simple(name, rated, vectors)
    sets = {
        "FeedbackQA passages, questions unseen": relevance.look_alikes(_kept(passages, True), seed),
        "DSTC11 replies": _dialogues(data, seed),
        "AB-ReDial relevance": _recommendations(data),
    }
    for name, pairs in sets.items():
        exchanges = [exchange_of(f"r{i}", q, a) for i, (q, a) in enumerate(zip(pairs.questions, pairs.answers, strict=True))]
        evidence = AnswerRelevance(words).measure(batch_of(exchanges, vectors))
        probabilities = np.asarray([0.2 if one is None else one.probability for one in evidence])
        yield ranked("answer_relevance", name, "ours", pairs.bad > 0, probabilities)
        yield from _simple(name, pairs, vectors)
    for agency in (*relevance.AGENCIES.values(), "all agencies"):
        asked = [one for one in _kept(passages, True) if agency in (one.agency, "all agencies")]
        ours = [words.rank(one.question, one.passages, one.cosines) for one in asked]
        evenly = [words.compare([one.question] * 20, one.passages)[:, 1] for one in asked]
        judged = [_own_judgement(one, words, vectors) for one in asked]
        for by, scores in (
            ("ours", ours), ("cosine", [one.cosines for one in asked]), ("words met, unweighted", evenly),
            ("our judgement", judged),
        ):  # fmt: skip
            first = float(np.mean([int(np.argmax(s)) == one.gold for s, one in zip(scores, asked, strict=True)]))
            yield Measured("answer_relevance", f"gold passage first of 20, {agency}", by, len(asked), accuracy=first)


def _kept(passages: Sequence[Candidates], held: bool) -> list[Candidates]:
    return [one for one in passages if relevance.held_out(one.question) == held]


def _own_judgement(one: Candidates, words: LateInteraction, vectors: CachedVectors) -> list[float]:
    exchanges = [exchange_of(f"p{i}", one.question, passage) for i, passage in enumerate(one.passages)]
    return [0.0 if e is None else -e.probability for e in AnswerRelevance(words).measure(batch_of(exchanges, vectors))]


def _simple(name: str, pairs: relevance.Pairs, vectors: CachedVectors) -> Iterator[Measured]:
    simple = relevance.inputs_of(pairs, vectors, None)
    yield ranked("answer_relevance", name, "1 - cosine", pairs.bad > 0, -simple[:, FEATURES.index("cosine")])
    yield ranked("answer_relevance", name, "words not found", pairs.bad > 0, -simple[:, FEATURES.index("words_found")])


def _dialogues(data: Path, seed: int) -> relevance.Pairs:
    """Replies of task dialogues, and replies of other dialogues."""
    questions: list[str] = []
    answers: list[str] = []
    for row in read(data, "relevance/dstc11_track5/queries")[:500]:
        turns = turns_of(row)
        for (asker, question), (replier, answer) in pairwise(turns):
            if (asker, replier) == ("user", "assistant") and judgeable(question, answer):
                questions.append(question)
                answers.append(answer)
    others = np.random.default_rng(seed).permutation(len(answers))
    return relevance.Pairs(
        questions * 2, answers + [answers[i] for i in others], np.repeat([0.0, 1.0], len(answers)), ["DSTC11"] * len(answers) * 2
    )


def _recommendations(data: Path) -> relevance.Pairs:
    """Rated turns of a recommending bot; bad where the raters' mean relevance is below 3 of 5."""
    questions, answers, bad = [], [], []
    for row in read(data, "satisfaction/ab_redial_turns"):
        turns, at = turns_of(row), row.get("rated_turn")
        rated = (row.get("ratings") or {}).get("relevance")
        if isinstance(at, int) and 0 < at < len(turns) and rated and turns[at - 1][0] == "user":
            questions.append(turns[at - 1][1])
            answers.append(turns[at][1])
            bad.append(float(np.mean(rated) < 3))
    return relevance.Pairs(questions, answers, np.asarray(bad), ["AB-ReDial"] * len(bad))
