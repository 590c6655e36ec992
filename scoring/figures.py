"""Figures in plain English text and what they state: amounts, dates, times, durations, counts, numbers of things, links."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from scoring.wording import STOP_WORDS, stem, word_set, words

_DURATIONS = {
    "second": 1.0, "sec": 1.0, "minute": 60.0, "min": 60.0, "hour": 3600.0, "hr": 3600.0, "day": 86400.0, "night": 86400.0,
    "week": 604800.0, "fortnight": 1209600.0, "month": 2592000.0, "year": 31536000.0, "yr": 31536000.0, "decade": 315360000.0,
}  # fmt: skip
_UNITS: dict[str, tuple[str, float]] = {
    "kg": ("weight", 1000.0), "kilogram": ("weight", 1000.0), "kilo": ("weight", 1000.0), "g": ("weight", 1.0),
    "gram": ("weight", 1.0),
    "mg": ("weight", 0.001), "lb": ("pound", 1.0), "oz": ("ounce", 1.0), "ounce": ("ounce", 1.0),
    "km": ("length", 1000.0), "kilometer": ("length", 1000.0), "kilometre": ("length", 1000.0), "m": ("length", 1.0),
    "meter": ("length", 1.0),
    "metre": ("length", 1.0), "cm": ("length", 0.01), "centimeter": ("length", 0.01), "centimetre": ("length", 0.01),
    "mm": ("length", 0.001),
    "mile": ("mile", 1.0), "foot": ("foot", 1.0), "feet": ("foot", 1.0), "ft": ("foot", 1.0), "inch": ("inch", 1.0),
    "yard": ("yard", 1.0),
    "tb": ("data", 1048576.0), "gb": ("data", 1024.0), "gigabyte": ("data", 1024.0), "mb": ("data", 1.0), "megabyte": ("data",
    1.0),
    "kb": ("data", 1 / 1024), "mbps": ("mbps", 1.0), "l": ("volume", 1000.0), "litre": ("volume", 1000.0), "liter": ("volume",
    1000.0),
    "ml": ("volume", 1.0), "degree": ("degree", 1.0), "star": ("star", 1.0),
}  # fmt: skip
_NUMBER_WORDS = {word: float(i) for i, word in enumerate(
    ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen",
     "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"])} | {
    "twenty": 20.0, "thirty": 30.0, "forty": 40.0, "fifty": 50.0, "sixty": 60.0, "seventy": 70.0,
    "eighty": 80.0,
    "ninety": 90.0, "hundred": 100.0, "half": 0.5}  # fmt: skip
_ORDINALS = {word: i for i, word in enumerate(
    ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh", "twelfth",
     "thirteenth", "fourteenth", "fifteenth", "twentieth", "last"], start=1)} | {"twentieth": 20, "last": 31}  # fmt: skip
_MONTHS = {name: i for i, names in enumerate(
    ("january jan", "february feb", "march mar", "april apr", "may", "june jun", "july jul", "august aug", "september sept sep",
     "october oct", "november nov", "december dec"), start=1) for name in names.split()}  # fmt: skip
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_CURRENCIES = {"$": "usd", "us$": "usd", "dollar": "usd", "buck": "usd", "€": "eur", "euro": "eur", "£": "gbp", "pound": "gbp",
    "quid": "gbp",
               "¥": "jpy", "yen": "jpy", "₹": "inr", "rupee": "inr", "rs": "inr", "pence": "pence", "cent": "cent"}  # fmt: skip
_YEAR = 1000.0
"""A date's value is year * 1000 + month * 32 + day; the year is 0 where it was not said."""
_SCALES = {"k": 1e3, "thousand": 1e3, "million": 1e6, "m": 1e6, "bn": 1e9, "billion": 1e9}

