"""Undo: what was just decided is open again and a draft again, and no knowledge base ever heard of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import NOW, add_reviewer, add_token, fill_queue, make_disliked, rows_of
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlmodel import Session

from connectors.sinks.markdown import MarkdownSink
from service import articles, calibration, claims, feed, publish, review, undo
from service.app import create_app
from service.claims import Claim
from service.db import Database
from service.errors import Conflict
from service.filters import QueueFilter
from service.models import (
    Article,
    ArticleVersion,
    Draft,
    Example,
    ItemState,
    NamedQueue,
    Opinion,
    Publication,
    ReviewItem,
    RootCause,
    Scope,
    Verdict,
    VerdictLabel,
)
from service.review import Decision
from service.settings import QueueSettings, Settings
from service.team import opinions

LEASE, GRACE = timedelta(minutes=15), timedelta(seconds=20)
SOON, LATE = NOW + timedelta(seconds=19), NOW + GRACE
SINKS = ["folder", "other"]
WRONG = Decision(
    VerdictLabel.wrong, answer="Worn shoes cannot be returned.", intent="returns", causes=(RootCause.retrieval,), comment="see §3"
)


@pytest.fixture
def anna(db: Database) -> int:
    return add_reviewer(db, "anna")


@pytest.fixture
def ben(db: Database) -> int:
    return add_reviewer(db, "ben")


@pytest.fixture
def item(db: Database) -> int:
    (only,) = fill_queue(db, make_disliked("alpha beta gamma"))
    return only


def decide(db: Database, reviewer: int, decision: Decision = WRONG, now: datetime = NOW) -> Claim:
    with db.write() as session:
        claim = claims.claim_next(session, reviewer, now, LEASE)
        assert claim is not None
        review.decide(session, claim.item_id, reviewer, claim.fence, decision, SINKS, now, GRACE)
    return claim


def take_back(db: Database, item: int, reviewer: int, now: datetime = SOON) -> Claim:
    with db.write() as session:
        return undo.undo(session, item, reviewer, SINKS, now, LEASE, GRACE)


@contextmanager
def refused(db: Database, why: str) -> Iterator[Session]:
    with pytest.raises(Conflict, match=why), db.write() as session:
        yield session


def test_an_undone_decision_leaves_the_item_with_its_reviewer_and_what_they_wrote_as_a_draft(
    db: Database, item: int, anna: int
) -> None:
    before = decide(db, anna)

    claim = take_back(db, item, anna)

    (row,) = rows_of(db, ReviewItem)
    (draft,) = rows_of(db, Draft)
    (verdict,) = rows_of(db, Verdict)
    assert (row.state, row.reviewer_id, row.decided_at) == (ItemState.open, anna, None)
    assert claim.fence == row.fence > before.fence
    assert (draft.content["label"], draft.content["answer"], draft.content["intent"]) == ("wrong", WRONG.answer, "returns")
    assert (draft.content["causes"], draft.content["comment"], draft.content["article"]) == (["retrieval"], "see §3", "")
    assert verdict.withdrawn_reason == "undone"
    assert not rows_of(db, Example)


def test_of_an_undone_correction_no_knowledge_base_and_no_feed_ever_hears(
    db: Database, item: int, anna: int, tmp_path: Path
) -> None:
    sinks = {"folder": MarkdownSink(str(tmp_path / "kb"))}
    decide(db, anna)
    publish.push_due(db, sinks, SOON)
    with db.read() as session:
        early, _, _ = feed.changes_after(session, None, 10, held_from=SOON - GRACE)

    take_back(db, item, anna)
    publish.push_due(db, sinks, NOW + timedelta(days=1))

    with db.read() as session:
        late, _, _ = feed.changes_after(session, None, 10)
    assert (early, late) == ([], [])
    assert [rows_of(db, table) for table in (Article, ArticleVersion, Publication)] == [[], [], []]
    assert not list((tmp_path / "kb").glob("*.md"))


def test_without_an_undo_the_correction_goes_out_once_the_time_is_over(
    db: Database, item: int, anna: int, tmp_path: Path
) -> None:
    sinks = {"folder": MarkdownSink(str(tmp_path / "kb")), "other": MarkdownSink(str(tmp_path / "other"))}
    decide(db, anna)

    early, due = publish.push_due(db, sinks, SOON), publish.push_due(db, sinks, LATE)

    assert (early, due) == (0, 2)
    assert len(list((tmp_path / "kb").glob("*.md"))) == 1


def test_an_undone_change_gives_the_article_back_as_it_was_with_what_waited_for_it(db: Database, item: int, anna: int) -> None:
    with db.write() as session:
        article = articles.save_article(session, articles.Content("Shoes?", "As it was."), SINKS, NOW, "page")
    decide(db, anna, Decision(VerdictLabel.wrong, answer="As corrected.", article_id=article.id))

    take_back(db, item, anna)

    (now,) = rows_of(db, Article)
    (draft,) = rows_of(db, Draft)
    assert (now.answer, now.version, now.variants) == ("As it was.", 1, [])
    assert [(p.key, p.state) for p in rows_of(db, Publication)] == [("1-1-folder", "pending"), ("1-1-other", "pending")]
    assert (draft.content["article"], draft.content["answer"]) == (str(article.id), "As corrected.")


def test_an_article_that_somebody_changed_since_stays(db: Database, item: int, anna: int) -> None:
    decide(db, anna)
    (article,) = rows_of(db, Article)
    with db.write() as session:
        content = articles.Content(article.question, "Changed since.")
        articles.save_article(session, content, SINKS, NOW, "page", article_id=article.id)

    take_back(db, item, anna)

    (now,) = rows_of(db, Article)
    assert (now.answer, now.version) == ("Changed since.", 2)


def test_what_is_on_its_way_cannot_be_undone(db: Database, item: int, anna: int) -> None:
    decide(db, anna)
    with db.write() as session:
        session.execute(select(Publication)).scalars().first().claimed_until = NOW + LEASE  # type: ignore[union-attr]

    with refused(db, "on its way") as session:
        undo.undo(session, item, anna, SINKS, SOON, LEASE, GRACE)

    (row,) = rows_of(db, ReviewItem)
    assert (row.state, len(rows_of(db, Article)), len(rows_of(db, Publication))) == (ItemState.done, 1, 2)


def test_too_late_or_by_somebody_else_nothing_changes_and_sending_back_is_named(
    db: Database, item: int, anna: int, ben: int
) -> None:
    decide(db, anna)

    with refused(db, "send the item back") as session:
        undo.undo(session, item, anna, SINKS, LATE, LEASE, GRACE)
    with refused(db, "send it back") as session:
        undo.undo(session, item, ben, SINKS, SOON, LEASE, GRACE)

    (verdict,) = rows_of(db, Verdict)
    assert verdict.withdrawn_at is None


def test_undoing_twice_is_undoing_once(db: Database, item: int, anna: int) -> None:
    decide(db, anna)

    first, second = take_back(db, item, anna), take_back(db, item, anna)

    assert first == second


def test_an_item_that_is_not_decided_cannot_be_undone(db: Database, item: int, anna: int) -> None:
    with refused(db, "nothing to undo") as session:
        undo.undo(session, item, anna, SINKS, NOW, LEASE, GRACE)


def test_what_was_undone_can_be_decided_again_and_undone_again(db: Database, item: int, anna: int) -> None:
    for _ in range(2):
        decide(db, anna)
        take_back(db, item, anna)
    decide(db, anna, Decision(VerdictLabel.good))

    assert [v.label for v in rows_of(db, Verdict) if v.withdrawn_at is None] == ["good"]
    assert not rows_of(db, Article)


def test_taking_an_item_out_of_the_queue_can_be_undone(db: Database, item: int, anna: int) -> None:
    with db.write() as session:
        claim = claims.claim_item(session, item, anna, NOW, LEASE)
        claims.not_reviewable(session, item, anna, claim.fence, "a test call", NOW)

    take_back(db, item, anna)

    (row,) = rows_of(db, ReviewItem)
    assert (row.state, row.reviewer_id, row.remark) == (ItemState.open, anna, None)


# --- opinions -----------------------------------------------------------------------------------------------------


def blind(db: Database, reviews: int = 2, **changes: Any) -> None:
    with db.write() as session:
        session.add(NamedQueue(name="all", reviews=reviews, reviewers=[], adjudicators=[], created_at=NOW, **changes))


def judge(db: Database, reviewer: int, decision: Decision = WRONG, only: QueueFilter | None = None) -> Claim:
    with db.write() as session:
        claim = claims.claim_next(session, reviewer, NOW, LEASE, only)
        assert claim is not None
        opinions.decide(session, claim.item_id, reviewer, claim.fence, decision, SINKS, NOW, GRACE)
    return claim


def test_an_opinion_among_several_can_be_undone_while_nobody_else_has_the_item(
    db: Database, item: int, anna: int, ben: int
) -> None:
    blind(db)
    judge(db, anna)

    first, second = take_back(db, item, anna), take_back(db, item, anna)
    judge(db, anna)
    with db.write() as session:
        claims.claim_next(session, ben, NOW, LEASE)
    with refused(db, "somebody else has this item") as session:
        undo.undo(session, item, anna, SINKS, SOON, LEASE, GRACE)

    assert first == second
    assert [one.withdrawn_reason for one in rows_of(db, Opinion)] == ["undone", None]


def test_the_opinion_that_made_the_verdict_is_undone_with_it(db: Database, item: int, anna: int, ben: int) -> None:
    blind(db)
    judge(db, anna)
    judge(db, ben)
    made = [verdict.withdrawn_at for verdict in rows_of(db, Verdict)]

    take_back(db, item, ben)
    undone = [(one.reviewer_id, one.withdrawn_reason) for one in rows_of(db, Opinion)]
    judge(db, ben)

    assert made == [None]
    assert undone == [(anna, None), (ben, "undone")]
    assert [verdict.withdrawn_reason for verdict in rows_of(db, Verdict)] == ["undone", None]
    assert len(rows_of(db, Article)) == 1


def test_what_was_said_of_a_known_item_is_undone_like_anything_else(db: Database, item: int, anna: int, ben: int) -> None:
    blind(db, reviews=1, calibration_share=1.0)
    decide(db, anna)
    with db.write() as session:
        calibration.mark(session, item, anna, NOW)
    claim = judge(db, ben, Decision(VerdictLabel.good), QueueFilter(queue="all"))
    with db.read() as session:
        left = undo.seconds_left(session, item, ben, NOW, GRACE)

    first, second = take_back(db, item, ben), take_back(db, item, ben)

    (verdict,) = rows_of(db, Verdict)
    (opinion,) = rows_of(db, Opinion)
    assert (left, first.item_id, first) == (20, item, second)
    assert first.fence > claim.fence
    assert (verdict.withdrawn_at, opinion.withdrawn_reason) == (None, "undone")


def test_a_program_can_undo_within_the_time_that_the_settings_give(db: Database, settings: Settings, item: int) -> None:
    add_reviewer(db, "anna")
    token = add_token(db, Scope.review, Scope.sync, reviewer="anna")
    with TestClient(create_app(settings.model_copy(update={"queue": QueueSettings(undo_seconds=60)})), headers=token) as api:
        claim = api.post("/api/v1/items/claim", json={}).json()
        decision = {"fence": claim["fence"], "label": "wrong", "answer": "Better."}
        api.post(f"/api/v1/items/{item}/decide", json=decision)

        feed = api.get("/api/v1/articles/changes").json()["changes"]
        answer = api.post(f"/api/v1/items/{item}/undo")
        again = api.post(f"/api/v1/items/{item}/decide", json=decision | {"fence": answer.json()["fence"]})

    assert feed == []
    assert (answer.status_code, answer.json()["fence"], again.status_code) == (200, claim["fence"] + 1, 200)
