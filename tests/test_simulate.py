"""`triage simulate` and what it computes."""

import gzip
import json
import os
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import processes
import pytest

from scoring.simulation import asking, make_task, simulate
from scoring.strategies import STRATEGIES

WORDS = {"refund": "money back please", "hours": "when do you open", "parcel": "where is my package"}
EXAMPLES = [{"text": f"{words} {i}", "intent": intent} for i in range(8) for intent, words in WORDS.items()]


def run(folder: Path, *args: object) -> CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TRIAGE_")}
    environment = {**clean, "TRIAGE_ENCODER": "hashing", "COLUMNS": "200"}
    return processes.run(["simulate", *map(str, args)], environment, folder)


def write(path: Path, lines: list[Any], *more: str) -> Path:
    content = "".join(json.dumps(line) + "\n" for line in lines) + "".join(line + "\n" for line in more)
    path.write_bytes(gzip.compress(content.encode()) if path.suffix == ".gz" else content.encode())
    return path


def make_vectors(count: int, seed: int) -> tuple[Any, list[str]]:
    """Three intents of which the first has most of the texts."""
    rng = np.random.default_rng(seed)
    classes = rng.choice(3, count, p=[0.9, 0.05, 0.05])
    vectors = np.eye(16)[classes] + 0.1 * rng.normal(size=(count, 16))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), [str(i) for i in classes]


@pytest.mark.parametrize("strategy", ["random", "mixed"])
def test_the_curve_has_a_point_a_batch_and_ends_at_the_budget(tmp_path: Path, strategy: str) -> None:
    pool = write(tmp_path / "pool.jsonl.gz", EXAMPLES)
    asked = ("--pool", pool, "--test", pool, "--strategy", strategy, "--budget", 10, "--batch", 4, "--seed", 1)

    done, again = run(tmp_path, *asked), run(tmp_path, *asked)

    got = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    assert (got["strategy"], got["seed"]) == (strategy, 1)
    assert [labels for labels, _ in got["curve"]] == [4, 8, 10]
    assert all(0 <= accuracy <= 1 for _, accuracy in got["curve"])
    assert again.stdout == done.stdout


def test_a_bad_line_is_told_with_its_number_and_the_others_are_used(tmp_path: Path) -> None:
    pool = write(tmp_path / "pool.jsonl", EXAMPLES, "{broken", '{"text": "no intent"}')
    test = write(tmp_path / "test.jsonl", EXAMPLES)

    done = run(tmp_path, "--pool", pool, "--test", test, "--budget", 1000, "--batch", 12)

    assert done.returncode == 1
    assert "line 25" in done.stderr
    assert "line 26" in done.stderr
    assert json.loads(done.stdout)["curve"][-1] == [24, 1.0]


def test_an_unknown_strategy_is_one_sentence(tmp_path: Path) -> None:
    pool = write(tmp_path / "pool.jsonl", EXAMPLES)

    done = run(tmp_path, "--pool", pool, "--test", pool, "--strategy", "telepathy")

    assert done.returncode == 1
    assert done.stdout == ""
    assert "telepathy" in done.stderr
    assert "margin" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_every_strategy_learns_from_nothing_and_gives_the_same_curve_again(strategy: str) -> None:
    task = make_task(*make_vectors(300, 0), *make_vectors(200, 1))

    first, second = (list(simulate(task, asking(strategy), 60, 20, 3)) for _ in range(2))

    assert first == second
    assert [labels for labels, _ in first] == [20, 40, 60]
    assert first[-1][1] > 0.9


def test_the_default_finds_rare_intents_before_chance_does() -> None:
    vectors, intents = make_vectors(400, 0)
    rare = np.flatnonzero(np.asarray(intents) != "0")
    test = vectors[rare], [intents[i] for i in rare]
    task = make_task(vectors, intents, *test)

    by_default = next(simulate(task, asking("mixed"), 6, 6, 0))[1]
    by_chance = [next(simulate(task, asking("random"), 6, 6, seed))[1] for seed in range(20)]

    assert by_default == 1.0
    assert np.mean(by_chance) < 0.7


def test_intents_that_only_the_test_knows_count_as_errors() -> None:
    vectors, intents = make_vectors(100, 0)
    task = make_task(vectors, intents, vectors, ["new"] * 100)

    assert list(simulate(task, asking("random"), 20, 10, 0)) == [(10, 0.0), (20, 0.0)]