_N = r"\d{1,12}(?:,\d{3}){0,4}(?:\.\d{1,6})?"
_W = "|".join(sorted(_NUMBER_WORDS, key=len, reverse=True))
_MONTH = "|".join(sorted(_MONTHS, key=len, reverse=True))
_CODES = "usd|eur|gbp|chf|inr|aud|cad|jpy|nzd|sek|nok|dkk|pln"
_LINK = re.compile(r"(?:https?://|www\.)[^\s<>()\"']{3,200}|\b[\w.+-]{1,64}@[a-z0-9-]{1,63}(?:\.[a-z]{2,10}){1,3}\b")
_MONEY = re.compile(
    rf"(?<!\w)(?P<before>us\$|[$€£¥₹]|(?:{_CODES}|rs)\b\.?) ?(?P<a>{_N}) ?(?P<scale>(?:k|thousand|million|m|bn|billion)\b)?"
    rf"|(?<![\w.,])(?P<b>{_N}|{_W}) ?(?P<scale2>thousand |million |billion |k )?(?P<after>[$€£¥₹]|(?:{_CODES}|dollars?|"
    rf"bucks|euros?|pounds|quid|yen|"
    r"rupees|pence|cents?)\b)"
)
_PERCENT = re.compile(rf"(?<![\w.,])({_N}|{_W}) ?(?:%|percent\b|per cent\b)")
_DATE = re.compile(
    rf"\b(?:(?P<y>\d{{4}})-(?P<m>\d\d)-(?P<d>\d\d)|(?P<d1>\d{{1,2}})(?:st|nd|rd|"
    rf"th)?(?: of)? (?P<m1>{_MONTH})\b\.?(?:,? (?P<y1>\d{{4}})\b)?"
    rf"|(?P<m2>{_MONTH})\b\.? (?:the )?(?P<d2>\d{{1,2}})(?:st|nd|rd|th)?\b(?!:)(?:,? (?P<y2>\d{{4}}))?"
    r"|(?P<n1>\d{1,2})[/.](?P<n2>\d{1,2})[/.](?P<y3>\d{4})"
    rf"|(?P<m4>{_MONTH}),? (?P<y4>(?:19|20)\d\d))\b"
)
_CLOCK = re.compile(
    r"(?<![\w:.,$€£])(?:(\d{1,2})(?:[:.](\d\d))? ?([ap])\.?m\b\.?|([01]?\d|2[0-3]):([0-5]\d)(?![\d:])|(noon|midnight)\b)"
)
WEEKDAY = re.compile(
    r"\b(?:(mon|tues|wednes|thurs|fri|satur|sun)days?"
    r"(?: ?(?:to|-|until|till|through) ?(mon|tues|wednes|thurs|fri|satur|sun)days?)?|"
    r"(weekdays|weekends?))\b"
)
_OFTEN = re.compile(
    rf"\b(?:(?P<times>once|twice|(?:{_N}|{_W}) times) (?:a|an|per|every|each) (?P<per>hour|day|week|month|year)|"
    rf"every (?P<every>{_N}|{_W}|half|other|second)?(?: an?)? ?(?P<unit>minute|hour|day|week|month|year)s?)\b"
)
_DAY_OF_MONTH = re.compile(
    rf"\b(?:(?P<day>\d{{1,2}})(?:st|nd|rd|th)|(?P<word>{'|'.join(_ORDINALS)}))(?P<working> (?:working|business))?(?: days?)? "
    r"(?:of (?:the|each|every|a) month|each month|every month)\b"
)
_A_WHILE = re.compile(
    r"\b(?:(?P<lead>within|in|after|at least|at most|takes?|for|than|lasts?|up to|about|least|most|until|till) |"
    r"(?=half ))(?P<half>half )?"
    r"(?:an?|another) (?P<also>half )?(?P<business>(?:business|working) )?"
    r"(?P<unit>second|minute|hour|day|night|week|fortnight|month|year|decade)\b"
)
_OCLOCK = re.compile(rf"(?<![\w:.,])(?P<hour>\d{{1,2}}|{_W}) (?:o'clock )?in the (?P<part>morning|afternoon|evening)\b")
_WHICH = re.compile(
    rf"\b(?P<what>terminal|gate|platform|room|floor|level|zone|hall|counter|option|step|building) (?P<number>\d{{1,4}}|{_W})\b"
)
_COMPOUND = re.compile(
    r"\b(twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)[- ](one|two|three|four|five|six|seven|eight|nine)\b"
)
_PHONE = re.compile(r"(?<![\w/=])(?:\+\d{1,3}[ -]?)?(?:\(\d{2,5}\)[ -]?)?\d{3,5}(?:[ -]\d{3,5}){1,3}(?!\w)")
_CODE = re.compile(
    r"(?<![\w-])(?:#\s?\w{3,20}|\d{7,20}|"
    r"(?=[a-z-]{0,20}\d)(?=[\d-]{0,20}[a-z])[a-z0-9]{2,20}(?:-?[a-z0-9]{3,20}){1,3})(?![\w-])"
)
_QUANTITY = re.compile(
    rf"(?<![\w.,/-])(?P<a>{_N}|(?:{_W})\b)(?: ?(?:-|to|or|and) ?(?P<b>{_N}|(?:{_W})\b))?(?P<more>\+)?[ -]?(?:\([^)]{{1,12}}\) )?"
    r"(?P<business>(?:business|working|work|week) )?(?:(?:calendar|consecutive|full|more|additional|whole|different|"
    r"separate|extra|further|free) )?(?P<unit>[a-z]{1,16})\b"
)
_BARE = re.compile(
    rf"(?<![\w.,/:-])({_N}|eleven|twelve|(?:thir|four|fif|six|seven|eigh|nine)teen|twenty|thirty|forty|fifty|sixty)(?![\w%/:]|[.,]\d)"
)
_AT_LEAST = re.compile(
    r"\b(?:at least|minimum(?: of)?|more than|over|no less than|starting (?:at|from)|above|from|no fewer than)(?: the| an?)? ?$"
)
_AT_MOST = re.compile(
    r"\b(?:up to|within|at most|maximum(?: of)?|less than|under|no more than|no later than|below|not more than|fewer than|"
    r"until)(?: the| an?)? ?$"
)
_DIGIT = re.compile(r"\d")
_EVERY = word_set("once twice every an a another noon midnight half")
"""Words that stand in for a figure."""
_FIGURE_WORDS = frozenset(_NUMBER_WORDS) | frozenset(_ORDINALS) | _EVERY


