"""Measures every signal on parts of public data that nothing was fitted on, against the simplest things that could work.

python -m benchmarks.signals --data ../shared/data --cache /tmp/vectors --json signals.json
"""

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from benchmarks.measuring import Measured, calibration_error, ranked
from benchmarks.second_opinions import second_opinions
from scoring.cross_encoder import CrossEncoder
from scoring.differences import repeats, rule_strength
from scoring.encoder import SentenceEncoder
from scoring.facts import extract
from scoring.intents import OUT_OF_SCOPE, IntentModel
from scoring.late_interaction import LateInteraction
from scoring.out_of_scope import means, unit
from scoring.scorer import Scored
from scoring.signals.answer_consistency import PRIOR_ANSWERS, PRIOR_TURNS, undecided, weigh
from scoring.signals.answer_relevance import FEATURES, SHORT_FEATURES, AnswerRelevance, judgeable, shortness
from scoring.signals.base import Batch
from scoring.signals.user_frustration import UserFrustration
from scoring.transcripts import Exchange, Role, Transcript, Turn, split
from scoring.vectors import TextVectors
from scoring.weights import Weights
from scoring.wording import content_words, plain, word_set
from training import consistency as training_consistency
from training import frustration, relevance
from training import priority as fit_priority
from training.composed import Composed, Habits, compose
from training.data import CachedVectors, read, turns_of
from training.late_interaction import Candidates

Floats = NDArray[np.float64]

_NEGATIVE_WORDS = word_set(
    "not no never don't doesn't didn't can't wrong bad hate stupid annoying terrible useless fuck shit sucks worst"
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.signals", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the public data sets")
    parser.add_argument("--cache", type=Path, help="folder that keeps vectors between runs")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=tuple(_PARTS), help="measure this alone")
    given = parser.parse_args()
    console = Console(width=None if Console().is_terminal else 170)
    if not given.data.is_dir():
        console.print(f"no data in {given.data}: nothing measured")
        return
    vectors = CachedVectors(SentenceEncoder(precision="float32"), given.cache)
    found = [row for name, part in _PARTS.items() if given.only in (None, name) for row in part(given.data, vectors, given.seed)]
    table = Table("signal", "data", "by", "n", "AUROC", "AP", "P@50", "P@100", "accuracy", "ECE", "precision", "recall")
    for row in found:
        table.add_row(
            *(
                "" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)
                for value in asdict(row).values()
            )
        )
    console.print(table)
    if given.json:
        given.json.write_text(json.dumps([asdict(row) for row in found], indent=1) + "\n")


def intents(data: Path, vectors: CachedVectors, seed: int) -> Iterator[Measured]:
    for name in ("clinc150", "banking77", "banking77_oos", "hwu64"):
        train, test = read(data, f"intents/{name}/train"), read(data, f"intents/{name}/test")
        inside = [row for row in train if row["intent"] not in OUT_OF_SCOPE]
        texts, labels = [row["text"] for row in inside], [row["intent"] for row in inside]
        fitted, asked = vectors.of(texts), [row["text"] for row in test]
        model = IntentModel.fit(texts, fitted, labels, seed, vectors.digest)
        seen, truth = vectors.of(asked), np.asarray([row["intent"] for row in test])
        predictions = model.predict(asked, seen)
        outside = np.asarray([bool(row.get("oos")) for row in test])
        right = np.asarray([p.intent for p in predictions]) == truth
        confidence = np.asarray([p.confidence for p in predictions])
        scope = np.asarray([1 - p.out_of_scope for p in predictions])
        plain_head = LogisticRegression(C=20.0, max_iter=300, tol=1e-3).fit(fitted, labels)
        shares = plain_head.predict_proba(seen)
        plain_right = plain_head.classes_[shares.argmax(axis=1)] == truth
        numbers = np.searchsorted(np.asarray(model.intents), labels)
        centred = np.asarray(model.intents)[np.argmax(seen @ unit(means(fitted, numbers, len(model.intents))).T, axis=1)]
        count = int((~outside).sum())
        yield Measured(
            "intent_confidence", name, "ours", count, accuracy=float(right[~outside].mean()),
            calibration_error=calibration_error(confidence[~outside], right[~outside]),
        )  # fmt: skip
        for by, given in (("plain logistic head", plain_right), ("nearest centre", centred == truth)):
            yield Measured("intent_confidence", name, by, count, accuracy=float(given[~outside].mean()))
        here = ~outside
        yield ranked("intent_confidence", f"{name}, wrong in scope", "ours", ~right[here], 1 - confidence[here])
        yield ranked(
            "intent_confidence",
            f"{name}, wrong in scope",
            "1 - largest probability",
            ~plain_right[here],
            1 - shares.max(axis=1)[here],
        )
        if outside.any():
            what = f"{name}, wrong over all"
            yield ranked("intent_confidence", what, "ours", ~right, 1 - confidence * scope)
            yield ranked("intent_confidence", what, "1 - largest probability", ~plain_right, 1 - shares.max(axis=1))
            what = f"{name}, out of scope"
            yield ranked("intent_confidence", what, "ours", outside, 1 - scope)
            yield ranked("intent_confidence", what, "1 - largest probability", outside, 1 - shares.max(axis=1))
            yield ranked("intent_confidence", what, "1 - nearest cosine", outside, 1 - (seen @ fitted.T).max(axis=1))


