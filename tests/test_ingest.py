"""Events into rows: whatever the order, the repetition and the grouping, the rows are the same."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from conftest import NOW, SETTLE, closed, feedback_given, ingest, make_conversation, read_events, rows_of, turn_added
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from connectors.events import Delivery
from service import models
from service.db import Database
from service.ingest import Ingest, Received, accept
from service.models import Conversation, Feedback, Turn
from service.privacy import make_redact

PLAIN = make_redact(False, [])
CONTENT = {
    Conversation: ("source", "external_id", "channel", "started_at", "closed", "closed_at", "details"),
    Turn: ("external_id", "role", "text", "at", "edited_at", "position", "intent", "retrieval", "details", "removed"),
    Feedback: ("external_id", "turn_external_id", "rating", "scale", "comment", "at", "details", "withdrawn"),
}


def content_of(db: Database) -> dict[str, list[str]]:
    """All that was told, named by the platform's ids only: no row ids, no times of arrival."""
    found: dict[str, list[str]] = {}
    with db.read() as session:
        names = {c.id: c.external_id for c in session.execute(select(Conversation)).scalars()}
        for model, columns in CONTENT.items():
            rows = session.execute(select(model)).scalars()
            found[model.__name__] = sorted(
                json.dumps(
                    [names[getattr(row, "conversation_id", row.id)], *(getattr(row, name) for name in columns)],
                    sort_keys=True,
                    default=str,
                )
                for row in rows
            )
    return found


def received(*told: dict[str, Any], id: str = "d1", source: str = "standard") -> Received:
    return Received(source, Delivery(id, NOW), read_events(*told))


def take(db: Database, *group: Received) -> int:
    return accept(db, group, PLAIN, SETTLE, NOW)


def test_a_repeated_delivery_changes_nothing(db: Database) -> None:
    first = take(db, received(make_conversation(turns=3)))
    before, revision = content_of(db), rows_of(db, Conversation)[0].revision

    second = take(db, received(make_conversation(turns=3)), received(make_conversation(turns=3)))

    assert (first, second) == (1, 0)
    assert content_of(db) == before
    assert rows_of(db, Conversation)[0].revision == revision
    assert len(rows_of(db, models.Delivery)) == 1


def test_the_same_events_under_another_delivery_id_change_nothing(db: Database) -> None:
    told = make_conversation(turns=3), feedback_given("t2", comment="no")
    take(db, received(*told, id="d1"))
    before, revision = content_of(db), rows_of(db, Conversation)[0].revision

    take(db, received(*told, id="d2"))

    assert content_of(db) == before
    assert rows_of(db, Conversation)[0].revision == revision


def test_two_sources_with_the_same_ids_never_mix(db: Database) -> None:
    take(db, received(turn_added(text="of one"), source="one"), received(turn_added(text="of two"), source="two"))

    assert sorted((c.source, c.external_id) for c in rows_of(db, Conversation)) == [("one", "c1"), ("two", "c1")]
    assert sorted(turn.text for turn in rows_of(db, Turn)) == ["of one", "of two"]


_small = st.sampled_from(["a", "b"])
_moments = st.none() | st.integers(0, 2).map(lambda s: (NOW + timedelta(seconds=s)).isoformat())
_json = st.sampled_from([1, True, 1.0, "x", None, [1], {"k": 2}])
_metadata = st.dictionaries(_small, _json, max_size=2)
_feedback = st.fixed_dictionaries(
    {"rating": st.sampled_from([-1, 1]), "at": _moments, "metadata": _metadata},
    optional={"id": _small, "comment": st.sampled_from(["why", "no"])},
)
_turn = st.fixed_dictionaries(
    {
        "id": _small,
        "role": st.sampled_from(["user", "bot"]),
        "text": st.sampled_from(["one", "two"]),
        "at": _moments,
        "edited_at": _moments,
        "intent": st.none() | st.fixed_dictionaries({"name": _small, "confidence": st.sampled_from([0.5, 1])}),
        "retrieval": st.none() | st.just([]) | st.just([{"id": "k", "score": 0.5}]),
        "feedback": st.lists(_feedback, max_size=1),
        "metadata": _metadata,
    }
)
_event = st.one_of(
    st.fixed_dictionaries(
        {"type": st.just("turn_added"), "conversation_id": _small, "turn": _turn},
        optional={"position": st.integers(0, 2), "channel": _small, "started_at": _moments, "metadata": _metadata},
    ),
    st.fixed_dictionaries(
        {"type": st.just("feedback_given"), "conversation_id": _small, "turn_id": st.none() | _small, "feedback": _feedback}
    ),
    st.fixed_dictionaries({"type": st.just("conversation_closed"), "conversation_id": _small, "at": _moments}),
    st.fixed_dictionaries(
        {"type": st.just("turn_removed"), "conversation_id": _small, "turn_id": _small},
        optional={"role": st.sampled_from(["user", "bot"]), "metadata": _metadata},
    ),
    st.fixed_dictionaries(
        {"type": st.just("feedback_withdrawn"), "conversation_id": _small, "feedback_id": _small, "at": _moments}
    ),
)


