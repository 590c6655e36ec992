"""Numbers for the lead: from rows to rates with intervals; what is unknown says so, from the first minute on."""

import json
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from conftest import (
    NOW,
    add_reviewer,
    add_token,
    ingest,
    make_conversation,
    make_disliked,
    make_settings,
    make_triage,
    rows_of,
    score_all,
)
from starlette.testclient import TestClient
from test_cli import triage as run_triage

from scoring.encoder import Encoder
from service.app import create_app
from service.claims import claim_item
from service.db import Database
from service.gaps import gaps
from service.imports import import_articles, import_examples
from service.models import Exchange, ReviewItem, Round, Scope, VerdictLabel
from service.quality import Quality, measure
from service.review import Decision, decide, send_back
from service.settings import Settings

LATER = NOW + timedelta(hours=1)


def judge(db: Database, reviewer: int, item: ReviewItem, label: str) -> None:
    with db.write() as session:
        claim = claim_item(session, item.id or 0, reviewer, LATER, timedelta(hours=1))
        decide(session, item.id or 0, reviewer, claim.fence, Decision(VerdictLabel(label)), [], LATER)


def measured(db: Database, **thresholds: float) -> Quality:
    with db.read() as session:
        return measure(session, LATER, thresholds)


def make_reviewed(db: Database, encoder: Encoder, bad: int = 20, good: int = 60, share: float = 0.5) -> int:
    """Disliked answers, which are wrong, and others, which are good; half are drawn by chance; all items are decided."""
    ingest(db, *(make_disliked(f"d{n}one d{n}two d{n}three", id=f"d{n}") for n in range(bad)))
    ingest(db, *(make_conversation(2, id=f"fine{n}", channel="web") for n in range(good)))
    triage = make_triage(db, encoder, review_rate=share, random_share=0.999)
    score_all(triage)
    triage.pick_due(LATER, Random(1))
    reviewer = add_reviewer(db)
    wrong = {e.id for e in rows_of(db, Exchange) if e.question.startswith("d")}
    for item in rows_of(db, ReviewItem):
        judge(db, reviewer, item, "wrong" if item.exchange_id in wrong else "good")
    return reviewer


# --- numbers ------------------------------------------------------------------------------------------------------


def test_the_failure_rate_is_that_of_the_draws_not_of_the_queue(db: Database, hashing: Encoder) -> None:
    make_reviewed(db, hashing)

    found = measured(db)

    items = rows_of(db, ReviewItem)
    chosen = [item for item in items if item.strategy != "random"]
    assert len(chosen) >= 5
    assert found.failure_rate.draws == len(items) - len(chosen)
    assert found.failure_rate.low <= 0.25 <= found.failure_rate.high
    assert found.failure_rate.value == pytest.approx(0.25, abs=0.12)
    assert found.queue_precision.judged == len(chosen)
    assert found.queue_precision.low > 0.5
    assert "95 % interval" in found.failure_rate.sentence


def test_each_group_has_its_own_rate(db: Database, hashing: Encoder) -> None:
    make_reviewed(db, hashing)

    found = measured(db)

    channels = {one.name: one for one in found.by_channel}
    assert set(channels) == {"web", "no channel"}
    assert (channels["web"].exchanges, channels["web"].low) == (60, 0.0)
    assert channels["web"].high < 0.2 < channels["no channel"].low
    assert [one.exchanges for one in found.by_source] == [80]
    assert [one.name for one in found.by_week] == ["2026-01-05"]


def test_a_signal_that_is_right_has_precision_and_recall(db: Database, hashing: Encoder) -> None:
    make_reviewed(db, hashing, share=0.9)

    worth = {one.name: one for one in measured(db).signals}

    assert worth["user_feedback"].precision.low > 0.7
    assert worth["user_feedback"].recall.low > 0.7
    assert worth["user_frustration"].precision.sentence == "There is nothing to measure yet."
    assert worth["user_feedback"].threshold.suggested is None


def test_false_alarms_suggest_a_threshold(db: Database, hashing: Encoder) -> None:
    ingest(db, *(make_disliked(f"d{n}one d{n}two d{n}three", id=f"d{n}") for n in range(30)))
    triage = make_triage(db, hashing)
    score_all(triage)
    triage.pick_due(LATER, Random(1))
    reviewer = add_reviewer(db)
    for item in rows_of(db, ReviewItem):
        judge(db, reviewer, item, "good")

    (worth,) = [one for one in measured(db).signals if one.name == "user_feedback"]

    assert worth.threshold.judged == 30
    assert worth.threshold.suggested is not None
    assert "30 were false alarms" in worth.threshold.sentence


def test_a_verdict_that_is_withdrawn_or_unclear_counts_no_more(db: Database, hashing: Encoder) -> None:
    reviewer = make_reviewed(db, hashing)
    before = measured(db).failure_rate
    first, second = rows_of(db, ReviewItem)[:2]

    with db.write() as session:
        send_back(session, first.id or 0, reviewer, "look again", [], LATER)
        send_back(session, second.id or 0, reviewer, "look again", [], LATER)
    judge(db, reviewer, second, "unclear")

    assert measured(db).failure_rate.judged == before.judged - 2


def test_what_somebody_picked_by_hand_is_no_sample(db: Database, hashing: Encoder) -> None:
    reviewer = make_reviewed(db, hashing)
    before = measured(db).failure_rate
    left = next(e for e in rows_of(db, Exchange) if not e.reviewed)
    with db.write() as session:
        item = ReviewItem(
            exchange_id=left.id or 0, state="open", priority=left.priority, strategy="by_hand", propensity=1.0, round_id=None,
            reason="chosen by anna", suggestions={}, created_at=LATER, remark=None, cluster_id=None,
        )  # fmt: skip
        session.add(item)
    judge(db, reviewer, item, "wrong")

    after = measured(db).failure_rate

    assert (after.judged, after.draws) == (before.judged + 1, before.draws)
    assert after.value == pytest.approx(before.value, abs=0.02)


