"""Look-alikes and impact in a real browser: the preview follows the form, nobody waits for the impact."""

import re
from datetime import UTC, datetime
from typing import Any

from browser import Site
from conftest import ingest, make_disliked, make_triage, rows_of, score_all
from items import add_look_alikes
from playwright.sync_api import Page, expect

from scoring.encoder import HashingEncoder
from service.hand_picked import hand_pick
from service.models import Exchange, Verdict
from service.replay import replay_due

ASKED = "Can I return the worn red shoes that I bought?"
NO = "Worn shoes cannot be returned."


def open_item(site: Site, count: int = 3, **profile: Any) -> Page:
    """An item with so many look-alikes of the same answer and one with another, before its reviewer."""
    site.add("anna")
    triage = make_triage(site.db, HashingEncoder())
    answers = ["Yes, within 30 days."] * (count + 1) + ["Yes, of course you can."]
    for n, answer in enumerate(answers):
        ingest(site.db, make_disliked(ASKED, answer, id=f"c{n}"), now=datetime.now(UTC))
        score_all(triage, datetime.now(UTC))
    with site.db.write() as session:
        item = hand_pick(session, rows_of(site.db, Exchange)[0].id, 1, "", datetime.now(UTC))
    page = site.visit("anna", f"/items/{item}", **profile)
    page.get_by_role("button", name="Take this item").click()
    return page


def test_the_preview_follows_what_is_ticked_and_chosen(site: Site) -> None:
    page = open_item(site)
    preview = page.locator("#preview")
    expect(preview).to_contain_text("Closes 4 exchanges not in the queue, with the verdict that you choose.")

    page.keyboard.press("1")
    expect(preview).to_contain_text("Closes 3 exchanges not in the queue, as “Good”. 1 with another answer stays")
    page.keyboard.press("2")
    expect(preview).to_contain_text("Closes 4 exchanges not in the queue, as “Wrong”.")
    page.locator("#settles input[type=checkbox]").first.uncheck()
    expect(preview).to_contain_text("Closes 3 exchanges")
    page.keyboard.press("Control+Enter")

    expect(page).to_have_url(re.compile("/queue"))
    assert [one.label for one in rows_of(site.db, Verdict)] == ["wrong"] * 4


def test_more_look_alikes_come_by_themselves_with_the_focus_on_the_first_new_one(site: Site) -> None:
    page = open_item(site)
    add_look_alikes(site.db, rows_of(site.db, Exchange)[0].id, 80)
    page.reload()
    boxes = page.locator("#settles input[type=checkbox]")
    expect(boxes).to_have_count(50)
    boxes.first.uncheck()
    page.locator("#settles summary").last.click()

    page.get_by_role("button", name="List 34 more").click()

    expect(boxes).to_have_count(84)
    expect(page.locator("#settles .alike").nth(50)).to_be_focused()
    expect(boxes.first).not_to_be_checked()
    expect(page.locator("#preview")).to_contain_text("Closes 83 exchanges")
    page.get_by_role("button", name="Tick none").click()
    expect(page.locator("#preview")).to_contain_text("Closes this item alone.")
    page.keyboard.press("Escape")
    page.keyboard.press("1")
    page.get_by_role("button", name="Tick all").click()
    expect(page.locator("#preview")).to_contain_text("Closes 83 exchanges")


def test_the_impact_arrives_by_itself_and_holds_up_no_decision(site: Site) -> None:
    page = open_item(site)
    page.keyboard.press("2")
    page.get_by_label("Corrected answer").fill(NO)

    page.get_by_role("button", name="Show the impact").click()
    expect(page.locator("#impact")).to_contain_text("Being computed")
    expect(page.get_by_role("button", name="Save and next")).to_be_enabled()
    replay_due(site.db, HashingEncoder(), 0.82, datetime.now(UTC))

    expect(page.locator("#impact")).to_contain_text("Would answer 5 flagged questions.", timeout=15_000)
    page.locator("#impact summary").first.click()
    expect(page.locator("#impact a").first).to_have_attribute("href", re.compile(r"^/conversations/\d+#turn-"))
    assert page.get_by_label("Corrected answer").input_value() == NO


def test_without_script_look_alikes_and_impact_are_plain_forms(site: Site) -> None:
    page = open_item(site, java_script_enabled=False)
    page.locator("input[name=label][value=wrong]").check()
    page.get_by_label("Corrected answer").fill(NO)

    page.get_by_role("button", name="Preview again").click()
    expect(page.locator("#preview")).to_contain_text("Closes 4 exchanges not in the queue, as “Wrong”.")
    page.get_by_role("button", name="Show the impact").click()
    replay_due(site.db, HashingEncoder(), 0.82, datetime.now(UTC))
    page.get_by_role("link", name="Look again").click()
    expect(page.locator("#impact")).to_contain_text("Would answer 5 flagged questions.")
    page.get_by_role("button", name="Save and next").click()

    assert len(rows_of(site.db, Verdict)) == 5


def test_look_alikes_fit_on_a_phone(site: Site) -> None:
    page = open_item(site, count=8, viewport={"width": 360, "height": 740})

    assert page.evaluate("document.documentElement.scrollWidth") <= 360