def requests(data: Path, vectors: CachedVectors, seed: int) -> Iterator[Measured]:
    """Questions with several intents: precision and recall of the intents named, beside naming the first alone."""
    for name in ("clinc150", "hwu64"):  # two questions of the test part joined; and the test part as it is, one intent each
        model, test = _model(data, f"intents/{name}/train", vectors, seed), read(data, f"intents/{name}/test")
        inside = [row for row in test if row["intent"] not in OUT_OF_SCOPE]
        order = np.random.default_rng(seed).permutation(len(inside))[:400]
        pairs = [(inside[a], inside[b]) for a, b in zip(order[::2], order[1::2], strict=True)]
        joined = [
            (one["text"].rstrip(".?! ") + (" and " if i % 2 else ". Also, ") + two["text"], {one["intent"], two["intent"]})
            for i, (one, two) in enumerate(pairs)
            if one["intent"] != two["intent"]
        ]
        yield from _named(f"{name}, two questions joined", model, joined, vectors)
        yield from _named(f"{name}, single questions", model, [(row["text"], {row["intent"]}) for row in inside], vectors)
    for name in ("nlupp_banking", "nlupp_hotels"):  # labels are aspects of one request; fitted on the first label of each
        rows = [row for row in read(data, f"intents/{name}/train") if row["intents"]]
        seen, test = [row for row in rows if row["fold"] > 1], [row for row in rows if row["fold"] <= 1]
        texts = [row["text"] for row in seen]
        model = IntentModel.fit(texts, vectors.of(texts), [row["intents"][0] for row in seen], seed, vectors.digest)
        yield from _named(f"{name}, all labels", model, [(row["text"], set(row["intents"])) for row in test], vectors)


def _model(data: Path, train: str, vectors: CachedVectors, seed: int) -> IntentModel:
    inside = [row for row in read(data, train) if row["intent"] not in OUT_OF_SCOPE]
    texts = [row["text"] for row in inside]
    return IntentModel.fit(texts, vectors.of(texts), [row["intent"] for row in inside], seed, vectors.digest)


def _named(data: str, model: IntentModel, asked: Sequence[tuple[str, set[str]]], vectors: CachedVectors) -> Iterator[Measured]:
    texts = [text for text, _ in asked]
    predictions = model.predict(texts, vectors.of(texts), vectors.of)
    wanted = sum(len(truth) for _, truth in asked)
    for by, most in (("ours", None), ("first intent alone", 1)):
        named = [set(one.intents[:most]) for one in predictions]
        hits = sum(len(found & truth) for found, (_, truth) in zip(named, asked, strict=True))
        precision = hits / sum(len(found) for found in named)
        yield Measured("intent_confidence", data, by, len(asked), precision=precision, recall=hits / wanted)


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
        exchanges = [_exchange(f"r{i}", q, a) for i, (q, a) in enumerate(zip(pairs.questions, pairs.answers, strict=True))]
        evidence = AnswerRelevance(words).measure(_batch(exchanges, vectors))
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
    exchanges = [_exchange(f"p{i}", one.question, passage) for i, passage in enumerate(one.passages)]
    return [0.0 if e is None else -e.probability for e in AnswerRelevance(words).measure(_batch(exchanges, vectors))]


