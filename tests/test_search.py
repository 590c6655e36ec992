"""Search finds what a slow reading of every row finds, in the same order, whatever is asked and whatever comes in meanwhile."""

import re
import unicodedata
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from conftest import (
    NOW,
    CountingEncoder,
    add_reviewer,
    fill_queue,
    ingest,
    make_conversation,
    make_disliked,
    make_triage,
    rows_of,
    score_all,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, text, update
from sqlmodel import col

from scoring.encoder import Encoder, HashingEncoder
from service.db import Database
from service.errors import Invalid, NotFound
from service.models import (
    Conversation,
    Evidence,
    Exchange,
    Feedback,
    Reviewer,
    ReviewItem,
    Searchable,
    SearchRequest,
    Turn,
    Verdict,
)
from service.privacy import make_redact
from service.search_words import read_question, snippet, tokens
from service.searching.fields import By, Order, Wanted, as_fields, read_fields
from service.searching.find import COUNTED, FRESH, KEPT, PATIENCE, find
from service.searching.index import index_due
from service.searching.meaning import answer_due
from service.searching.results import results
from service.searching.saved import delete_filter, save_filter, saved_filters
from service.vectors import make_past

WORDS = ["lamp", "broken", "refund", "Größe", "où", "返品", "order", "42"]
INTENTS = ["refund", "delivery", None]
SIGNALS = ["answer_relevance", "user_feedback"]
LABELS = ["good", "wrong"]
DAYS = [date(2026, 1, day) for day in (4, 5, 6)]


# --- a database at random, and the slow reading of it -----------------------------------------------------------------


texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=5).map(" ".join)
exchanges = st.fixed_dictionaries(
    {
        "intent": st.sampled_from(INTENTS),
        "priority": st.sampled_from([0.1, 0.5, 0.9]),
        "signals": st.dictionaries(st.sampled_from(SIGNALS), st.sampled_from([0.2, 0.5, 0.8])),
        "verdict": st.sampled_from([None, None, *LABELS]),
        "withdrawn": st.booleans(),
    }
)
conversations = st.fixed_dictionaries(
    {
        "source": st.sampled_from(["web-bot", "phone-bot"]),
        "channel": st.sampled_from([None, "web", "phone"]),
        "began": st.integers(0, 70).map(lambda hours: datetime(2026, 1, 4, tzinfo=UTC) + timedelta(hours=hours)),
        "turns": st.lists(texts, min_size=1, max_size=3),
        "comment": st.sampled_from([None, None, "", "broken"]),
        "exchanges": st.lists(exchanges, max_size=3),
    }
)
questions = st.lists(
    st.tuples(st.sampled_from(["", "", "-"]), st.sampled_from([*WORDS, "lam*", "groß*", '"lamp broken"', '"order 42"', "返"])),
    max_size=3,
).map(lambda terms: " ".join(minus + word for minus, word in terms))
asked = st.builds(
    Wanted,
    q=questions,
    source=st.sampled_from([None, None, "web-bot"]),
    channel=st.sampled_from([None, None, "web"]),
    since=st.sampled_from([None, None, DAYS[1]]),
    until=st.sampled_from([None, None, DAYS[1], DAYS[2]]),
    feedback=st.sampled_from([None, None, True, False]),
    intent=st.sampled_from([None, None, "refund"]),
    signal=st.sampled_from([None, None, SIGNALS[0]]),
    verdict=st.sampled_from([None, None, "good", "none"]),
    least=st.sampled_from([None, None, 0.5]),
    most=st.sampled_from([None, None, 0.5, 0.9]),
    order=st.sampled_from([None, *Order]),
)


def add(db: Database, *told: dict[str, Any]) -> None:
    """The conversations as rows, scored and reviewed as they say, and known to search."""
    with db.write() as session:
        for one in told:
            conversation = Conversation(
                source=one["source"],
                external_id="-",
                channel=one["channel"],
                started_at=one["began"],
                received_at=NOW,
                details={},
            )
            session.add(conversation)
            session.flush()
            conversation.external_id = f"platform-{conversation.id}"
            key = conversation.id
            for place, said in enumerate(one["turns"]):
                session.add(
                    Turn(
                        conversation_id=key,
                        external_id=f"t{place}",
                        role="user",
                        text=said,
                        position=place,
                        received_at=NOW,
                        details={},
                    )
                )
            if one["comment"] is not None:
                session.add(Feedback(conversation_id=key, external_id="f", rating=-1.0, comment=one["comment"], details={}))
            for place, scored in enumerate(one["exchanges"]):
                _add_exchange(session, key or 0, place, scored)
    while index_due(db):
        pass


