"""Do the intervals hold? Simulated streams of exchanges with skewed queues, through the real acquisition and estimates.

    python -m benchmarks.intervals [--streams 1000] [--seed 0]

Each stream is another bot (failure rates from 1 % to 40 %), another quality of priorities (from useless to very good), other
clusters (a few questions asked often, failing together), with or without drift; its reviewers decide the highest priorities
first, and in half of the streams they stop half-way. What is estimated at the end is compared with the truth, which the
simulation knows. Beside it stand the usual intervals: all verdicts taken as a sample, and only those drawn by chance.
"""

import argparse
import json
import math
from collections import Counter
from dataclasses import dataclass
from random import Random

import numpy as np
from scipy.special import expit
from scipy.stats import binomtest

from scoring import acquire
from scoring.estimates import Estimate, failure_rate, share_of_failures
from scoring.exposure import Flags, Rounds, Stream, Weights, weigh
from service.budget import POOL, Filled, share_out
from service.settings import QueueSettings

WIDTH = 8


@dataclass(frozen=True, slots=True)
class Bot:
    """What a stream is made from; all drawn at random."""

    exchanges: int
    rounds: int
    rate: float
    knowledge: float
    """How far the priority tells failures apart: 0 is useless, 3 nearly separates them."""
    drift: float
    skew: float
    stops: float
    """Part of the rounds after which reviewers decide no more."""
    queue: QueueSettings
    a_round: int


@dataclass(frozen=True, slots=True)
class Traffic:
    failed: Flags
    priority: acquire.Array
    cluster: np.ndarray
    vectors: np.ndarray
    noticed: Flags
    """By a signal that sees some failures and raises false alarms."""


def make_bot(rng: np.random.Generator) -> Bot:
    exchanges = int(np.exp(rng.uniform(np.log(600), np.log(6000))))
    return Bot(
        exchanges=exchanges,
        rounds=int(rng.integers(4, 40)),
        rate=float(np.exp(rng.uniform(np.log(0.01), np.log(0.4)))),
        knowledge=float(rng.choice([0.0, 0.5, 1.0, 2.0, 3.0])),
        drift=float(rng.choice([0.0, 0.0, -1.0, 1.0])),
        skew=float(rng.choice([0.0, 0.7, 1.2])),
        stops=float(rng.choice([1.0, 0.5])),
        queue=QueueSettings(
            capacity=int(rng.integers(30, 200)),
            review_rate=float(rng.choice([0.05, 0.1, 0.2])),
            random_share=float(rng.choice([0.3, 0.5, 0.8])),
        ),
        a_round=int(rng.integers(5, 40)),
    )


