"""The scorer that the settings ask for."""

from scoring.cross_encoder import OFF, load_pair_model
from scoring.encoder import HASHING, PACKAGED, Encoder
from scoring.scorer import Scorer
from scoring.vectors import VectorStore
from service.settings import Settings


def make_scorer(settings: Settings, encoder: Encoder, vectors: VectorStore) -> Scorer:
    """With the settings' models; hashed words, where nobody wants models, get no packaged ones.

    Raises
    ------
    ModelUnusable
        A model cannot be had.
    UnknownSignal
        `signals_off` or `signal_thresholds` names something else than a signal.
    """
    bare = settings.encoder == HASHING
    entailment = OFF if bare and settings.entailment == PACKAGED else settings.entailment
    return Scorer(
        encoder,
        vectors,
        off=settings.signals_off,
        thresholds=settings.signal_thresholds,
        reranker=load_pair_model(settings.reranker, "relevance", settings.precision, settings.threads),
        entailment=load_pair_model(entailment, "entailment", settings.precision, settings.threads),
    )
