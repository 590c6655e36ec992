"""Contradictions planted into real passages, and rewordings that say the same: what the consistency signal is measured on."""

import re
from calendar import month_name
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from training.data import CachedVectors, read

AGENCIES = ("cdc", "uk", "who", "australia")
_NUMBER_WORDS = {
    "2": "two",
    "3": "three",
    "4": "four",
    "5": "five",
    "6": "six",
    "7": "seven",
    "10": "ten",
    "12": "twelve",
    "14": "fourteen",
}
_SAME: tuple[tuple[str, str], ...] = (
    (r"\bdo not\b", "don't"), (r"\bcannot\b", "can't"), (r"\bis not\b", "isn't"), (r"\bshould not\b", "shouldn't"),
    (r"\bfor example\b", "for instance"),
    (r"\bpeople\b", "persons"), (r"\bmust\b", "have to"), (r"\bhelp\b", "assist"), (r"\bcontact\b", "get in touch with"),
    (r"\bsuch as\b", "like"),
    (r"\bif you are\b", "if you're"), (r"\bchildren\b", "kids"), (r"\bphone\b", "call"), (r"\bavoid\b", "stay away from"),
    (r"\bmay\b", "might"),
    (r"\bapply\b", "make an application"), (r"\bprovide\b", "give"), (r"\brequired\b", "needed"), (r"\bimportant\b",
    "crucial"), (r"\bvisit\b", "go to"),
)  # fmt: skip
_SAID_OTHERWISE: tuple[tuple[str, str], ...] = (
    (r"\bYou can ([a-z]+)", r"It is possible to \1"), (r"\bYou should ([a-z]+)", r"It is advisable to \1"),
    (r"\bYou must ([a-z]+)", r"It is necessary to \1"), (r"\bPlease ([a-z]+)", r"We kindly ask you to \1"),
    (r"\b(\d+) hours\b", r"\1 hrs"), (r"\b7 days\b", "one week"), (r"\b14 days\b", "two weeks"), (r"\b12 months\b", "one year"),
    (r"\b(\d{1,2}) (January|February|March|April|May|June|July|August|September|October|November|December)\b", r"\2 \1"),
    (r"£(\d[\d,]*)", r"\1 pounds"), (r"\$(\d[\d,]*)", r"\1 dollars"), (r"\b(\d+)%", r"\1 percent"),
    (r"^(If|When) ([^,.]{8,90}), ([^.]{8,160})\.", r"\3 \1 \2."), (r"\bshould be ([a-z]+ed) by\b", r"are to be \1 by"),
    (r"\bmonitor\b", "watch"), (r"\bensure\b", "make sure"), (r"\bassistance\b", "help"), (r"\bemployer\b", "company"),
    (r"\bincrease\b", "rise"), (r"\bsymptoms\b", "signs of illness"), (r"\bcurrently\b", "at the moment"),
    (r"\bobtain\b", "get"),
)  # fmt: skip
"""Whole turns of phrase, formats of dates and money, and the order of clauses."""
_OTHER_NAMES: tuple[tuple[str, ...], ...] = (
    ("GP", "pharmacist", "dentist", "optician"), ("doctor", "lawyer", "neighbour"), ("employer", "landlord", "bank"),
    ("school", "library", "prison"), ("England", "Wales", "Norway"), ("London", "Glasgow", "Dublin"),
    ("Australia", "New Zealand", "Fiji"),
    ("website", "hotline", "town hall"), ("email", "fax", "post"), ("Home Office", "Treasury", "Met Office"),
    ("CDC", "NASA", "FBI"),
    ("NHS", "BBC", "RAF"), ("WHO", "FIFA", "NATO"), ("children", "pensioners", "sailors"), ("workers", "tourists", "prisoners"),
    ("masks", "helmets", "earplugs"), ("hands", "feet", "windows"), ("passport", "library card", "birth certificate"),
    ("Centrelink", "Telstra", "Qantas"), ("students", "farmers", "drivers"), ("hospital", "airport", "museum"),
    ("water", "vinegar", "petrol"),
)  # fmt: skip
_DAY_NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_CONDITIONS: tuple[tuple[str, str], ...] = (
    (r"\bbefore\b", "after"), (r"\bafter\b", "before"), (r"\bat least\b", "at most"), (r"\bmore than\b", "less than"),
    (r"\bless than\b", "more than"),
    (r"\bwithout\b", "with"), (r"\bonly if\b", "even if not"), (r"\bunless\b", "if"), (r"\bup to\b", "at least"),
    (r"\bunder\b(?= \d)", "over"), (r"\bover\b(?= \d)", "under"),
    (r"\balways\b", "never"), (r"\brequired\b", "optional"), (r"\beligible\b", "not eligible"), (r"\bopen\b", "closed"),
    (r"\bincludes\b", "excludes"), (r"\bOnly\b", "Not only"), (r"\bonly\b", "not only"),
    (r"\bwith a (?=[a-z]+)", "without a "), (r"\beveryone\b", "only members"),
    (r"\ball (?=[a-z]+s\b)", "only some "), (r"\bmandatory\b", "voluntary"),
)  # fmt: skip
_NEGATED: tuple[tuple[str, str], ...] = (
    (r"\b(can|should|must|will|may|could) not\b", r"\1"), (r"\bcannot\b", "can"), (r"\b(do|does|did|is|are) not\b", r"\1"),
    (r"\b(can|should|must|will) (?!not\b)(?=[a-z]{3,})", r"\1 not "), (r"\b(is|are) (?!not\b)(?=[a-z]{4,})", r"\1 not "),
)  # fmt: skip
_YES_NO = re.compile(r"(?i)(?:can|could|do|does|is|are|will|would|should|may)\b")
_STARTED = re.compile(r"(?i)(?:yes|no)\b")


