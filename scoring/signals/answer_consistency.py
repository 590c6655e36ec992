"""Does the bot contradict itself: in answers to similar questions, or in one and the same conversation?

Cosine only finds what to compare. Rules align the sentences of two answers and say what they state differently: numbers, one
negation more, or a word replaced by its opposite (de Marneffe et al. 2008, "Finding Contradictions in Text"); a small
regression weighs that with what else is seen; a pair model is asked where both leave it open.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache, lru_cache

import numpy as np

from scoring.contradiction import aligned, flipped, inputs, model_pairs, overlap, own_case, read, with_entailment
from scoring.cross_encoder import PairModel
from scoring.facts import NEGATIONS, Fact, Sentence, names, sentences
from scoring.heads import Head, load_head
from scoring.signals.base import Batch, Detail, Evidence, Neighbour
from scoring.transcripts import Exchange
from scoring.wording import cannot_answer, is_small_talk, plain, quoted, stem, word_set, words

TOP = 3
"""Own earlier turns that are compared, nearest first."""
EARLIER = 400
"""How far back in a conversation own turns are looked for."""
_LEAST_ALIKE = 0.2
"""Own turns that are less alike speak of something else."""
_UNDECIDED = (-2.5, 2.5)
_UNDECIDED_TWINS = (-5.0, 3.0)
"""Log-odds between these are undecided: only there the pair model is asked. Of two answers in almost the same words one may
name something else, which moves the log-odds little: for those the range is wider."""
_SHARE, _SHARE_TURNS = 0.1, 0.03
"""Of the exchanges of a batch, at most so many go to the pair model; those nearest to the middle first."""
_FEWEST = 32
"""But so many in any case: a batch may be small."""
PRIOR_ANSWERS, PRIOR_TURNS = -0.2, -1.5
"""Added to the heads' log-odds: contradictions are rarer in real conversations than among what they were fitted on."""
_CHANGED = timedelta(days=14)
"""Answers so far apart may be an old and a new policy."""

_PERSONAL_QUESTION = re.compile(
    r"\b(?:where(?:'s| is| are)|when (?:will|does|is|can i expect)|what(?:'s| is)(?: the (?:status|balance|date) of)?|has|"
    r"did|have|is|track(?:ing)?|status of|check(?: on)?|find|locate) "
    r"(?:\w+ ){0,3}?my (?:\w+ )?(?:order|parcel|package|delivery|shipment|account|balance|appointment|booking|reservation|"
    r"refund|ticket|flight|bill|payment|transaction|transfer|"
    r"subscription|invoice|claim|application|case|card|salary|deposit|points|policy number|name|number)\b"
    r"|\bhow much (?:do i owe|money do i have|is (?:left )?in my)\b|\bmy (?:order|tracking|reference|booking|account|"
    r"confirmation) (?:number|id|code|status)\b"
)
_PERSONAL_WORD = re.compile(
    r"\bmy (?:\w+ )?(?:order|parcel|package|delivery|account|balance|appointment|booking|reservation|refund|ticket|flight|"
    r"bill|payment|transaction|invoice)\b"
)
_WHEN = re.compile(
    r"(?:\w+ ){0,2}?(?:when|how (?:long|soon|many|fast|quickly))\b"
    r".* my (?:refund|card|claim|application|deposit|subscription|transfer)\b"
)
_DATED = frozenset({"date", "time", "weekday", "identifier", "month of a year"})
_PERSONAL_KINDS = frozenset({"identifier", "date", "month of a year", "time", "weekday", "phone", "number"})


@dataclass(frozen=True, slots=True)
class Difference:
    """`kind`: the facts' kind, or "yes or no", "negation", "opposite", "name", "statement"; `strength` 0..1: how sure."""

    kind: str
    left: str
    right: str
    strength: float


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
        """The likeliest undecided comparison of an exchange is read by the model, all in one call."""
        assert self._model is not None
        chosen: list[_Compared] = []
        for side, share in ((others, _SHARE), (earlier, _SHARE_TURNS)):
            likely = [max(pairs, key=lambda one: one.logit) for pairs in side if pairs]
            open_ = [one for one in likely if undecided(one.logit, one.found, one.neighbour is not None)]
            open_.sort(key=lambda one: abs(one.logit))
            chosen.extend(open_[: max(_FEWEST, int(share * len(side)))])
        texts = [model_pairs(one.answer, one.other, 1) for one in chosen]
        said = iter(self._model.logits([pair for some in texts for pair in some]))
        again: dict[int, _Compared] = {}
        for one, some in zip(chosen, texts, strict=True):
            again[id(one)] = _read(one, max((float(next(said)) for _ in some), default=0.0))
        read_again = [[[again.get(id(one), one) for one in pairs] for pairs in side] for side in (others, earlier)]
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
        found = _differences(exchange.question, worst.answer, neighbour)
        chief = max(found, key=lambda one: one.strength)
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
                if cosine < _LEAST_ALIKE or read(other).asks or same(answer, other):
                    continue
                given = inputs(other, answer, min(cosine, 1.0))
                logit = weigh("contradiction_turns", given) + PRIOR_TURNS
                found[row].append(_Compared(row, answer, other, given, logit, place=place))
    return found


