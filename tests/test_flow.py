"""The main job from end to end, as a tour: what a platform tells becomes a correction in the knowledge base."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from conftest import add_reviewer, add_token, make_body, make_triage, rows_of, sign
from fastapi.testclient import TestClient

from connectors.sinks.markdown import MarkdownSink
from scoring.encoder import Encoder
from service import publish
from service.app import create_app
from service.db import Database
from service.models import Exchange, Scope
from service.settings import Settings


def tell(conversation: str, *turns: tuple[str, str]) -> list[dict[str, Any]]:
    return [
        {"type": "turn_added", "conversation_id": conversation, "turn": {"id": f"t{place}", "role": role, "text": text}}
        for place, (role, text) in enumerate(turns)
    ]


GOOD = tell(
    "good",
    ("user", "What are your opening hours?"),
    ("bot", "We are open from 9 to 17, Monday to Friday."),
    ("user", "Great, thank you!"),
)
BAD = tell(
    "bad",
    ("user", "How do I return worn shoes?"),
    ("bot", "Your order is on its way."),
    ("user", "No! I asked how to RETURN them. This is useless, get me a human."),
)
DISLIKED = {"type": "feedback_given", "conversation_id": "bad", "turn_id": "t1", "feedback": {"rating": -1, "scale": "thumb"}}


def test_a_wrong_answer_is_noticed_corrected_and_published(
    db: Database, settings: Settings, tmp_path: Path, encoder: Encoder
) -> None:
    add_reviewer(db, "anna")
    reviewer = add_token(db, Scope.review, name="anna's script", reviewer="anna")
    sync_job = add_token(db, Scope.sync, name="sync job")

    with TestClient(create_app(settings)) as web:
        # A platform delivers two conversations in signed webhooks; each is on disk before it is acknowledged.
        for name, body in (("d1", make_body(*GOOD)), ("d2", make_body(*BAD)), ("d3", make_body(DISLIKED))):
            assert web.post("/hooks/standard", content=body, headers=sign(body, name)).status_code == 202

        # They are quiet for ten minutes: the worker scores them, and the bad exchange ranks first.
        triage = make_triage(db, encoder)
        assert triage.score_due({}, datetime.now(UTC), 100) == 0
        settled = datetime.now(UTC) + timedelta(minutes=11)
        assert triage.score_due({}, settled, 100) == 2
        bad, good = sorted(rows_of(db, Exchange), key=lambda exchange: -exchange.priority)
        assert (bad.question, good.question) == ("How do I return worn shoes?", "What are your opening hours?")
        assert bad.priority > 0.5 > good.priority

        # What is worth a person's minute enters the queue, with the evidence beside it.
        assert triage.pick_due(settled, Random(1)) > 0
        first = web.get("/api/v1/items", headers=reviewer).json()[0]
        assert first["question"] == "How do I return worn shoes?"
        assert {"user_frustration", "user_feedback"} <= {evidence["name"] for evidence in first["evidence"]}

        # A reviewer claims the best item and corrects the answer.
        claim = web.post("/api/v1/items/claim", json={}, headers=reviewer).json()
        assert claim["item_id"] == first["id"]
        decision = {
            "fence": claim["fence"],
            "label": "wrong",
            "intent": "returns",
            "causes": ["missing_article"],
            "answer": "Worn shoes cannot be returned, unless they are faulty.",
        }
        verdict = web.post(f"/api/v1/items/{claim['item_id']}/decide", json=decision, headers=reviewer)
        assert verdict.json()["label"] == "wrong"

        # The worker pushes the correction to the knowledge base, a folder of Markdown files here.
        knowledge_base = tmp_path / "knowledge-base"
        publish.push_due(db, {"folder": MarkdownSink(str(knowledge_base))}, datetime.now(UTC))
        (file,) = knowledge_base.glob("*.md")
        assert "How do I return worn shoes?" in file.read_text()
        assert "unless they are faulty" in file.read_text()

        # A knowledge base that would rather pull sees the same change once.
        feed = web.get("/api/v1/articles/changes", headers=sync_job).json()
        assert [(c["key"], c["version"], c["intent"]) for c in feed["changes"]] == [(file.stem, 1, "returns")]
        after = web.get("/api/v1/articles/changes", params={"after": feed["cursor"]}, headers=sync_job).json()
        assert (after["changes"], after["more"]) == ([], False)
