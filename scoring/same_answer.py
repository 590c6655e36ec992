"""Do two answers say the same? Strict, for what it decides is done without another look: in doubt they do not."""

from scoring.contradiction import read
from scoring.differences import contradictions
from scoring.facts import names
from scoring.wording import plain

SAME_WORDS = 0.95
"""Cosine from which two answers are wordings of one, where nothing else speaks against it."""
_LENGTHS = 0.75
"""The shorter one must have at least this share of the other's words: an answer that leaves much out is another answer."""


def say_the_same(question: str, answer: str, other_question: str, other_answer: str, cosine: float) -> bool:
    """Whether both answers state the same: in the same words, or in nearly the same with the same figures and names.

    `cosine`: of the answers, 0 where it is not known.
    """
    one, two = (" ".join(plain(text).split()).rstrip(".! ") for text in (answer, other_answer))
    if not one or not two:
        return False
    if one == two:
        return True
    left, right = read(answer), read(other_answer)
    return (
        cosine >= SAME_WORDS
        and min(left.length, right.length) >= _LENGTHS * max(left.length, right.length)
        and left.polarity == right.polarity
        and _figures(answer) == _figures(other_answer)
        and names(answer) == names(other_answer)
        and not contradictions(question, answer, other_question, other_answer)
    )


def _figures(text: str) -> frozenset[tuple[str, float, float]]:
    return frozenset((kind, fact.low, fact.high) for kind, found in read(text).facts.items() for fact in found)
