"""Real public dialogues and the format checker, where the data lies beside the project."""

import subprocess
from itertools import islice
from pathlib import Path
from runpy import run_path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from benchmarks.transcripts import load
from connectors.events import Conversation
from scoring.encoder import Encoder
from scoring.scorer import Scorer
from scoring.vectors import MemoryVectors
from service.cli import app
from service.transcripts import from_wire

SHARED = Path(__file__).parents[2] / "shared"
pytestmark = pytest.mark.skipif(not (SHARED / "data").is_dir(), reason="needs the public data in ../shared/data")


def test_real_dialogues_of_every_kind_are_scored(encoder: Encoder) -> None:
    conversations, _ = load(SHARED / "data")
    kinds = ("rasa", "ukp", "ab-redial", "dstc11", "feedbackqa")
    some = [c for kind in kinds for c in islice((c for c in conversations if c["id"].startswith(kind)), 6)]

    scored = Scorer(encoder, MemoryVectors()).score([from_wire(Conversation.model_validate(c)) for c in some])

    assert {one.exchange.conversation_id for one in scored} == {c["id"] for c in some}
    assert all(0 <= one.priority <= 1 and one.because for one in scored)
    assert {e.name for one in scored if one.exchange.conversation_id.startswith("rasa") for e in one.evidence} >= {
        "intent_confidence",
        "answer_relevance",
        "user_frustration",
    }


@pytest.mark.parametrize("part", ["score", "intents"])
def test_files_have_the_agreed_shapes(part: str) -> None:
    """The checker's commands run in this process: its five would each load the model anew."""
    checker = run_path(str(SHARED / "contract.py"))

    def call(command: list[str], **_: Any) -> SimpleNamespace:
        done = CliRunner().invoke(app, command[1:])
        return SimpleNamespace(returncode=done.exit_code, stdout=done.stdout, stderr=done.stderr)

    checker["main"].__globals__["subprocess"] = SimpleNamespace(run=call, CompletedProcess=subprocess.CompletedProcess)

    checker["main"]("triage", [part])