def test_an_empty_database_has_no_numbers_and_says_so(db: Database) -> None:
    found = measured(db)

    assert (found.failure_rate.value, found.failure_rate.sentence) == (None, "There is nothing to measure yet.")
    assert (found.by_week, found.saved.value) == ([], None)


def test_without_verdicts_nothing_is_claimed(db: Database, hashing: Encoder) -> None:
    ingest(db, *(make_conversation(2, id=f"c{n}") for n in range(5)))
    score_all(make_triage(db, hashing))

    rate = measured(db).failure_rate

    assert (rate.value, rate.low, rate.high) == (None, 0.0, 1.0)
    assert rate.sentence == "Not known: none of 5 exchanges has a verdict."


# --- where they are shown -----------------------------------------------------------------------------------------


def test_the_api_tells_them_to_reviewers_only(db: Database, hashing: Encoder, settings: Settings) -> None:
    make_reviewed(db, hashing)
    reading = add_token(db, Scope.review, name="lead", reviewer="anna")
    syncing = add_token(db, Scope.sync, name="sync")

    with TestClient(create_app(settings)) as client:
        answer = client.get("/api/v1/quality", headers=reading)
        refused = client.get("/api/v1/quality", headers=syncing)

    told = answer.json()
    assert (answer.status_code, refused.status_code) == (200, 403)
    assert {"name", "value", "low", "high", "exchanges", "judged", "draws", "failures", "sentence"} == set(
        told["numbers"]["failure_rate"]
    )
    assert "user_feedback" in {one["name"] for one in told["numbers"]["signals"]}
    assert any("triage seed" in gap["next"] for gap in told["unknown"])


def test_the_report_prints_sentences_or_json(sqlite_url: str, tmp_path: Path, hashing: Encoder) -> None:
    db = Database(sqlite_url)
    make_reviewed(db, hashing, bad=3, good=5)
    db.close()
    folder = tmp_path / "elsewhere"
    folder.mkdir()

    plain = run_triage(folder, "report", TRIAGE_DATABASE_URL=sqlite_url)
    as_json = run_triage(folder, "report", "--json", TRIAGE_DATABASE_URL=sqlite_url)

    assert (plain.returncode, as_json.returncode) == (0, 0), plain.stderr
    assert plain.stdout.startswith("The bot: ")
    assert "user_feedback" in plain.stdout
    assert "Not known yet" in plain.stdout
    assert json.loads(as_json.stdout)["failure_rate"]["exchanges"] == 8


# --- the first minute ---------------------------------------------------------------------------------------------


def test_without_any_label_or_article_the_queue_is_useful_at_once(db: Database, hashing: Encoder) -> None:
    topics = ["parcel lost", "refund money", "opening hours", "password reset"]
    said: list[dict[str, Any]] = []
    for n in range(40):
        words = " ".join(f"{topics[n % 4]} t{n % 4}a t{n % 4}b".split())
        turns = [{"id": "q", "role": "user", "text": f"{words} {n}"}, {"id": "a", "role": "bot", "text": "Let me see."}]
        said.append({"id": f"c{n}", "closed": True, "turns": turns})
    ingest(db, *said)
    triage = make_triage(db, hashing, review_rate=0.2, random_share=0.25)

    score_all(triage)
    triage.pick_due(LATER, Random(1))

    items = rows_of(db, ReviewItem)
    led = [item for item in items if item.strategy == "coverage"]
    exchanges = {e.id: e for e in rows_of(db, Exchange)}
    assert len(items) >= 4
    assert led
    assert {item.strategy for item in items} == {"coverage", "random"}
    assert all("nothing like it was reviewed yet" in item.reason for item in led)
    assert len({exchanges[item.exchange_id].cluster_id for item in led}) == len(led)
    assert len(rows_of(db, Round)) == 1


def test_what_is_missing_is_named_until_it_is_there(db: Database, hashing: Encoder, tmp_path: Path) -> None:
    def missing() -> list[str]:
        with db.read() as session:
            return [gap.unknown.split(":")[0].split(" '")[0] for gap in gaps(session, ["standard"])]

    steps = [missing()]
    reviewer = make_reviewed(db, hashing, bad=2, good=2)
    assert reviewer
    steps.append(missing())
    (tmp_path / "s.csv").write_text("text,intent\n" + "".join(f"words {n},a{n % 2}\n" for n in range(4)))
    (tmp_path / "kb.csv").write_text("question,answer\nwhere?,here\n")
    import_examples(db, "standard", [str(tmp_path / "s.csv")], NOW)
    import_articles(db, [str(tmp_path / "kb.csv")], [], NOW)
    steps.append(missing())

    assert steps == [
        ["Nothing has come from the source", "There are no articles", "There are no verdicts"],
        ["There are no labelled examples for", "There are no articles"],
        [],
    ]


def test_the_queue_page_says_what_is_not_known_yet_and_what_to_do(sqlite_url: str, tmp_path: Path) -> None:
    settings = make_settings(sqlite_url, tmp_path)
    db = Database(sqlite_url)
    add_reviewer(db, "anna", "a long password")
    ingest(db, make_conversation(2))
    db.close()

    with TestClient(create_app(settings), base_url="http://localhost") as client:
        client.post("/sign-in", data={"name": "anna", "password": "a long password"}, headers={"origin": "http://localhost"})
        page = client.get("/queue", headers={"accept": "text/html"}).text

    assert "Not known yet" in page
    assert "triage seed FILE --source standard" in page
    assert "triage articles import PATH" in page