@st.composite
def _tellings(draw: st.DrawFn) -> tuple[list[list[Any]], list[list[Any]]]:
    """The same events in two orders, cut into deliveries, some told twice."""
    events = draw(st.lists(_event, min_size=1, max_size=6))

    def one() -> list[list[Any]]:
        told = draw(st.permutations(events + draw(st.lists(st.sampled_from(events), max_size=2))))
        cuts = sorted(draw(st.sets(st.integers(1, len(told)), max_size=3)))
        return [told[a:b] for a, b in zip([0, *cuts], [*cuts, len(told)], strict=True) if a < b]

    return one(), one()


def check_order_does_not_matter(db: Database, tellings: tuple[list[list[Any]], list[list[Any]]]) -> None:
    found = []
    for telling in tellings:
        with db.write() as session:
            for model in (models.Delivery, Feedback, Turn, Conversation):
                session.execute(delete(model))
        for number, events in enumerate(telling):
            take(db, received(*events, id=f"d{number}"))
        found.append(content_of(db))

    assert found[0] == found[1]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tellings=_tellings())
def test_any_order_repetition_and_grouping_of_events_gives_the_same_rows(
    sqlite_url: str, tellings: tuple[list[list[Any]], list[list[Any]]]
) -> None:
    with opened(sqlite_url) as db:
        check_order_does_not_matter(db, tellings)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tellings=_tellings())
def test_the_order_of_events_does_not_matter_on_either_database(
    db: Database, tellings: tuple[list[list[Any]], list[list[Any]]]
) -> None:
    check_order_does_not_matter(db, tellings)


@contextmanager
def opened(url: str) -> Iterator[Database]:
    db = Database(url)
    yield db
    db.close()


def settle_and_score(db: Database) -> None:
    """As if a worker had scored everything."""
    with db.write() as session:
        for conversation in session.execute(select(Conversation)).scalars():
            conversation.due_at, conversation.scored_at = None, NOW


def test_late_feedback_attaches_and_has_the_conversation_scored_again_at_once(db: Database) -> None:
    ingest(db, make_conversation(turns=3))
    settle_and_score(db)
    before = rows_of(db, Conversation)[0].revision

    ingest(db, feedback_given("t2"), now=NOW + timedelta(days=3))

    (conversation,) = rows_of(db, Conversation)
    assert conversation.due_at == NOW + timedelta(days=3)
    assert conversation.revision == before + 1
    assert [feedback.turn_external_id for feedback in rows_of(db, Feedback)] == ["t2"]


def test_a_late_turn_of_an_open_conversation_has_it_scored_again_once_it_is_quiet(db: Database) -> None:
    ingest(db, make_conversation(turns=2, closed=False))
    settle_and_score(db)
    before = rows_of(db, Conversation)[0].revision

    ingest(db, turn_added("t3", "user", "and now?"), now=NOW + timedelta(hours=2))

    (conversation,) = rows_of(db, Conversation)
    assert conversation.due_at == NOW + timedelta(hours=2) + SETTLE
    assert conversation.revision == before + 1


def test_feedback_may_come_before_its_turn(db: Database) -> None:
    ingest(db, feedback_given("t2", rating=-1))
    ingest(db, make_conversation(turns=3))

    assert [(f.turn_external_id, f.rating) for f in rows_of(db, Feedback)] == [("t2", -1.0)]
    assert len(rows_of(db, Turn)) == 3


