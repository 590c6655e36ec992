"""What two answers of one bot state differently, by rules: figures, one negation more, a word replaced by its opposite.

After de Marneffe, Rafferty and Manning (2008), "Finding Contradictions in Text".
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from scoring.contradiction import aligned, flipped, overlap, own_case, read
from scoring.facts import NEGATIONS, Sentence, names, sentences
from scoring.figures import Fact
from scoring.wording import as_written, plain, stem, word_set, words

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
_GOING_ON = re.compile(r"(?:and|or|what about|how about)\b")
_DATED = frozenset({"date", "time", "weekday", "identifier", "month of a year"})
_PERSONAL_KINDS = frozenset({"identifier", "date", "month of a year", "time", "weekday", "phone", "number"})


@dataclass(frozen=True, slots=True)
class Difference:
    """`kind`: the facts' kind, or "yes or no", "negation", "opposite", "name", "statement"; `strength` 0..1: how sure."""

    kind: str
    left: str
    right: str
    strength: float


def repeats(one: str, two: str) -> bool:
    """One of the texts says, but for greetings and the like, nothing that the other does not say in the same words."""
    said = [[sentence.text.rstrip(".! ") for sentence in read(text).sentences] for text in (one, two)]
    return plain(one) == plain(two) or any(
        bool(mine) and all(any(_begins(sentence, other) for other in its) for sentence in mine)
        for mine, its in (said, said[::-1])
    )


def _begins(sentence: str, other: str) -> bool:
    """It is the other sentence, or the whole of its first clause."""
    return other == sentence or (other.startswith(sentence) and other[len(sentence)] in ",;:")


def rule_strength(question: str, answer: str, other_question: str, other_answer: str, similarity: float) -> float:
    """The strongest difference that the rules find, 0..1."""
    found = contradictions(question, answer, other_question, other_answer, max(similarity, 0.75))
    return max((one.strength for one in found), default=0.0)


def comparable(question: str, answer: str, other_question: str, other_answer: str) -> bool:
    """Could the two answers be expected to state the same?

    Not where the questions name different figures or different things, are opposites of each other, ask about one person's
    own order, booking or balance, or go on from what was said before ("and on Sundays?").
    """
    asked, other_asked = plain(question), plain(other_question)
    named, other_named = names(question), names(other_question)
    return not (
        repeats(answer, other_answer)
        or any(_GOING_ON.match(one) for one in (asked, other_asked) if asked != other_asked)
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


def shown(question: str, answer: str, other_question: str, other_answer: str, similarity: float) -> list[Difference]:
    """What to show a reviewer, as it was written: what the rules found, or else what differs at all."""
    found = contradictions(question, answer, other_question, other_answer, similarity)
    found = found or loose_contradictions(question, answer, other_question, other_answer) or _unlike(answer, other_answer)
    return [
        replace(one, left=_as_written(one.left, answer), right=_as_written(one.right, other_answer))
        for one in sorted(found, key=lambda one: -one.strength)
    ]


def _as_written(listed: str, text: str) -> str:
    return ", ".join(as_written(part, text) for part in listed.split(", "))


def _unlike(answer: str, other: str) -> list[Difference]:
    found: list[Difference] = []
    left, right = read(answer), read(other)
    for kind in sorted(left.facts.keys() & right.facts.keys()):
        mine, its = left.facts[kind], right.facts[kind]
        if not any(one.agrees(two) for one in mine for two in its):
            found.append(Difference(kind.split(" ")[0], _shown(mine), _shown(its), 0.5))
    if left.names and right.names and not left.names & right.names:
        found.append(Difference("name", ", ".join(sorted(left.names)[:3]), ", ".join(sorted(right.names)[:3]), 0.4))
    found.extend(
        Difference("opposite", *pair, strength=0.3) for pair in flipped(left.words - right.words, right.words - left.words)[:1]
    )
    if not found:
        one, two, _ = aligned(left, right)
        found.append(
            Difference("statement", one.text[:120] if one else answer[:120], two.text[:120] if two else other[:120], 0.2)
        )
    return found
