"""A reviewer's day in a real browser: by keys alone, with the next item ready, and nothing typed ever lost."""

import re
import sys
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from browser import Site
from conftest import rows_of
from items import let_the_lease_pass, make_article, make_item
from playwright.sync_api import Locator, Page, Request, Route, expect
from sqlalchemy import select
from sqlmodel import col

from service.models import Article, Draft, ReviewItem, Turn, Verdict
from service.team import comments, queues


def start(page: Page) -> int:
    """Take the next item by its key; its id."""
    page.keyboard.press("n")
    page.wait_for_url(re.compile("/items/"))
    return item_on(page)


def item_on(page: Page) -> int:
    found = re.search(r"/items/(\d+)", page.url)
    assert found, page.url
    return int(found[1])


def wait_until_ready(page: Page) -> None:
    """Until the next item is prepared."""
    page.wait_for_selector("#decision-form[data-prepared]")


def told(page: Page, expression: str) -> float:
    """The number, once the page has it. The pages' security policy forbids the browser tool's own way to wait."""
    for _ in range(50):
        value = page.evaluate(expression)
        if value is not None:
            return float(value)
        page.wait_for_timeout(100)
    raise AssertionError(f"never there: {expression}")


def verdict(page: Page, label: str) -> Locator:
    return page.locator(f"input[name=label][value={label}]")


def fill(site: Site, count: int) -> list[int]:
    return [make_item(site.db, f"question {n}?", f"answer {n}.", priority=0.9 - n / 100) for n in range(count)]


def labels(site: Site) -> list[str]:
    return [one.label for one in rows_of(site.db, Verdict) if one.withdrawn_at is None]


# --- the day ------------------------------------------------------------------------------------------------------


def test_a_whole_day_by_keyboard_alone(site: Site) -> None:
    items = fill(site, 5)
    page = site.browser.new_context(base_url=site.address).new_page()
    site.add("anna")
    page.goto("/")

    page.keyboard.type("anna")
    page.keyboard.press("Tab")
    page.keyboard.type(site.password)
    page.keyboard.press("Enter")
    page.wait_for_url("**/queue*")

    # The first: read the evidence, then wrong, with a better answer.
    assert start(page) == items[0]
    page.keyboard.press("j")
    expect(page.locator(".note").first).to_be_focused()
    page.keyboard.press("2")
    page.keyboard.press("a")
    page.keyboard.type("A better answer.")
    page.keyboard.press("Control+Enter")
    expect(page).to_have_url(re.compile(f"/items/{items[1]}[?]"))

    # Not what was meant: undone, changed, saved again.
    page.keyboard.press("u")
    expect(page).to_have_url(re.compile(f"/items/{items[0]}[?]"))
    expect(page.get_by_label("Corrected answer")).to_have_value("A better answer.")
    expect(verdict(page, "wrong")).to_be_checked()
    page.keyboard.press("3")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(f"/items/{items[1]}[?]"))

    # The second is skipped, taken again, and skipped; the others are good: two keys each.
    page.keyboard.press("s")
    expect(page).to_have_url(re.compile(f"/items/{items[2]}[?]"))
    page.keyboard.press("u")
    expect(page).to_have_url(re.compile(f"/items/{items[1]}[?]"))
    page.keyboard.press("s")
    for following in (*items[2:], None):
        expect(page).to_have_url(re.compile(f"/items/{following}[?]" if following else "/queue[?]"))
        if following:
            page.keyboard.press("1")
            page.keyboard.press("Enter")

    expect(page.locator(".done")).to_contain_text("saved")
    assert labels(site) == ["incomplete", "good", "good", "good"]
    assert [article.answer for article in rows_of(site.db, Article)] == ["A better answer."]