@dataclass(frozen=True, slots=True)
class Fact:
    """`kind` says what may be compared with what ("money usd", "duration", "date", "time", "count room", "link", ...)."""

    kind: str
    low: float
    high: float
    """Lowest and highest value in the kind's own unit (durations in seconds); the same for a single value."""
    shown: str
    """As it was written, for the reviewer."""
    bound: str = ""
    """"least" for "at least 5", "most" for "up to 5"."""

    def agrees(self, other: "Fact", exactly: bool = False) -> bool:
        """They can both be true of the same thing. `exactly`: two ranges must have both ends in common."""
        if exactly and self.bound == other.bound and self.low < self.high and other.low < other.high:
            return abs(self.low - other.low) <= 1e-4 * self.low and abs(self.high - other.high) <= 1e-4 * self.high
        if self.kind == "date":
            return self.low % _YEAR == other.low % _YEAR and (min(self.low, other.low) < _YEAR or self.low == other.low)
        if self.bound == other.bound or not (self.bound or other.bound):
            return self.low <= other.high * (1 + 1e-6) and other.low <= self.high * (1 + 1e-6)
        one, two = _opened(self), _opened(other)
        return one[0] <= two[1] and two[0] <= one[1]


def _opened(fact: Fact) -> tuple[float, float]:
    return (
        (fact.low, float("inf")) if fact.bound == "least" else (0.0, fact.high) if fact.bound == "most" else (fact.low, fact.high)
    )


def read(text: str) -> tuple[str, list[Fact], str]:
    """The text with its compound numbers in digits, what its figures state, and the text without those figures."""
    facts: list[Fact] = []
    if not _FIGURE_WORDS.isdisjoint(words(text)):
        text = _COMPOUND.sub(lambda m: f"{_NUMBER_WORDS[m[1]] + _NUMBER_WORDS[m[2]]:.0f}", text)
        rest = _numbers(text, facts)
    elif _DIGIT.search(text):
        rest = _numbers(text, facts)
    elif "www." in text or "http" in text or "@" in text:
        rest = _take(_LINK, _link, text, facts)
    else:
        rest = text
    return text, facts, rest


def weekdays(text: str) -> list[Fact]:
    """The days of the week that are named."""
    return [_weekdays(found) for found in WEEKDAY.finditer(text)]


