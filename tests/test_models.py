"""Models that settings name: directories, the adapters that ship, other precisions, other languages."""

import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from conftest import make_settings

from connectors.events import Conversation
from scoring.cross_encoder import Floats, load_pair_model
from scoring.encoder import ModelUnusable, SentenceEncoder, model_folder
from scoring.late_interaction import LateInteraction
from scoring.scorer import NOT_CALIBRATED, Scored, Scorer
from scoring.signals.answer_relevance import AnswerRelevance
from scoring.transcripts import Transcript, Turn
from scoring.vectors import MemoryVectors
from service.scorers import make_scorer
from service.transcripts import from_wire

PAIRS = [
    ("We are open on Sunday.", "We are closed on Sunday."),
    ("Hello", "We never charge for returns, whatever the reason is."),
]


def save_classifier(folder: Path, labels: Sequence[str]) -> Path:
    """A tiny random classifier over pairs, with the packaged tokenizer."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    names = dict(enumerate(labels))
    config = BertConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, num_labels=len(labels), id2label=names,
        label2id={name: i for i, name in names.items()},
    )  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(model_folder("packaged")).save_pretrained(folder)
    return folder


def test_an_entailment_model_gives_the_log_odds_of_its_contradiction(tmp_path: Path) -> None:
    folder = save_classifier(tmp_path, ["contradiction", "entailment", "neutral"])
    model = load_pair_model(str(folder), "entailment", "float32")
    assert model is not None

    found = model.logits(PAIRS)

    outputs = np.asarray(model._model.predict(PAIRS, activation_fn=None, apply_softmax=False))
    likely = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(1 / (1 + np.exp(-found)), likely[:, 0], atol=1e-5)
    np.testing.assert_allclose(model.logits(PAIRS[::-1]), found[::-1], atol=1e-5)
    assert model.logits([]).shape == (0,)


def test_a_model_without_such_an_output_is_refused_with_its_name(tmp_path: Path) -> None:
    folder = save_classifier(tmp_path, ["good", "bad", "ugly"])

    with pytest.raises(ModelUnusable, match="contradiction"):
        load_pair_model(str(folder), "entailment")


def test_a_reranker_with_one_output_gives_it(tmp_path: Path) -> None:
    model = load_pair_model(str(save_classifier(tmp_path, ["relevance"])), "relevance")

    assert model is not None
    assert np.isfinite(model.logits(PAIRS)).all()
    assert load_pair_model("off", "relevance") is None


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match="no weights"):
        load_pair_model(str(tmp_path), "entailment")


class Reranker:
    """Says that every pair fits, and remembers what it was asked."""

    digest = "reranker"

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def logits(self, pairs: Sequence[tuple[str, str]]) -> Floats:
        self.asked += pairs
        return np.full(len(pairs), 9.0)


@pytest.fixture(scope="module")
def exact(encoder: SentenceEncoder) -> list[Scored]:
    """The sample shop's exchanges, scored in float32."""
    return Scorer(encoder, MemoryVectors()).score(sample_transcripts())


def test_the_reranker_is_asked_for_what_is_undecided_only(encoder: SentenceEncoder, exact: list[Scored]) -> None:
    reranker = Reranker()

    before = relevance_of(exact)
    after = relevance_of(Scorer(encoder, MemoryVectors(), reranker=reranker).score(sample_transcripts()))

    assert 0 < len(reranker.asked) < 0.6 * len(before)
    changed = [(x, y) for x, y in zip(before, after, strict=True) if x != y]
    assert changed
    assert all(y < x for x, y in changed)


def test_bfloat16_and_float32_take_the_same_decisions(exact: list[Scored]) -> None:
    """Priorities within .05, and at most one exchange in fifty on another side of a half (docs/signals.md)."""
    rounded = Scorer(SentenceEncoder(precision="bfloat16"), MemoryVectors()).score(sample_transcripts())

    long, short = (np.asarray([one.priority for one in scored]) for scored in (exact, rounded))
    assert np.quantile(np.abs(long - short), 0.99) < 0.05
    assert ((long >= 0.5) != (short >= 0.5)).mean() <= 0.02


def test_another_model_from_a_directory_scores_other_languages_and_says_so(tmp_path: Path) -> None:
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers import AutoTokenizer, BertConfig, BertModel

    torch.manual_seed(0)
    config = BertConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
    BertModel(config).save_pretrained(tmp_path / "bare")
    AutoTokenizer.from_pretrained(model_folder("packaged")).save_pretrained(tmp_path / "bare")
    SentenceTransformer(str(tmp_path / "bare"), device="cpu").save(str(tmp_path / "model"))
    encoder = SentenceEncoder(str(tmp_path / "model"))
    said = [
        (
            "Où est ma commande ? Je l'attends depuis lundi.",
            "Votre commande est en route, et arrive demain.",
            "merci beaucoup",
        ),
        ("أين طلبي؟", "طلبك في الطريق.", "هذا ليس جوابا"),
        ("注文はどこですか", "発送済みです。", "ありがとう"),
        ("Where is my order, please?", "It is on its way.", "thank you"),
    ]
    transcripts = [
        Transcript(f"c{i}", (Turn("1", "user", q), Turn("2", "bot", a), Turn("3", "user", f))) for i, (q, a, f) in enumerate(said)
    ]

    scored = Scorer(encoder, MemoryVectors()).score(transcripts)

    assert [one.because.endswith(NOT_CALIBRATED) for one in scored] == [True, True, True, False]
    assert all(0 < one.priority < 1 for one in scored)
    assert LateInteraction.over(encoder) is None


def test_the_settings_models_are_named_with_every_score(tmp_path: Path, encoder: SentenceEncoder) -> None:
    folder = save_classifier(tmp_path, ["relevance"])
    settings = make_settings("sqlite://", tmp_path, reranker=str(folder), entailment="off")

    versions = make_scorer(settings, encoder, MemoryVectors()).versions()

    assert versions["encoder"] == encoder.digest
    assert versions["reranker"] is not None
    assert versions["entailment"] is None


def sample_transcripts() -> list[Transcript]:
    lines = files("service").joinpath("sample/conversations.jsonl").read_text().splitlines()
    return [from_wire(Conversation.model_validate(json.loads(line))) for line in lines]


def relevance_of(scored: Sequence[Scored]) -> list[float]:
    return [one.probability for each in scored for one in each.evidence if one.name == AnswerRelevance().name]
