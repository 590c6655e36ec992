"""Does the bot contradict itself: in answers to similar questions, or in one and the same conversation?

Cosine only finds what to compare. Rules align the sentences of two answers and say what they state differently: numbers, one
negation more, or a word replaced by its opposite (de Marneffe et al. 2008, "Finding Contradictions in Text"); a small
regression weighs that with what else is seen; a pair model is asked where both leave it open.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache

import numpy as np

from scoring.contradiction import aligned, inputs, model_pairs, read, with_entailment
from scoring.cross_encoder import PairModel
from scoring.differences import Difference, comparable, repeats, rule_strength, shown
from scoring.heads import Head, load_head
from scoring.signals.base import Batch, Detail, Evidence, Neighbour
from scoring.transcripts import Exchange
from scoring.wording import as_written, cannot_answer, is_small_talk, plain, quoted

TOP = 3
"""Own earlier turns that are compared, nearest first."""
EARLIER = 400
"""How far back in a conversation own turns are looked for."""
_LEAST_ALIKE = 0.2
"""Own turns that are less alike speak of something else."""
_READ_FROM, _READ_FROM_TWINS = -2.5, -5.0
"""From these log-odds on the pair model is asked too. Of two answers in almost the same words one may name something else,
which moves the log-odds little: of those it reads more."""
_DOUBTFUL = 1.0
_SHARE, _SHARE_TURNS = 0.1, 0.03
"""Of the exchanges of a batch, at most so many go to the pair model; those first that are flagged, but not surely."""
_FEWEST = 64
"""But so many in any case: a batch may be small."""
PRIOR_ANSWERS, PRIOR_TURNS = -0.2, -1.5
"""Added to the heads' log-odds: contradictions are rarer in real conversations than among what they were fitted on."""
_CHANGED = timedelta(days=14)
"""Answers so far apart may be an old and a new policy."""


@dataclass(frozen=True, slots=True)
class _Compared:
    """An answer and another text of the same bot: a neighbour's, or an own earlier one at `place` in the batch."""

    row: int
    answer: str
    other: str
    found: dict[str, float]
    logit: float
    neighbour: Neighbour | None = None
    place: int = -1
    close: bool = True


