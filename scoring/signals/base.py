"""What every signal reads and gives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from scoring.calibration import Calibration
from scoring.intents import Prediction
from scoring.platform_scores import Key
from scoring.transcripts import Exchange
from scoring.vectors import TextVectors

Detail = Mapping[str, str | float | int | bool | Sequence[str] | None]


@dataclass(frozen=True, slots=True)
class Neighbour:
    """An exchange of another conversation with the same bot whose question is near. `similarity` is the questions' cosine."""

    key: int
    """The caller's own number for that exchange."""
    conversation_id: str
    turn_id: str
    question: str
    answer: str
    similarity: float
    asked_at: datetime | None = None
    answer_similarity: float = 0.0
    """Cosine of the two answers, where it was worth computing."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Exchanges with all that was computed for them once. Lists are aligned with `exchanges`.

    `vectors` holds every exchange's question, answer and follow-up. `neighbours` are best first. `predictions` are our
    own intent model's, None without one. `platform`: calibrations of what platforms send, for the sources that have one.
    """

    exchanges: Sequence[Exchange]
    vectors: TextVectors
    neighbours: Sequence[Sequence[Neighbour]]
    predictions: Sequence[Prediction | None]
    platform: Mapping[Key, Calibration] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one signal found in one exchange.

    `value` (0..1) is the signal's own strength; `probability` (0..1) is calibrated: how likely the exchange needs a
    person. `turn_ids` made it say so, `note` is the sentence a reviewer reads, `detail` holds numbers worth showing
    with their own scale named.
    """

    name: str
    value: float
    probability: float
    turn_ids: tuple[str, ...]
    note: str
    detail: Detail = field(default_factory=dict)


class Signal(Protocol):
    """A way of noticing trouble."""

    @property
    def name(self) -> str: ...

    def measure(self, batch: Batch) -> list[Evidence | None]:
        """Evidence per exchange, in order; None where the input that it reads is missing."""
        ...