def _simple(name: str, pairs: relevance.Pairs, vectors: CachedVectors) -> Iterator[Measured]:
    simple = relevance.inputs_of(pairs, vectors, None)
    yield ranked("answer_relevance", name, "1 - cosine", pairs.bad > 0, -simple[:, FEATURES.index("cosine")])
    yield ranked("answer_relevance", name, "words not found", pairs.bad > 0, -simple[:, FEATURES.index("words_found")])


def reactions(data: Path, vectors: CachedVectors, seed: int) -> Iterator[Measured]:
    written, ukp, rated, comments = frustration.written(), frustration.reactions(data), _rated_turns(data), _comments(data)
    inputs, ukp_inputs = frustration.inputs_of(written, vectors), frustration.inputs_of(ukp, vectors)
    one = np.full(len(written.unhappy), frustration.WRITTEN_COUNT)
    likely = np.zeros(len(inputs))
    for group in dict.fromkeys(written.group):  # each domain by a head that has not seen it
        held = np.asarray([name == group for name in written.group])
        parts = (
            (inputs[~held], written.unhappy[~held], one[~held]),
            (ukp_inputs, ukp.unhappy, np.full(len(ukp_inputs), frustration.UKP_COUNT)),
        )
        bias, weights = frustration.fit_towards(*(np.concatenate(column) for column in zip(*parts, strict=True)))
        likely[held] = inputs[held] @ weights + bias
    sure = written.unhappy != frustration.MILDLY
    yield from _reactions("replies written for this project, domain unseen", written, likely, inputs, sure)
    bias, weights = frustration.fit_towards(inputs, written.unhappy, one)
    yield from _reactions("UKP reactions to an error, data set unseen", ukp, ukp_inputs @ weights + bias, ukp_inputs)
    shipped = UserFrustration(vectors.digest)
    for name, replies in (("GoEmotions test", comments), ("AB-ReDial turns rated below 3", rated)):
        found = shipped.measure(_batch(replies.exchanges, vectors))
        scores = np.asarray([0.1 if evidence is None else evidence.probability for evidence in found])
        yield from _reactions(name, replies, scores, frustration.inputs_of(replies, vectors))


def _reactions(
    name: str, replies: frustration.Replies, scores: Floats, inputs: Floats, sure: NDArray[np.bool_] | None = None
) -> Iterator[Measured]:
    kept = np.ones(len(scores), dtype=bool) if sure is None else sure
    unhappy, negative = replies.unhappy > 0.5, _negative([exchange.follow_up or "" for exchange in replies.exchanges])
    for by, value in (("ours", scores), ("tone alone", inputs[:, 0]), ("negative words", negative)):
        yield ranked("user_frustration", name, by, unhappy[kept], value[kept])


def _comments(data: Path) -> frustration.Replies:
    rows = [row for row in read(data, "emotion/goemotions/test") if str(row.get("text") or "").strip()]
    exchanges = [_exchange(f"g{i}", "", "Here you are.", row["text"]) for i, row in enumerate(rows)]
    return frustration.Replies(
        exchanges, np.asarray([float(bool(row.get("frustration"))) for row in rows]), ["comment"] * len(rows)
    )


def _rated_turns(data: Path) -> frustration.Replies:
    """Turns of a recommending bot with the user's reply; unhappy where the raters' mean for the turn is below 3 of 5."""
    exchanges, unhappy = [], []
    for number, row in enumerate(read(data, "satisfaction/ab_redial_turns")):
        turns = [
            Turn(f"t{i}", "user" if role == "user" else "bot", text) for i, (role, text) in enumerate(turns_of(row))
        ]  # "assistant" is the bot
        for exchange in split(Transcript(f"m{number}", tuple(turns))):
            if exchange.follow_up_turns and f"t{row.get('rated_turn')}" in {turn.id for turn in exchange.answer_turns}:
                exchanges.append(exchange)
                unhappy.append(float(row["overall_mean"] < 3))
    return frustration.Replies(exchanges, np.asarray(unhappy), ["AB-ReDial"] * len(unhappy))


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
        asked = np.asarray([undecided(logit, given) for logit, given in zip(alone, inputs, strict=True)])
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
        asked = undecided(by_head[best] + PRIOR_TURNS, {}, answers=False)
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