class AnswerConsistency:
    """Compares an answer with those that other conversations got to near questions, and with the bot's own earlier turns."""

    def __init__(
        self,
        nearest: float = 0.75,
        compared: int = 5,
        loosely: float = 0.45,
        answers: float = 0.25,
        model: PairModel | None = None,
    ) -> None:
        """`nearest`: least cosine of two questions that count as similar. `compared`: neighbours looked at, best first.

        Questions that are less alike, down to `loosely`, count where the answers have at least the cosine `answers`.
        `model`: asked for the log-odds of a contradiction where rules and heads leave it open; None: they decide alone.
        """
        self._nearest = nearest
        self._compared = compared
        self._loosely = loosely
        self._answers = answers
        self._model = model

    @property
    def name(self) -> str:
        return "answer_consistency"

    def measure(self, batch: Batch) -> list[Evidence | None]:
        others = [
            self._with_others(row, e, near) for row, (e, near) in enumerate(zip(batch.exchanges, batch.neighbours, strict=True))
        ]
        earlier = _with_earlier(batch)
        if self._model is not None:
            others, earlier = self._asked(others, earlier)
        found = []
        for row, exchange in enumerate(batch.exchanges):
            among = self._among_others(exchange, others[row])
            before = self._before(batch, exchange, earlier[row])
            both = [one for one in (among, before) if one is not None]
            found.append(max(both, key=lambda one: one.probability) if both else None)
        return found

    def _with_others(self, row: int, exchange: Exchange, near: Sequence[Neighbour]) -> list[_Compared]:
        question, answer = exchange.question, exchange.answer
        if not near or not answer.strip() or is_small_talk(plain(question)) or cannot_answer(plain(answer)):
            return []
        found: list[_Compared] = []
        for neighbour in near:
            close = neighbour.similarity >= self._nearest
            loose = neighbour.similarity >= self._loosely and neighbour.answer_similarity >= self._answers
            if neighbour.conversation_id == exchange.conversation_id or not (close or loose):
                continue
            if not neighbour.answer.strip() or cannot_answer(plain(neighbour.answer)):
                continue
            if len(found) >= self._compared:
                break
            given = logit = None
            if comparable(question, answer, neighbour.question, neighbour.answer):
                rule = rule_strength(question, answer, neighbour.question, neighbour.answer, neighbour.similarity)
                given = inputs(answer, neighbour.answer, neighbour.answer_similarity, neighbour.similarity, rule)
                logit = weigh("contradiction_answers", given) + PRIOR_ANSWERS
            found.append(
                _Compared(row, answer, neighbour.answer, given or {}, -9.0 if logit is None else logit, neighbour, close=close)
            )
        return found

    def _asked(
        self, others: list[list[_Compared]], earlier: list[list[_Compared]]
    ) -> tuple[list[list[_Compared]], list[list[_Compared]]]:
        """The likeliest comparison of an exchange, where it is worth it, is read by the model, all in one call."""
        assert self._model is not None
        chosen: list[_Compared] = []
        for side, share in ((others, _SHARE), (earlier, _SHARE_TURNS)):
            likely = [max(pairs, key=lambda one: one.logit) for pairs in side if pairs]
            open_ = [one for one in likely if worth_reading(one.logit, one.found, one.neighbour is not None)]
            open_.sort(key=lambda one: abs(one.logit - _DOUBTFUL))
            chosen.extend(open_[: max(_FEWEST, int(share * len(side)))])
        texts = [model_pairs(one.answer, one.other, 1) for one in chosen]
        pairs = list(dict.fromkeys(pair for some in texts for pair in some))
        said = dict(zip(pairs, map(float, self._model.logits(pairs)), strict=True))
        again = {
            id(one): _read(one, max((said[pair] for pair in some), default=0.0)) for one, some in zip(chosen, texts, strict=True)
        }
        read_again = [[[again.get(id(one), one) for one in row] for row in side] for side in (others, earlier)]
        return read_again[0], read_again[1]

    def _among_others(self, exchange: Exchange, pairs: Sequence[_Compared]) -> Evidence | None:
        if not pairs:
            return None
        turns = tuple(turn.id for turn in exchange.answer_turns)
        worst = max(pairs, key=lambda one: one.logit)
        probability = _probability(worst.logit)
        neighbour = worst.neighbour
        assert neighbour is not None
        if probability < 0.3:
            similar = [one for one in pairs if one.close]
            if not similar:
                return None
            one = (
                "Similar questions got answers that state the same."
                if len(similar) > 1
                else "A similar question got an answer that states the same."
            )
            near = similar[0].neighbour
            assert near is not None
            return Evidence(self.name, 0.05, 0.03 + 0.2 * probability, turns, one, _detail(near, len(pairs), ()))
        found = shown(exchange.question, worst.answer, neighbour.question, neighbour.answer, neighbour.similarity)
        chief = found[0]
        note = f"A similar question got “{chief.right}” where this answer says “{chief.left}” ({chief.kind})."
        detail = dict(_detail(neighbour, len(pairs), found))
        change = _change(exchange, pairs)
        if change is not None:
            factor, said = change
            probability *= factor
            note = f"{note} {said}"
            detail |= {"changed": said}
        return Evidence(self.name, probability, probability, turns, note, detail)

    def _before(self, batch: Batch, exchange: Exchange, pairs: Sequence[_Compared]) -> Evidence | None:
        if not pairs:
            return None
        worst = max(pairs, key=lambda one: one.logit)
        probability = _probability(worst.logit)
        before = batch.exchanges[worst.place]
        turns = tuple(turn.id for turn in (*before.answer_turns, *exchange.answer_turns))
        detail: Detail = {
            "turn_id": before.turn_id,
            "conversation_id": exchange.conversation_id,
            "answer_cosine": round(worst.found["cosine"], 4),
            "earlier": quoted(worst.other, 30),
        }
        if probability < 0.3:
            own = tuple(turn.id for turn in exchange.answer_turns)
            return Evidence(self.name, probability, probability, own, "Nothing the bot said earlier speaks against this.", detail)
        note = f"Earlier in this conversation the bot said: {quoted(_said(worst.other, worst.answer), 24)}"
        return Evidence(self.name, probability, probability, turns, note, detail)


