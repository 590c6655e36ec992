"""What pages hear without asking: who may, what is told to whom, and when it ends."""

import asyncio
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from browser import Site
from conftest import add_reviewer, add_token, make_settings
from items import make_item
from playwright.sync_api import expect
from sqlalchemy import event, update
from sqlmodel import col

from service import auth, claims
from service.app import create_app
from service.db import Database
from service.errors import Busy
from service.live import MOST_OF_ONE, Listener, Live, View, read_views
from service.models import Calibration, ItemState, ReviewItem, Scope
from service.routes.access import COOKIE
from service.server import Server
from service.team import comments, queues

LEASE = timedelta(minutes=30)
PASSWORD = "a long password"


def now() -> datetime:
    return datetime.now(UTC)


def sign_in(db: Database, name: str, lasts: timedelta = timedelta(hours=1)) -> str:
    return auth.sign_in(db, name, PASSWORD, now(), lasts)


def view_of(db: Database, token: str, reviewer_id: int, *items: int) -> View | None:
    with db.read() as session:
        return read_views(session, [Listener(token, reviewer_id, frozenset(items))], now())[0]


def claim(db: Database, item: int, reviewer_id: int, lease: timedelta = LEASE) -> claims.Claim:
    with db.write() as session:
        return claims.claim_item(session, item, reviewer_id, now(), lease)


# --- what is read -----------------------------------------------------------------------------------------------------


def test_a_view_holds_the_counts_and_who_has_the_items_on_the_page(db: Database) -> None:
    anna, bob = add_reviewer(db, "anna"), add_reviewer(db, "bob")
    mine, his, free, decided = make_item(db), make_item(db), make_item(db), make_item(db, state=ItemState.done)
    claim(db, mine, anna)
    claim(db, his, bob)

    view = view_of(db, sign_in(db, "anna"), anna, mine, his, free, decided, 999_999)

    assert view is not None
    assert view.counts == {"open": 3, "held": 2, "overdue": 0, "unread": 0}
    assert view.items == {
        str(mine): {"gone": False, "by": "anna", "mine": True},
        str(his): {"gone": False, "by": "bob", "mine": False},
        str(free): {"gone": False, "by": None, "mine": False},
        str(decided): {"gone": True, "by": None, "mine": False},
        "999999": {"gone": True, "by": None, "mine": False},
    }


def test_what_waits_for_one_is_nothing_to_the_others(db: Database) -> None:
    anna, bob = add_reviewer(db, "anna"), add_reviewer(db, "bob")
    item = make_item(db)
    with db.write() as session:
        comments.add_comment(session, item, bob, "@anna please look", "k1", now())
        queues.assign(session, "anna", now() - timedelta(hours=3), 1.0, item_id=item)

    hers, his = view_of(db, sign_in(db, "anna"), anna, item), view_of(db, sign_in(db, "bob"), bob)

    assert hers is not None
    assert his is not None
    assert (hers.counts["overdue"], hers.counts["unread"]) == (1, 1)
    assert (his.counts["overdue"], his.counts["unread"], his.items) == (0, 0, {})


def test_a_lease_that_ran_out_frees_the_line(db: Database) -> None:
    anna = add_reviewer(db, "anna")
    item = make_item(db)
    claim(db, item, anna, timedelta(seconds=-1))

    view = view_of(db, sign_in(db, "anna"), anna, item)

    assert view is not None
    assert view.items[str(item)] == {"gone": False, "by": None, "mine": False}


def test_a_known_item_that_was_served_again_does_not_give_itself_away(db: Database) -> None:
    anna, bob = add_reviewer(db, "anna"), add_reviewer(db, "bob")
    known = make_item(db, state=ItemState.done)
    with db.write() as session:
        lease = {"claimed_at": now(), "claimed_until": now() + LEASE}
        session.add(Calibration(item_id=known, reviewer_id=anna, fence=2, **lease))

    hers, his = view_of(db, sign_in(db, "anna"), anna, known), view_of(db, sign_in(db, "bob"), bob, known)

    assert hers is not None
    assert his is not None
    assert hers.items == {}
    assert his.items[str(known)]["gone"]
    assert [(one.counts["open"], one.counts["held"]) for one in (hers, his)] == [(1, 1), (0, 0)]


@pytest.mark.parametrize("ended", ["signed out", "expired", "account shut"])
def test_a_session_that_is_over_gets_no_view(db: Database, ended: str) -> None:
    anna = add_reviewer(db, "anna")
    token = sign_in(db, "anna", timedelta(seconds=-1) if ended == "expired" else timedelta(hours=1))
    with db.write() as session:
        if ended == "signed out":
            auth.sign_out(session, token)
        if ended == "account shut":
            auth.deactivate(session, "anna")

    assert view_of(db, token, anna) is None


