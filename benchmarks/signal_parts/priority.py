"""All signals together, as a ranking of bad exchanges, beside each alone and all but one."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.measuring import Measured, calibration_error, ranked
from scoring.scorer import Scored
from scoring.transcripts import Role, Transcript, Turn, split
from scoring.weights import Weights
from training import priority as fit_priority
from training.composed import Composed, Habits, compose
from training.data import CachedVectors, read, turns_of


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
