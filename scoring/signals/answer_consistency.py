"""Do similar questions get answers that contradict each other? Facts decide; cosine only finds the neighbours.

Sentences of two answers are aligned by their words, and only what aligned sentences state differently counts: numbers,
one negation more, or a word replaced by its opposite (de Marneffe et al. 2008, "Finding Contradictions in Text").
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from scoring.facts import NEGATIONS, Fact, Sentence, sentences
from scoring.signals.base import Batch, Detail, Evidence, Neighbour
from scoring.transcripts import Exchange
from scoring.wording import cannot_answer, is_small_talk, plain, word_set, words

_OPPOSITES: dict[str, frozenset[str]] = {}
for _left, _right in (
    ("open opens opened", "closed close closes shut"), ("free complimentary", "charged chargeable paid fee"), ("before", "after"),
    ("allowed permitted allow allows permit permits", "prohibited forbidden banned disallowed prohibits forbids"),
    ("refundable", "non-refundable nonrefundable"),
    ("required mandatory compulsory obligatory", "optional voluntary"), ("available", "unavailable"),
    ("include includes included", "exclude excludes excluded"),
    ("accept accepts accepted", "reject rejects rejected refuse refuses decline declines"), ("enable enabled enables",
    "disable disabled disables"),
    ("above over exceeding", "below under"), ("minimum", "maximum"), ("more", "less fewer"), ("with", "without"), ("always",
    "never"),
    ("increase increases increased", "decrease decreases decreased reduce reduces reduced"), ("safe", "unsafe dangerous"),
    ("possible", "impossible"),
    ("eligible", "ineligible"), ("valid", "invalid expired"), ("legal", "illegal"), ("higher", "lower"), ("permanent",
    "temporary"),
    ("automatic automatically", "manual manually"), ("early earlier", "late later"), ("able", "unable"), ("likely",
    "unlikely"), ("if", "unless"),
    ("can", "cannot"), ("all every", "none"), ("indoors indoor inside", "outdoors outdoor outside"), ("yes", "no"), ("must",
    "needn't"),
):  # fmt: skip
    for _one, _other in ((_left, _right), (_right, _left)):
        for _word in _one.split():
            _OPPOSITES[_word] = _OPPOSITES.get(_word, frozenset()) | frozenset(_other.split())
_PAIRS = frozenset(_OPPOSITES)

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
_PERSONAL_ANSWER = re.compile(
    r"\byour (?:\w+ ){0,2}?(?:order|parcel|package|shipment|delivery|balance|appointment|booking|reservation|ticket|flight|"
    r"bill|invoice|tracking|reference|case|table|room|payment|transaction) "
    r"(?:\S+ ){0,6}?(?:is|was|has|will|should|arrives?|shipped|left|number|id|code|of|on|for|comes|dated|at)\b|"
    r"\b(?:reference|confirmation|tracking|order|booking) (?:number|code|id|no)\b"
)
_PERSONAL_KINDS = frozenset({"identifier", "date", "month of a year", "time", "weekday", "phone", "number"})


@dataclass(frozen=True, slots=True)
class Difference:
    """`kind`: the facts' kind, or "yes or no", "negation", "opposite"; `strength` 0..1: how sure a contradiction is."""

    kind: str
    left: str
    right: str
    strength: float


class AnswerConsistency:
    """Compares an answer with those that other conversations got to near questions."""

    def __init__(self, nearest: float = 0.75, compared: int = 5, loosely: float = 0.45, answers: float = 0.6) -> None:
        """`nearest`: least cosine of two questions that count as similar. `compared`: neighbours looked at, best first.

        Questions that are less alike, down to `loosely`, count where the answers have at least the cosine `answers`;
        then only plain figures are compared (see `loose_contradictions`).
        """
        self._nearest = nearest
        self._compared = compared
        self._loosely = loosely
        self._answers = answers

    @property
    def name(self) -> str:
        return "answer_consistency"

    def measure(self, batch: Batch) -> list[Evidence | None]:
        return [self._evidence(exchange, near) for exchange, near in zip(batch.exchanges, batch.neighbours, strict=True)]

    def _evidence(self, exchange: Exchange, near: Sequence[Neighbour]) -> Evidence | None:
        question, answer = exchange.question, exchange.answer
        if not near or not answer.strip() or is_small_talk(plain(question)) or cannot_answer(plain(answer)):
            return None
        worst: tuple[float, Neighbour, list[Difference]] | None = None
        similar: list[Neighbour] = []
        looked = 0
        for neighbour in near:
            close = neighbour.similarity >= self._nearest
            loose = neighbour.similarity >= self._loosely and neighbour.answer_similarity >= self._answers
            if neighbour.conversation_id == exchange.conversation_id or not (close or loose):
                continue
            if not neighbour.answer.strip() or cannot_answer(plain(neighbour.answer)):
                continue
            looked += 1
            if looked > self._compared:
                break
            if close:
                similar.append(neighbour)
                found = contradictions(question, answer, neighbour.question, neighbour.answer, neighbour.similarity)
            else:
                found = loose_contradictions(question, answer, neighbour.question, neighbour.answer)
            strength = max((one.strength for one in found), default=0.0)
            if found and (worst is None or strength > worst[0]):
                worst = strength, neighbour, found
        turns = tuple(turn.id for turn in exchange.answer_turns)
        if worst is None:
            if not similar:
                return None
            note = (
                "Similar questions got answers that state the same."
                if len(similar) > 1
                else "A similar question got an answer that states the same."
            )
            return Evidence(self.name, 0.05, 0.06, turns, note, _detail(similar[0], looked, ()))
        strength, neighbour, found = worst
        chief = max(found, key=lambda one: one.strength)
        note = f"A similar question got “{chief.right}” where this answer says “{chief.left}” ({chief.kind})."
        return Evidence(self.name, strength, 0.1 + 0.75 * strength, turns, note, _detail(neighbour, looked, found))