def test_only_what_differs_is_told() -> None:
    held, free = {"gone": False, "by": "bob", "mine": False}, {"gone": False, "by": None, "mine": False}
    before = View({"open": 2, "held": 0}, {"1": free, "2": free})
    after = View({"open": 2, "held": 1}, {"1": held, "2": free})

    assert after.changes(before) == {"counts": {"held": 1}, "items": {"1": held}}
    assert after.changes(None) == {"counts": {"open": 2, "held": 1}, "items": {"1": held, "2": free}}
    assert after.key != before.key


# --- many listeners, one read -------------------------------------------------------------------------------------------


@contextmanager
def counted(db: Database) -> Iterator[list[str]]:
    """The statements that go to the database."""
    told: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        told.append(statement)

    event.listen(db.engine, "before_cursor_execute", note)
    yield told
    event.remove(db.engine, "before_cursor_execute", note)


def statements_for(db: Database, tokens: list[tuple[str, int]], items: frozenset[int]) -> int:
    """How many statements it takes until each of these listeners has its first view."""

    async def run() -> int:
        live = Live(db, every=60)
        streams = [live.listen(Listener(token, who, items)) for token, who in tokens]
        with counted(db) as told:
            first = await asyncio.gather(*(anext(stream) for stream in streams))
        assert all(change.content["items"] for change in first)
        live.close()
        for stream in streams:
            assert [change async for change in stream] == []  # it ends, and ends at once
        return len(told)

    return asyncio.run(run())


def test_one_read_serves_all_who_listen(db: Database) -> None:
    people = [(name, add_reviewer(db, name)) for name in ("anna", "bob", "cleo")]
    tokens = [(sign_in(db, name), who) for name, who in people]
    items = frozenset(make_item(db) for _ in range(3))

    one, many = statements_for(db, tokens[:1], items), statements_for(db, tokens * 40, items)

    assert one == many


def test_nothing_is_read_once_nobody_listens(sqlite_url: str) -> None:
    db = Database(sqlite_url)
    anna = add_reviewer(db, "anna")
    token = sign_in(db, "anna")

    async def run() -> list[str]:
        live = Live(db, every=0.01)
        stream = live.listen(Listener(token, anna, frozenset()))
        await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]
        await asyncio.sleep(0.1)  # a read that had begun comes to its end
        with counted(db) as told:
            await asyncio.sleep(0.1)
        return told

    assert asyncio.run(run()) == []
    db.close()


def test_a_person_has_a_few_streams_and_the_next_is_refused(sqlite_url: str) -> None:
    db = Database(sqlite_url)
    anna, bob = add_reviewer(db, "anna"), add_reviewer(db, "bob")
    token = sign_in(db, "anna")

    async def run() -> None:
        live = Live(db, every=60)
        streams = [live.listen(Listener(token, anna, frozenset())) for _ in range(MOST_OF_ONE)]
        await asyncio.gather(*(anext(stream) for stream in streams))
        with pytest.raises(Busy):
            live.make_room(anna)
        live.make_room(bob)
        await streams[0].aclose()  # type: ignore[attr-defined]
        live.make_room(anna)
        live.close()
        for stream in streams[1:]:
            assert [change async for change in stream] == []

    asyncio.run(run())
    db.close()


def test_a_page_that_comes_back_and_missed_nothing_is_told_nothing(sqlite_url: str) -> None:
    db = Database(sqlite_url)
    anna = add_reviewer(db, "anna")
    token, item = sign_in(db, "anna"), make_item(db)

    async def run() -> tuple[str, dict[str, Any]]:
        live = Live(db, every=0.02)
        first = live.listen(Listener(token, anna, frozenset([item])))
        key = (await anext(first)).key
        await first.aclose()  # type: ignore[attr-defined]
        again = live.listen(Listener(token, anna, frozenset([item])), key)
        coming = asyncio.ensure_future(anext(again))
        await asyncio.sleep(0.2)
        assert not coming.done()
        await asyncio.to_thread(claim, db, item, anna)
        change = await coming
        live.close()
        await again.aclose()  # type: ignore[attr-defined]
        return key, change.content

    _, content = asyncio.run(run())

    assert content == {"counts": {"held": 1}, "items": {str(item): {"gone": False, "by": "anna", "mine": True}}}
    db.close()


# --- over HTTP ------------------------------------------------------------------------------------------------------------


@dataclass
class Served:
    db: Database
    client: httpx.Client
    stop: Callable[[], None]
    thread: threading.Thread

    def cookie(self, name: str) -> dict[str, str]:
        return {"Cookie": f"{COOKIE}={sign_in(self.db, name)}"}


@pytest.fixture
def served(sqlite_url: str, tmp_path: Path) -> Iterator[Served]:
    app = create_app(make_settings(sqlite_url, tmp_path))
    db = Database(sqlite_url)
    app.state.live = Live(db, every=0.05)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        server = Server(uvicorn.Config(app, log_config=None, access_log=False, ws="none"), app)
        thread = threading.Thread(target=server.run, args=([listening],), name="web")
        thread.start()

        def stop() -> None:
            server.should_exit = True

        with httpx.Client(base_url=address, timeout=10) as client:
            yield Served(db, client, stop, thread)
        stop()
        thread.join(10)
        assert not thread.is_alive()
    db.close()