@dataclass(frozen=True, slots=True)
class Case:
    """Two answers of two conversations. `kind` says what was planted, or why they are consistent."""

    kind: str
    contradicts: bool
    question: str
    answer: str
    other_question: str
    other_answer: str
    similarity: float


def cases(data: Path, vectors: CachedVectors, seed: int, per_agency: int = 250, agencies: Sequence[str] = AGENCIES) -> list[Case]:
    """Planted contradictions, rewordings of the same passage, and passages that only share a topic, in about equal parts."""
    rng = np.random.default_rng(seed)
    found: list[Case] = []
    for agency in agencies:
        passages = {
            row["passage_id"]: row["passage"]
            for row in read(data, f"relevance/feedbackqa_retrieval/{agency}_passages")
            if row.get("passage")
        }
        asked: dict[str, list[str]] = {}
        for row in read(data, f"relevance/feedbackqa_retrieval/{agency}_queries"):
            if row.get("query") and row["gold_passage_id"] in passages:
                asked.setdefault(row["gold_passage_id"], []).append(row["query"])
        both = [name for name in asked if len(asked[name]) > 1]
        vectors.of([question for questions in asked.values() for question in questions])  # all in one call
        for name in rng.permutation(both)[:per_agency]:
            questions = [str(q) for q in rng.permutation(asked[name])[:2]]
            similarity = _cosine(vectors, *questions)
            if similarity < 0.45:  # no rewording any more: two of the many things a long passage answers
                questions, similarity = [questions[0]] * 2, 1.0
            answer = _short(passages[name], rng)
            for kind, contradicts, other in variants(answer, rng):
                found.append(Case(kind, contradicts, questions[0], answer, questions[1], other, similarity))
            if _YES_NO.match(questions[0]) and not _STARTED.match(answer):
                same, flipped = f"Yes. {reworded(answer, rng)}", f"No, {reworded(answer, rng)}"
                found.append(Case("yes/no", True, questions[0], f"Yes, {answer}", questions[1], flipped, similarity))
                found.append(Case("yes twice", False, questions[0], f"Yes, {answer}", questions[1], same, similarity))
        found.extend(_topics(list(asked), asked, passages, vectors, rng, per_agency))
    if set(agencies) != set(AGENCIES):
        return found
    by_question: dict[str, list[str]] = {}
    for row in read(data, "relevance/feedbackqa_ratings"):
        by_question.setdefault(row["query"], []).append(row["passage"])
    for question, answers in by_question.items():
        found.extend(
            Case("another passage", False, question, one, question, two, 1.0) for one, two in pairwise(answers) if one != two
        )
    return found


def variants(answer: str, rng: np.random.Generator) -> list[tuple[str, bool, str]]:
    """(kind, contradicts, text): every planting that the answer has a place for, and rewordings."""
    found: list[tuple[str, bool, str]] = []
    plantings: Sequence[tuple[str, Callable[[str, np.random.Generator], str]]] = (
        ("number", _another_number), ("date", _another_date), ("price", _another_price), ("negation", _negate),
        ("condition", _another_condition), ("entity", _another_name), ("weekday", _another_day), ("time", _another_time),
    )  # fmt: skip
    for kind, plant in plantings:
        changed = plant(answer, rng)
        if changed != answer:
            found.append((kind, True, reworded(changed, rng) if rng.random() < 0.7 else changed))
    found.extend(("reworded", False, reworded(answer, rng)) for _ in range(2))
    sentences = re.split(r"(?<=[.!?])\s+", answer)
    found.append(("shortened", False, " ".join(sentences[:-1]) if len(sentences) > 1 else f"Thanks for asking. {answer}"))
    found.append(("reordered", False, "Sure! " + " ".join([*sentences[1:], sentences[0]])))
    return found