def contradictions(
    question: str, answer: str, other_question: str, other_answer: str, similarity: float = 1.0
) -> list[Difference]:
    """What `answer` says otherwise than `other_answer`; empty where they agree or speak of different things.

    Questions that name different numbers, or are opposites of each other, rightly get different answers. So do
    questions about one person's own order, booking or balance.
    """
    asked, other_asked = plain(question), plain(other_question)
    left, right = sentences(answer), sentences(other_answer)
    if not left or not right or not _comparable(asked, answer, other_asked, other_answer):
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
    if not left or not right or not _comparable(plain(question), answer, plain(other_question), other_answer):
        return []
    return _only_facts(left, right, most=4)


def _comparable(asked: str, answer: str, other_asked: str, other_answer: str) -> bool:
    """Could the two answers be expected to state the same?"""
    return not (
        plain(answer) == plain(other_answer)
        or _differ(asked, other_asked)
        or _PERSONAL_QUESTION.search(asked)
        or _PERSONAL_QUESTION.search(other_asked)
        or _names_differ(answer, other_answer)
    )


def _bare(answer: str) -> bool:
    """Little more than yes or no."""
    return len(words(plain(answer))) <= 6


def _shared(left: Sequence[Sentence], right: Sequence[Sentence]) -> float:
    """How much two answers speak of the same."""
    return _overlap(frozenset().union(*(one.topic for one in left)), frozenset().union(*(one.topic for one in right)))


@lru_cache(maxsize=4096)
def _differ(asked: str, other: str) -> bool:
    """The questions ask for different things: other numbers, a negation more, or an opposite."""
    if asked == other:
        return False
    one, two = sentences(asked), sentences(other)
    numbers, others = _figures(one), _figures(two)
    if numbers != others:
        return True
    mine, its = frozenset(words(asked)), frozenset(words(other))
    return len(mine & NEGATIONS) % 2 != len(its & NEGATIONS) % 2 or bool(_flips(mine - its, its - mine))


def _figures(found: Sequence[Sentence]) -> frozenset[tuple[str, float]]:
    return frozenset((fact.kind, fact.low) for sentence in found for fact in sentence.facts if fact.kind != "money free")


def _aligned(one: Sentence, others: Sequence[Sentence]) -> tuple[Sentence | None, float]:
    """The sentence that is about the same, and how alike (0..1) the two are."""
    best, alike = None, 0.0
    for other in others:
        found = _overlap(one.topic, other.topic)
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


def _overlap(one: frozenset[str], two: frozenset[str]) -> float:
    """Shared words over all words, averaged with shared over the fewer (one may say more); 0 where a side has none."""
    shared = len(one & two)
    return (shared / (len(one) + len(two) - shared) + shared / min(len(one), len(two))) / 2 if shared else 0.0


def _compare(one: Sentence, two: Sentence, alike: float, closeness: float, personal: bool) -> list[Difference]:
    own_case = _PERSONAL_ANSWER.search(one.text) is not None or _PERSONAL_ANSWER.search(two.text) is not None
    found: list[Difference] = []
    if _OTHER_SUBJECT & one.words - two.words and _OTHER_SUBJECT & two.words - one.words:
        return []
    twins = alike >= _TWINS
    kinds = {fact.kind for fact in one.facts} & {fact.kind for fact in two.facts}
    for kind in sorted(kinds):
        if own_case or (personal and (kind in _PERSONAL_KINDS or kind.startswith("money"))):
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
    if own_case:
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
    flips = _flips(one.words - two.words, two.words - one.words)
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
    if len(left) > most or len(right) > most or any(_PERSONAL_ANSWER.search(sentence.text) for sentence in (*left, *right)):
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
    """Both answers name somebody or something, and nothing in common: they speak of different things."""
    mine, its = set(_NAME.findall(answer[:2000])), set(_NAME.findall(other[:2000]))
    return bool(mine) and bool(its) and not mine & its


# A capitalised word inside a sentence that is no month or weekday
_NAME = re.compile(
    r"(?<=[a-z,] )(?!(?:January|February|March|April|May|June|July|August|September|October|November|December|Monday|"
    r"Tuesday|Wednesday|Thursday|Friday|"
    r"Saturday|Sunday|Yes|No|You|We|The|Your|Our|If|It)\b)[A-Z][a-z]{2,}|(?<=The )[A-Z][a-z]{2,}"
)

_KIND_STRENGTH = {"link": 0.35, "identifier": 0.3, "number": 0.75, "phone": 0.7}


def _flips(mine: frozenset[str], its: frozenset[str]) -> list[tuple[str, str]]:
    """Words of one side whose opposite the other side has."""
    return [(word, other) for word in sorted(mine & _PAIRS) for other in sorted(_OPPOSITES[word] & its)][:3]


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
