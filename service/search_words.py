"""Words as search knows them: text cut and folded the same way for SQLite, PostgreSQL, questions and highlights.

The databases' own parsers differ from each other, cut Chinese, Japanese and Thai not at all, and read signs in a question as
commands. So we cut ourselves and hand both databases nothing but letters and digits.
"""

import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

MOST_QUESTION = 500
"""Characters of a question that are read."""
_MOST_TERMS = 20
_MOST_TOKEN = 100
# Scripts written without spaces: each character is a word, a written word becomes a phrase.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\U00020000-\U0003ffff"
)
# Accents, Hebrew points, Arabic vowel signs: people leave them out. Other scripts' signs are part of the word.
_LEFT_OUT = re.compile("[\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06ed]")
_ASCII = re.compile("[a-z0-9]+")
_BOUNDARY = "\ue000"  # between two texts: no phrase reaches over it


@dataclass(frozen=True, slots=True)
class Term:
    """Words that stand beside each other; the last one may be a beginning only."""

    tokens: tuple[str, ...]
    prefix: bool = False


@dataclass(frozen=True, slots=True)
class Question:
    """What must be there, and what must not."""

    wanted: tuple[Term, ...] = ()
    unwanted: tuple[Term, ...] = ()


Piece = tuple[str, bool]
"""Text, and whether the question asked for it."""


def tokens(text: str) -> list[str]:
    """The text's words in order: small letters, without accents."""
    if text.isascii():
        return [word[:_MOST_TOKEN] for word in _ASCII.findall(text.lower())]
    return [token for word in _words().findall(text) for token in _folded(word)]


@cache
def _words() -> re.Pattern[str]:
    """Runs of letters, digits and the signs that belong to them, or one character of an unspaced script."""
    signs = [chr(c) for c in range(0x300, sys.maxunicode + 1) if unicodedata.category(chr(c)) in ("Mn", "Mc")]
    return re.compile(f"[{_UNSPACED}]|(?:(?![{_UNSPACED}])[^\\W_]|[{''.join(signs)}])+")


@lru_cache(maxsize=50_000)
def _folded(word: str) -> tuple[str, ...]:
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", word).casefold())
    folded = unicodedata.normalize("NFC", _LEFT_OUT.sub("", plain))
    return tuple(token[:_MOST_TOKEN] for token in _words().findall(folded))


def read_question(text: str) -> Question:
    """Words, "phrases", beginnings* and -exclusions. Whatever is typed means something; what holds no word means nothing."""
    wanted: list[Term] = []
    unwanted: list[Term] = []
    plain = re.sub("[“”„«»]", '"', text[:MOST_QUESTION])
    for found in re.finditer(r'(-?)(?:"([^"]*)"?|([^\s"]+))(\*?)', plain):
        minus, phrase, word, star = found.groups()
        cut = tokens(phrase if word is None else word)
        if cut and len(wanted) + len(unwanted) < _MOST_TERMS:
            term = Term(tuple(cut), prefix=bool(star) or (word or "").endswith("*"))
            (unwanted if minus else wanted).append(term)
    return Question(tuple(dict.fromkeys(wanted)), tuple(dict.fromkeys(unwanted)))


def as_fts5(terms: Sequence[Term], joined: str = "AND") -> str:
    """A MATCH expression of SQLite's FTS5 (sqlite.org/fts5.html, section 3)."""
    return f" {joined} ".join('"' + " ".join(term.tokens) + '"' + (" *" if term.prefix else "") for term in terms)


def as_tsquery(terms: Sequence[Term], joined: str = "&") -> str:
    """The text form of PostgreSQL's tsquery (its manual, section 8.11)."""
    phrases = (" <-> ".join(f"'{token}'" for token in term.tokens) + (":*" if term.prefix else "") for term in terms)
    return f" {joined} ".join(f"({phrase})" for phrase in phrases)


def indexed(texts: Iterable[str], most_bytes: int = 1_000_000) -> list[list[str]]:
    """The words of each text, until there are `most_bytes` of them: a tsvector holds one mebibyte."""
    found: list[list[str]] = []
    size = 0
    for text in texts:
        mine: list[str] = []
        for token in tokens(text):
            size += len(token.encode()) + 6  # its position and its entry
            if size > most_bytes:
                break
            mine.append(token)
        if mine:
            found.append(mine)
    return found


def for_fts5(texts: Iterable[Sequence[str]]) -> str:
    """The document that FTS5's `ascii` tokenizer cuts at spaces only, as we did."""
    return f" {_BOUNDARY} ".join(" ".join(text) for text in texts)


def for_tsvector(texts: Iterable[Sequence[str]]) -> str:
    """The text form of a tsvector. PostgreSQL keeps positions up to 16,383: in longer ones phrases are found up to there."""
    places: dict[str, list[int]] = {}
    place = 0
    for text in texts:
        for token in text:
            place += 1
            places.setdefault(token, []).append(place)
        place += 1
    return " ".join(f"'{token}':{','.join(map(str, at[:255]))}" for token, at in places.items())


def terms_in(text: str, terms: Sequence[Term]) -> set[Term]:
    """Those of the terms that the text holds."""
    said = tokens(text)
    return {term for term in terms if any(_stands_at(term, said, place) for place in range(len(said)))}


def snippet(text: str, terms: Sequence[Term], around: int = 90) -> list[Piece]:
    """A part of the text with its first finds marked, whole words, about `around` characters to each side."""
    places = list(_places(text))
    said = [token for _, _, token in places]
    hits: list[tuple[int, int]] = []
    for i in range(len(said)):
        for term in terms:
            if _stands_at(term, said, i):
                hits.append((places[i][0], places[i + len(term.tokens) - 1][1]))
    first = hits[0] if hits else (0, 0)
    start = _gap(text, max(first[0] - around, 0), -1)
    end = _gap(text, min(max(first[1], first[0] + around) + around, len(text)), 1)
    pieces: list[Piece] = [("…", False)] if start > 0 else []
    at = start
    for begins, ends in _joined(hits):
        if begins >= end:
            break
        pieces += [(text[at:begins], False), (text[begins:ends], True)]
        at = ends
    pieces.append((text[at:end], False))
    if end < len(text) and at < len(text):
        pieces.append(("…", False))
    return [piece for piece in pieces if piece[0]]


def _stands_at(term: Term, said: Sequence[str], place: int) -> bool:
    end = place + len(term.tokens)
    if end > len(said) or tuple(said[place : end - 1]) != term.tokens[:-1]:
        return False
    return said[end - 1].startswith(term.tokens[-1]) if term.prefix else said[end - 1] == term.tokens[-1]


def _places(text: str) -> Iterator[tuple[int, int, str]]:
    """(start, end, word): a written word that folds into several gives each the same place."""
    for found in _words().finditer(text):
        for token in _folded(found[0]):
            yield found.start(), found.end(), token


def _joined(hits: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for begins, ends in sorted(hits):
        if joined and begins <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], ends))
        else:
            joined.append((begins, ends))
    return joined


def _gap(text: str, at: int, step: int) -> int:
    """The nearest place from `at` outwards between two words, at most 20 characters away."""
    for place in range(at, at + 20 * step, step):
        if place <= 0 or place >= len(text):
            return min(max(place, 0), len(text))
        if text[place - 1].isspace() or text[place].isspace():
            return place
    return at
