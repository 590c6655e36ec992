"""Which parts of a turn ask or order something: splits a question that holds several requests, and knows turns that hold none.

Cheap enough to ask of every question, silent about almost all.
"""

import re
from functools import lru_cache

MOST = 4
"""Clauses looked at; what follows stays with the last."""
_LONGEST = 400

_BREAK = re.compile(
    r"[.?!;\n]+\s+|\s*[,;]?\s+(?:and|plus|then|but|as well as|&)\s+|\s*,\s+(?:also|and|plus|then)?\s*|\s+(?:also)\s+",
    re.IGNORECASE,
)
_FILLERS = (
    r"(?:\W|(?:hi|hello|hey|please|pls|also|then|so|ok(?:ay)?|thanks|thank you|just|now|first(?:ly)?|second(?:ly)?|finally|next|"
    r"after that|afterwards|and|but|secondly|lastly|oh|well|actually|additionally|kindly|maybe|plus)\b)*"
)
_ASKS = re.compile(
    rf"{_FILLERS}(?:"
    r"(?:what|what's|how|how's|when|where|where's|why|who|which|whose|can|could|do|does|did|is|are|was|were|will|would|may|"
    r"should|has|have|am)\s+\w+"
    r"|(?:i|we)\s*(?:'d|'ll)?\s*(?:want|need|would|wanna|wish|like|love|must|have to|can't|cannot|can not|also want|also need)\b"
    r"|(?:need|want|trying|help me)\s+\w+|let me\b|let's\b|tell me\b"
    r"|(?:activate|add|adjust|arrange|ask|block|book|buy|calculate|call|cancel|change|check|clean|clear|close|confirm|connect|"
    r"convert|correct|create|deactivate|decrease|delete|deposit|disable|download|email|enable|explain|extend|file|find|fix|"
    r"forward|freeze|get|give|increase|install|link|list|lock|look|make|mark|modify|mute|open|order|pause|pay|play|post|print|"
    r"put|raise|read|recommend|redeem|refund|remind|remove|renew|repeat|replace|replay|report|reschedule|reserve|reset|resend|"
    r"restart|return|save|schedule|search|send|set|share|show|shut|skip|snooze|speak|start|stop|subscribe|suggest|switch|"
    r"take|text|track|transfer|translate|turn|unblock|unlock|unsubscribe|update|upgrade|use|verify|wake|withdraw|write)\s+\w+"
    r")",
    re.IGNORECASE,
)


@lru_cache(maxsize=8192)
def clauses(question: str) -> tuple[str, ...]:
    """The requests of a question in order, if it holds at least two; else nothing.

    A new clause begins where, after a full stop, a comma or a conjunction, somebody asks or orders again. "Black and white",
    "cancel my order and its invoice" are one request.
    """
    text = question[:_LONGEST].replace("’", "'")
    found: list[str] = []
    start = 0
    for between in _BREAK.finditer(text):
        if len(found) < MOST - 1 and _ASKS.match(text, start, between.start()) and _ASKS.match(text, between.end()):
            found.append(text[start : between.start()])
            start = between.end()
    return (*found, text[start:]) if found else ()


@lru_cache(maxsize=8192)
def asks(text: str) -> bool:
    """Somebody asks or orders; false for "great, I'll do that then"."""
    text = text[:_LONGEST].replace("’", "'")
    return "?" in text or _ASKS.match(text) is not None or any(_ASKS.match(text, one.end()) for one in _BREAK.finditer(text))
