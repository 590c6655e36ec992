"""Fits the adapter that reads two sentences together: does the second contradict the first?

No public set of contradictions may be used for what is shipped, so the pairs are made: sentences of public texts that are
changed by rule (a negation, an opposite, another figure, another name), the same sentences reworded, and statements
written for this project (`clashes.txt`, `answers.txt`). What each rule makes is only as true as the rule, so a
few labels are wrong.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import permutations
from pathlib import Path
from typing import TypeVar

import numpy as np

from training.cross_encoder import fit_adapter
from training.data import read, turns_of

Random = np.random.Generator
T = TypeVar("T")
_HERE = Path(__file__).parent
_SLOT = re.compile(r"\{([a-z]+)(2?)\}")
_END = re.compile(r"(?<=[.!?])\s+")
_NUMBER = re.compile(r"(?<![\w£$€.,:/-])(\d{1,4})(?![\d.,:/-]|\w)")
_MONEY = re.compile(r"(?<=[£$€])\d[\d,]*")
_WORD_NUMBERS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "twelve", "fourteen", "twenty")
_NAME = re.compile(r"(?<=[a-z,] )(?:[A-Z][a-z]{2,}|[A-Z]{2,6})(?: [A-Z][a-z]+){0,2}\b")
_NEGATED: tuple[tuple[str, str], ...] = (
    (r"\b(can|should|must|will|may|could|would|do|does|did|is|are|was|were|have|has|am) not (?!only|just)", r"\1 "),
    (r"\bcannot\b", "can"), (r"\bcan't\b", "can"), (r"\bwon't\b", "will"),
    (r"\b(is|are|was|were|could|would|should|has)n't\b", r"\1"),
    (r"\b(?:don't|doesn't) ", ""), (r"\bnever (?=[a-z]+)", "always "), (r"\bno longer\b", "still"),
    (r"\b(can|should|must|will|may|could|would) (?!not\b)(?=[a-z]{3,})", r"\1 not "),
    (r"\b(can|should|could|would) (?!not\b)(?=[a-z]{3,})", r"\1n't "),
    (r"\b(is|are|was|were) (?!not\b)(?=[a-z]{3,})", r"\1 not "), (r"\b(is|are|was|were) (?!not\b)(?=[a-z]{3,})", r"\1n't "),
    (r"\bi am (?!not\b)", "i am not "), (r"\bi'm (?!not\b)", "i'm not "),
    (r"\bi (love|like|enjoy|want|know|think|play|work|live|eat|drink|need|use)\b", r"i don't \1"),
    (r"\bI (love|like|enjoy|want|know|think|play|work|live|eat|drink|need|use)\b", r"I don't \1"),
    (r"\b(?:have|has) (?=(?:a|an|two|three|many|some) )", "never had "),
    (r"\b(you|we|they|people) (need|have|get|offer|provide|accept|use|want)\b", r"\1 do not \2"),
    (r"\bi (had|went|saw|got|made|bought|lived|worked)\b", r"i never \1"),
    (r"\bthere (is|are) (?!no\b)(?:an? |some )?", r"there \1 no "),
)  # fmt: skip
_PREFIXES = (
    "Sure! ", "Of course. ", "Thanks for asking. ", "Good question! ", "Hello! ", "Please note: ", "As far as I know, ",
    "well , ", "yes , ",
    "In general, ", "Happy to help! ",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pair:
    """Two texts; `kind` says how they were made."""

    first: str
    second: str
    contradicts: bool
    kind: str


@dataclass(frozen=True, slots=True)
class Answers:
    """A block of `answers.txt`: one question in several wordings, answers that agree, and answers that do not, by kind."""

    domain: str
    questions: tuple[str, ...]
    agreeing: tuple[str, ...]
    contradicting: tuple[tuple[str, str], ...]


def fit(data: Path, seed: int, folder: Path | None = None) -> None:
    """Write `scoring/adapters/entailment`, or `folder`: the weights and the two numbers that scale them."""
    home = folder or _HERE.parent / "scoring" / "adapters" / "entailment"
    made = pairs(data, seed)
    wanted = [float(pair.contradicts) for pair in made]
    fit_adapter([(pair.first, pair.second) for pair in made], wanted, home, seed, rate=1e-3, first_layer=1)
    config = home / "adapter_config.json"
    scale = {name: value for name, value in json.loads(config.read_text()).items() if name in ("lora_alpha", "r")}
    config.write_text(json.dumps(scale) + "\n")  # the rest names folders of the machine that fitted it
    (home / "README.md").unlink(missing_ok=True)


def pairs(data: Path, seed: int) -> list[Pair]:
    """All pairs to fit on, in random order."""
    rng = np.random.default_rng(seed)
    found = [
        *_spoken(rng, 100),
        *_answered(rng),
        *_changed(_passage_sentences(data, rng, 3300), rng),
        *_changed(_utterances(data, rng, 2200), rng),
        *_asked(data, rng, 1800),
    ]
    cased = [_other_case(pair) if rng.random() < 0.25 else pair for pair in found]
    return [cased[i] for i in rng.permutation(len(cased))]


# What was written


def answer_blocks(held: bool) -> list[Answers]:
    """The blocks of `answers.txt`: every second one is `held` for the report."""
    return [block for i, block in enumerate(_answer_blocks()) if (i % 2 == 1) == held]


@cache
def _answer_blocks() -> tuple[Answers, ...]:
    found = []
    for lines in _blocks("answers.txt"):
        by: dict[str, list[str]] = {mark: [line[1:].strip() for line in lines if line[0] == mark] for mark in "@?+!"}
        against = [line.split(":", 1) for line in by["!"]]
        found.append(
            Answers(
                by["@"][0], tuple(_parts(by["?"][0])), tuple(_parts(by["+"][0])),
                tuple((kind, one) for kind, rest in against for one in _parts(rest)),
            )
        )  # fmt: skip
    return tuple(found)


def _blocks(name: str) -> list[list[str]]:
    text = (_HERE / name).read_text(encoding="utf-8")
    blocks = [[line for line in block.split("\n") if line and not line.startswith("#")] for block in text.split("\n\n")]
    return [block for block in blocks if block]


def _parts(text: str) -> list[str]:
    return [part.strip() for part in re.split(r" / ", text) if part.strip()]


def _spoken(rng: Random, rounds: int) -> Iterator[Pair]:
    """Statements of one speaker from `clashes.txt`, with the slots filled anew each round."""
    blocks = _blocks("clashes.txt")
    slots = {name: _listed(rest) for name, rest in (line.split(":", 1) for line in blocks[0])}
    said: list[str] = []
    for _ in range(rounds):
        for block in blocks[1:]:
            lines = {line[0]: _parts(line[1:]) for line in block}
            fill = _filler(slots, rng)
            one, two = (fill(text) for text in _two(lines["+"], rng))
            against, beside = fill(_any(lines["!"], rng)), fill(_any(lines["="], rng))
            roll = rng.random()
            if roll < 0.5:
                yield _placed(one, against, True, "statements clash", rng)
            elif roll < 0.66:
                yield _placed(one, two, False, "statements agree", rng)
            elif roll < 0.86:
                yield _placed(one, beside, False, "statements go together", rng)
            elif roll < 0.92:
                yield (
                    _placed(against, beside, False, "statements apart", rng)
                    if "2}" not in str(lines["="])
                    else _placed(one, two, False, "statements agree", rng)
                )
            elif said:
                yield _placed(one, _any(said, rng), False, "statements apart", rng)
            said = [*said[-60:], one, against]


def _answered(rng: Random) -> Iterator[Pair]:
    for block in answer_blocks(held=False):
        for _ in range(3):
            for one, two in permutations(block.agreeing, 2):
                yield Pair(_led(one, rng), _led(two, rng), False, "answers agree")
        for kind, other in [*block.contradicting, *block.contradicting]:
            for one in block.agreeing:
                yield _placed(_led(one, rng), _led(other, rng), True, f"answers: {kind}", rng)
    blocks = answer_blocks(held=False)
    for _ in range(500):
        block, beside = _two(blocks, rng)
        other = _any([*beside.agreeing, *(text for _, text in beside.contradicting)], rng)
        yield Pair(_any(block.agreeing, rng), other, False, "answers apart")


def _filler(slots: dict[str, list[str]], rng: Random) -> Callable[[str], str]:
    chosen = {name: _two(values, rng) for name, values in slots.items()}
    return lambda text: _SLOT.sub(lambda slot: chosen[slot[1]][1 if slot[2] else 0], text)


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _any(values: Sequence[T], rng: Random) -> T:
    return values[int(rng.integers(len(values)))]


def _two(values: Sequence[T], rng: Random) -> tuple[T, T]:
    one, two = rng.permutation(len(values))[:2]
    return values[int(one)], values[int(two)]


def _placed(one: str, two: str, contradicts: bool, kind: str, rng: Random) -> Pair:
    """Statements as they stand in turns: in either order, now and then with something else around them."""
    one, two = _led(one, rng), _led(two, rng)
    return Pair(one, two, contradicts, kind) if rng.random() < 0.5 else Pair(two, one, contradicts, kind)


def _led(text: str, rng: Random) -> str:
    return f"{_any(_PREFIXES, rng)}{text}" if rng.random() < 0.2 else text


def _other_case(pair: Pair) -> Pair:
    """Chat is often written without capitals and with blanks before its marks."""
    return Pair(_chatty(pair.first), _chatty(pair.second), pair.contradicts, pair.kind)


def _chatty(text: str) -> str:
    return re.sub(r"\s*([.,!?])(?=\s|$)", r" \1", text).lower()


# Sentences of public texts


def _passage_sentences(data: Path, rng: Random, most: int) -> list[list[str]]:
    """Passages as lists of sentences of a usual length, about `most` sentences in all."""
    found: list[list[str]] = []
    for agency in ("cdc", "uk", "who", "australia"):
        for row in read(data, f"relevance/feedbackqa_retrieval/{agency}_passages"):
            parts = [part for part in _END.split(" ".join(str(row.get("passage") or "").split())) if 5 <= len(part.split()) <= 24]
            if len(parts) > 1:
                found.append(parts)
    return _some(found, rng, most)


def _utterances(data: Path, rng: Random, most: int) -> list[list[str]]:
    """What each speaker said in a dialogue, as sentences."""
    found: list[list[str]] = []
    for row in read(data, "feedback/ukp_error_and_reaction"):
        by: dict[str, list[str]] = {}
        for speaker, text in turns_of(row):
            by.setdefault(speaker, []).extend(part for part in re.split(r"(?<=[.!?])\s+", text) if 4 <= len(part.split()) <= 26)
        found.extend(said for said in by.values() if len(said) > 1)
    return _some(found, rng, most)


def _some(found: list[list[str]], rng: Random, most: int) -> list[list[str]]:
    kept, count = [], 0
    for i in rng.permutation(len(found)):
        if count >= most:
            break
        kept.append(found[int(i)])
        count += len(found[int(i)])
    return kept


def _changed(texts: Sequence[Sequence[str]], rng: Random) -> Iterator[Pair]:
    """Each sentence with up to two contradictions of it, and pairs of the same kind that contradict nothing."""
    for sentences in texts:
        for i, sentence in enumerate(sentences):
            if sentence.endswith("?"):
                continue
            made = [(kind, other) for kind, other in against(sentence, rng) if other != sentence]
            made = [made[int(at)] for at in rng.permutation(len(made))]
            made.sort(key=lambda one: one[0] not in ("number", "price"))  # few sentences have a figure
            for at in range(len(made[:2])):
                kind, other = made[at]
                yield _placed(sentence, reworded(other, rng) if rng.random() < 0.6 else other, True, kind, rng)
            roll = rng.random()
            if roll < 0.6:
                yield _placed(sentence, reworded(sentence, rng), False, "reworded", rng)
            elif roll < 0.7 and len(sentence.split()) > 9:
                yield _placed(sentence, _cut(sentence, rng), False, "shortened", rng)
            if rng.random() < 0.45:
                other = sentences[(i + 1 + int(rng.integers(len(sentences) - 1))) % len(sentences)]
                if other != sentence:
                    changed = [text for _, text in against(other, rng)] if rng.random() < 0.4 else []
                    yield _placed(sentence, changed[0] if changed else other, False, "same text", rng)


def against(sentence: str, rng: Random) -> list[tuple[str, str]]:
    """(kind, text): contradictions of the sentence that the rules can make."""
    found = [("negation", _one_of(_NEGATED, sentence, rng)), ("opposite", _one_of(_opposites(), sentence, rng))]
    found.append(("other thing", _one_of(_alternatives(), sentence, rng)))
    found.append(("number", _another_number(sentence, rng)))
    found.append(("price", _MONEY.sub(lambda m: str(int(m[0].replace(",", "")) * 2 + 5), sentence, count=1)))
    names = _NAME.findall(sentence)
    if names:
        others = (
            "Berlin",
            "Maria",
            "Acme",
            "the Red Cross",
            "Microsoft",
            "Oxford",
            "NASA",
            "Mr Brown",
            "Norway",
            "the Ministry of Transport",
        )
        found.append(("name", sentence.replace(_any(names, rng), _any(others, rng), 1)))
    return [(kind, text) for kind, text in found if text != sentence]


def reworded(text: str, rng: Random) -> str:
    """The same in other words, as far as a few rules can."""
    for pattern, others in _synonyms():
        if rng.random() < 0.75 and pattern.search(text):
            text = pattern.sub(_swapper(others, rng), text, count=2)
    text = re.sub(r"\b(\d{1,2})\b(?! ?(?:%|am|pm|[ap]\.m|[A-Z]))", lambda m: _spelled(m[1]) if rng.random() < 0.6 else m[1], text)
    halves = re.split(r", (?=(?:if|when|because|but|and|so|unless|while)\b)", text.rstrip("."), maxsplit=1)
    if len(halves) == 2 and halves[1].split()[0] in ("if", "when", "because", "unless", "while") and rng.random() < 0.6:
        text = f"{halves[1][0].upper()}{halves[1][1:]}, {halves[0]}."
    elif match := re.match(r"^(If|When|Because|Unless|While) ([^,]{8,80}), (.{8,160}?)\.?$", text):
        text = f"{match[3][0].upper()}{match[3][1:]} {match[1].lower()} {match[2]}." if rng.random() < 0.6 else text
    return text


def _swapper(others: dict[str, list[str]], rng: Random) -> Callable[[re.Match[str]], str]:
    return lambda found: _like(found[0], _any(others[found[0].lower()], rng))


def _like(word: str, other: str) -> str:
    return other[0].upper() + other[1:] if word[0].isupper() else other


def _spelled(digits: str) -> str:
    words = {"1": "one", "2": "two", "3": "three", "4": "four", "5": "five", "6": "six", "7": "seven", "8": "eight",
    "9": "nine",
             "10": "ten", "12": "twelve", "14": "fourteen", "20": "twenty", "30": "thirty"}  # fmt: skip
    return words.get(digits, digits)


def _another_number(text: str, rng: Random) -> str:
    places = list(_NUMBER.finditer(text))
    if places:
        place = _any(places, rng)
        value = int(place[1])
        other = (
            value + int(rng.integers(1, 30))
            if value > 1800
            else value * 2 + 1
            if rng.random() < 0.6
            else max(value // 2, value + 1 - value // 2 * 2)
        )
        return text[: place.start()] + str(other if other != value else value + 3) + text[place.end() :]
    worded = list(re.finditer(rf"\b(?:{'|'.join(_WORD_NUMBERS)})\b", text))
    if not worded:
        return text
    place = _any(worded, rng)
    return text[: place.start()] + _any([word for word in _WORD_NUMBERS if word != place[0]], rng) + text[place.end() :]


def _cut(sentence: str, rng: Random) -> str:
    """The sentence without its last clause, or without its last words."""
    head = re.split(r", | (?=(?:because|so that|which|who|including|such as)\b)", sentence)[0]
    parts = sentence.split()
    return f"{head}." if len(head.split()) >= 5 and head != sentence else " ".join(parts[: len(parts) - int(rng.integers(1, 3))])


def _one_of(rules: Sequence[tuple[str, str | tuple[str, ...]]], text: str, rng: Random) -> str:
    able = [rule for rule in rules if _compiled(rule[0]).search(text)]
    if not able:
        return text
    pattern, other = _any(able, rng)
    return _compiled(pattern).sub(other if isinstance(other, str) else _any(other, rng), text, count=1)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


@cache
def _swaps() -> dict[str, list[str]]:
    lines = [line for block in _blocks("swaps.txt") for line in block]
    return {mark: [line[1:].strip() for line in lines if line[0] == mark] for mark in "=!~"}


@cache
def _synonyms() -> tuple[tuple[re.Pattern[str], dict[str, list[str]]], ...]:
    found = []
    for line in _swaps()["="]:
        named = _listed(line)
        others = {word: [other for other in named if other != word] for word in named}
        found.append((re.compile(_any_word(named), re.IGNORECASE), others))
    return tuple(found)


@cache
def _opposites() -> tuple[tuple[str, tuple[str, ...]], ...]:
    found = []
    for line in _swaps()["!"]:
        left, right = (_listed(side) for side in line.split("|"))
        found.extend([(_any_word(left), tuple(right)), (_any_word(right), tuple(left))])
    return tuple(found)


@cache
def _alternatives() -> tuple[tuple[str, tuple[str, ...]], ...]:
    found: list[tuple[str, tuple[str, ...]]] = []
    for line in _swaps()["~"]:
        named = _listed(line)
        found.extend((_any_word([word]), tuple(other for other in named if other != word)) for word in named)
    return tuple(found)


def _any_word(named: Sequence[str]) -> str:
    return rf"(?i:(?<![\w'-])(?:{'|'.join(re.escape(word) for word in sorted(named, key=len, reverse=True))})(?![\w'-]))"


def _asked(data: Path, rng: Random, most: int) -> Iterator[Pair]:
    """What users say to assistants: two wordings of one wish do not contradict, a negated one does."""
    for name in ("clinc150", "banking77", "hwu64"):
        by: dict[str, list[str]] = {}
        for row in read(data, f"intents/{name}/train"):
            if not row.get("oos") and 4 <= len(row["text"].split()) <= 25:
                by.setdefault(row["intent"], []).append(row["text"])
        labels = [label for label in by if len(by[label]) > 1]
        for _ in range(most // 3):
            one, two = _two(by[_any(labels, rng)], rng)
            yield Pair(one, two, False, "same wish")
            made = _one_of(_NEGATED, one, rng)
            if made != one and not one.endswith("?") and rng.random() < 0.5:
                yield _placed(one, made, True, "negation", rng)
            if rng.random() < 0.3:
                yield Pair(one, reworded(one, rng), False, "reworded")
