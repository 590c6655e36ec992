"""Which rule should let a refitted intent model go live? Streams of labels from public data, played once for each rule.

    python -m benchmarks.go_live --data ../shared/data --cache /tmp/vectors [--seeds 2] [--jobs 2]

Each stream is a bot with some intents of one data set, asked with unequal frequency. It starts from three seeds an intent; then
labels come, 5 to 40 before each refit, and every version is fitted and compared with the live one as `service/learn` does it.
What is live depends on the rule, so every rule has a history of its own. The truth is the loss on the other questions of these
intents, with the labels that the data set gives; neither the rules nor the models see those.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.stats import binom

from scoring.comparison import LEAST_JUDGED, Floats, folds_of, judgement_weights
from scoring.encoder import SentenceEncoder, Vectors
from scoring.intents import OUT_OF_SCOPE, IntentModel, chances, rehearsed
from scoring.out_of_scope import Indices
from scoring.rehearsals import Learned
from training.data import CachedVectors, read

SETS = ("banking77", "clinc150", "hwu64")
INTENTS = 20
SEEDS_EACH = 3
STEPS = 12
SIZES = (5, 10, 20, 40)
"""Labels before a refit: with `refit_after` 20, days of few labels have fewer and busy hours more."""
SPELL = (60, 140)
"""Which labels a careless reviewer gives."""
MOST_TRUTH = 1_000
TELLING = 0.01
"""Log loss from which two versions truly differ."""
KINDS = {
    "clean": "every label is right",
    "slips": "one label in ten is another intent",
    "careless": "half of the labels from the 61st to the 140th are another intent",
    "chosen": "labels are drawn where the first version is unsure, with known propensities; one in twenty is another intent",
}


@dataclass(frozen=True, slots=True)
class Judged:
    """Losses of the live and the new version on the same labels, whether each was right, and what each label counts."""

    before: Floats
    after: Floats
    right_before: NDArray[np.bool_]
    right_after: NDArray[np.bool_]
    weights: Floats

    def gain(self) -> tuple[float, float]:
        """The weighted mean gain and its standard error."""
        total = float(self.weights.sum())
        gains = self.before - self.after
        gain = float(self.weights @ gains) / total
        return gain, float(np.sqrt((self.weights**2) @ (gains - gain) ** 2)) / total


Rule = Callable[[Judged], bool]


def by_errors(errors: float) -> Rule:
    """Better by more than so many standard errors; negative: not worse by more."""

    def rule(judged: Judged) -> bool:
        gain, error = judged.gain()
        return gain > errors * error

    return rule


def by_bootstrap(judged: Judged) -> bool:
    """Better in at least 95 of 100 resamples of the labels (Efron and Tibshirani 1993)."""
    rows = np.random.default_rng(0).integers(0, len(judged.before), (1000, len(judged.before)))
    drawn = ((judged.before - judged.after) * judged.weights)[rows].sum(axis=1)
    return float((drawn > 0).mean()) >= 0.95


def by_mcnemar(judged: Judged) -> bool:
    """McNemar's mid-p test of right against wrong, one-sided, at 0.05 (Fagerland, Lydersen and Laake 2013)."""
    won = int((judged.right_after & ~judged.right_before).sum())
    lost = int((judged.right_before & ~judged.right_after).sum())
    if won + lost == 0:
        return False
    return float(binom.cdf(lost, won + lost, 0.5) - 0.5 * binom.pmf(lost, won + lost, 0.5)) < 0.05


RULES: dict[str, Rule] = {
    "always": lambda judged: True,
    "not worse by 1 s.e.": by_errors(-1.0),
    "better at all": by_errors(0.0),
    "better by 0.5 s.e.": by_errors(0.5),
    "better by 1 s.e.": by_errors(1.0),
    "better by 1.64 s.e.": by_errors(1.64),
    "better by 2 s.e.": by_errors(2.0),
    "paired bootstrap, 95 %": by_bootstrap,
    "McNemar mid-p, 0.05": by_mcnemar,
}


@dataclass(frozen=True, slots=True)
class Decision:
    """`gain`: what the new version truly gains on the live one, as log loss; `waited`: labels since the live one was fitted."""

    lives: bool
    gain: float
    waited: int


@dataclass(slots=True)
class History:
    """What one rule did with one stream: its decisions, and the true loss and accuracy of what was live after each step."""

    data: str
    kind: str
    seed: int
    rule: str
    decisions: list[Decision] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)