def same(one: str, two: str) -> bool:
    """The same sentences, but for greetings and the like."""
    left, right = read(one), read(two)
    return plain(one) == plain(two) or (
        bool(left.sentences) and {s.text for s in left.sentences} == {s.text for s in right.sentences}
    )


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


def undecided(logit: float, given: Mapping[str, float], answers: bool = True) -> bool:
    """Whether the pair model is worth asking. `answers`: of two conversations, not turns of one."""
    twins = answers and bool(given) and given["overlap"] >= 0.6 and given["cosine"] >= 0.7
    low, high = _UNDECIDED_TWINS if twins else _UNDECIDED
    return low < logit < high


def _probability(logit: float) -> float:
    return 0.03 + 0.92 / (1 + math.exp(-min(max(logit, -30.0), 30.0)))


def _said(text: str, against: str) -> str:
    """Of the text, the sentence that is nearest to what speaks against it."""
    one, _, shared = aligned(read(text), read(against))
    return one.text if one is not None and shared > 0 else text


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


def _differences(question: str, answer: str, neighbour: Neighbour) -> list[Difference]:
    """What to show a reviewer: what the rules found, or else what differs at all."""
    found = contradictions(question, answer, neighbour.question, neighbour.answer, neighbour.similarity)
    found = found or loose_contradictions(question, answer, neighbour.question, neighbour.answer)
    if found:
        return found
    left, right = read(answer), read(neighbour.answer)
    for kind in sorted(left.facts.keys() & right.facts.keys()):
        mine, its = left.facts[kind], right.facts[kind]
        if not any(fact.agrees(other) for fact in mine for other in its):
            found.append(Difference(kind.split(" ")[0], _shown(mine), _shown(its), 0.5))
    if left.names and right.names and not left.names & right.names:
        found.append(Difference("name", ", ".join(sorted(left.names)[:3]), ", ".join(sorted(right.names)[:3]), 0.4))
    found.extend(
        Difference("opposite", *pair, strength=0.3) for pair in flipped(left.words - right.words, right.words - left.words)[:1]
    )
    one, two, _ = aligned(left, right)
    if not found:
        found.append(
            Difference(
                "statement", one.text[:120] if one else answer[:120], two.text[:120] if two else neighbour.answer[:120], 0.2
            )
        )
    return found


def rule_strength(question: str, answer: str, other_question: str, other_answer: str, similarity: float) -> float:
    """The strongest difference that the rules find, 0..1."""
    found = contradictions(question, answer, other_question, other_answer, max(similarity, 0.75))
    return max((one.strength for one in found), default=0.0)


def comparable(question: str, answer: str, other_question: str, other_answer: str) -> bool:
    """Could the two answers be expected to state the same?

    Not where the questions name different figures or different things, are opposites of each other, or ask about one
    person's own order, booking or balance.
    """
    asked, other_asked = plain(question), plain(other_question)
    named, other_named = names(question), names(other_question)
    return not (
        plain(answer) == plain(other_answer)
        or _differ(asked, other_asked, _says_yes_or_no(answer) or _says_yes_or_no(other_answer))
        or any(_PERSONAL_QUESTION.search(one) and not _general(one, answer, other_answer) for one in (asked, other_asked))
        or (named and other_named and not named & other_named and _but_for(question, other_question, named | other_named))
    )


def _but_for(question: str, other: str, named: frozenset[str]) -> bool:
    """Two questions in the same words but for the names are about two things; else they may name one in two ways."""
    one, two = (read(text).topic - {stem(name) for name in named} for text in (question, other))
    return overlap(one, two) >= 0.5


def _general(asked: str, *answers: str) -> bool:
    """Asked when or how long about one's own, but answered for everybody: no date and nothing of one person's."""
    return _WHEN.match(asked) is not None and not any(own_case(text) or _DATED & read(text).facts.keys() for text in answers)