@pytest.mark.parametrize("edit_first", [True, False])
def test_the_latest_edit_of_a_turn_counts_whichever_comes_first(db: Database, edit_first: bool) -> None:
    original = turn_added(text="zzz as said first")
    edited = turn_added(text="as corrected", edited_at=NOW.isoformat())

    for told in (edited, original) if edit_first else (original, edited):
        ingest(db, told)

    assert [turn.text for turn in rows_of(db, Turn)] == ["as corrected"]


def test_an_open_conversation_is_due_after_quiet_time_and_each_turn_begins_it_anew(db: Database) -> None:
    ingest(db, turn_added("t1"))
    ingest(db, turn_added("t2", "bot"), now=NOW + timedelta(minutes=5))

    assert rows_of(db, Conversation)[0].due_at == NOW + timedelta(minutes=5) + SETTLE


def test_a_closed_conversation_is_due_at_once(db: Database) -> None:
    ingest(db, turn_added("t1"), turn_added("t2", "bot"))
    ingest(db, closed(), now=NOW + timedelta(minutes=1))

    (conversation,) = rows_of(db, Conversation)
    assert conversation.closed
    assert conversation.due_at == NOW + timedelta(minutes=1)


def test_what_the_platform_adds_of_its_own_is_kept_and_never_taken_for_ours(db: Database) -> None:
    told = turn_added(
        "t1",
        "bot",
        intent={"name": "refund", "confidence": 0.4, "metadata": {"name": 7, "ranking": "no list", "model": "v2"}},
        retrieval=[{"id": "k", "score": 0.5, "metadata": {"text": 5, "score": "high", "shard": 3}}],
        device="phone",
    )

    ingest(db, told)

    (turn,) = rows_of(db, Turn)
    assert (turn.intent["name"], turn.intent["ranking"], turn.intent["model"]) == ("refund", [], "v2")
    assert (turn.retrieval[0]["text"], turn.retrieval[0]["score"], turn.retrieval[0]["shard"]) == ("", 0.5, 3)
    assert turn.details == {"device": "phone"}


def test_one_delivery_that_cannot_be_stored_does_not_fail_the_others(db: Database) -> None:
    # Nothing that `parse` lets through is known to break a database, so this one was made past it.
    good = [received(turn_added("t1"), id=f"good {n}") for n in range(3)]
    poison = Received("standard", Delivery("poison\x00" if not db.is_sqlite else "\ud800", NOW), ())

    async def send(group: Sequence[Received]) -> list[BaseException | None]:
        takes = Ingest(db, PLAIN, SETTLE)
        return await asyncio.gather(*(takes.accept(one) for one in group), return_exceptions=True)

    outcomes = asyncio.run(send([good[0], poison, *good[1:]]))

    assert [outcome is None for outcome in outcomes] == [True, False, True, True]
    assert {row.external_id for row in rows_of(db, models.Delivery)} == {"good 0", "good 1", "good 2"}


def test_deliveries_taken_at_once_by_several_writers_are_stored_once_and_nobody_waits_for_ever(db: Database) -> None:
    # Each writer tells the same 20 conversations in an order of its own, in groups that overlap.
    def write(writer: int) -> list[BaseException | None]:
        async def send() -> list[BaseException | None]:
            takes = Ingest(db, PLAIN, SETTLE)
            told = [
                [(n * (3, 7, 11, 13)[writer] + group) % 20 for n in range(10)]  # no divisor in common with 20
                for group in range(12)
            ]
            deliveries = [
                received(*(make_conversation(3, id=f"c{n}") for n in conversations), id=f"{group}-{writer // 2}")
                for group, conversations in enumerate(told)
            ]
            outcomes: list[BaseException | None] = []
            for delivery in deliveries:
                outcomes += await asyncio.gather(takes.accept(delivery), return_exceptions=True)
            return outcomes

        return asyncio.run(send())

    with ThreadPoolExecutor(4) as pool:
        outcomes = [outcome for found in pool.map(write, range(4)) for outcome in found]

    assert outcomes == [None] * 48
    assert sorted(c.external_id for c in rows_of(db, Conversation)) == sorted(f"c{n}" for n in range(20))
    assert len(rows_of(db, Turn)) == 60