def _add_exchange(session: Any, conversation_id: int, place: int, scored: dict[str, Any]) -> None:
    exchange = Exchange(
        conversation_id=conversation_id, source="-", turn_id=f"t{place}", turn_ids=[f"t{place}"], question="q", answer="a",
        question_hash=b"0" * 16, intent=scored["intent"], priority=scored["priority"], uncertainty=0.0, because="", versions={},
        created_at=NOW, scored_at=NOW,
    )  # fmt: skip
    session.add(exchange)
    session.flush()
    for name, probability in scored["signals"].items():
        session.add(
            Evidence(exchange_id=exchange.id, name=name, value=0.0, probability=probability, turn_ids=[], note="", detail={})
        )
    if scored["verdict"]:
        item = ReviewItem(
            exchange_id=exchange.id, state="done", priority=0.5, strategy="value", propensity=1.0, reason="", suggestions={},
            created_at=NOW,
        )  # fmt: skip
        session.add(item)
        session.flush()
        withdrawn_at = NOW if scored["withdrawn"] else None
        session.add(
            Verdict(
                item_id=item.id,
                reviewer_id=1,
                fence=1,
                label=scored["verdict"],
                causes=[],
                decided_at=NOW,
                withdrawn_at=withdrawn_at,
            )
        )


def said_words(told: str) -> list[str]:
    """Cut by another way than the program's: fold letters one by one."""
    found: list[str] = []
    word = ""
    for letter in unicodedata.normalize("NFD", told.casefold()):
        if unicodedata.combining(letter):
            continue
        if "\u3040" <= letter <= "\u9fff":
            found += [word, letter]
            word = ""
        elif letter.isalnum():
            word += letter
        else:
            found.append(word)
            word = ""
    return [one for one in [*found, word] if one]


def slow_holds(texts_of_it: list[str], term: str) -> bool:
    wanted, prefix = said_words(term), term.endswith("*")
    for one in texts_of_it:
        said = said_words(one)
        for start in range(len(said) - len(wanted) + 1):
            there = said[start : start + len(wanted)]
            if there == wanted or (prefix and there[:-1] == wanted[:-1] and there[-1].startswith(wanted[-1])):
                return True
    return False


def slow_search(db: Database, wanted: Wanted) -> tuple[set[int], list[int] | None]:
    """Every conversation that meets the search, and their order where it is not by relevance."""
    found: dict[int, tuple[Any, int]] = {}
    for conversation in rows_of(db, Conversation):
        exchange = _best_exchange(db, conversation.id, wanted)
        if _slow_meets(db, conversation, wanted) and (exchange or not wanted.asks_exchange()):
            found[conversation.id] = (exchange, conversation.started_at)
    order = wanted.ordered()
    if order == Order.priority:
        found = {key: one for key, one in found.items() if one[0]}
        return set(found), sorted(found, key=lambda key: (found[key][0].priority, found[key][0].id), reverse=True)
    if order == Order.date:
        return set(found), sorted(found, key=lambda key: (found[key][1], key), reverse=True)
    return set(found), None


def _slow_meets(db: Database, conversation: Conversation, wanted: Wanted) -> bool:
    given_feedback = rows_of(db, Feedback, col(Feedback.conversation_id) == conversation.id)
    told = [conversation.external_id]
    told += [turn.text for turn in rows_of(db, Turn, col(Turn.conversation_id) == conversation.id)]
    told += [one.comment or "" for one in given_feedback]
    began = conversation.started_at
    assert began
    terms = re.findall(r'-?"[^"]*"|\S+', wanted.q)
    return (
        all(slow_holds(told, term) != term.startswith("-") for term in terms)
        and wanted.source in (None, conversation.source)
        and wanted.channel in (None, conversation.channel)
        and (wanted.since is None or began.date() >= wanted.since)
        and (wanted.until is None or began.date() <= wanted.until)
        and wanted.feedback in (None, bool(given_feedback))
    )


