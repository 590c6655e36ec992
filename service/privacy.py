"""Redaction before storage: e-mail addresses, phone numbers, card numbers and tokens become placeholders."""

import re
from collections.abc import Callable, Sequence
from typing import Any

from phonenumbers import Leniency, PhoneNumberMatcher
from stdnum import luhn

Redact = Callable[[str], str]

_EMAIL = re.compile(r"[\w.+-]{1,64}@(?:[\w-]{1,63}\.){1,8}[A-Za-z]{2,24}")
_DIGITS = re.compile(r"(?:\d[\s().\-/]{0,2}){6,}\d")
_CARD = re.compile(r"(?<![\d.-])(?:\d[ -]?){12,18}\d(?![\d-])")
_TOKEN = re.compile(
    r"""(?x)
    (?<![\w-])eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}             # JSON web token (RFC 7519); \b would take quadratic time
    | \b(?:sk|pk|rk)[-_](?:live|test|proj|ant)?[-_]?\w{16,}   # keys of payment and model providers
    | \bgh[opsur]_\w{20,} | \bgithub_pat_\w{20,} | \bglpat-[\w-]{16,}
    | \bAKIA[A-Z0-9]{16}\b | \bAIza[\w-]{30,} | \bxox[abposr]-[\w-]{10,} | \bwhsec_[\w+/=]{16,}
    | (?i:\bbearer\s+)[\w.~+/-]{16,}=*
    | -----BEGIN\s[A-Z ]{0,20}PRIVATE\sKEY-----[\s\S]{0,4096}?-----END\s[A-Z ]{0,20}PRIVATE\sKEY-----
    | (?i:\b(?:password|passwort|passwd|api[ _-]?key|secret)\s{0,3}(?:is|=|:)\s{0,3})\S{6,}
    """
)
_LONG_WORD = re.compile(r"\S{16}")
_SECRET_WORD = re.compile(r"(?i)passw|key|secret|private")
# Field names that hold identifiers and times: platforms need them back unchanged, and digits in them are no phone number.
_PLAIN_KEYS = re.compile(r"(?:^|_)(?:id|ids|at|type|role|scale|timestamp|name|key)$")


def make_redact(on: bool, phone_regions: Sequence[str]) -> Redact:
    """The redaction that the settings ask for: text in, text with `[email]`, `[phone]`, `[card]`, `[token]` out."""
    if not on:
        return lambda text: text

    def redact(text: str) -> str:
        # Each cheap look decides whether the dear one is worth it: most turns hold none of these.
        if "@" in text:
            text = _EMAIL.sub("[email]", text)
        if _LONG_WORD.search(text) or _SECRET_WORD.search(text):
            text = _TOKEN.sub("[token]", text)
        if _DIGITS.search(text):
            text = _CARD.sub(_card, text)
            text = _without_phones(text, phone_regions)
        return text

    return redact


def redact_all(value: Any, redact: Redact) -> Any:
    """The same JSON value with every string redacted, at any depth, except identifiers and times."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {
            redact(key): inner if isinstance(inner, str) and _PLAIN_KEYS.search(key) else redact_all(inner, redact)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [redact_all(inner, redact) for inner in value]
    return value


def _card(match: re.Match[str]) -> str:
    digits = re.sub(r"\D", "", match.group())
    return "[card]" if luhn.is_valid(digits) else match.group()


def _without_phones(text: str, regions: Sequence[str]) -> str:
    for region in regions or ["ZZ"]:  # "ZZ": only numbers with a country code
        spans = [(found.start, found.end) for found in PhoneNumberMatcher(text, region, Leniency.VALID)]
        for start, end in reversed(spans):
            text = f"{text[:start]}[phone]{text[end:]}"
    return text
