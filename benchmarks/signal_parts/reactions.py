"""Is the user's reply unhappy with the answer?"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.measuring import Floats, Measured, ranked
from benchmarks.signal_parts.exchanges import batch_of, exchange_of
from scoring.signals.user_frustration import UserFrustration
from scoring.transcripts import Transcript, Turn, split
from scoring.wording import plain, word_set
from training import frustration
from training.data import CachedVectors, read, turns_of

_NEGATIVE_WORDS = word_set(
    "not no never don't doesn't didn't can't wrong bad hate stupid annoying terrible useless fuck shit sucks worst"
)


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
        found = shipped.measure(batch_of(replies.exchanges, vectors))
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
    exchanges = [exchange_of(f"g{i}", "", "Here you are.", row["text"]) for i, row in enumerate(rows)]
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


def _negative(texts: Sequence[str]) -> Floats:
    return np.asarray([float(sum(word.strip(".,!?") in _NEGATIVE_WORDS for word in plain(text).split())) for text in texts])