def _best_exchange(db: Database, conversation_id: int, wanted: Wanted) -> Any:
    meets = []
    for exchange in rows_of(db, Exchange, col(Exchange.conversation_id) == conversation_id):
        raised = {one.name for one in rows_of(db, Evidence, col(Evidence.exchange_id) == exchange.id) if one.probability >= 0.5}
        items = [item.id for item in rows_of(db, ReviewItem, col(ReviewItem.exchange_id) == exchange.id)]
        labels = [one.label for one in rows_of(db, Verdict, col(Verdict.item_id).in_(items)) if one.withdrawn_at is None]
        if (
            wanted.intent in (None, exchange.intent)
            and (wanted.signal is None or wanted.signal in raised)
            and (wanted.verdict is None or wanted.verdict in (labels or ["none"]))
            and (wanted.least is None or exchange.priority >= wanted.least)
            and (wanted.most is None or exchange.priority <= wanted.most)
        ):
            meets.append(exchange)
    return max(meets, key=lambda one: (one.priority, one.id), default=None)


def empty(db: Database) -> None:
    with db.write() as session:
        for model in (Verdict, ReviewItem, Exchange, Conversation, SearchRequest, Reviewer):
            session.execute(delete(model))
        session.add(Reviewer(id=1, name="anna", password_hash="-", created_at=NOW))


def all_pages(db: Database, wanted: Wanted, limit: int, between: Any = None) -> list[int]:
    found: list[int] = []
    cursor = None
    while True:
        page = find(db, wanted, cursor, limit, NOW)
        found += page.conversations
        cursor = page.cursor
        if cursor is None:
            return found
        if between:
            between()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(conversations, max_size=8), wanted=st.lists(asked, min_size=3, max_size=6), limit=st.integers(1, 4))
def test_search_finds_what_a_slow_reading_finds(
    db: Database, rows: list[dict[str, Any]], wanted: list[Wanted], limit: int
) -> None:
    empty(db)
    add(db, *rows)

    for one in wanted:
        found, in_order = slow_search(db, one)
        if one.q.replace("-", "").strip() == "" and one.q:
            continue
        pages = all_pages(db, one, limit)
        assert set(pages) == found, one
        assert len(pages) == len(set(pages)), one
        assert in_order is None or pages == in_order, one
        assert find(db, one, None, limit, NOW).count == len(found), one


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(conversations, min_size=3, max_size=8),
    later=st.lists(conversations, min_size=1, max_size=2),
    order=st.sampled_from(list(Order)),
    q=st.sampled_from(["", "lamp", "lamp* order"]),
)
def test_what_comes_in_between_two_pages_repeats_and_hides_nothing(
    db: Database, rows: list[dict[str, Any]], later: list[dict[str, Any]], order: Order, q: str
) -> None:
    empty(db)
    add(db, *rows)
    wanted = Wanted(q=q, order=order)
    before = all_pages(db, wanted, 50)

    pages = all_pages(db, wanted, 2, between=lambda: add(db, *later))

    assert len(pages) == len(set(pages))
    assert [key for key in pages if key in before] == before


# --- words ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ("Ça va? STRASSE und Straße", ["ca", "va", "strasse", "und", "strasse"]),
        ("don't mail foo_bar@x.org", ["don", "t", "mail", "foo", "bar", "x", "org"]),
        ("我要退款 Order42", ["我", "要", "退", "款", "order42"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("ﬁt ½ \u2460", ["fit", "1", "2", "1"]),
        ("!!! 😀 --", []),
    ],
)
def test_text_is_cut_into_words_in_every_script(told: str, words: list[str]) -> None:
    assert tokens(told) == words


def test_a_snippet_marks_what_was_asked_and_nothing_else() -> None:
    said = f"{'before ' * 40}my Größe was <b>wrong</b>, the wrong SIZE again{' after' * 40}"

    pieces = snippet(said, read_question('grosse "wrong size" after*').wanted)

    shown = "".join(text for text, _ in pieces)
    assert [text for text, found in pieces if found][:2] == ["Größe", "wrong SIZE"]
    assert shown.startswith("…before")
    assert shown.endswith("…")
    assert shown.strip("…") in said
    assert len(shown) < 300