def _with_earlier(batch: Batch) -> list[list[_Compared]]:
    """Each answer with the nearest own ones before it in the same conversation, by the vectors that are there anyhow."""
    found: list[list[_Compared]] = [[] for _ in batch.exchanges]
    rows: dict[tuple[str, str], list[int]] = {}
    for row, exchange in enumerate(batch.exchanges):
        rows.setdefault((exchange.source, exchange.conversation_id), []).append(row)
    for of_one in rows.values():
        if len(of_one) < 2:
            continue
        vectors = batch.vectors.of([batch.exchanges[row].answer for row in of_one])
        for i in range(1, len(of_one)):
            row = of_one[i]
            answer = batch.exchanges[row].answer
            first = max(i - EARLIER, 0)
            cosines = vectors[first:i] @ vectors[i]
            if cosines.max(initial=0.0) < _LEAST_ALIKE or is_small_talk(plain(answer)) or read(answer).asks:
                continue
            for at in np.argsort(-cosines, kind="stable")[:TOP]:
                cosine = float(cosines[at])
                place = of_one[first + int(at)]
                other = batch.exchanges[place].answer
                if cosine < _LEAST_ALIKE or read(other).asks or repeats(answer, other):
                    continue
                given = inputs(other, answer, min(cosine, 1.0))
                logit = weigh("contradiction_turns", given) + PRIOR_TURNS
                found[row].append(_Compared(row, answer, other, given, logit, place=place))
    return found


def _read(one: _Compared, logit: float) -> _Compared:
    """The comparison, weighed again with what the model said."""
    head, prior = ("contradiction_answers_read", PRIOR_ANSWERS) if one.neighbour else ("contradiction_turns_read", PRIOR_TURNS)
    found = with_entailment(one.found, logit)
    return replace(one, found=found, logit=weigh(head, found) + prior)


@cache
def _head(name: str) -> tuple[Head, dict[str, float]]:
    head = load_head(name)
    return head, dict(zip(head.features, map(float, head.weights), strict=True))


def weigh(name: str, given: dict[str, float]) -> float:
    """Log-odds of a contradiction by the packaged head of that name."""
    head, weights = _head(name)
    return head.bias + sum(weight * given[feature] for feature, weight in weights.items())


def worth_reading(logit: float, given: Mapping[str, float], answers: bool = True) -> bool:
    """Whether the pair model is worth asking. `answers`: of two conversations, not turns of one."""
    twins = answers and bool(given) and given["overlap"] >= 0.6 and given["cosine"] >= 0.7
    return logit > (_READ_FROM_TWINS if twins else _READ_FROM)


def _probability(logit: float) -> float:
    return 0.03 + 0.92 / (1 + math.exp(-min(max(logit, -30.0), 30.0)))


def _said(text: str, against: str) -> str:
    """Of the text, the sentence that is nearest to what speaks against it."""
    one, _, shared = aligned(read(text), read(against))
    return as_written(one.text, text) if one is not None and shared > 0 else text


def _change(exchange: Exchange, pairs: Sequence[_Compared]) -> tuple[float, str] | None:
    """(factor, sentence) where the answers differ because the bot says something new since some time.

    That is where all that is older says one thing, all that is newer the other, and weeks lie between. One answer on
    either side may still be a slip; several are a policy.
    """
    at = exchange.answer_turns[0].at
    dated = [(one.neighbour.asked_at, one.logit > 0) for one in pairs if one.neighbour and one.neighbour.asked_at is not None]
    against = [when for when, differs in dated if differs]
    alike = [when for when, differs in dated if not differs]
    if at is None or not against or len(dated) < len(pairs):
        return None
    mine = [at, *alike]
    older, newer = (against, mine) if max(against) < at else (mine, against)
    if min(newer) - max(older) < _CHANGED:
        return None
    factor = 0.4 if len(older) + len(newer) > 2 else 0.75
    return (
        factor,
        f"Until {max(older):%d %b %Y} one answer was given, since {min(newer):%d %b %Y} the other: this may be a change.",
    )


def _detail(neighbour: Neighbour, compared: int, found: Sequence[Difference]) -> Detail:
    return {
        "key": neighbour.key,
        "conversation_id": neighbour.conversation_id,
        "turn_id": neighbour.turn_id,
        "similarity": round(neighbour.similarity, 4),
        "compared": compared,
        "differences": [f"{one.kind}: {one.left} / {one.right}" for one in found[:5]],
    }