def contradictions(
    question: str, answer: str, other_question: str, other_answer: str, similarity: float = 1.0
) -> list[Difference]:
    """What `answer` says otherwise than `other_answer`; empty where they agree or speak of different things.

    Questions that name different numbers, or are opposites of each other, rightly get different answers. So do
    questions about one person's own order, booking or balance.
    """
    asked = plain(question)
    left, right = sentences(answer), sentences(other_answer)
    if not left or not right or _names_differ(answer, other_answer):
        return []
    if not comparable(question, answer, other_question, other_answer):
        return []
    personal = _PERSONAL_WORD.search(asked) is not None
    found: list[Difference] = []
    closeness = min(max((similarity - 0.6) / 0.3, 0.3), 1.0)
    if left[0].polarity * right[0].polarity < 0 and (_bare(answer) or _bare(other_answer) or _shared(left, right) >= 0.2):
        found.append(Difference("yes or no", _start(left[0]), _start(right[0]), 0.9 * closeness))
    aligned = False
    for one in left:
        two, alike = _aligned(one, right)
        if two is not None:
            aligned = True
            found.extend(_compare(one, two, alike, closeness, personal) if one.text != two.text else ())
    if not found and not aligned and not personal and similarity >= _SAME_QUESTION:
        found.extend(_only_facts(left, right))
    return found


def loose_contradictions(question: str, answer: str, other_question: str, other_answer: str) -> list[Difference]:
    """For questions in quite different words whose answers are alike: kinds of figures that each answer states just once.

    Only durations, prices, percentages, times and dates: a bare number may count anything.
    """
    left, right = sentences(answer), sentences(other_answer)
    if not left or not right or _names_differ(answer, other_answer):
        return []
    if not comparable(question, answer, other_question, other_answer):
        return []
    return _only_facts(left, right, most=4)


def _bare(answer: str) -> bool:
    """Little more than yes or no."""
    return len(words(plain(answer))) <= 6


def _shared(left: Sequence[Sentence], right: Sequence[Sentence]) -> float:
    """How much two answers speak of the same."""
    return overlap(frozenset().union(*(one.topic for one in left)), frozenset().union(*(one.topic for one in right)))


@lru_cache(maxsize=4096)
def _differ(asked: str, other: str, yes_or_no: bool) -> bool:
    """The questions ask for different things: other numbers, or what reverses a yes or no: a negation more, or an opposite."""
    if asked == other:
        return False
    numbers, others = _figures(sentences(asked)), _figures(sentences(other))
    if numbers != others and (numbers and others):
        return True
    mine, its = frozenset(words(asked)), frozenset(words(other))
    reversed_ = len(mine & NEGATIONS) % 2 != len(its & NEGATIONS) % 2 or bool(flipped(mine - its, its - mine))
    return reversed_ and yes_or_no


def _says_yes_or_no(answer: str) -> bool:
    found = sentences(answer)
    return bool(found) and found[0].polarity != 0


def _figures(found: Sequence[Sentence]) -> frozenset[tuple[str, float]]:
    return frozenset((fact.kind, fact.low) for sentence in found for fact in sentence.facts if fact.kind != "money free")


def _aligned(one: Sentence, others: Sequence[Sentence]) -> tuple[Sentence | None, float]:
    """The sentence that is about the same, and how alike (0..1) the two are."""
    best, alike = None, 0.0
    for other in others:
        found = overlap(one.topic, other.topic)
        if found > alike:
            best, alike = other, found
    return (best, alike) if alike >= _ALIKE else (None, alike)


_OTHER_SUBJECT = word_set(
    """
    domestic international national local standard express premium basic regular adult adults child children student
    students senior seniors men women summer winter monday tuesday wednesday thursday friday saturday sunday weekdays
    weekends saturdays sundays monthly yearly annual weekly daily debit credit single double business personal private
    public online morning evening first second third new old
    """
)
"""Where each of two sentences has another of these, they state different things rather than the same thing differently."""
_ALIKE = 0.6
_TWINS = 0.85
_ALIKE_NEGATION = 0.8
"""A negation more says less than another number: sentences must be more alike before it counts."""