HOSTILE = [
    '"', '""', "'", "\\", "*", "-", "--", "NEAR(", "a NEAR b", "AND", "OR NOT", "(((", ")", "a:b", "words:x", "{x}: y", "^a",
    "a^", "a + b", "!a", "a & | b", "<->", "a <-> ", ":*", "'a':*", "x' OR '1'='1", '"; DROP TABLE turn; --', "%", "_", "\x00",
    "a\u0000b", "\ue000", "*a*", '-"', '"a', "a" * 500, "a " * 250, "-a " * 150, "😀", "\u202e", "NOT", "null", '"a"*"b"', "-*",
    "ﬁ*",
]  # fmt: skip


def test_no_question_breaks_search(db: Database) -> None:
    add(db, _told("lamp"))

    for question in HOSTILE:
        for order in Order:
            wanted = read_fields({"q": question, "order": order})
            found = find(db, wanted, None, 10, NOW)
            with db.read() as session:
                results(session, wanted, found)
            assert found.count in (0, 1)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(question=st.text(max_size=60))
def test_no_text_at_all_breaks_search(db: Database, question: str) -> None:
    try:
        wanted = read_fields({"q": question})
        question.encode()
    except UnicodeEncodeError:  # half a character: no browser sends it
        return

    assert find(db, wanted, None, 10, NOW).conversations == []


def _told(*turns: str, **changes: Any) -> dict[str, Any]:
    return {
        "source": "web-bot", "channel": "web", "began": NOW, "turns": list(turns), "comment": None, "exchanges": [], **changes,
    }  # fmt: skip


def _scored(**changes: Any) -> dict[str, Any]:
    return {"intent": None, "priority": 0.5, "signals": {}, "verdict": None, "withdrawn": False, **changes}


def test_a_phrase_does_not_reach_from_one_turn_into_the_next(db: Database) -> None:
    add(db, _told("where is my broken", "lamp please"), _told("my broken lamp"))

    assert len(all_pages(db, Wanted(q="broken lamp"), 10)) == 2
    assert len(all_pages(db, Wanted(q='"broken lamp"'), 10)) == 1


def test_a_very_long_conversation_is_found_by_its_first_words(db: Database) -> None:
    add(db, _told("first " + " ".join(f"word{i}" for i in range(120_000)), "the last"), _told("x" * 5_000_000))

    assert len(all_pages(db, Wanted(q="first word999"), 10)) == 1
    assert all_pages(db, Wanted(q="word119999"), 10) == []


def test_more_than_are_counted_is_said_and_relevance_ends_there(db: Database) -> None:
    with db.write() as session:
        for i in range(COUNTED + 5):
            session.add(Conversation(source="s", external_id=f"lamp {i}", received_at=NOW + timedelta(seconds=i), details={}))
    while index_due(db):
        pass

    for order in (Order.date, Order.relevance):
        page = find(db, Wanted(q="lamp", order=order), None, 100, NOW)
        assert (page.count, page.more) == (COUNTED, True)
    assert len(all_pages(db, Wanted(q="lamp", order=Order.relevance), 300)) == COUNTED
    assert len(all_pages(db, Wanted(q="lamp", order=Order.date), 300)) == COUNTED + 5


# --- the index --------------------------------------------------------------------------------------------------------


def test_ingest_edits_and_erasure_reach_the_index(db: Database) -> None:
    ingest(db, make_conversation(id="a"), make_conversation(id="b"))
    assert index_due(db) == 2
    assert index_due(db) == 0
    with db.write() as session:
        session.execute(update(Turn).where(col(Turn.external_id) == "t1").values(text="a secret"))

    assert all_pages(db, Wanted(q="turn"), 10) == []  # gone at once, before any worker looks
    assert index_due(db) == 2
    assert len(all_pages(db, Wanted(q="secret"), 10)) == 2
    with db.write() as session:
        session.execute(delete(Turn).where(col(Turn.external_id) == "t1"))
    assert all_pages(db, Wanted(q="secret"), 10) == []
    index_due(db)
    with db.write() as session:
        session.execute(delete(Conversation).where(col(Conversation.external_id) == "a"))
    assert len(rows_of(db, Searchable)) == 1
    assert len(all_pages(db, Wanted(q="turn"), 10)) == 1
    if db.is_sqlite:
        with db.write() as session:  # FTS5's own check: the index holds what the rows hold
            session.execute(text("INSERT INTO searchable_words (searchable_words, rank) VALUES ('integrity-check', 1)"))


