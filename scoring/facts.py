"""What an answer states that can be checked against another answer: what its figures say, yes and no, what it denies, names.

Extraction is by rules for English and prefers to miss a fact over inventing one. `scoring/signals/answer_consistency.py`
compares what is found here.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from scoring.figures import WEEKDAY, Fact, read, weekdays
from scoring.wording import STOP_WORDS, is_english, plain, stem, word_set, words

MOST_SENTENCES = 40

_FREE = re.compile(
    r"\b(?:is|are|for|completely|totally|be|it's|absolutely|travels?|parks?|returns?) free\b(?! (?:to|from|trial|time|up))|"
    r"\bfree of charge\b|(?<!-)\bfree (?=parking|wi-?fi|internet|delivery|shipping|returns?\b|breakfast|entry|admission|cancel)|"
    r"\b(?:at|there is|there are|is|has|without) no (?:\w+ )?(?:cost|charge|fee)s?\b|"
    r"\bcosts? nothing\b|\bwithout (?:charge|a fee)\b|"
    r"\b(?:don't|do not|doesn't|does not|never|not) (?:have to )?(?:pay|charged?)\b(?! (?:by|with|in|online|for \w+ing until))"
)
_SENTENCE = re.compile(r"(?<=[.!?;])\s+|\s[•*]\s")
_PRICE_WORDS = word_set("free cost costs charge charged charges fee fees price")
NEGATIONS = word_set(
    """
    not no never none nobody nothing neither nor without cannot unable isn't aren't wasn't weren't don't doesn't didn't
    won't wouldn't can't couldn't shouldn't mustn't needn't hasn't haven't hadn't impossible
    """
)
_NO_NEGATION = re.compile(
    r"\b(?:not only|no matter|(?:no|not) (?:later|more|longer|less|fewer) than|if not|or not|no worries|no problem|why not|"
    r"(?:do not|don't) (?:hesitate|worry|forget)|without (?:delay|hesitation|further)|(?:am|i'm|are|we're) not sure)\b|"
    r"\bno[,;:](?= )"
)
_YES = re.compile(
    r"^(?:(?:yes|yeah|yep|yup|correct)\b(?! or no)|(?:of course|certainly|absolutely|definitely|sure)\W{0,2} (?:you|we|it|"
    r"they|there|that|this) )"
)
_NO = re.compile(
    r"^(?:(?:no|nope)(?=\W*$|[,.;:!]|,? (?:you|it|we|they|there|this|that|your|the)\b)|sorry,? (?:but )?no\b|"
    r"unfortunately\b|regrettably\b|i'm afraid (?:not|you|we|that)\b)"
)


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of an answer. `topic`: its content words without those of facts and negations."""

    text: str
    topic: frozenset[str]
    words: frozenset[str]
    facts: tuple[Fact, ...]
    negations: int
    polarity: int
    """+1 where it begins with yes, -1 with no, else 0."""


@lru_cache(maxsize=4096)
def sentences(text: str) -> tuple[Sentence, ...]:
    """A text's sentences with their facts, at most `MOST_SENTENCES`; none where the text is clearly not English."""
    if not is_english(plain(text)):
        return ()
    lines = text[:4000].split("\n\n") if "\n\n" in text[:4000] else [text[:4000]]
    parts = [part for line in lines for part in _SENTENCE.split(plain(line)) if part]
    return tuple(_sentence(part) for part in parts[:MOST_SENTENCES])


def extract(text: str) -> tuple[Fact, ...]:
    """All facts of a text, in order."""
    return tuple(fact for sentence in sentences(text) for fact in sentence.facts)


def _sentence(text: str) -> Sentence:
    text, facts, rest = read(text)
    facts += [Fact("money free", 0.0, 0.0, found[0]) for found in _FREE.finditer(text)]
    facts += weekdays(rest)
    cleaned = stated(text)
    said = words(cleaned)
    topic = frozenset(
        stem(word)
        for word in words(WEEKDAY.sub(" ", rest))
        if word not in STOP_WORDS and word not in NEGATIONS and word not in _PRICE_WORDS and not word.isdigit()
    )
    polarity = 1 if _YES.match(text) else -1 if _NO.match(text) else 0
    negations = sum(word in NEGATIONS for word in said[1 if polarity else 0 :])
    return Sentence(text, topic, frozenset(said), tuple(facts), negations, polarity)


def stated(plain_text: str) -> str:
    """The text without negations that deny nothing ("no problem"), and without those that are a price ("no charge")."""
    return _FREE.sub(" ", _NO_NEGATION.sub(" ", plain_text))


@lru_cache(maxsize=8192)
def names(text: str) -> frozenset[str]:
    """What a text calls by name, in lower case: capitalised words inside sentences, and abbreviations in capitals anywhere."""
    found = (match[0].removesuffix("'s").removesuffix("\u2019s").replace(".", "") for match in _NAME.finditer(text[:2000]))
    return frozenset(name.lower() for name in found)


# A capitalised word inside a sentence that is no month or weekday, or two to six capitals
_NAME = re.compile(
    r"(?<=[a-z,] )(?!(?:January|February|March|April|May|June|July|August|September|October|November|December|(?:Mon|Tues|"
    r"Wednes|Thurs|Fri|Satur|Sun)days?|Yes|No|You|We|The|Your|Our|If|It|They|This|That|For|Please|In|On|At|And|Or|But|To)\b)"
    r"[A-Z][a-z]{2,}|(?<=The )[A-Z][a-z]{2,}|"
    r"\b(?!(?:AM|PM|OK|USD|EUR|GBP|FAQ|PIN|SIM|SMS|ID|TV|URL|PDF|NOT|NO|YES|AND|OR)\b)[A-Z]{2,6}\b"
)
