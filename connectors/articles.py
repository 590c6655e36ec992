"""What goes out to knowledge bases, and what a knowledge base must be able to do."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Article:
    """One version of an entry. `key` names the entry on both sides; not `active`: the bot must no longer use it."""

    key: str
    version: int
    question: str
    answer: str
    variants: tuple[str, ...] = ()
    intent: str | None = None
    active: bool = True
    changed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """The sink's answer: where the article is there."""

    reference: str


@dataclass(frozen=True, slots=True)
class Change:
    """An article that somebody changed in the sink. `base_version` is our version it started from, None for a new one."""

    article: Article
    base_version: int | None


class Sink(Protocol):
    """A knowledge base we write to."""

    def upsert(self, article: Article, key: str) -> Receipt:
        """Put the article there. `key` names this publication: the same key a second time changes nothing.

        Raises
        ------
        Reject
            It will never work as it is; with `conflict` set where somebody changed the entry there meanwhile.
        Retry
            It may work later.
        """
        ...

    def changes(self, cursor: str | None) -> tuple[Sequence[Change], str]:
        """What others changed there since the cursor, and the cursor after that."""
        ...

    def check(self) -> str | None:
        """None where the sink can be written to, or a sentence that a person can act on."""
        ...