class Stream:
    """One bot's labels in their order, what was fitted from them, and the truth."""

    def __init__(self, texts: Sequence[str], vectors: Vectors, intents: Sequence[str], kind: str, seed: int) -> None:
        rng = np.random.default_rng(seed)
        names = rng.permutation(sorted(set(intents)))[:INTENTS]
        asked = 1.0 / (np.arange(len(names)) + 3.0)  # a few intents are asked often, most seldom
        frequency = dict(zip(names.tolist(), (asked / asked.sum()).tolist(), strict=True))
        here = rng.permutation([i for i, intent in enumerate(intents) if intent in frequency])
        place: dict[str, int] = {}
        first: list[int] = []
        for i in here.tolist():  # the first of each intent are its seeds
            if place.setdefault(intents[i], 0) < SEEDS_EACH:
                place[intents[i]] += 1
                first.append(i)
        left = np.setdiff1d(here, first)
        counts = {name: sum(intents[i] == name for i in left) for name in frequency}
        share = np.asarray([frequency[intents[i]] / counts[intents[i]] for i in left])
        self.texts, self.vectors = texts, vectors
        self.told = list(intents)
        self.propensities = np.ones(len(intents))
        sizes = rng.choice(SIZES, STEPS)
        count = int(sizes.sum())
        drawn = (
            rng.choice(left, count, replace=False, p=share) if kind != "chosen" else self._unsure(first, left, share, count, rng)
        )
        self.rows = np.concatenate([np.asarray(first, dtype=np.intp), drawn])
        self._slip(drawn, names.tolist(), kind, rng)
        truth = np.setdiff1d(left, drawn)
        truth = rng.permutation(truth)[:MOST_TRUTH]
        self.truth, self.true_intents = truth, [intents[i] for i in truth]
        kept = {name: max(self.true_intents.count(name), 1) for name in frequency}
        counted = np.asarray([frequency[name] / kept[name] for name in self.true_intents])
        self.true_weights = counted / counted.sum()
        self.ends = len(first) + np.concatenate([[0], np.cumsum(sizes)])
        self._versions: dict[int, tuple[IntentModel, Learned]] = {}
        self._truths: dict[int, tuple[float, float]] = {}
        self._judged: dict[tuple[int, int], Judged] = {}

    def _unsure(self, first: Sequence[int], left: Indices, share: Floats, count: int, rng: np.random.Generator) -> Indices:
        """Asked questions that the seeds' model is unsure of, three times as often as others; one in twenty whatever it says."""
        model = IntentModel.fit([self.texts[i] for i in first], self.vectors[first], [self.told[i] for i in first])
        found = model.predict([self.texts[i] for i in left], self.vectors[left])
        doubt = np.asarray([1 - one.confidence for one in found])
        chance = np.clip(0.05 + 0.95 * doubt**2, 0.05, 1.0)
        self.propensities[left] = chance
        weighted = share * chance
        return rng.choice(left, count, replace=False, p=weighted / weighted.sum())

    def _slip(self, came: Indices, names: Sequence[str], kind: str, rng: np.random.Generator) -> None:
        rate = np.full(len(came), {"clean": 0.0, "slips": 0.1, "careless": 0.0, "chosen": 0.05}[kind])
        if kind == "careless":
            rate[slice(*SPELL)] = 0.5
        for i in came[rng.random(len(came)) < rate]:
            self.told[i] = str(rng.choice([name for name in names if name != self.told[i]]))

    def known(self, step: int) -> Indices:
        rows: Indices = self.rows[: self.ends[step]]
        return rows

    def version(self, step: int) -> tuple[IntentModel, Learned]:
        """The model of all labels up to this step, and what it learned before its fit."""
        if step not in self._versions:
            texts, vectors, intents = self._examples(self.known(step))
            learned = rehearsed(texts, vectors, intents)
            self._versions[step] = IntentModel.fit(texts, vectors, intents, learned=learned), learned
        return self._versions[step]

    def true_of(self, step: int) -> tuple[float, float]:
        """(log loss, accuracy) on the truth."""
        if step not in self._truths:
            losses, right = self._told(self.version(step)[0], self.truth, self.true_intents)
            self._truths[step] = float(self.true_weights @ losses), float(self.true_weights @ right)
        return self._truths[step]

    def judged(self, live: int, step: int) -> Judged:
        """The live version against fits that lack the judged labels, on labels that came after the live one's fit."""
        if (live, step) not in self._judged:
            known, learned = self.known(step), self.version(step)[1]
            unseen = known[self.ends[live] :]
            folds = folds_of(len(unseen), 3)
            order: list[int] = []
            sides: list[tuple[Floats, NDArray[np.bool_]]] = []
            for fold in range(3):
                held = unseen[folds == fold]
                texts, vectors, intents = self._examples(np.asarray([i for i in known if i not in set(held.tolist())]))
                model = IntentModel.fit(texts, vectors, intents, learned=learned)
                wanted = [self.told[i] for i in held]
                sides += [self._told(self.version(live)[0], held, wanted), self._told(model, held, wanted)]
                order += held.tolist()
            parts = [np.concatenate([side[i] for side in sides[which::2]]) for i in (0, 1) for which in (0, 1)]
            weights = judgement_weights(self.propensities[order])
            self._judged[live, step] = Judged(parts[0], parts[1], parts[2].astype(bool), parts[3].astype(bool), weights)
        return self._judged[live, step]

    def _examples(self, rows: Indices) -> tuple[list[str], Vectors, list[str]]:
        return [self.texts[i] for i in rows], self.vectors[rows], [self.told[i] for i in rows]

    def _told(self, model: IntentModel, rows: Indices, wanted: Sequence[str]) -> tuple[Floats, NDArray[np.bool_]]:
        found = model.predict([self.texts[i] for i in rows], self.vectors[rows])
        right = np.asarray([one.intent == intent for one, intent in zip(found, wanted, strict=True)], dtype=bool)
        return -np.log(chances(found, wanted)), right


