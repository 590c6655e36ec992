"""Two texts beside each other, word by word."""

import re
from collections.abc import Callable, Sequence
from difflib import SequenceMatcher
from itertools import takewhile

_COMPARED = 4000
"""Characters of two answers that are laid side by side."""
_MOST_WORDS = 1200
"""More words than this are compared by sentence: the comparison's cost grows with the product of both lengths."""
# Scripts that put no spaces between words are compared by character: Thai, Lao, Khmer, kana, Han.
_SPACELESS = "\u0e00-\u0eff\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff"
_WORDS = re.compile(rf"(?:[{_SPACELESS}]|[^\s{_SPACELESS}]+)\s*|\s+")
_SENTENCES = re.compile(r"[^.!?。！？\n]*[.!?。！？\n]*\s*")

Piece = tuple[str, str]
"""(text, "same", "gone" or "new")"""


def difference(before: str, after: str) -> list[Piece]:
    """What became of the text, in one run: what stayed, what is gone, what is new."""
    cut = _WORDS
    old, new = cut.findall(before), cut.findall(after)
    if max(len(old), len(new)) > _MOST_WORDS:
        cut = _SENTENCES
        old, new = (list(filter(None, cut.findall(text))) for text in (before, after))
    pieces: list[Piece] = []
    for kind, a, b, c, d in _changes(old, new, lambda word: word.strip()):
        if kind == "equal":
            pieces.append(("".join(new[c:d]), "same"))
            continue
        if b > a:
            pieces.append(("".join(old[a:b]), "gone"))
        if d > c:
            pieces.append(("".join(new[c:d]), "new"))
    return pieces


def side_by_side(one: str, other: str) -> tuple[list[tuple[str, bool]], list[tuple[str, bool]]]:
    """Both texts in pieces; those that the other text lacks are true. Case and marks at the ends of words do not count."""
    words, others = _WORDS.findall(one[:_COMPARED]), _WORDS.findall(other[:_COMPARED])
    pieces: tuple[list[tuple[str, bool]], list[tuple[str, bool]]] = ([], [])
    for kind, a, b, c, d in _changes(words, others, lambda word: word.strip().strip(".,;:!?").lower()):
        for side, text in zip(pieces, ("".join(words[a:b]), "".join(others[c:d])), strict=True):
            if text:
                side.append((text, kind != "equal"))
    for side, text in zip(pieces, (one, other), strict=True):
        if len(text) > _COMPARED:
            side.append(("…", False))
    return pieces


def _changes(old: Sequence[str], new: Sequence[str], plain: Callable[[str], str]) -> list[tuple[str, int, int, int, int]]:
    """difflib's opcodes. What both begin with is set aside first: most changes are small, and the rest is compared in full."""
    bare, new_bare = [plain(word) for word in old], [plain(word) for word in new]
    start = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(bare, new_bare, strict=False)))
    found = SequenceMatcher(None, bare[start:], new_bare[start:], autojunk=False).get_opcodes()
    shifted = [(kind, a + start, b + start, c + start, d + start) for kind, a, b, c, d in found]
    return [("equal", 0, start, 0, start), *shifted] if start else list(shifted)