def next_change(lines: Iterator[str]) -> dict[str, Any]:
    """The next event's content; fails where the stream ends before it."""
    for line in lines:
        if line.startswith("data: "):
            content: dict[str, Any] = json.loads(line.removeprefix("data: "))
            return content
    raise AssertionError("the stream ended")


def test_a_change_arrives_while_the_page_is_open(served: Served) -> None:
    bob = add_reviewer(served.db, "bob")
    add_reviewer(served.db, "anna")
    item = make_item(served.db)

    with served.client.stream("GET", f"/live?items={item}", headers=served.cookie("anna")) as answer:
        lines = answer.iter_lines()
        first = next_change(lines)
        claim(served.db, item, bob)
        second = next_change(lines)

    assert answer.headers["content-type"].startswith("text/event-stream")
    assert "connect-src 'self'" in answer.headers["content-security-policy"]
    assert first["items"] == {str(item): {"gone": False, "by": None, "mine": False}}
    assert second == {"counts": {"held": 1}, "items": {str(item): {"gone": False, "by": "bob", "mine": False}}}


def test_the_stream_says_how_to_come_back(served: Served) -> None:
    add_reviewer(served.db, "anna")

    with served.client.stream("GET", "/live", headers=served.cookie("anna")) as answer:
        lines = answer.iter_lines()
        head = [next(lines) for _ in range(6)]

    assert any(line.startswith("retry: ") for line in head)
    assert any(line.startswith("id: ") for line in head)


def test_signing_out_ends_the_stream_and_the_way_back(served: Served) -> None:
    add_reviewer(served.db, "anna")
    cookie = served.cookie("anna")

    with served.client.stream("GET", "/live", headers=cookie) as answer:
        lines = answer.iter_lines()
        next_change(lines)
        served.client.post("/sign-out", headers=cookie)
        rest = [line for line in lines if line.startswith("data:")]

    assert rest == []
    assert served.client.get("/live", headers=cookie).status_code == 401


def test_the_server_stops_though_a_page_listens(served: Served) -> None:
    add_reviewer(served.db, "anna")

    with served.client.stream("GET", "/live", headers=served.cookie("anna")) as answer:
        lines = answer.iter_lines()
        next_change(lines)
        served.stop()
        rest = [line for line in lines if line.startswith("data:")]
    served.thread.join(5)

    assert rest == []
    assert not served.thread.is_alive()


@pytest.mark.parametrize("items", ["x", "1,,two", "0", "-1", "99999999999999999999", ",".join(map(str, range(1, 200)))])
def test_ids_that_are_none_are_refused(served: Served, items: str) -> None:
    add_reviewer(served.db, "anna")

    answer = served.client.get("/live", params={"items": items}, headers=served.cookie("anna"))

    assert answer.status_code == 422


def test_a_program_is_sent_to_the_api(served: Served) -> None:
    add_reviewer(served.db, "anna")
    token = add_token(served.db, Scope.review, reviewer="anna")

    assert served.client.get("/live", headers=token).status_code == 403
    assert served.client.get("/live").status_code == 401


# --- in browsers ------------------------------------------------------------------------------------------------------------


def test_one_browser_takes_an_item_and_the_others_see_it_without_loading(site: Site) -> None:
    item = make_item(site.db, priority=0.9)
    make_item(site.db, question="When do you open?", priority=0.2)
    list_page = site.visit("bob")
    line = list_page.locator(f"[data-item='{item}']")
    item_page = site.visit("cleo", f"/items/{item}")
    expect(line.locator(".holder")).to_have_text("free")

    anna = site.visit("anna")
    anna.keyboard.press("n")
    anna.wait_for_url(f"**/items/{item}?*")

    expect(line.locator(".holder")).to_have_text("anna", timeout=10_000)
    expect(list_page.locator("[data-count=held]")).to_have_text("1")
    expect(item_page.locator("#live")).to_have_text("anna has taken this item.", timeout=10_000)
    anna.keyboard.press("1")
    anna.keyboard.press("Enter")
    expect(line).to_have_class("gone", timeout=10_000)
    expect(list_page.locator(".tabs [data-count=open]")).to_have_text("1")
    expect(item_page.locator("#live")).to_contain_text("no longer open", timeout=10_000)


def test_who_loses_an_item_hears_it_at_once_and_keeps_the_text(site: Site) -> None:
    item = make_item(site.db)
    page = site.visit("anna")
    page.keyboard.press("n")
    page.wait_for_url(f"**/items/{item}?*")
    page.get_by_label("Corrected answer").fill("Worn shoes stay yours.")
    bob = add_reviewer(site.db, "bob")

    with site.db.write() as session:
        session.execute(update(ReviewItem).where(col(ReviewItem.id) == item).values(claimed_until=now() - timedelta(seconds=1)))
        claims.claim_item(session, item, bob, now(), LEASE)

    expect(page.locator("#lost")).to_contain_text("Your time is over: bob has it now.", timeout=10_000)
    expect(page.get_by_label("Corrected answer")).to_have_value("Worn shoes stay yours.")
