"""A page made ahead is shown only while it is right: what anybody adds to its item meanwhile changes the mark."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from conftest import NOW, add_reviewer
from items import add_look_alikes, make_article, make_item
from sqlalchemy import update
from sqlmodel import Session, col

from service import articles, review
from service.db import Database
from service.made_ahead import mark_of
from service.models import Exchange, Feedback, ReviewItem, Turn
from service.team import comments, queues


def comment(session: Session) -> None:
    comments.add_comment(session, 1, 2, "see the terms", "k1", NOW)


def assignment(session: Session) -> None:
    queues.assign(session, "anna", NOW, 1.0, item_id=1)


def later_turn(session: Session) -> None:
    turn = Turn(conversation_id=1, external_id="t9", role="user", text="And boots?", position=9, received_at=NOW, details={})
    session.add(turn)


def removed_turn(session: Session) -> None:
    session.execute(update(Turn).where(col(Turn.external_id) == "t0").values(removed=True))


def thumb(session: Session) -> None:
    session.add(Feedback(conversation_id=1, external_id="f1", turn_external_id="t1", rating=-1, scale="thumb", details={}))


def new_score(session: Session) -> None:
    session.execute(update(Exchange).values(scored_at=NOW + timedelta(hours=1)))


def draft(session: Session) -> None:
    review.save_draft(session, 1, 1, {"answer": "typed in another tab"}, NOW)


def new_article_text(session: Session) -> None:
    content = replace(articles.Content("Which shoes can I return?", "Unworn ones."), answer="Any.")
    articles.save_article(session, content, [], NOW, article_id=1, origin="page")


ADDED = [comment, assignment, later_turn, removed_turn, thumb, new_score, draft, new_article_text]


@pytest.fixture
def item(db: Database) -> int:
    add_reviewer(db, "anna")
    add_reviewer(db, "ben")
    article = make_article(db)
    return make_item(db, suggestions={"articles": [{"article_id": article, "similarity": 0.9}]})


def mark(db: Database, item: int) -> str:
    with db.read() as session:
        return mark_of(session, item, 1)


@pytest.mark.parametrize("add", ADDED, ids=lambda one: one.__name__)
def test_what_is_added_to_the_item_changes_its_mark(db: Database, item: int, add: Callable[[Session], None]) -> None:
    before = mark(db, item)

    with db.write() as session:
        add(session)

    assert mark(db, item) != before


def test_a_look_alike_changes_its_mark(db: Database, item: int) -> None:
    before = mark(db, item)

    add_look_alikes(db, 1, 1)

    assert mark(db, item) != before


def test_what_happens_elsewhere_leaves_the_mark(db: Database, item: int) -> None:
    before = mark(db, item)

    other = make_item(db)
    with db.write() as session:
        comments.add_comment(session, other, 2, "not there", "k1", NOW)
        review.save_draft(session, item, 2, {"answer": "another person's"}, NOW)
        session.execute(update(ReviewItem).where(col(ReviewItem.id) == item).values(claimed_until=NOW))

    assert mark(db, item) == before