def test_the_next_item_is_on_screen_at_once(site: Site) -> None:
    fill(site, 9)
    page = site.visit("anna")
    start(page)
    asked_again: list[str] = []
    page.on("request", lambda one: asked_again.append(one.url) if one.method == "GET" and "/items/" in one.url else None)
    times = []
    for _ in range(8):
        wait_until_ready(page)
        here = item_on(page)
        page.keyboard.press("1")
        page.keyboard.press("Control+Enter")
        page.wait_for_url(lambda url, here=here: f"/items/{here}?" not in url)  # type: ignore[misc]
        times.append(told(page, "(performance.getEntriesByName('next item on screen')[0] || {}).duration"))
        page.evaluate("performance.clearMeasures()")

    sys.stdout.write(f"next item on screen, ms: {sorted(round(took) for took in times)}\n")
    navigations = page.evaluate("performance.getEntriesByType('navigation').length")
    assert navigations == 1
    assert asked_again == []  # each page that was made ahead was right
    assert len(labels(site)) == 8
    assert sorted(times)[len(times) // 2] < 1000  # machines differ; the figure is in docs/measured.md


def test_what_a_colleague_adds_to_the_item_made_ready_is_on_it_when_it_is_shown(site: Site) -> None:
    first, second, third = fill(site, 3)
    site.add("ben")
    page = site.visit("anna")
    start(page)
    wait_until_ready(page)
    with site.db.write() as session:
        ben = next(key for key, name in queues.names_of(session).items() if name == "ben")
        comments.add_comment(session, second, ben, "@anna the terms changed", "k1", datetime.now(UTC))

    for _ in (first, second):
        here = item_on(page)
        page.keyboard.press("1")
        page.keyboard.press("Enter")
        page.wait_for_url(lambda url, here=here: f"/items/{here}?" not in url)  # type: ignore[misc]
        if item_on(page) == second:
            expect(page.get_by_text("the terms changed")).to_be_visible()
            expect(page.locator("#said")).to_contain_text(f"Item {first} saved.")
            wait_until_ready(page)

    assert item_on(page) == third
    assert page.evaluate("performance.getEntriesByType('navigation').length") == 1


# --- several at once ----------------------------------------------------------------------------------------------


def test_two_browsers_on_one_queue_never_see_the_same_item(site: Site) -> None:
    items = fill(site, 12)
    pages = [site.visit("anna"), site.visit("ben")]
    seen: list[list[int]] = [[], []]
    for page in pages:
        start(page)
    while any("/items/" in page.url for page in pages):
        for page, mine in zip(pages, seen, strict=True):
            if "/items/" not in page.url:
                continue
            mine.append(item_on(page))
            if len(mine) % 2:
                page.wait_for_timeout(400)  # sometimes the next item is ready, sometimes not
            page.keyboard.press("1")
            page.keyboard.press("Control+Enter")
            page.wait_for_url(lambda url, mine=mine: f"/items/{mine[-1]}?" not in url)  # type: ignore[misc]

    assert sorted(seen[0] + seen[1]) == sorted(items)
    assert all(seen)


def test_leaving_the_page_gives_the_prepared_item_back(site: Site) -> None:
    first, second = fill(site, 2)
    anna, ben = site.visit("anna"), site.visit("ben")
    start(anna)
    expect_reserved(site, second, True)

    anna.goto("/articles")
    expect_reserved(site, second, False)

    assert start(ben) == second
    assert item_on(ben) != first


def expect_reserved(site: Site, item_id: int, wanted: bool) -> None:
    """Within moments."""
    for _ in range(50):
        (item,) = [one for one in rows_of(site.db, ReviewItem) if one.id == item_id]
        if item.reserved is wanted:
            return
        time.sleep(0.1)
    raise AssertionError(f"item {item_id}: reserved is not {wanted}")


def test_an_item_lost_while_typing_keeps_the_words_on_the_page_and_as_a_draft(site: Site) -> None:
    (item,) = fill(site, 1)
    anna, ben = site.visit("anna"), site.visit("ben")
    with anna.expect_response(re.compile(r"/items/\d+/next")):  # asking for the next item keeps this one for longer
        start(anna)
    anna.keyboard.press("2")
    anna.get_by_label("Corrected answer").fill("My long and careful answer")
    let_the_lease_pass(site.db, item)
    start(ben)

    with anna.expect_response(re.compile(r"/decide$")) as answer:
        anna.keyboard.press("Control+Enter")

    assert answer.value.status == 409
    told = re.compile("Somebody else has this item now|ben has it now")  # the page may hear of it by itself, before or after
    expect(anna.get_by_role("alert").filter(has_text=told)).to_be_visible()
    expect(anna.get_by_label("Corrected answer")).to_have_value("My long and careful answer")
    anna.reload()
    expect(anna.get_by_label("What you typed, kept as your draft")).to_have_value(re.compile("My long and careful answer"))
    assert labels(site) == []


def test_in_two_tabs_the_second_decision_is_refused_and_its_words_stay(site: Site) -> None:
    fill(site, 2)
    one = site.visit("anna")
    item = start(one)
    other = one.context.new_page()
    other.goto(one.url)
    other.keyboard.press("2")
    other.get_by_label("Corrected answer").fill("Written in the other tab")
    one.keyboard.press("1")
    one.keyboard.press("Enter")
    one.wait_for_url(lambda url: f"/items/{item}?" not in url)

    other.keyboard.press("Control+Enter")

    expect(other.get_by_role("alert").filter(has_text="You decided this item already")).to_be_visible()
    expect(other.get_by_label("Corrected answer")).to_have_value("Written in the other tab")
    assert labels(site) == ["good"]


# --- the browser's own ways ---------------------------------------------------------------------------------------


def decide_first(site: Site) -> tuple[Page, int, int]:
    """On the second item, the first decided as good."""
    first, second = fill(site, 2)
    page = site.visit("anna")
    start(page)
    wait_until_ready(page)
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(f"/items/{second}[?]"))
    return page, first, second