def make_traffic(bot: Bot, rng: np.random.Generator) -> Traffic:
    n = bot.exchanges
    kinds = max(20, n // 8)
    weights = 1 / np.arange(1, kinds + 1) ** bot.skew
    cluster = rng.choice(kinds, size=n, p=weights / weights.sum())
    centres = rng.normal(size=(kinds, WIDTH))
    odds = 1.5 * rng.normal(size=kinds)[cluster] + bot.drift * np.linspace(-1, 1, n)
    level = _level(odds, bot.rate)
    failed = rng.random(n) < expit(odds + level)
    priority = expit(bot.knowledge * (failed - 0.5) * 2 + rng.normal(size=n) - 0.5)
    noticed = rng.random(n) < np.where(failed, 0.6, 0.1)
    vectors = centres[cluster] + 0.3 * rng.normal(size=(n, WIDTH))
    return Traffic(
        failed, priority, cluster, (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), noticed
    )


def _level(odds: np.ndarray, rate: float) -> float:
    low, high = -20.0, 20.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if expit(odds + middle).mean() < rate else (low, middle)
    return (low + high) / 2


def review(bot: Bot, traffic: Traffic, chance: Random) -> tuple[Stream, Rounds]:
    """The stream as it stands after all rounds; time is counted in rounds."""
    n = bot.exchanges
    arrived = np.floor(np.linspace(0, bot.rounds - 1e-6, n))
    taken = np.full(n, -1, dtype=np.int64)
    by_chance, decided = np.zeros(n, dtype=np.bool_), np.zeros(n, dtype=np.bool_)
    decided_at = np.full(n, -1.0)
    further = drawn_so_far = 0
    pools, drawn = [], []
    for now in range(bot.rounds):
        here = np.flatnonzero(arrived <= now)
        pool = here[taken[here] < 0][-POOL:]
        waiting = (taken >= 0) & ~decided
        settled = np.full(traffic.cluster.max() + 1, -1.0)
        np.maximum.at(settled, traffic.cluster[decided], decided_at[decided])
        settled[traffic.cluster[waiting]] = np.inf
        eligible = pool[settled[traffic.cluster[pool]] < arrived[pool]]
        urgent = len(set(traffic.cluster[eligible[traffic.priority[eligible] >= bot.queue.urgent_priority]]))
        filled = Filled(int(waiting.sum()), 0, drawn_so_far, further, len(here))
        budget = share_out(bot.queue, filled, urgent)
        lots = [int(pool[choice.index]) for choice in acquire.draw(len(pool), budget.chance, chance)]
        alike = {int(traffic.cluster[i]) for i in lots}
        some = set(chance.sample(list(eligible), min(len(eligible), 500)))
        best = eligible[np.argsort(-traffic.priority[eligible], kind="stable")[:1000]]
        left = np.array([i for i in dict.fromkeys([*best, *some]) if int(traffic.cluster[i]) not in alike], dtype=int)
        covered = np.flatnonzero(taken >= 0)[-1000:]
        chosen = acquire.mixed(
            acquire.Candidates(
                priority=traffic.priority[left],
                uncertainty=1 - np.abs(2 * traffic.priority[left] - 1),
                vectors=traffic.vectors[left],
                clusters=[int(c) for c in traffic.cluster[left]],
                covered=traffic.vectors[covered],
            ),
            budget.urgent,
            budget.explore,
            int(decided.sum()),
        )
        merit = Counter(choice.strategy for choice in chosen)
        taken[lots] = now
        by_chance[lots] = True
        taken[[int(left[choice.index]) for choice in chosen]] = now
        further += len(lots) + len(chosen) - merit["value"]
        drawn_so_far += len(lots)
        pools.append(len(pool))
        drawn.append(len(lots))
        if now < bot.stops * bot.rounds:
            queue = np.flatnonzero((taken >= 0) & ~decided)
            done = queue[np.argsort(-traffic.priority[queue], kind="stable")[: bot.a_round]]
            decided[done] = True
            decided_at[done] = now
    failed = np.where(decided, traffic.failed.astype(float), np.nan)
    rounds = Rounds(np.arange(bot.rounds, dtype=float), np.asarray(pools, dtype=float), np.asarray(drawn, dtype=float))
    return Stream(arrived, traffic.priority, taken, by_chance, failed), rounds


def select(stream: Stream, weights: Weights, here: Flags) -> tuple[Stream, Weights]:
    fields = (stream.arrived, stream.priority, stream.taken, stream.by_chance, stream.failed)
    return Stream(*(field[here] for field in fields)), Weights(weights.drawn[here], weights.known[here])


@dataclass(slots=True)
class Tally:
    held: int = 0
    below: int = 0
    above: int = 0
    width: float = 0.0
    silent: int = 0
    asked: int = 0

    def add(self, truth: float, low: float, high: float, silent: bool = False) -> None:
        self.asked += 1
        self.silent += silent
        self.held += low - 1e-9 <= truth <= high + 1e-9
        self.below += high + 1e-9 < truth
        self.above += truth < low - 1e-9
        self.width += high - low

    def line(self) -> dict[str, float | int]:
        asked = max(self.asked, 1)
        return {
            "coverage": round(self.held / asked, 4),
            "too_low": round(self.below / asked, 4),
            "too_high": round(self.above / asked, 4),
            "mean_width": round(self.width / asked, 4),
            "no_value": self.silent,
            "intervals": self.asked,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    tallies: dict[str, Tally] = {}

    def add(name: str, truth: float, of: Estimate) -> None:
        tallies.setdefault(name, Tally()).add(truth, of.low, of.high, of.value is None)

    for number in range(asked.streams):
        rng = np.random.default_rng([asked.seed, number])
        bot = make_bot(rng)
        traffic = make_traffic(bot, rng)
        stream, rounds = review(bot, traffic, Random(int(rng.integers(2**32))))
        weights = weigh(stream, rounds, POOL)
        truth = float(traffic.failed.mean())
        overall = failure_rate(stream, weights)
        add("failure rate", truth, overall)
        stopped = "all rounds" if bot.stops == 1 else "half of the rounds"
        groups = (
            f"priority {'useless' if bot.knowledge == 0 else 'weak' if bot.knowledge <= 1 else 'good'}, reviewed in {stopped}",
            f"truth {'below 3 %' if truth < 0.03 else '3 to 15 %' if truth < 0.15 else 'above 15 %'}",
            f"{'skewed' if bot.skew else 'even'} clusters",
            f"{'drifting' if bot.drift else 'steady'} rate, reviewed in {stopped}",
        )
        for group in groups:
            add(f"  {group}", truth, overall)
        latest = np.arange(bot.exchanges) >= bot.exchanges * 3 // 4
        add("failure rate of the latest quarter", traffic.failed[latest].mean(), failure_rate(*select(stream, weights, latest)))
        noticed = failure_rate(*select(stream, weights, traffic.noticed))
        add("precision of a signal", float(traffic.failed[traffic.noticed].mean()), noticed)
        if traffic.failed.any():
            recall = float(traffic.noticed[traffic.failed].mean())
            add("recall of a signal", recall, share_of_failures(stream, weights, traffic.noticed))
        for name, rows in (("naive: all verdicts", ~np.isnan(stream.failed)), ("naive: verdicts on draws", stream.by_chance)):
            seen = stream.failed[rows & ~np.isnan(stream.failed)]
            if len(seen):
                usual = binomtest(int(seen.sum()), len(seen)).proportion_ci(method="wilson")
                tallies.setdefault(name, Tally()).add(truth, usual.low, usual.high)
            else:
                tallies.setdefault(name, Tally()).add(truth, 0.0, 1.0, True)
    for name in sorted(tallies, key=lambda name: (not name.startswith(("f", " ")), not name.startswith("f"), name)):
        print(json.dumps({"what": name, **tallies[name].line()}))
    coverage = tallies["failure rate"].line()["coverage"]
    spread = math.sqrt(0.95 * 0.05 / asked.streams)
    print(f"coverage of the failure rate: {coverage:.3f} (chance alone moves it by {spread:.3f})")


if __name__ == "__main__":
    main()