def _compare(one: Sentence, two: Sentence, alike: float, closeness: float, personal: bool) -> list[Difference]:
    of_one_person = own_case(one.text) or own_case(two.text)
    found: list[Difference] = []
    if _OTHER_SUBJECT & one.words - two.words and _OTHER_SUBJECT & two.words - one.words:
        return []
    twins = alike >= _TWINS
    kinds = {fact.kind for fact in one.facts} & {fact.kind for fact in two.facts}
    for kind in sorted(kinds):
        if of_one_person or (personal and (kind in _PERSONAL_KINDS or kind.startswith("money"))):
            continue
        mine, its = [f for f in one.facts if f.kind == kind], [f for f in two.facts if f.kind == kind]
        if twins and len(mine) == len(its):  # the same sentence but for a figure: compare place by place
            unlike = [(fact, other) for fact, other in zip(mine, its, strict=True) if not fact.agrees(other, exactly=True)]
            lone, its_lone = [fact for fact, _ in unlike], [other for _, other in unlike]
            if sorted((f.low, f.high) for f in lone) == sorted((f.low, f.high) for f in its_lone):
                continue  # only the order differs
        else:
            lone = [fact for fact in mine if not any(fact.agrees(other) for other in its)]
            its_lone = [fact for fact in its if not any(fact.agrees(other) for other in mine)]
        if lone and its_lone:
            strength = _KIND_STRENGTH.get(kind, 0.9) * (0.4 + 0.6 * alike) * closeness
            found.append(Difference(kind.split(" ")[0], _shown(lone), _shown(its_lone), strength))
    if of_one_person:
        return found
    costs = [[fact for fact in side.facts if fact.kind.startswith("money ") and fact.high > 0] for side in (one, two)]
    free = [[fact for fact in side.facts if fact.kind == "money free"] for side in (one, two)]
    for mine, its in ((free[0], costs[1]), (costs[0], free[1])):
        if mine and its and len(costs[0]) + len(costs[1]) == 1 and len(free[0]) + len(free[1]) == 1:
            found.append(Difference("money", _shown(mine), _shown(its), 0.8 * closeness))
    if twins:
        found.extend(
            Difference("condition", f"{fact.bound} {fact.shown}", f"{other.bound} {other.shown}", 0.9 * closeness)
            for fact, other in zip(one.facts, two.facts, strict=False)
            if fact.kind == other.kind and fact.agrees(other) and {fact.bound, other.bound} == {"least", "most"}
        )
    flips = flipped(one.words - two.words, two.words - one.words)
    # "always" to "never" is one change, not an opposite and a negation
    counted = frozenset(word for pair in flips for word in pair) & NEGATIONS
    negated = (one.negations - len(counted & one.words)) % 2 != (two.negations - len(counted & two.words)) % 2
    if len(flips) == 1 and not negated and alike >= _ALIKE_NEGATION and not found:
        found.append(Difference("opposite", *flips[0], strength=0.9 * alike * closeness))
    elif negated and not flips and alike >= _ALIKE_NEGATION:
        found.append(Difference("negation", _around(one), _around(two), 0.9 * alike * closeness))
    return found


def _only_facts(left: Sequence[Sentence], right: Sequence[Sentence], most: int = 2) -> list[Difference]:
    """Two short answers (`most` sentences) in other words to one question: a kind of fact that each states exactly once."""
    if len(left) > most or len(right) > most or any(own_case(sentence.text) for sentence in (*left, *right)):
        return []
    mine, its = [fact for one in left for fact in one.facts], [fact for one in right for fact in one.facts]
    found = []
    for kind in sorted({fact.kind for fact in mine} & {fact.kind for fact in its} & _TELLING):
        one, two = [fact for fact in mine if fact.kind == kind], [fact for fact in its if fact.kind == kind]
        if len(one) == len(two) == 1 and not one[0].agrees(two[0]):
            found.append(Difference(kind.split(" ")[0], one[0].shown, two[0].shown, 0.6))
    return found


_SAME_QUESTION = 0.85
_TELLING = frozenset({"duration", "percent", "time", "date", "money usd", "money eur", "money gbp", "phone"})


def _names_differ(answer: str, other: str) -> bool:
    """Both answers name somebody or something, and nothing in common: they may speak of different things."""
    mine, its = names(answer), names(other)
    return bool(mine) and bool(its) and not mine & its


_KIND_STRENGTH = {"link": 0.35, "identifier": 0.3, "number": 0.75, "phone": 0.7}


def _shown(facts: Sequence[Fact]) -> str:
    return ", ".join(dict.fromkeys(fact.shown for fact in facts[:3]))


def _start(sentence: Sentence) -> str:
    return " ".join(sentence.text.split()[:4])


def _around(sentence: Sentence) -> str:
    """The negation with its neighbours, or the sentence's beginning."""
    parts = sentence.text.split()
    at = next((i for i, part in enumerate(parts) if part.strip(".,;:!?") in NEGATIONS), None)
    return " ".join(parts[:6] if at is None else parts[max(at - 2, 0) : at + 4])[:80]


def _detail(neighbour: Neighbour, compared: int, found: Sequence[Difference]) -> Detail:
    return {
        "key": neighbour.key,
        "conversation_id": neighbour.conversation_id,
        "turn_id": neighbour.turn_id,
        "similarity": round(neighbour.similarity, 4),
        "compared": compared,
        "differences": [f"{one.kind}: {one.left} / {one.right}" for one in found[:5]],
    }
