"""How two texts of one bot speak against each other: figures, names, negations, opposites, and where wanted a pair model.

The inputs are few and each can be read; a logistic regression weighs them (`scoring/heads/contradiction_*.json`).
After de Marneffe, Rafferty and Manning (2008), "Finding Contradictions in Text".
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from scoring.facts import NEGATIONS, Sentence, names, sentences, stated
from scoring.figures import Fact
from scoring.wording import is_small_talk, plain, word_set, words

_OPPOSITES: dict[str, frozenset[str]] = {}
for _left, _right in (
    ("open opens opened", "closed close closes shut"), ("free complimentary", "charged chargeable paid fee"),
    ("before", "after"),
    ("allowed permitted allow allows permit permits welcome", "prohibited forbidden banned disallowed prohibits forbids"),
    ("refundable", "non-refundable nonrefundable"), ("needed", "unnecessary"),
    ("required mandatory compulsory obligatory necessary", "optional voluntary unnecessary"), ("available", "unavailable"),
    ("include includes included", "exclude excludes excluded"),
    ("accept accepts accepted", "reject rejects rejected refuse refuses decline declines"),
    ("enable enabled enables", "disable disabled disables"), ("above over exceeding", "below under"), ("minimum", "maximum"),
    ("more", "less fewer"), ("with", "without"), ("always", "never"),
    ("increase increases increased raise raised", "decrease decreases decreased reduce reduces reduced lower lowered"),
    ("safe", "unsafe dangerous"), ("possible", "impossible"), ("eligible", "ineligible"), ("valid", "invalid expired"),
    ("legal", "illegal"), ("higher", "lower"), ("permanent", "temporary"), ("automatic automatically", "manual manually"),
    ("early earlier", "late later"), ("able", "unable"), ("likely", "unlikely"), ("if", "unless"), ("can", "cannot"),
    ("all every everyone everybody", "none nobody"), ("indoors indoor inside", "outdoors outdoor outside"), ("yes", "no"),
    ("must", "needn't"),
    ("love loves loved enjoy enjoys adore like likes liked", "hate hates hated dislike dislikes disliked detest despise"),
    ("favorite favourite best", "worst"), ("good great", "bad awful terrible poor"), ("easy simple", "hard difficult"),
    ("cheap affordable", "expensive"), ("big large", "small tiny"), ("married", "single divorced unmarried"),
    ("young", "old retired"),
    ("happy", "sad unhappy miserable"), ("hot warm", "cold freezing"), ("north northern", "south southern"),
    ("east eastern", "west western"), ("brother brothers", "sister sisters"), ("husband", "wife"), ("tall", "short"),
    ("rich", "poor broke"), ("healthy", "unhealthy"), ("popular", "unpopular unknown"), ("summer", "winter"),
    ("often frequently usually", "rarely seldom never"), ("agree", "disagree"), ("true right", "false wrong untrue"),
    ("interesting fun exciting", "boring dull"), ("online", "offline person"), ("daily", "weekly monthly yearly"),
    ("weekly", "monthly yearly"), ("monthly", "yearly annually"),
    ("vegetarian vegan", "meat steak bacon chicken burger burgers"),
    ("employed working work job", "unemployed jobless"), ("active", "lazy inactive"),
    ("single", "wife husband girlfriend boyfriend"),
):  # fmt: skip
    for _one, _other in ((_left, _right), (_right, _left)):
        for _word in _one.split():
            _OPPOSITES[_word] = _OPPOSITES.get(_word, frozenset()) | frozenset(_other.split())
_PAIRS = frozenset(_OPPOSITES)
_DENYING = NEGATIONS | word_set(
    """
    unable unavailable impossible forbidden prohibited banned refuse refuses refused
    decline declines excluded excludes closed rarely seldom hardly hate hates dislike unlike lost instead disabled optional
    """
)
_LIMITING = word_set("only solely exclusively except unless")
_SELF = word_set("i i'm i've i'd my me mine myself")
_FIRST_PERSON = _SELF | word_set("i'll we we're our")
_TELLING = ("money ", "which ", "count ")
_VALUES = frozenset(
    {"duration", "percent", "time", "date", "day of month", "month of a year", "weekday", "frequency", "weight", "length",
    "mile",
     "data", "mbps", "volume", "phone", "degree", "star", "pound", "ounce", "foot", "inch"}
)  # fmt: skip
_SORRY = re.compile(r"^(?:sorry|unfortunately|regrettably|i'm afraid|i am afraid)\b")
_CLAUSE = re.compile(r"[,;:]| (?:and|but|so) ")
_QUESTION = re.compile(r"\?\s*$")

TURN_FEATURES = (
    "cosine", "cosine_squared", "overlap", "values_differ", "values_agree", "counts_differ", "same_counted_differ",
    "names_differ", "names_shared", "stance_differs", "stance_differs_times_overlap", "stance_differs_times_cosine",
    "polarity_differs", "opposites", "limited", "both_personal", "question_back", "entailment", "entailment_times_cosine",
)  # fmt: skip
"""What is weighed of a turn and an earlier one of the same bot."""
ANSWER_FEATURES = (
    *TURN_FEATURES, "question_cosine", "values_partly_differ", "values_apart", "values_differ_times_cosine",
    "values_differ_times_question", "free_or_paid", "length", "length_gap", "rule", "both_of_itself",
    "own_case",
)  # fmt: skip
"""What is weighed of two answers of different conversations."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What is compared of one text."""

    sentences: tuple[Sentence, ...]
    """Without questions and small talk, where anything else is left."""
    facts: Mapping[str, tuple[Fact, ...]]
    names: frozenset[str]
    words: frozenset[str]
    topic: frozenset[str]
    polarity: int
    personal: bool
    itself: bool
    """The bot speaks of itself as a person."""
    asks: bool
    length: int