def test_what_changes_while_it_is_indexed_is_indexed_again(db: Database) -> None:
    ingest(db, make_conversation(turns=2))
    index_due(db)
    ingest(db, make_conversation(turns=4), now=NOW + timedelta(minutes=1))

    assert len(all_pages(db, Wanted(q="turn 4"), 10)) == 0
    assert index_due(db) == 1
    assert len(all_pages(db, Wanted(q="turn 4"), 10)) == 1


# --- by meaning -------------------------------------------------------------------------------------------------------


def test_a_question_is_answered_by_meaning_with_the_packaged_model(db: Database, encoder: Encoder) -> None:
    triage = make_triage(db, encoder)
    asked_before = {
        "money": "How do I get my money back?",
        "parcel": "Where is my parcel?",
        "password": "I forgot my password",
    }
    ingest(db, *(make_disliked(question, "We will see.", id=key) for key, question in asked_before.items()))
    score_all(triage)
    index_due(db)
    past = make_past(db, encoder)
    wanted = Wanted(q="I want to be refunded", by=By.meaning)

    before = find(db, wanted, None, 10, NOW)
    answered = answer_due(db, encoder, past, NOW)
    after = find(db, wanted, None, 10, NOW + timedelta(seconds=1))

    assert before.waiting
    assert answered == 1
    assert (after.waiting, after.by) == (False, By.meaning)
    assert after.alike
    names = {row.id: row.external_id for row in rows_of(db, Conversation)}
    assert names[after.conversations[0]] == "money"
    assert max(after.alike.values()) > 0.5


def test_finds_by_meaning_are_narrowed_ordered_and_paged_like_others(db: Database) -> None:
    fill_queue(db, *(make_disliked(f"where is parcel {i}", id=f"c{i}") for i in range(7)))
    index_due(db)
    counting = CountingEncoder()
    wanted = Wanted(q="where is parcel 3", by=By.meaning, source="standard")
    find(db, wanted, None, 10, NOW)
    assert answer_due(db, counting, make_past(db, counting), NOW) == 1
    assert answer_due(db, counting, make_past(db, counting), NOW) == 0

    best = all_pages(db, wanted, 3)

    names = {row.id: row.external_id for row in rows_of(db, Conversation)}
    assert names[best[0]] == "c3"
    assert sorted(best) == sorted(names)
    for order in (Order.date, Order.priority):
        found = all_pages(db, Wanted(q=wanted.q, by=By.meaning, source="standard", order=order), 2)
        assert sorted(found) == sorted(names)
    assert all_pages(db, Wanted(q=wanted.q, by=By.meaning, source="standard", intent="none such"), 3) == []
    assert counting.texts == [wanted.q]


def test_a_question_by_meaning_is_redacted_before_it_is_stored(db: Database) -> None:
    find(db, Wanted(q="where is the order of anna@example.com", by=By.meaning), None, 10, NOW, make_redact(True, ["US"]))

    (request,) = rows_of(db, SearchRequest)
    assert request.text == "where is the order of [email]"


def test_words_serve_where_no_worker_answers(db: Database) -> None:
    add(db, _told("my lamp is broken"))
    wanted = Wanted(q="broken lamp", by=By.meaning)

    at_once = find(db, wanted, None, 10, NOW)
    later = find(db, wanted, None, 10, NOW + PATIENCE)

    assert at_once.waiting
    assert (later.waiting, later.by, later.count) == (False, By.words, 1)
    assert len(rows_of(db, SearchRequest)) == 1


def test_questions_are_kept_for_an_hour_and_shared_for_minutes(db: Database) -> None:
    wanted = Wanted(q="broken lamp", by=By.meaning)
    encoder = HashingEncoder()
    find(db, wanted, None, 10, NOW)
    answer_due(db, encoder, make_past(db, encoder), NOW)
    find(db, wanted, None, 10, NOW + FRESH / 2)
    assert len(rows_of(db, SearchRequest)) == 1
    find(db, wanted, None, 10, NOW + FRESH)
    assert len(rows_of(db, SearchRequest)) == 2

    answer_due(db, encoder, make_past(db, encoder), NOW + FRESH + KEPT)

    assert rows_of(db, SearchRequest) == []


# --- fields, cursors, saved filters -----------------------------------------------------------------------------------


@settings(max_examples=50)
@given(wanted=asked)
def test_fields_and_searches_are_the_same_thing(wanted: Wanted) -> None:
    told = as_fields(wanted)

    try:
        assert read_fields(told) == wanted
    except Invalid:  # a range that is upside down
        assert (wanted.most or 1) < (wanted.least or 0) or (wanted.until or DAYS[2]) < (wanted.since or DAYS[0])