def test_back_leads_to_the_decided_item_and_forward_to_the_open_one(site: Site) -> None:
    page, first, second = decide_first(site)

    page.go_back()
    expect(page.get_by_role("heading", name="Decided")).to_be_visible()
    back = item_on(page)
    page.go_forward()
    expect(page.get_by_role("button", name="Save and next")).to_be_visible()

    assert (back, item_on(page)) == (first, second)
    assert labels(site) == ["good"]


def test_loading_again_posts_nothing(site: Site) -> None:
    page, _, second = decide_first(site)
    posted: list[Request] = []
    page.on("request", lambda request: posted.append(request) if request.method == "POST" else None)

    page.reload()
    expect(page.get_by_role("button", name="Save and next")).to_be_visible()

    assert item_on(page) == second
    assert not [one.url for one in posted if "/decide" in one.url]
    assert labels(site) == ["good"]


def test_a_double_click_decides_once(site: Site) -> None:
    first, second, _ = fill(site, 3)
    page = site.visit("anna")
    start(page)
    wait_until_ready(page)
    page.keyboard.press("2")

    page.get_by_role("button", name="Save and next").dblclick()
    expect(page).to_have_url(re.compile(f"/items/{second}[?]"))
    page.wait_for_timeout(500)

    assert [(one.item_id, one.label) for one in rows_of(site.db, Verdict)] == [(first, "wrong")]
    assert item_on(page) == second


def test_a_slow_or_broken_network_says_so_and_loses_nothing(site: Site) -> None:
    first, second = fill(site, 2)
    page = site.visit("anna")
    start(page)
    wait_until_ready(page)
    page.keyboard.press("2")
    page.get_by_label("Corrected answer").fill("Typed on a train")
    held: list[Route] = []
    page.route("**/decide*", lambda route: held.append(route))

    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("button", name="Saving…")).to_be_visible()
    page.keyboard.press("Control+Enter")
    page.wait_for_timeout(200)
    asked = len(held)
    held[0].abort()

    expect(page.get_by_role("alert").filter(has_text="Not saved")).to_be_visible()
    expect(page.get_by_label("Corrected answer")).to_have_value("Typed on a train")
    expect(page.locator("#draft-status")).to_contain_text("Draft saved")
    assert asked == 1
    assert rows_of(site.db, Draft)[0].content["answer"] == "Typed on a train"

    page.unroute("**/decide*")
    page.keyboard.press("Control+Enter")
    expect(page).to_have_url(re.compile(f"/items/{second}[?]"))
    assert [one.item_id for one in rows_of(site.db, Verdict)] == [first]


def test_a_draft_survives_a_reload_and_a_crash(site: Site) -> None:
    fill(site, 1)
    page = site.visit("anna")
    start(page)
    page.keyboard.press("3")
    page.get_by_label("Corrected answer").fill("Half an answer")
    page.get_by_label("Another one").fill("returns")
    expect(page.locator("#draft-status")).to_contain_text("Draft saved", timeout=10_000)
    address = page.url
    page.close(run_before_unload=False)

    again = site.visit("anna", path=address.removeprefix(site.address).split("?")[0])

    expect(again.get_by_label("Corrected answer")).to_have_value("Half an answer")
    expect(again.get_by_label("Another one")).to_have_value("returns")
    expect(verdict(again, "incomplete")).to_be_checked()