def _numbers(text: str, facts: list[Fact]) -> str:
    """Adds the facts to the list; the text with what they read blanked out, so that no digit is read twice."""
    rest = _take(_LINK, _link, text, facts)
    for pattern, read in (
        (_MONEY, _money),
        (_PERCENT, _percent),
        (_DAY_OF_MONTH, _day_of_month),
        (_DATE, _date),
        (_CLOCK, _clock),
        (_OCLOCK, _oclock),
        (_OFTEN, _often),
        (_A_WHILE, _a_while),
        (_WHICH, _which),
        (_PHONE, _phone),
        (_CODE, _code),
        (_QUANTITY, _quantity),
        (_BARE, _bare),
    ):
        rest = _take(pattern, read, rest, facts)
    return rest


def _take(pattern: re.Pattern[str], read: Callable[[re.Match[str]], Fact | None], text: str, facts: list[Fact]) -> str:
    pieces, end = [], 0
    for found in pattern.finditer(text):
        fact = read(found)
        if fact is None:
            continue
        start = found.end("lead") + 1 if pattern is _A_WHILE and found["lead"] else found.start()
        before = text[max(start - 24, 0) : start]
        bound = "least" if _AT_LEAST.search(before) else "most" if _AT_MOST.search(before) else ""
        facts.append(Fact(fact.kind, fact.low, fact.high, fact.shown, bound))
        # The unit stays part of the topic ("5 rooms" is about rooms); the figure does not.
        kept = found["unit"] if pattern is _QUANTITY else found["what"] if pattern is _WHICH else ""
        pieces.append(f"{text[end : found.start()]} {kept} ")
        end = found.end()
    return "".join([*pieces, text[end:]]) if pieces else text


def _value(text: str) -> float:
    return _NUMBER_WORDS[text] if text in _NUMBER_WORDS else float(text.replace(",", ""))


def _one(kind: str, value: float, found: re.Match[str]) -> Fact:
    return Fact(kind, value, value, found[0].strip()[:60])


def _link(found: re.Match[str]) -> Fact | None:
    address = found[0].removeprefix("https://").removeprefix("http://").removeprefix("www.").rstrip("/.,;:!?)")
    code = float(int.from_bytes(address.encode()[-24:], "big") % 1_000_003)
    return Fact("link", code, code, address[:60])


def _money(found: re.Match[str]) -> Fact | None:
    amount, sign, scale = (
        (found["a"], found["before"], found["scale"]) if found["a"] else (found["b"], found["after"], found["scale2"])
    )
    value = _value(amount) * _SCALES.get((scale or "").strip(), 1.0)
    name = sign.rstrip(".").removesuffix("s") if sign not in _CURRENCIES else sign
    return _one(f"money {_CURRENCIES.get(name, name)}", value, found)


def _percent(found: re.Match[str]) -> Fact | None:
    return _one("percent", _value(found[1]), found)


def _date(found: re.Match[str]) -> Fact | None:
    year = next((int(found[name]) for name in ("y", "y1", "y2", "y3", "y4") if found[name]), None)
    if found["n1"]:
        one, two = int(found["n1"]), int(found["n2"])
        if one <= 12 and two <= 12 and one != two:
            return None  # 3/4/2026 is the third of April or the fourth of March
        month, day = (two, one) if two <= 12 else (one, two)
    elif found["m4"]:
        return _one("month of a year", year * 12.0 + _MONTHS[found["m4"]] if year else 0.0, found)
    else:
        month = int(found["m"]) if found["m"] else _MONTHS[found["m1"] or found["m2"]]
        day = int(found["d"] or found["d1"] or found["d2"])
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    return _one("date", (year or 0) * _YEAR + month * 32.0 + day, found)


def _clock(found: re.Match[str]) -> Fact | None:
    if found[6]:
        return _one("time", 720.0 if found[6] == "noon" else 1440.0, found)
    hour, minute = (int(found[1]), int(found[2] or 0)) if found[1] else (int(found[4]), int(found[5]))
    if found[3]:
        if hour > 12:
            return None
        hour = hour % 12 + (12 if found[3] == "p" else 0)
    return _one("time", hour * 60.0 + minute, found) if minute < 60 else None