@lru_cache(maxsize=8192)
def read(text: str) -> Reading:
    """The text as it is compared, at most its first 4,000 characters."""
    found = sentences(text)
    stated = tuple(one for one in found if not one.text.endswith("?") and not is_small_talk(one.text))
    kept = stated or found
    facts: dict[str, tuple[Fact, ...]] = {}
    for sentence in kept:
        for fact in sentence.facts:
            facts[fact.kind] = (*facts.get(fact.kind, ()), fact)
    every = frozenset().union(*(one.words for one in kept)) if kept else frozenset()
    topic = frozenset().union(*(one.topic for one in kept)) if kept else frozenset()
    return Reading(
        kept, facts, names(text), every, topic, _polarity(kept), bool(every & _FIRST_PERSON), bool(every & _SELF),
        not stated or bool(_QUESTION.search(text)), sum(len(words(one.text)) for one in kept),
    )  # fmt: skip


def inputs(one: str, two: str, cosine: float, question_cosine: float = 1.0, rule: float = 0.0) -> dict[str, float]:
    """What a regression weighs for two texts, by name; "entailment" is 0 until a model was asked.

    `cosine`: of the texts; `question_cosine`: of the questions they answer; `rule`: what the rules made of them (0..1).
    """
    left, right = read(one), read(two)
    first, second, overlap = aligned(left, right)
    values_differ = partly = apart = agree = same_counts = 0
    for kind in left.facts.keys() & right.facts.keys():
        mine, its = left.facts[kind], right.facts[kind]
        counted = kind == "number" or kind.startswith("count ")
        if not (counted or kind in _VALUES or (kind.startswith(_TELLING) and kind != "money free")):
            continue
        meets = [(fact, other) for fact in mine for other in its if fact.agrees(other)]
        if not meets:
            same_counts += counted
            values_differ += not counted
            continue
        agree += kind != "weekday"  # the day is more often what is asked about than what is answered
        apart += not any(_overlaps(fact, other) for fact, other in meets)
        alone = [fact for fact in mine if not any(fact is pair[0] for pair in meets)]
        its_alone = [other for other in its if not any(other is pair[1] for pair in meets)]
        partly += bool(alone and its_alone)
    mine_counts, its_counts = _counts(left), _counts(right)
    counts = bool(mine_counts and its_counts and not mine_counts & its_counts)
    free = _paid(left) * _paid(right) < 0
    flips = flipped(left.words - right.words, right.words - left.words)
    in_flips = frozenset(word for pair in flips for word in pair)
    stance = _stance(left, first, in_flips) != _stance(right, second, in_flips)
    polarity = left.polarity * right.polarity < 0
    named = bool(left.names and right.names)
    limited = bool(left.words & _LIMITING) != bool(right.words & _LIMITING)
    found = {
        "cosine": cosine,
        "question_cosine": question_cosine,
        "overlap": overlap,
        "values_differ": min(values_differ, 2),
        "values_partly_differ": min(partly, 1),
        "values_apart": min(apart, 1),
        "values_agree": min(agree, 2),
        "counts_differ": counts,
        "same_counted_differ": min(same_counts, 2),
        "free_or_paid": free,
        "names_differ": named and not left.names & right.names,
        "names_shared": named and bool(left.names & right.names),
        "stance_differs": stance,
        "stance_differs_times_overlap": stance * overlap,
        "stance_differs_times_cosine": stance * cosine,
        "polarity_differs": polarity,
        "opposites": min(len(flips), 2),
        "limited": limited,
        "values_differ_times_cosine": (values_differ > 0) * cosine,
        "values_differ_times_question": (values_differ > 0) * question_cosine,
        "both_personal": left.personal and right.personal,
        "both_of_itself": left.itself and right.itself,
        "own_case": own_case(one) or own_case(two),
        "question_back": left.asks or right.asks,
        "length": math.log1p(min(left.length, right.length)),
        "length_gap": abs(math.log1p(left.length) - math.log1p(right.length)),
        "cosine_squared": cosine * cosine,
        "rule": rule,
        "entailment": 0.0,
        "entailment_times_cosine": 0.0,
    }
    return {name: float(value) for name, value in found.items()}


