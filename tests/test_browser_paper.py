"""Pages on paper: what was said, found and decided; nothing to press."""

from browser import Site
from items import make_item
from playwright.sync_api import expect


def test_on_paper_an_item_is_its_conversation_evidence_and_decision(site: Site) -> None:
    make_item(site.db, turns_around=40, answer="a long answer " * 400)
    make_item(site.db)
    page = site.visit("anna")
    page.get_by_role("button", name="Review next").click()
    page.locator("#decision-form").wait_for()
    page.keyboard.press("2")
    page.get_by_label("Corrected answer").fill("A better answer.")

    page.emulate_media(media="print")

    for shown in (".turn", ".note", ".told-rest", "#decision-title", ".label:has(:checked)", "#answer"):
        expect(page.locator(shown).first).to_be_visible()
    assert page.locator(".turn:visible").count() == page.locator(".turn").count()
    for hidden in (".top", "button", ".label:has(:not(:checked))", "#comment", "#skip-form", ".to-decision"):
        assert page.locator(f"{hidden}:visible").count() == (1 if hidden.startswith(".label") else 0), hidden
    assert page.pdf(format="A4").startswith(b"%PDF")


def test_on_paper_the_leads_page_has_its_charts_and_their_tables(site: Site) -> None:
    make_item(site.db)
    page = site.visit("anna", "/lead", color_scheme="dark")
    ink = "getComputedStyle(document.body).color"
    on_screen = page.evaluate(ink)

    page.emulate_media(media="print")

    assert page.locator(".chart table").count() > 0
    assert page.locator(".chart table:visible").count() == page.locator(".chart table").count()
    for hidden in (".top", ".lead-filters", "button", "summary"):
        assert page.locator(f"{hidden}:visible").count() == 0, hidden
    assert page.evaluate(ink) == site.visit("anna", "/lead", color_scheme="light").evaluate(ink) != on_screen
