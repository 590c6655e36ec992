"""Transcripts in, scored exchanges out: split, encode once, measure each signal, weigh."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from scoring.calibration import Calibration, version_of
from scoring.clauses import clauses
from scoring.cross_encoder import PairModel
from scoring.encoder import Encoder, Vectors
from scoring.intents import IntentModel, Prediction
from scoring.late_interaction import LateInteraction
from scoring.past import Past, compared, described, nearest
from scoring.platform_scores import Key
from scoring.signals.answer_consistency import AnswerConsistency
from scoring.signals.answer_relevance import AnswerRelevance
from scoring.signals.base import Batch, Evidence, Signal
from scoring.signals.intent_confidence import IntentConfidence
from scoring.signals.user_feedback import UserFeedback
from scoring.signals.user_frustration import UserFrustration
from scoring.transcripts import Exchange, Transcript, split
from scoring.vectors import TextVectors, VectorStore, gather
from scoring.weights import Weighed, Weights, probabilities_of
from scoring.wording import is_english, plain

NOT_CALIBRATED = "Not calibrated for this language."


class UnknownSignal(ValueError):
    """A signal was named that does not exist; the message lists those that do."""


@dataclass(frozen=True, slots=True)
class Scored:
    """One exchange with everything found. `question` is its question's unit vector (zero where it asks nothing).

    `near` holds its nearest questions of other conversations as (key, cosine), best first: a key of the past, or
    -(i + 1) for the i-th exchange of the same batch.
    """

    exchange: Exchange
    evidence: tuple[Evidence, ...]
    priority: float
    uncertainty: float
    because: str
    prediction: Prediction | None
    question: Vectors
    near: tuple[tuple[int, float], ...]


class Scorer:
    """Same transcripts, same past and same models give the same scores."""

    def __init__(
        self,
        encoder: Encoder,
        vectors: VectorStore,
        weights: Weights | None = None,
        off: Iterable[str] = (),
        reranker: PairModel | None = None,
        entailment: PairModel | None = None,
        thresholds: Mapping[str, float] | None = None,
    ) -> None:
        """`off`: names of signals that are not measured. `reranker`, `entailment`: asked for what is undecided without them.

        `thresholds`: by signal, the probability below which its evidence is shown but does not raise the priority.

        Raises
        ------
        UnknownSignal
            A name in `off` or `thresholds` is no signal.
        """
        words = LateInteraction.over(encoder)
        self._encoder = words or encoder
        self.entailment = entailment
        self._vectors = vectors
        models = {"encoder": encoder, "reranker": reranker, "entailment": entailment}
        self._models = {name: model.digest if model else None for name, model in models.items()}
        self._default_weights = weights or Weights.default()
        signals: tuple[Signal, ...] = (
            IntentConfidence(),
            AnswerRelevance(words, reranker),
            UserFrustration(encoder.digest),
            AnswerConsistency(model=entailment),
            UserFeedback(),
        )
        self._thresholds = dict(thresholds or {})
        for setting, named in (("signals_off", set(off)), ("signal_thresholds", set(self._thresholds))):
            if unknown := named - {signal.name for signal in signals}:
                names = ", ".join(signal.name for signal in signals)
                raise UnknownSignal(f"{setting}: no such signal: {', '.join(sorted(unknown))}; there are {names}")
        self._signals = [signal for signal in signals if signal.name not in set(off)]

    @property
    def encoder(self) -> Encoder:
        """The encoder with the words it remembers, for whoever compares the same texts."""
        return self._encoder

    @property
    def signals(self) -> tuple[str, ...]:
        """Names of the signals that are measured."""
        return tuple(signal.name for signal in self._signals)

    @property
    def thresholds(self) -> Mapping[str, float]:
        """By signal, the probability below which its evidence does not raise the priority."""
        return self._thresholds

    def weights_of(self, source: str, weights: Mapping[str, Weights] | None = None) -> Weights:
        """The source's own weights, else those under "", else those that the scorer was made with."""
        known = weights or {}
        return known.get(source) or known.get("") or self._default_weights

    def versions(
        self,
        intents: IntentModel | None = None,
        platform: Mapping[Key, Calibration] | None = None,
        source: str = "",
        weights: Mapping[str, Weights] | None = None,
    ) -> dict[str, str | None]:
        """What the source's scores were made with."""
        return {
            **self._models,
            "weights": self.weights_of(source, weights).version,
            "intents": intents.version if intents else None,
            "platform": version_of(platform or {}, source),
        }

    def score(
        self,
        transcripts: Sequence[Transcript],
        past: Past | None = None,
        intents: Mapping[str, IntentModel] | None = None,
        platform: Mapping[Key, Calibration] | None = None,
        weights: Mapping[str, Weights] | None = None,
    ) -> list[Scored]:
        """Every exchange of the transcripts, in order.

        `intents`: our own intent model by source. `platform`: calibrations of platforms' scores; a source without one is
        judged by these transcripts alone. `weights`: by source, under "" for those that the map does not name.
        """
        exchanges = [exchange for transcript in transcripts for exchange in split(transcript)]
        if not exchanges:
            return []
        questions = [exchange.question for exchange in exchanges]
        answers = [exchange.answer for exchange in exchanges]
        follow_ups = [exchange.follow_up for exchange in exchanges]
        parts = [part for e in exchanges if e.source in (intents or {}) for part in clauses(e.question)]
        vectors = gather((*questions, *answers, *follow_ups, *parts), self._encoder, self._vectors)
        asked = vectors.of(questions)
        near = nearest(exchanges, asked, past)
        predictions = _predict(exchanges, asked, vectors, intents or {})
        found = described(exchanges, near, past)
        neighbours = compared(exchanges, found, vectors, self._encoder.digest, self._vectors)
        batch = Batch(exchanges, vectors, neighbours, predictions, platform or {})
        measured = [signal.measure(batch) for signal in self._signals]
        evidence = [tuple(one for one in found if one is not None) for found in zip(*measured, strict=True)]
        if not measured:
            evidence = [()] * len(exchanges)
        weighed = self._weigh(exchanges, evidence, weights)
        return [
            Scored(
                exchange,
                evidence[i],
                w.priority,
                w.uncertainty,
                _because(exchange, w.because),
                predictions[i],
                asked[i],
                tuple(near[i]),
            )
            for i, (exchange, w) in enumerate(zip(exchanges, weighed, strict=True))
        ]

    def _weigh(
        self,
        exchanges: Sequence[Exchange],
        evidence: Sequence[Sequence[Evidence]],
        weights: Mapping[str, Weights] | None,
    ) -> list[Weighed]:
        rows: dict[str, list[int]] = {}
        for i, exchange in enumerate(exchanges):
            rows.setdefault(exchange.source, []).append(i)
        found: dict[int, Weighed] = {}
        for source, of_source in rows.items():
            own = self.weights_of(source, weights)
            names, probabilities = probabilities_of([evidence[i] for i in of_source])
            counted = own.counted(names, probabilities, self._thresholds)
            found.update(zip(of_source, own.weigh_rows(names, counted), strict=True))
        return [found[i] for i in range(len(exchanges))]