def test_without_script_the_same_day_works_with_plain_forms(site: Site) -> None:
    first, second = fill(site, 2)
    page = site.visit("anna", java_script_enabled=False)
    page.get_by_role("button", name="Review next").click()
    verdict(page, "wrong").check()
    page.get_by_label("Corrected answer").fill("Better.")
    page.get_by_role("button", name="Save and next").click()
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_label("Corrected answer")).to_have_value("Better.")
    verdict(page, "good").check()
    page.get_by_label("Corrected answer").fill("")
    page.get_by_role("button", name="Save and next").click()
    expect(page).to_have_url(re.compile(f"/items/{second}[?]"))

    assert [(v.item_id, v.label) for v in rows_of(site.db, Verdict) if v.withdrawn_at is None] == [(first, "good")]
    assert not rows_of(site.db, Article)


# --- the page -----------------------------------------------------------------------------------------------------


def test_keys_count_neither_while_typing_nor_with_other_keys_nor_when_they_are_off(site: Site) -> None:
    fill(site, 2)
    page = site.visit("anna")
    item = start(page)
    answer = page.get_by_label("Corrected answer")
    answer.focus()
    page.keyboard.type("1 2 s u n ? j /")
    expect(answer).to_have_value("1 2 s u n ? j /")
    page.keyboard.press("Escape")
    page.keyboard.press("Alt+s")
    page.keyboard.press("Control+1")
    page.keyboard.press("?")
    page.get_by_label("Single keys are on").uncheck()
    page.get_by_role("button", name="Close").click()
    for key in ("1", "s", "u"):
        page.keyboard.press(key)

    assert page.locator("input[name=label]:checked").count() == 0
    assert item_on(page) == item


def test_evidence_is_walked_through_by_keys_with_the_focus_to_be_seen(site: Site) -> None:
    make_item(site.db, turns_around=40)
    page = site.visit("anna", reduced_motion="reduce")
    start(page)
    page.evaluate("scrollTo(0, 0)")

    page.keyboard.press("ArrowDown")

    note = page.locator(".note").first
    expect(note).to_be_focused()
    expect(note).to_be_in_viewport()
    assert note.evaluate("one => getComputedStyle(one).outlineStyle") != "none"
    page.keyboard.press("k")
    expect(note).to_be_focused()


def test_a_bad_answer_starts_its_correction_from_the_nearest_article_and_shows_what_changes(site: Site) -> None:
    article = make_article(site.db, "Which shoes can I return?", "Unworn shoes within 14 days.")
    for _ in range(2):
        make_item(site.db, suggestions={"articles": [{"article_id": article, "similarity": 0.93}]})
    page = site.visit("anna")
    start(page)
    answer = page.get_by_label("Corrected answer")
    page.keyboard.press("1")
    expect(answer).to_have_value("")
    page.keyboard.press("2")
    expect(answer).to_have_value("Unworn shoes within 14 days.")
    expect(page.get_by_text(f"Suggested: article {article}, 93 % alike")).to_be_visible()
    expect(page.locator("#difference")).to_contain_text("its answer stays")

    answer.fill("Unworn shoes within 30 days.")
    expect(page.locator("#difference del")).to_have_text(re.compile("14"))
    expect(page.locator("#difference ins")).to_have_text(re.compile("30"))
    page.keyboard.press("Escape")
    page.keyboard.press("3")
    expect(answer).to_have_value("Unworn shoes within 30 days.")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/items/2"))

    (changed,) = rows_of(site.db, Article)
    assert (changed.id, changed.version, changed.answer) == (article, 2, "Unworn shoes within 30 days.")
    assert "Can I return worn shoes?" in changed.variants


def test_an_intent_is_picked_typed_or_none_of_these(site: Site) -> None:
    fill(site, 3)
    with site.db.write() as session:
        for turn in session.execute(select(Turn).where(col(Turn.role) == "user")).scalars():
            turn.intent = {"name": "refund", "confidence": 0.41, "ranking": [{"name": "return", "confidence": 0.38}]}
    page = site.visit("anna")
    start(page)
    for choose in (
        lambda: page.get_by_label("return platform 0.38").check(),
        lambda: page.get_by_label("none of these").check(),
        lambda: page.get_by_label("Another one").fill("shipping"),
    ):
        here = item_on(page)
        choose()
        page.keyboard.press("Escape")
        page.keyboard.press("2")
        page.keyboard.press("Enter")
        page.wait_for_url(lambda url, here=here: f"/items/{here}?" not in url)  # type: ignore[misc]

    assert [one.intent for one in rows_of(site.db, Verdict)] == ["return", "out_of_scope", "shipping"]


