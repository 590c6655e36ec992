"""After a publication: what was to be answered is watched, and what is flagged again comes back, once."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from conftest import NOW, CountingEncoder, add_reviewer, ingest, make_disliked, make_triage, rows_of, score_all
from sqlalchemy import update
from sqlmodel import col
from test_settle import WAYS, claim, decide, item_of, make_cluster, others_of, pick, send_back

from scoring.encoder import Encoder, HashingEncoder
from service import articles
from service.articles import Content
from service.db import Database
from service.models import (
    Article,
    ArticleVersion,
    Exchange,
    ItemState,
    Publication,
    ReviewItem,
    Verdict,
    Watch,
    Watched,
)
from service.outcomes import FLAGGED_AGAIN, Correction, corrections, flagged_again
from service.watch import LATE, WATCHED_FOR, watch_due

DAY = timedelta(days=1)


def correct(db: Database, ways: Sequence[str] = WAYS[:1], published: bool = True, settles: bool = False) -> int:
    """An item with a correction that has gone out; its id."""
    reviewer = add_reviewer(db)
    item = make_cluster(db, reviewer, ways)
    decide(db, claim(db, item, reviewer), reviewer, others_of(db, item) if settles else ())
    if published:
        publish(db)
    return item


def publish(db: Database, at: datetime = NOW) -> None:
    with db.write() as session:
        session.execute(update(Publication).values(state="published", published_at=at))


def come_in(db: Database, question: str, id: str, at: datetime, liked: bool = False) -> None:
    told = make_disliked(question, id=id)
    told["turns"][0]["at"] = at.isoformat()
    if liked:
        told["turns"][1]["feedback"] = [{"rating": 1, "scale": "thumb"}]
    ingest(db, told, now=at)
    score_all(make_triage(db, HashingEncoder()), at + timedelta(hours=1))


def watch(db: Database, encoder: Encoder, now: datetime) -> int:
    return watch_due(db, encoder, now)


def outcome(db: Database, **more: Any) -> list[Correction]:
    with db.read() as session:
        return corrections(session, **more)


def state_of(db: Database, item_id: int) -> tuple[str, str | None]:
    (item,) = rows_of(db, ReviewItem, col(ReviewItem.id) == item_id)
    return item.state, item.remark


def test_a_question_that_is_flagged_again_reopens_its_item_once(db: Database, hashing: Encoder) -> None:
    item = correct(db)
    watch(db, hashing, NOW + timedelta(hours=1))
    come_in(db, WAYS[1], "again", NOW + DAY)

    watch(db, hashing, NOW + 2 * DAY)

    assert state_of(db, item) == (ItemState.open, FLAGGED_AGAIN)
    (told,) = outcome(db)
    assert (told.seen, told.flagged_again, told.item_id, told.reopened_at) == (1, 1, item, NOW + 2 * DAY)
    with db.read() as session:
        assert [one.question for one in flagged_again(session, item)] == [WAYS[1]]
    with db.write() as session:
        session.execute(update(ReviewItem).where(col(ReviewItem.id) == item).values(state=ItemState.done))
    come_in(db, WAYS[0], "and again", NOW + 3 * DAY)
    watch(db, hashing, NOW + 4 * DAY)
    assert state_of(db, item)[0] == ItemState.done
    assert outcome(db)[0].flagged_again == 2


def test_what_is_answered_well_since_has_worked(db: Database, hashing: Encoder) -> None:
    item = correct(db)
    watch(db, hashing, NOW + timedelta(hours=1))
    come_in(db, WAYS[0], "thanks", NOW + DAY, liked=True)

    watch(db, hashing, NOW + 2 * DAY)

    assert state_of(db, item)[0] == ItemState.done
    assert [(one.seen, one.flagged_again, one.reopened_at) for one in outcome(db)] == [(1, 0, None)]


def test_what_was_asked_before_the_publication_or_asks_something_else_does_not_count(db: Database, hashing: Encoder) -> None:
    item = correct(db)
    watch(db, hashing, NOW + timedelta(hours=1))
    come_in(db, WAYS[0], "before", NOW - DAY)
    come_in(db, "When does the shop in Rome open on Sunday?", "else", NOW + DAY)

    watch(db, hashing, NOW + 2 * DAY)

    assert state_of(db, item)[0] == ItemState.done
    assert [one.seen for one in outcome(db)] == [0]


def test_settled_questions_and_variants_are_watched_too(db: Database, hashing: Encoder) -> None:
    correct(db, WAYS, settles=True)
    watch(db, hashing, NOW + timedelta(hours=1))

    (watched,) = rows_of(db, Watch)

    assert set(WAYS) <= set(watched.questions)
    assert watched.clusters == [1]


def test_nothing_is_watched_before_it_is_out_and_without_knowledge_base_it_is_out_at_once(db: Database, hashing: Encoder) -> None:
    correct(db, published=False)

    watch(db, hashing, NOW + DAY)
    before = rows_of(db, Watch)
    publish(db, NOW + DAY)
    watch(db, hashing, NOW + 2 * DAY)
    (after,) = rows_of(db, Watch)

    assert not before
    assert after.published_at == NOW + DAY
    with db.write() as session:
        session.execute(Publication.__table__.delete())  # type: ignore[attr-defined]
        session.execute(Watch.__table__.delete())  # type: ignore[attr-defined]
    watch(db, hashing, NOW + 3 * DAY)
    assert rows_of(db, Watch)[0].published_at == NOW


def test_an_edit_of_a_correction_is_watched_from_then_on_and_the_version_before_no_more(db: Database, hashing: Encoder) -> None:
    item = correct(db)
    watch(db, hashing, NOW + timedelta(hours=1))
    (article,) = rows_of(db, Article)
    come_in(db, "When does the shop in Rome open on Sunday?", "else", NOW - DAY)
    reviewer, other = rows_of(db, Verdict)[0].reviewer_id, rows_of(db, Exchange)[-1].id
    decide(db, claim(db, pick(db, other, reviewer), reviewer), reviewer, label="good", answer=None, intent=None, causes=())
    with db.write() as session:
        content = Content(article.question, "Only with the receipt.", ("with receipt?",))
        articles.save_article(session, content, [], NOW + DAY, "page", article_id=article.id)
    watch(db, hashing, NOW + DAY)
    come_in(db, WAYS[0], "later", NOW + 2 * DAY)

    watch(db, hashing, NOW + 3 * DAY)

    assert [(one.version, one.seen, one.flagged_again, one.item_id) for one in outcome(db)] == [(2, 1, 1, item), (1, 0, 0, item)]
    assert all("Rome" not in text for one in rows_of(db, Watch) for text in one.questions)
    assert outcome(db, since=NOW + timedelta(hours=1))[0].version == 2
    assert len(outcome(db, since=NOW + timedelta(hours=1))) == 1
    assert not outcome(db, article_id=4711)


def test_articles_that_no_verdict_made_are_not_watched(db: Database, hashing: Encoder) -> None:
    with db.write() as session:
        articles.save_article(session, Content("Where is the shop?", "In Rome."), [], NOW, "import")

    assert watch(db, hashing, NOW + DAY) == 0
    assert not rows_of(db, Watch)


def test_looking_again_finds_nothing_twice_and_encodes_nothing_again(db: Database) -> None:
    encoder = CountingEncoder()
    correct(db)
    watch(db, encoder, NOW + timedelta(hours=1))
    come_in(db, WAYS[0], "again", NOW + DAY)
    encoder.texts.clear()

    for minutes in range(0, 20, 2):
        watch(db, encoder, NOW + 2 * DAY + timedelta(minutes=minutes))

    assert encoder.texts == []
    assert len(rows_of(db, Watched)) == 1
    (row,) = rows_of(db, Watch)
    assert row.last_exchange_id == rows_of(db, Exchange)[-1].id


def test_a_row_that_becomes_visible_late_is_still_seen(db: Database, hashing: Encoder) -> None:
    correct(db)
    watch(db, hashing, NOW + timedelta(hours=1))
    come_in(db, WAYS[0], "first", NOW + DAY)
    stored = rows_of(db, Exchange)[-1].created_at

    watch(db, hashing, stored + LATE / 2)

    assert rows_of(db, Watch)[0].last_exchange_id < rows_of(db, Exchange)[-1].id
    assert len(rows_of(db, Watched)) == 1


def test_a_worker_that_dies_while_looking_leaves_it_to_another(db: Database, hashing: Encoder) -> None:
    class Dying(CountingEncoder):
        @property
        def digest(self) -> str:
            raise KeyboardInterrupt

    item = correct(db)
    watch(db, hashing, NOW + timedelta(hours=1))
    come_in(db, WAYS[0], "again", NOW + DAY)
    with suppress(KeyboardInterrupt):
        watch(db, Dying(), NOW + 2 * DAY)

    assert watch(db, hashing, NOW + 2 * DAY + timedelta(seconds=1)) == 0
    assert watch(db, hashing, NOW + 2 * DAY + timedelta(minutes=6)) == 1
    assert state_of(db, item)[0] == ItemState.open


def test_watching_ends(db: Database, hashing: Encoder) -> None:
    correct(db)
    watch(db, hashing, NOW + timedelta(hours=1))

    watch(db, hashing, NOW + WATCHED_FOR + DAY)

    assert rows_of(db, Watch)[0].due_at is None
    assert watch(db, hashing, NOW + WATCHED_FOR + 2 * DAY) == 0


def test_an_item_that_came_back_is_decided_anew_and_has_one_verdict_that_counts(db: Database, hashing: Encoder) -> None:
    item = correct(db)
    watch(db, hashing, NOW + timedelta(hours=1))
    come_in(db, WAYS[0], "again", NOW + DAY)
    watch(db, hashing, NOW + 2 * DAY)
    reviewer = rows_of(db, Verdict)[0].reviewer_id

    decide(db, claim(db, item, reviewer, NOW + 3 * DAY), reviewer, now=NOW + 3 * DAY, answer="Only with the receipt.")

    standing = [one for one in rows_of(db, Verdict) if one.withdrawn_at is None]
    assert [one.answer for one in standing] == ["Only with the receipt."]
    assert len(rows_of(db, ArticleVersion)) == 2
    assert [one.status for one in rows_of(db, Article)] == ["active", "active"]


def test_a_correction_that_was_taken_back_reopens_nothing(db: Database, hashing: Encoder) -> None:
    item = correct(db, WAYS[:2])
    watch(db, hashing, NOW + timedelta(hours=1))
    reviewer = rows_of(db, Verdict)[0].reviewer_id
    send_back(db, item, reviewer)
    come_in(db, WAYS[0], "again", NOW + DAY)

    watch(db, hashing, NOW + 2 * DAY)

    assert state_of(db, item) == (ItemState.open, "not so")
    assert (rows_of(db, Watch)[0].due_at, rows_of(db, Watched)) == (None, [])
    assert item_of(db, rows_of(db, Exchange)[0].id).id == item
    assert pick(db, rows_of(db, Exchange)[1].id, reviewer) != item