def _because(exchange: Exchange, because: str) -> str:
    """The reason, with a word of warning where a text is in a language that nothing was calibrated on."""
    texts = (exchange.question, exchange.answer, exchange.follow_up or "")
    return because if all(is_english(plain(text)) for text in texts) else f"{because} {NOT_CALIBRATED}"


def _predict(
    exchanges: Sequence[Exchange], asked: Vectors, vectors: TextVectors, intents: Mapping[str, IntentModel]
) -> list[Prediction | None]:
    predictions: list[Prediction | None] = [None] * len(exchanges)
    for source in {exchange.source for exchange in exchanges} & set(intents):
        rows = [i for i, e in enumerate(exchanges) if e.source == source and asked[i].any()]
        questions = [exchanges[i].question for i in rows]
        for i, prediction in zip(rows, intents[source].predict(questions, asked[rows], vectors.of), strict=True):
            predictions[i] = prediction
    return predictions


def as_line(one: Scored, versions: Mapping[str, str | None]) -> dict[str, object]:
    """The exchange as a line of the scores file (docs/formats.md)."""
    return {
        "conversation_id": one.exchange.conversation_id,
        "turn_id": one.exchange.turn_id,
        "question": one.exchange.question,
        "answer": one.exchange.answer,
        "follow_up": one.exchange.follow_up,
        "priority": round(one.priority, 4),
        "uncertainty": round(one.uncertainty, 4),
        "because": one.because,
        "signals": [
            {
                "name": e.name,
                "value": round(float(np.clip(e.value, 0, 1)), 4),
                "probability": round(float(np.clip(e.probability, 0, 1)), 4),
                "turn_ids": list(e.turn_ids),
                "note": e.note,
                "detail": dict(e.detail),
            }
            for e in one.evidence
        ],
        "versions": dict(versions),
    }