def reworded(text: str, rng: np.random.Generator) -> str:
    for pattern, other in _SAME:
        if rng.random() < 0.8:
            text = re.sub(pattern, other, text)
    for pattern, other in _SAID_OTHERWISE:
        if rng.random() < 0.5:
            text = re.sub(pattern, other, text)
    text = re.sub(
        r"\b(\d{1,2})(?= (?:days|weeks|hours|people|times|months|years|minutes))", lambda m: _NUMBER_WORDS.get(m[1], m[1]), text
    )
    text = re.sub(r"\b24 hours\b", "1 day", text)
    start = rng.choice(
        ["", "Of course. ", "Good question! ", "Here is what we know: ", "Thank you for your message. ", "Sure, happy to help. "]
    )
    return f"{start}{text}"


def _another_number(text: str, rng: np.random.Generator) -> str:
    places = list(
        re.finditer(
            r"(?<![\w£$€.,/-])(\d{1,4})(?= (?:[a-z]{3,}))(?! (?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec))",
            text,
            re.IGNORECASE,
        )
    )
    if not places:
        return text
    place = places[int(rng.integers(len(places)))]
    value = int(place[1])
    return (
        text[: place.start()]
        + str(
            value + 1 if value > 1900 else value * 3 + 1 if rng.random() < 0.5 else max(value // 2, 1) if value > 3 else value + 4
        )
        + text[place.end() :]
    )


def _another_date(text: str, rng: np.random.Generator) -> str:
    months = list(month_name)[1:]
    places = list(re.finditer(rf"\b(\d{{1,2}}) ({'|'.join(months)})\b|\b({'|'.join(months)}) (\d{{1,2}})\b", text))
    if not places:
        return text
    place = places[int(rng.integers(len(places)))]
    month = place[2] or place[3]
    other = months[(months.index(month) + 1 + int(rng.integers(10))) % 12]
    return text[: place.start()] + place[0].replace(month, other) + text[place.end() :]


def _another_price(text: str, rng: np.random.Generator) -> str:
    places = list(re.finditer(r"([£$€])(\d[\d,]*)", text))
    if not places:
        return text
    place = places[int(rng.integers(len(places)))]
    return text[: place.start()] + f"{place[1]}{int(place[2].replace(',', '')) * 2 + 5}" + text[place.end() :]


def _another_name(text: str, rng: np.random.Generator) -> str:
    able = [group for group in _OTHER_NAMES if re.search(rf"\b{group[0]}\b", text)]
    if not able:
        return text
    group = able[int(rng.integers(len(able)))]
    return re.sub(rf"\b{group[0]}\b", group[int(rng.integers(1, len(group)))], text)


def _another_day(text: str, rng: np.random.Generator) -> str:
    place = re.search(rf"\b({'|'.join(_DAY_NAMES)})\b", text)
    if not place:
        return text
    return text.replace(place[1], _DAY_NAMES[(_DAY_NAMES.index(place[1]) + 1 + int(rng.integers(6))) % 7])


def _another_time(text: str, rng: np.random.Generator) -> str:
    place = re.search(r"\b(\d{1,2})((?:[:.]\d\d)? ?[ap]\.?m)", text)
    if not place:
        return text
    hour = (int(place[1]) + 1 + int(rng.integers(9))) % 12 + 1
    return f"{text[: place.start()]}{hour}{place[2]}{text[place.end() :]}"


def _negate(text: str, rng: np.random.Generator) -> str:
    return _one_of(_NEGATED, text, rng)


def _another_condition(text: str, rng: np.random.Generator) -> str:
    return _one_of(_CONDITIONS, text, rng)


def _one_of(rules: Sequence[tuple[str, str]], text: str, rng: np.random.Generator) -> str:
    able = [rule for rule in rules if re.search(rule[0], text)]
    if not able:
        return text
    pattern, other = able[int(rng.integers(len(able)))]
    return re.sub(pattern, other, text, count=1)


def _topics(
    names: list[str],
    asked: dict[str, list[str]],
    passages: dict[str, str],
    vectors: CachedVectors,
    rng: np.random.Generator,
    most: int,
) -> list[Case]:
    """Near questions whose right answers are different passages: nothing contradicts."""
    questions = [asked[name][0] for name in names]
    found = vectors.of(questions)
    cosines = found @ found.T
    np.fill_diagonal(cosines, 0)
    pairs = [(i, int(np.argmax(cosines[i]))) for i in rng.permutation(len(names)) if cosines[i].max() >= 0.75]
    return [
        Case(
            "same topic",
            False,
            questions[i],
            _short(passages[names[i]], rng),
            questions[j],
            _short(passages[names[j]], rng),
            float(cosines[i, j]),
        )
        for i, j in pairs[:most]
    ]


def _short(passage: str, rng: np.random.Generator) -> str:
    """Up to four sentences from the beginning: about what a bot would answer with."""
    sentences = [part for part in re.split(r"(?<=[.!?])\s+", " ".join(passage.split())) if len(part) > 20]
    return " ".join(sentences[: int(rng.integers(1, 5))]) or passage[:300]


def _cosine(vectors: CachedVectors, one: str, two: str) -> float:
    found = vectors.of([one, two])
    return float(found[0] @ found[1])