def with_entailment(found: Mapping[str, float], logit: float) -> dict[str, float]:
    """The same inputs with what the pair model said (log-odds of a contradiction)."""
    held = min(max(logit, -6.0), 6.0)
    return dict(found) | {"entailment": held, "entailment_times_cosine": held * found["cosine"]}


def aligned(left: Reading, right: Reading) -> tuple[Sentence | None, Sentence | None, float]:
    """The two sentences that share most words, and how much they share (0..1); the first ones where none do."""
    best: tuple[Sentence | None, Sentence | None, float] = (
        left.sentences[0] if left.sentences else None,
        right.sentences[0] if right.sentences else None,
        0.0,
    )
    for one in left.sentences[:8]:
        for two in right.sentences[:8]:
            shared = overlap(one.topic, two.topic)
            if shared > best[2]:
                best = one, two, shared
    return best


def overlap(one: frozenset[str], two: frozenset[str]) -> float:
    """Shared words over all words, averaged with shared over the fewer (one may say more); 0 where a side has none."""
    shared = len(one & two)
    return (shared / (len(one) + len(two) - shared) + shared / min(len(one), len(two))) / 2 if shared else 0.0


def flipped(mine: frozenset[str], its: frozenset[str]) -> list[tuple[str, str]]:
    """Words of one side whose opposite the other side has."""
    return [(word, other) for word in sorted(mine & _PAIRS) for other in sorted(_OPPOSITES[word] & its)][:3]


def _stance(reading: Reading, sentence: Sentence | None, but: frozenset[str]) -> bool:
    """Whether the sentence denies, by how many denying words it has and by how the text begins."""
    if sentence is None:
        return False
    if reading.polarity < 0 and sentence is reading.sentences[0]:
        return True
    return _denies(sentence.text, but)


@lru_cache(maxsize=8192)
def _denies(text: str, but: frozenset[str]) -> bool:
    """In one of its clauses an odd number of words deny: two negations in a clause cancel out, in two clauses they do not."""
    return any(
        sum(word in _DENYING and word not in but for word in words(part)) % 2 for part in _CLAUSE.split(stated(text)[:600])
    )


def _polarity(found: Sequence[Sentence]) -> int:
    if not found:
        return 0
    return -1 if _SORRY.match(found[0].text) else found[0].polarity


def _overlaps(one: Fact, two: Fact) -> bool:
    return one.low <= two.high * (1 + 1e-6) and two.low <= one.high * (1 + 1e-6)


def _counts(reading: Reading) -> frozenset[float]:
    return frozenset(
        fact.low for kind, found in reading.facts.items() if kind == "number" or kind.startswith("count ") for fact in found
    )


def _paid(reading: Reading) -> int:
    """1 where something is free, -1 where it costs, 0 where nothing or both are said."""
    costs = any(kind.startswith("money ") and any(fact.high > 0 for fact in found) for kind, found in reading.facts.items())
    return ("money free" in reading.facts) - (costs or "percent" in reading.facts)


_OWN_CASE = re.compile(
    r"\byour (?:\w+ ){0,2}?(?:order|parcel|package|shipment|delivery|balance|appointment|booking|reservation|ticket|flight|"
    r"bill|invoice|tracking|reference|case|table|room|payment|transaction) "
    r"(?:\S+ ){0,6}?(?:is|was|has|will|should|arrives?|shipped|left|number|id|code|of|on|for|comes|dated|at)\b|"
    r"\b(?:reference|confirmation|tracking|order|booking) (?:number|code|id|no)\b"
)


@lru_cache(maxsize=8192)
def own_case(text: str) -> bool:
    """It tells one person about their own order, booking or balance."""
    return _OWN_CASE.search(plain(text[:2000])) is not None


def model_pairs(one: str, two: str, most: int = 2) -> list[tuple[str, str]]:
    """Pairs of sentences for the pair model: those that share most words, or both texts where they are short."""
    left, right = read(one), read(two)
    if left.length <= 30 and right.length <= 30:
        return [(" ".join(part.text for part in left.sentences)[:400], " ".join(part.text for part in right.sentences)[:400])]
    ranked = sorted(
        ((overlap(a.topic, b.topic), i, j) for i, a in enumerate(left.sentences[:8]) for j, b in enumerate(right.sentences[:8])),
        key=lambda pair: (-pair[0], pair[1], pair[2]),
    )
    chosen: list[tuple[str, str]] = []
    seen: set[tuple[str, int]] = set()
    for _, i, j in ranked:
        if len(chosen) >= most:
            break
        if ("l", i) in seen or ("r", j) in seen:
            continue
        seen |= {("l", i), ("r", j)}
        chosen.append((left.sentences[i].text[:400], right.sentences[j].text[:400]))
    return chosen