def play(data: str, texts: Sequence[str], vectors: Vectors, intents: Sequence[str], kind: str, seed: int) -> list[History]:
    """The stream once for each rule."""
    stream = Stream(texts, vectors, intents, kind, seed)
    histories = []
    for name, rule in RULES.items():
        live, history = 0, History(data, kind, seed, name)
        for step in range(1, STEPS + 1):
            waited = int(stream.ends[step] - stream.ends[live])
            lives = waited >= LEAST_JUDGED and (name == "always" or rule(stream.judged(live, step)))
            history.decisions.append(Decision(lives, stream.true_of(live)[0] - stream.true_of(step)[0], waited))
            live = step if lives else live
            history.losses.append(stream.true_of(live)[0])
            history.accuracies.append(stream.true_of(live)[1])
        histories.append(history)
    return histories


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.go_live", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the public data sets")
    parser.add_argument("--cache", type=Path, help="folder that keeps vectors between runs")
    parser.add_argument("--seeds", type=int, default=2, help="streams of each kind and data set")
    parser.add_argument("--jobs", type=int, default=1, help="processes; give each one thread (OMP_NUM_THREADS=1)")
    parser.add_argument("--json", type=Path, help="write every decision here, stream by stream")
    given = parser.parse_args()
    console = Console(width=None if Console().is_terminal else 140)
    if not given.data.is_dir():
        console.print(f"no data in {given.data}: nothing measured")
        return
    encoded = CachedVectors(SentenceEncoder(precision="float32"), given.cache)
    labels = {
        name: {
            row["text"]: row["intent"] for row in read(given.data, f"intents/{name}/train") if row["intent"] not in OUT_OF_SCOPE
        }
        for name in SETS
    }
    histories: list[History] = []
    with ProcessPoolExecutor(given.jobs, mp_context=get_context("spawn")) as processes:
        running = [
            processes.submit(
                play, name, list(labels[name]), encoded.of(list(labels[name])), list(labels[name].values()), kind, seed
            )
            for seed in range(given.seeds)
            for name in SETS
            for kind in KINDS
        ]
        for done in as_completed(running):
            histories += done.result()
            if given.json:
                given.json.write_text(json.dumps([asdict(one) for one in histories]))
    for kind, told in KINDS.items():
        console.print(table(f"{kind}: {told}", [one for one in histories if one.kind == kind]))
    console.print(table("all", histories))


def table(title: str, histories: Sequence[History]) -> Table:
    shown = Table("rule", "worse let live", "better held back", "labels behind", "rise", "log loss", "accuracy", title=title)
    for rule in RULES:
        mine = [one for one in histories if one.rule == rule]
        decisions = [decision for one in mine for decision in one.decisions]
        worse = [one for one in decisions if one.gain < -TELLING]
        better = [one for one in decisions if one.gain > TELLING]
        behind = float(np.mean([0 if one.lives else one.waited for one in decisions]))
        rise = sum(-one.gain for one in decisions if one.lives and one.gain < 0) / max(len(mine), 1)
        shown.add_row(
            rule,
            _share(sum(one.lives for one in worse), len(worse)),
            _share(sum(not one.lives for one in better), len(better)),
            f"{behind:.0f}",
            f"{rise:.3f}",
            f"{np.mean([loss for one in mine for loss in one.losses]):.3f}",
            f"{np.mean([accuracy for one in mine for accuracy in one.accuracies]):.3f}",
        )
    return shown


def _share(part: int, whole: int) -> str:
    return f"{part}/{whole} ({part / whole:.0%})" if whole else "–"


if __name__ == "__main__":
    main()
