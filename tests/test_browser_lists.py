"""Lists in a real browser: from line to line by keys."""

import pytest
from browser import Site
from items import make_article, make_item
from playwright.sync_api import expect

from service.searching.index import index_due


@pytest.mark.parametrize("path", ["/queue", "/articles", "/conversations"])
def test_lists_are_walked_by_keys_and_enter_opens_the_line(site: Site, path: str) -> None:
    for _ in range(3):
        make_item(site.db)
    for n in range(3):
        make_article(site.db, f"question {n}?")
    index_due(site.db)
    page = site.visit("anna", path)
    lines = page.locator("a[data-walk]")

    for key, place in [("j", 0), ("j", 1), ("j", 2), ("j", 2), ("k", 1)]:
        page.keyboard.press(key)
        expect(lines.nth(place)).to_be_focused()
    leads_to = lines.nth(1).get_attribute("href")
    page.keyboard.press("Enter")

    expect(page).to_have_url(site.address + (leads_to or "?"))


def test_arrows_scroll_a_list(site: Site) -> None:
    for _ in range(3):
        make_item(site.db)
    page = site.visit("anna")

    page.keyboard.press("ArrowDown")

    assert page.evaluate("document.activeElement === document.body")
