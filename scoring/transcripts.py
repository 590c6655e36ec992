"""What scoring reads: complete, redacted, immutable transcripts, and the exchanges they consist of."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Literal

Role = Literal["user", "bot", "agent"]


@dataclass(frozen=True, slots=True)
class Intent:
    """The platform's own understanding of a user turn. `ranking` holds (name, confidence), best first, as it was sent.

    `scale`: what the platform calls the scale of its confidences, where it names it.
    """

    name: str | None = None
    confidence: float | None = None
    ranking: tuple[tuple[str, float | None], ...] = ()
    scale: str | None = None


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage the bot's platform retrieved, with scores on the platform's own scales, and their names where it sent them."""

    id: str | None = None
    title: str | None = None
    text: str = ""
    score: float | None = None
    rerank_score: float | None = None
    scale: str | None = None
    rerank_scale: str | None = None


@dataclass(frozen=True, slots=True)
class Feedback:
    """An end user's own rating on the platform's own scale."""

    rating: float | None = None
    scale: str | None = None
    comment: str | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """One contribution. `retrieval` None: the platform sent none; empty: it searched and found nothing."""

    id: str
    role: Role
    text: str
    at: datetime | None = None
    intent: Intent | None = None
    retrieval: tuple[Passage, ...] | None = None
    feedback: tuple[Feedback, ...] = ()


@dataclass(frozen=True, slots=True)
class Transcript:
    """A conversation as scoring sees it. `source` separates bots: their scales and their answers are never compared."""

    id: str
    turns: tuple[Turn, ...]
    source: str = ""
    channel: str | None = None


@dataclass(frozen=True, slots=True)
class Exchange:
    """What the user asked, what the bot answered, and the user's next turn if there is one.

    Several turns in a row by one side are one contribution.
    """

    transcript: Transcript
    start: int
    """Index of the exchange's first turn in the transcript."""
    question_turns: tuple[Turn, ...]
    answer_turns: tuple[Turn, ...]
    follow_up_turns: tuple[Turn, ...]
    handed_over: bool
    """A human agent took over right after this answer (and after the follow-up, if there is one)."""

    @property
    def conversation_id(self) -> str:
        return self.transcript.id

    @property
    def source(self) -> str:
        return self.transcript.source

    @property
    def history(self) -> tuple[Turn, ...]:
        """The turns before the question."""
        return self.transcript.turns[: self.start]

    @property
    def turn_id(self) -> str:
        """The bot turn that completes the answer; it names the exchange."""
        return self.answer_turns[-1].id

    @property
    def question(self) -> str:
        return _joined(self.question_turns)

    @property
    def answer(self) -> str:
        return _joined(self.answer_turns)

    @property
    def follow_up(self) -> str | None:
        return _joined(self.follow_up_turns) if self.follow_up_turns else None

    @property
    def intent(self) -> Intent | None:
        """The platform's intent of the last question turn that has one."""
        return next((turn.intent for turn in reversed(self.question_turns) if turn.intent is not None), None)

    @property
    def retrieval(self) -> tuple[Passage, ...] | None:
        """All passages behind the answer, in order; None where the platform sent none."""
        lists = [turn.retrieval for turn in self.answer_turns if turn.retrieval is not None]
        return tuple(passage for passages in lists for passage in passages) if lists else None

    @property
    def feedback(self) -> tuple[tuple[str, Feedback], ...]:
        """(turn id, feedback) of the answer, in the order of the turns."""
        return tuple((turn.id, feedback) for turn in self.answer_turns for feedback in turn.feedback)


def split(transcript: Transcript) -> list[Exchange]:
    """The transcript's exchanges in order.

    A greeting that opens the conversation answers nothing; it is an exchange (with an empty question) only where the
    user replied to it or rated it. What a human agent says is never an answer of the bot.
    """
    runs = [tuple(run) for run in _runs(transcript.turns)]
    starts = [0]
    for run in runs:
        starts.append(starts[-1] + len(run))
    exchanges = []
    for i, run in enumerate(runs):
        if run[0].role != "bot":
            continue
        asked = i > 0 and runs[i - 1][0].role == "user"
        replied = i + 1 < len(runs) and runs[i + 1][0].role == "user"
        if not asked and not replied and not any(turn.feedback for turn in run):
            continue
        after = i + 2 if replied else i + 1
        exchanges.append(
            Exchange(
                transcript=transcript,
                start=starts[i - 1] if asked else starts[i],
                question_turns=runs[i - 1] if asked else (),
                answer_turns=run,
                follow_up_turns=runs[i + 1] if replied else (),
                handed_over=after < len(runs) and runs[after][0].role == "agent",
            )
        )
    return exchanges


def _runs(turns: Sequence[Turn]) -> Iterator[Iterator[Turn]]:
    return (run for _, run in groupby(turns, key=lambda turn: turn.role))


def _joined(turns: Sequence[Turn]) -> str:
    return "\n".join(turn.text for turn in turns)