@pytest.mark.parametrize(
    ("field", "value"),
    [("since", "tomorrow"), ("until", "2026-13-01"), ("least", "high"), ("most", "nan"), ("most", "2"), ("verdict", "bad"),
     ("order", "size"), ("by", "smell"), ("feedback", "maybe"), ("q", "a" * 501), ("source", "s" * 256)],
)  # fmt: skip
def test_a_field_that_cannot_be_read_is_named(field: str, value: str) -> None:
    with pytest.raises(Invalid, match=f"^{field}: "):
        read_fields({field: value})


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "date:1",
        "date:x:1",
        "date:1:x",
        f"date:{10**30}:1",
        "date:1:99999999999",
        "list:1:1",
        "priority:0.5:1",
        "list:x:y",
    ],
)
def test_a_cursor_that_is_not_of_this_search_is_refused(db: Database, cursor: str) -> None:
    with pytest.raises(Invalid, match=r"^cursor: "):
        find(db, Wanted(source="web-bot", order=Order.date), cursor, 10, NOW)
    with pytest.raises(Invalid, match=r"^cursor: "):
        find(db, Wanted(q="lamp"), cursor or "::", 10, NOW)


def test_a_list_by_relevance_that_is_no_longer_kept_is_said_so(db: Database) -> None:
    add(db, *(_told("lamp") for _ in range(3)))
    cursor = find(db, Wanted(q="lamp"), None, 2, NOW).cursor
    with db.write() as session:
        session.execute(delete(SearchRequest))

    with pytest.raises(Invalid, match="search again"):
        find(db, Wanted(q="lamp"), cursor, 2, NOW)


def test_saved_filters_are_ones_own_unless_shared(db: Database) -> None:
    anna, ben = add_reviewer(db, "anna"), add_reviewer(db, "ben")
    with db.write() as session:
        save_filter(session, anna, " Lamps ", {"q": "lamp", "least": "0.50", "junk": "x"}, True, NOW)
        save_filter(session, anna, "Mine", {"intent": "refund"}, False, NOW)
        save_filter(session, anna, "Lamps", {"q": "lamps"}, True, NOW)
    with db.write() as session, pytest.raises(NotFound):
        delete_filter(session, 1, ben)
    for name, given_fields in (("", {"q": "x"}), ("n" * 81, {"q": "x"}), ("empty", {}), ("bad", {"least": "x"})):
        with db.write() as session, pytest.raises(Invalid):
            save_filter(session, anna, name, given_fields, False, NOW)

    with db.read() as session:
        annas, bens = saved_filters(session, anna), saved_filters(session, ben)

    assert [(one.name, one.query, one.mine) for one in annas] == [
        ("Lamps", {"q": "lamps"}, True),
        ("Mine", {"intent": "refund"}, True),
    ]
    assert [(one.name, one.owner, one.mine) for one in bens] == [("Lamps", "anna", False)]
    with db.write() as session:
        delete_filter(session, annas[0].id, anna)
    with db.read() as session:
        assert saved_filters(session, ben) == []


def test_a_result_shows_the_words_and_the_exchanges_that_meet_the_search(db: Database) -> None:
    add_reviewer(db)
    add(
        db,
        _told(
            "hello", "my <lamp> is broken", "which lamp?",
            exchanges=[
                _scored(intent="refund", priority=0.9, verdict="wrong"), _scored(), *[_scored(intent="refund", priority=0.1)] * 4,
            ],
        ),
    )  # fmt: skip
    wanted = Wanted(q="lamp broken", intent="refund")

    with db.read() as session:
        (shown,) = results(session, wanted, find(db, wanted, None, 10, NOW))

    assert (shown.opening, shown.turns, shown.more_exchanges) == ("hello", 3, 2)
    assert [(place.turn_id, place.pieces) for place in shown.places] == [
        ("t1", [("my <", False), ("lamp", True), ("> is ", False), ("broken", True)]),
        ("t2", [("which ", False), ("lamp", True), ("?", False)]),
    ]
    assert [(one.priority, one.verdict, one.item_id is None) for one in shown.exchanges] == [
        (0.9, "wrong", False),
        (0.1, None, True),
        (0.1, None, True),
    ]