def priority(data: Path, vectors: CachedVectors, seed: int) -> Iterator[Measured]:
    """All signals together, against each alone, and without each in turn."""
    for habits, what in (
        (Habits(), "composed conversations, parts unseen"),
        (Habits(bad=0.1, complain=0.2, thumb_down=0.1), "composed, half as bad, half the reactions"),
    ):
        made = compose(data, vectors, "test", 3000, seed + 1, habits)
        yield from _weighed(what, made.bad > 0, fit_priority.score(made, vectors))
    rows = read(data, "satisfaction/ab_redial_turns")
    rated = [row for row in rows if isinstance(row.get("overall_mean"), float | int) and isinstance(row.get("rated_turn"), int)]
    found, bad = [], []
    for number, row in enumerate(rated):
        turns: list[tuple[Role, str]] = [("user" if role == "user" else "bot", text) for role, text in turns_of(row)]
        transcript = Transcript(f"r{number}", tuple(Turn(str(i), role, text) for i, (role, text) in enumerate(turns)))
        of_turn = [e for e in split(transcript) if str(row["rated_turn"]) in {turn.id for turn in e.answer_turns}]
        if of_turn:
            found.append(transcript)
            bad.append((of_turn[0].turn_id, row["overall_mean"] < 3))
    scored = {
        (one.exchange.conversation_id, one.exchange.turn_id): one
        for one in fit_priority.score(Composed(found, np.zeros(0)), vectors)
    }
    kept = [scored[transcript.id, turn] for transcript, (turn, _) in zip(found, bad, strict=True)]
    yield from _weighed("AB-ReDial, overall below 3 of 5", np.asarray([wrong for _, wrong in bad]), kept)


def _weighed(what: str, truth: NDArray[np.bool_], scored: Sequence[Scored]) -> Iterator[Measured]:
    ours = np.asarray([one.priority for one in scored])
    row = ranked("priority", what, "ours", truth, ours)
    yield Measured(**(asdict(row) | {"calibration_error": calibration_error(ours, truth)}))
    names, probabilities = fit_priority.probabilities_of(list(scored))
    known = np.where(np.isnan(probabilities), Weights.default().base_rate, probabilities)
    for name, column in zip(names, known.T, strict=True):
        yield ranked("priority", what, f"{name} alone", truth, column)
    yield ranked("priority", what, "largest probability", truth, known.max(axis=1))
    for name in names:
        rest = Weights.default().weigh([[e for e in one.evidence if e.name != name] for one in scored])
        yield ranked("priority", what, f"without {name}", truth, np.asarray([one.priority for one in rest]))


_PARTS: dict[str, Callable[[Path, CachedVectors, int], Iterator[Measured]]] = {
    "intents": intents,
    "second opinion": second_opinions,
    "requests": requests,
    "relevance": answers,
    "frustration": reactions,
    "consistency": consistency,
    "priority": priority,
}


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


def _exchange(name: str, question: str, answer: str, follow_up: str | None = None) -> Exchange:
    turns = [Turn("q", "user", question)] if question else []
    turns.append(Turn("a", "bot", answer))
    turns.extend([Turn("f", "user", follow_up)] if follow_up else [])
    return split(Transcript(name, tuple(turns)))[-1]


def _batch(exchanges: Sequence[Exchange], vectors: CachedVectors) -> Batch:
    texts = list(dict.fromkeys(t for e in exchanges for t in (e.question, e.answer, e.follow_up) if t and not t.isspace()))
    matrix = np.concatenate([np.zeros((1, vectors.of([""]).shape[1]), dtype=np.float32), vectors.of(texts)])
    held = TextVectors({text: row for row, text in enumerate(texts, start=1)}, matrix)
    return Batch(exchanges, held, [()] * len(exchanges), [None] * len(exchanges))


def _negative(texts: Sequence[str]) -> Floats:
    return np.asarray([float(sum(word.strip(".,!?") in _NEGATIVE_WORDS for word in plain(text).split())) for text in texts])


def _strength(row: training_consistency.Answered) -> float:
    return rule_strength(row.question, row.answer, row.other_question, row.other_answer, row.question_cosine)


def _figures(text: str) -> frozenset[tuple[str, float]]:
    return frozenset((fact.kind, fact.low) for fact in extract(text))


def _shared(one: str, two: str) -> float:
    left, right = content_words(plain(one)), content_words(plain(two))
    return len(left & right) / max(len(left | right), 1)


if __name__ == "__main__":
    main()