def _phone(found: re.Match[str]) -> Fact | None:
    digits = "".join(character for character in found[0] if character.isdigit())
    return _one("phone", float(digits[-9:]), found) if len(digits) >= 7 else None


def _code(found: re.Match[str]) -> Fact | None:
    if re.fullmatch(r"\d+(?:-?(?:st|nd|rd|th|am|pm|[a-z]+))", found[0]) or "covid" in found[0]:
        return None  # "24-hour", "30-day": a quantity; and a name that happens to have a number
    return _one("identifier", float(int.from_bytes(found[0].encode()[-24:], "big") % 1_000_003), found)


def _quantity(found: re.Match[str]) -> Fact | None:
    first, unit = found["a"], found["unit"]
    if first in ("one", "half", "zero") and not {unit, unit.removesuffix("s")} & (_DURATIONS.keys() | _UNITS.keys()):
        return None  # "one of them", "one thing": hardly ever a count that matters
    low = _value(first)
    high = _value(found["b"]) if found["b"] else low
    if high < low:
        low, high = high, low
    single = unit if unit in _UNITS or unit in _DURATIONS else unit.removesuffix("s")
    shown = found[0].strip()[:60]
    if single in _DURATIONS:
        scale = _DURATIONS[single]
        # Five business days are seven or more by the calendar; a month has 28 to 31 days.
        slack = 1.6 if found["business"] else 1.04 if single in ("month", "year", "yr") else 1.0
        return Fact("duration", low * scale / (1.07 if single == "month" else 1.0), high * scale * slack, shown)
    if single in _UNITS:
        kind, scale = _UNITS[single]
        return Fact(kind, low * scale, high * scale, shown)
    if unit in STOP_WORDS or unit in _MONTHS or len(unit) < 3:
        return Fact("number", low, high, first) if first[0].isdigit() else None
    return Fact(f"count {stem(unit)}", low, high, shown)


def _bare(found: re.Match[str]) -> Fact | None:
    return _one("number", _value(found[1]), found)


def _day_of_month(found: re.Match[str]) -> Fact | None:
    day = int(found["day"]) if found["day"] else _ORDINALS[found["word"]]
    return _one("day of month", day + (100.0 if found["working"] else 0.0), found) if day <= 31 else None


def _oclock(found: re.Match[str]) -> Fact | None:
    hour = _value(found["hour"])
    if not 1 <= hour <= 12:
        return None
    return _one("time", (hour % 12 + (12 if found["part"] != "morning" else 0)) * 60.0, found)


def _often(found: re.Match[str]) -> Fact | None:
    """How far apart something happens, in seconds."""
    if found["times"]:
        count = {"once": 1.0, "twice": 2.0}.get(found["times"]) or _value(found["times"].split()[0])
        return _one("frequency", _DURATIONS[found["per"]] / count, found) if count else None
    step = {"other": 2.0, "second": 2.0, "half": 0.5}.get(found["every"] or "one") or _value(found["every"] or "one")
    return _one("frequency", _DURATIONS[found["unit"]] * step, found)


def _a_while(found: re.Match[str]) -> Fact | None:
    """ "Within a week", "half an hour"."""
    value = _DURATIONS[found["unit"]] * (0.5 if found["half"] else 1.5 if found["also"] else 1.0)
    slack = 1.6 if found["business"] else 1.04 if found["unit"] in ("month", "year") else 1.0
    low = value / (1.07 if found["unit"] == "month" else 1.0)
    return Fact("duration", low, value * slack, found[0][len(found["lead"] or "") :].strip())


def _which(found: re.Match[str]) -> Fact | None:
    return _one(f"which {found['what']}", _value(found["number"]), found)


def _weekdays(found: re.Match[str]) -> Fact:
    if found[3]:
        first, last = (0, 4) if found[3] == "weekdays" else (5, 6)
    else:
        first = _weekday(found[1])
        last = _weekday(found[2]) if found[2] else first
    return Fact("weekday", float(first), float(max(first, last)), found[0])


def _weekday(name: str) -> int:
    return next(i for i, day in enumerate(_DAYS) if day.startswith(name))
