"""What axe-core does not see: where the focus goes, what is announced, large type, and chosen colours."""

import re

import pytest
from browser import Site
from items import make_article, make_item, make_slip
from playwright.sync_api import Page, expect
from sqlalchemy import update

from service.models import Reviewer

ACTIVE = "(document.activeElement.id || document.activeElement.name || document.activeElement.textContent.trim())"


def take_next(page: Page) -> None:
    page.get_by_role("button", name="Review next").click()
    page.locator("#decision-form").wait_for()


# --- focus --------------------------------------------------------------------------------------------------------


def test_the_first_tab_skips_to_the_content(site: Site) -> None:
    page = site.visit("anna")

    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    expect(page.get_by_role("link", name="Skip to the content")).to_be_in_viewport()
    page.keyboard.press("Enter")

    expect(page.locator("main")).to_be_focused()


def test_the_focus_goes_through_a_decision_in_the_order_in_which_it_is_made(site: Site) -> None:
    article = make_article(site.db)
    make_item(site.db, suggestions={"articles": [{"article_id": article, "similarity": 0.9}]})
    page = site.visit("anna")
    take_next(page)

    page.keyboard.press("2")
    passed = [page.evaluate(ACTIVE)]
    while passed[-1] != "save" and len(passed) < 40:
        page.keyboard.press("Tab")
        passed.append(page.evaluate(ACTIVE))

    wanted = ["label", "answer", "article", "question", "picked", "intent", "causes", "comment", "save"]
    assert [one for one in dict.fromkeys(passed) if one in wanted] == wanted


@pytest.mark.parametrize("opened_by", ["key", "button"])
def test_closing_the_list_of_keys_leads_back_to_where_one_was(site: Site, opened_by: str) -> None:
    make_item(site.db)
    page = site.visit("anna", viewport={"width": 1500, "height": 800})
    before = page.locator("a[data-walk]") if opened_by == "key" else page.get_by_role("button", name="Keys")
    before.focus()

    page.keyboard.press("?" if opened_by == "key" else "Enter")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    expect(page.get_by_role("button", name="Close")).to_be_focused()
    page.keyboard.press("Escape")

    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(before).to_be_focused()


def test_the_next_item_takes_the_focus_and_what_became_of_the_last_is_said(site: Site) -> None:
    first, second = make_item(site.db), make_item(site.db, priority=0.1)
    page = site.visit("anna")
    take_next(page)
    page.wait_for_selector("#decision-form[data-prepared]")
    said = page.locator("#said")
    expect(said).to_be_empty()
    said.evaluate("one => { one.dataset.same = 'yes'; }")

    page.keyboard.press("1")
    page.keyboard.press("Enter")

    expect(page).to_have_url(re.compile(f"/items/{second}[?]"))
    expect(page.get_by_role("region", name="Flagged exchange")).to_be_focused()
    expect(page.locator("#said[data-same][role=status]")).to_contain_text(f"Item {first} saved.")  # the one that was there before


def test_a_refused_decision_is_told_where_nothing_else_changes(site: Site) -> None:
    make_item(site.db)
    page = site.visit("anna")
    take_next(page)
    alert = page.locator("#lost")
    assert alert.get_attribute("role") == "alert"
    page.keyboard.press("2")
    page.get_by_label("Question of the article").fill("A question alone")
    page.context.set_offline(True)

    page.keyboard.press("Control+Enter")

    expect(alert).to_contain_text("Not saved")
    expect(page.get_by_label("Question of the article")).to_be_focused()


# --- large type ---------------------------------------------------------------------------------------------------


def pages_of(site: Site) -> list[str]:
    article = make_article(site.db)
    suggestions = {"articles": [{"article_id": article, "similarity": 0.9}]}
    item = make_item(site.db, suggestions=suggestions)
    make_slip(site.db)
    return ["/queue", f"/items/{item}", "/conversations/1", "/conversations", "/articles", f"/articles/{article}",
            "/team", "/labels", "/lead", "/mentions", "/search?q=shoes", "/nowhere"]  # fmt: skip


@pytest.mark.parametrize("how", ["zoom", "type alone"])
def test_at_200_percent_no_page_scrolls_sideways_and_nothing_is_cut_off(site: Site, how: str) -> None:
    addresses = pages_of(site)
    size = {"width": 640, "height": 400} if how == "zoom" else {"width": 1280, "height": 800}
    page = site.visit("anna", viewport=size)
    take_next(page)

    wrong = {}
    for address in (page.url, *addresses):
        page.goto(address)
        if how == "type alone":
            page.evaluate("document.documentElement.style.fontSize = '200%'")
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        cut = page.evaluate(
            "[...document.querySelectorAll('button, .chip, .tabs a, h1, h2, legend')].filter(one => one.checkVisibility()"
            " && one.scrollWidth > one.clientWidth + 2 && getComputedStyle(one).overflow !== 'visible'"
            " && getComputedStyle(one).clipPath === 'none').map(one => one.outerHTML.slice(0, 80))"
        )
        if wide > 0 or cut:
            wrong[address] = (wide, cut)

    assert wrong == {}


def test_every_way_round_the_site_is_seen_by_an_admin_on_a_laptop(site: Site) -> None:
    site.add("anna")
    with site.db.write() as session:
        session.execute(update(Reviewer).values(is_admin=True))
    page = site.visit("anna", viewport={"width": 1280, "height": 800})

    cut = page.evaluate(
        "(() => { const nav = document.querySelector('.top nav');"
        " return [nav.scrollWidth - nav.clientWidth, document.documentElement.scrollWidth - innerWidth]; })()"
    )

    assert cut == [0, 0]


# --- chosen colours -----------------------------------------------------------------------------------------------


def test_with_chosen_colours_what_is_chosen_and_where_one_is_can_still_be_seen(site: Site) -> None:
    make_item(site.db)
    page = site.visit("anna", forced_colors="active")
    outline = "one => getComputedStyle(one).outlineStyle"
    here = [page.locator(place).evaluate(outline) for place in (".top nav a[aria-current]", ".tabs a[aria-current]")]
    take_next(page)
    page.keyboard.press("2")
    chosen, other = (page.locator(f".label-{label}").evaluate(outline) for label in ("wrong", "good"))
    border = page.locator(".flagged .bubble").first.evaluate("one => getComputedStyle(one).borderTopStyle")

    assert here == ["solid", "solid"]
    assert (chosen, other, border) == ("solid", "none", "solid")