def test_a_conversation_of_400_turns_stays_quick(site: Site) -> None:
    make_item(site.db, turns_around=200)
    page = site.visit("anna")
    start(page)
    loading = page.evaluate(
        "(() => { const it = performance.getEntriesByType('navigation')[0];"
        " return [it.responseStart - it.requestStart, it.domContentLoadedEventEnd - it.responseStart]; })()"
    )
    page.evaluate(
        "addEventListener('keydown', event => requestAnimationFrame(() => setTimeout(() =>"
        " { window.took = performance.now() - event.timeStamp; })), { once: true, capture: true })"
    )
    page.keyboard.press("j")
    took = told(page, "window.took")

    sys.stdout.write(f"400 turns, ms: answered {loading[0]:.0f}, shown {loading[1]:.0f}, a key {took:.0f}\n")
    assert page.locator(".turn").count() > 400
    assert page.locator(".turn:visible").count() < 100
    assert took < 1000


ATTACK = "<script>window.hacked=1</script><img src=x onerror='window.hacked=1'>\"'><svg/onload=window.hacked=1>{{7*7}}"


def test_markup_and_script_in_peoples_words_are_shown_and_never_run(site: Site) -> None:
    article = make_article(site.db, ATTACK, ATTACK)
    suggestions: dict[str, Any] = {"articles": [{"article_id": article, "similarity": 0.95}]}
    for _ in range(2):
        make_item(site.db, ATTACK, ATTACK, ATTACK, note=ATTACK, suggestions=suggestions)
    with site.db.write() as session:
        for turn in session.execute(select(Turn)).scalars():
            turn.intent = {"name": ATTACK, "confidence": 0.4, "ranking": [{"name": ATTACK, "confidence": 0.4}]}
            turn.retrieval = [{"id": ATTACK, "title": ATTACK, "text": ATTACK, "score": 0.3}]
    page = site.visit("<b>anna</b>")
    dialogs: list[object] = []
    page.on("dialog", lambda dialog: dialogs.append(dialog))
    start(page)
    wait_until_ready(page)
    page.keyboard.press("2")
    page.get_by_label("Corrected answer").fill(ATTACK + " and more")
    expect(page.locator("#difference ins")).to_have_text(re.compile("more"))
    shown = [page.locator(".bubble").first.inner_text(), page.locator(".who").inner_text()]
    page.keyboard.press("Control+Enter")
    page.wait_for_url(re.compile("/items/2"))
    page.goto("/items/1")

    assert ATTACK in shown[0]
    assert shown[1] == "<b>anna</b>"
    assert page.evaluate("window.hacked") is None
    assert dialogs == []
    assert page.locator("main img, main script").count() == 0


def test_right_to_left_text_runs_right_to_left(site: Site) -> None:
    make_item(site.db, "هل يمكنني إرجاع الحذاء؟", "כן, תוך 30 יום.", None)
    page = site.visit("anna")
    start(page)
    answer = page.get_by_label("Corrected answer")
    answer.fill("نعم")

    directions = page.evaluate(
        "[...document.querySelectorAll('.flagged .bubble .told')].map(one => getComputedStyle(one).direction)"
    )
    assert directions == ["rtl", "rtl"]
    assert answer.evaluate("one => getComputedStyle(one).direction") == "rtl"


@pytest.mark.parametrize("width", [360, 1280])
def test_no_page_scrolls_sideways(site: Site, width: int) -> None:
    article = make_article(site.db, "w" * 300, "v" * 300)
    make_item(site.db, "q" * 300, "a" * 300, suggestions={"articles": [{"article_id": article, "similarity": 0.9}]})
    make_item(site.db)
    page = site.visit("anna", viewport={"width": width, "height": 740})
    start(page)
    wait_until_ready(page)
    addresses = [page.url, "/queue", "/queue?after=1&said=skipped", "/conversations/1", "/articles", f"/articles/{article}"]
    for address in addresses:
        page.goto(address)
        wide, inner = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert wide <= inner, address
