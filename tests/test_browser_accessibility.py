"""Every page is looked at by axe-core, in light and in dark: labels, contrast, structure, what a screen reader gets."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from browser import Site
from conftest import rows_of
from items import add_look_alikes, make_article, make_item, make_slip
from playwright.sync_api import Page
from sqlalchemy import update
from sqlmodel import col

from service import claims
from service.models import Exchange, ItemState, Reviewer, VerdictLabel
from service.review import Decision
from service.searching import index as search_index
from service.team import comments, opinions, queues, relabel
from service.team.queues import QueueContent

LEASE = timedelta(minutes=30)
# Of good practice too: the order of headings, one heading of the first level.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
OF_COLOURS = {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}


def violations(page: Page) -> list[tuple[str, str, str]]:
    """In light and in dark, which has other colours and nothing else: (scheme, rule, what breaks it)."""
    wrong = []
    for scheme, rules in (("light", RULES), ("dark", OF_COLOURS)):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
        options = {"runOnly": rules, "resultTypes": ["violations"]}
        found: list[dict[str, Any]] = Axe().run(page, options=options).response["violations"]
        wrong += [(scheme, one["id"], one["nodes"][0]["html"][:120]) for one in found]
    return wrong


def look_at(page: Page, *addresses: str) -> dict[str, list[tuple[str, str, str]]]:
    """What is wrong, by address."""
    found = {}
    for address in addresses:
        page.goto(address)
        found[address] = violations(page)
    return {address: wrong for address, wrong in found.items() if wrong}


def lead(site: Site) -> Page:
    site.add("lead")
    with site.db.write() as session:
        session.execute(update(Reviewer).where(col(Reviewer.name) == "lead").values(is_admin=True))
    return site.visit("lead", reduced_motion="reduce")


def test_no_page_of_a_reviewer_has_a_violation(site: Site) -> None:
    article = make_article(site.db)
    suggestions = {"articles": [{"article_id": article, "similarity": 0.9}], "similar": [{"exchange_id": 1, "similarity": 0.8}]}
    decided = make_item(site.db, state=ItemState.done)
    held = make_item(site.db, suggestions=suggestions)
    free = make_item(site.db, priority=0.1)
    make_slip(site.db)
    search_index.index_due(site.db)
    page = site.visit("anna", reduced_motion="reduce")
    page.keyboard.press("n")
    page.wait_for_url(f"**/items/{held}?*")
    page.keyboard.press("2")
    page.get_by_label("Corrected answer").fill("Any shoes.")
    page.locator("#difference ins").wait_for()
    mine = violations(page)

    wrong = look_at(
        page,
        *(f"/items/{decided}", f"/items/{free}?after={decided}&said=skipped", f"/items/{free}", f"/items/{held}?said=taken"),
        *("/queue", "/queue?state=done", "/queue?signal=user_feedback", "/conversations/1", "/conversations"),
        *("/articles", f"/articles/{article}", "/articles/new", "/search?q=shoes", "/search?q=nothingofthekind"),
        *("/team", "/labels", "/lead", "/mentions", "/nowhere", "/items/999999", "/queue?page=x", "/connections"),
    )
    page.goto("/queue")
    page.keyboard.press("?")
    keys = violations(page)

    assert (mine, keys, wrong) == ([], [], {})


def test_no_page_of_a_lead_has_a_violation(site: Site) -> None:
    now = datetime.now(UTC)
    items = [make_item(site.db, priority=place / 10) for place in range(4)]
    page = lead(site)
    site.add("bob")
    with site.db.write() as session:
        people = {name: key for key, name in queues.names_of(session).items()}
        queues.save_queue(session, QueueContent(name="twice", reviews=1, budget=5, due_hours=1), now)
        claim = claims.claim_item(session, items[0], people["lead"], now, LEASE)
        answer = Decision(VerdictLabel.wrong, answer="Only unworn ones.", comment="see the terms")
        opinions.decide(session, items[0], people["lead"], claim.fence, answer, [], now)
        claims.claim_item(session, items[1], people["bob"], now, LEASE)
        comments.add_comment(session, items[1], people["bob"], "@lead please look", "k1", now)
        queues.assign(session, "lead", now, 1.0, item_id=items[2])
    make_slip(site.db)
    kept, bank = make_slip(site.db, "Open on holidays?"), make_slip(site.db, source="bank")
    with site.db.write() as session:
        relabel.keep(session, kept, "refund", people["bob"], now)
        relabel.keep(session, bank, "refund", people["lead"], now)

    wrong = look_at(
        page,
        *("/queue", f"/items/{items[0]}", f"/items/{items[0]}/amend", f"/items/{items[1]}", f"/items/{items[2]}"),
        *("/team", "/team/agreement", "/team/agreement?queue=twice", "/team/queues/one", "/team/queues/one?name=twice"),
        *("/labels", "/labels?source=bank", f"/labels#label-{kept}"),
        *("/mentions", "/lead", "/lead?since=2020-01-01&until=2020-02-01", "/connections", "/articles/1"),
        *("/account", "/accounts"),
    )

    assert wrong == {}


def test_a_long_list_of_look_alikes_has_no_violation(site: Site) -> None:
    make_item(site.db)
    add_look_alikes(site.db, rows_of(site.db, Exchange)[0].id, 70)
    page = site.visit("anna", reduced_motion="reduce")
    page.keyboard.press("n")
    page.locator("#settles summary").last.click()
    page.get_by_role("button", name="List 20 more").click()
    page.locator("#settles .alike").nth(69).wait_for()

    assert violations(page) == []


def test_no_empty_page_has_a_violation(site: Site) -> None:
    page = lead(site)

    wrong = look_at(
        page,
        *("/queue", "/queue?state=done", "/conversations", "/articles", "/search", "/search?q=shoes", "/team", "/team/agreement"),
        *("/labels", "/lead", "/mentions", "/connections"),
    )
    page.context.clear_cookies()
    wrong |= look_at(page, "/sign-in", "/sign-in?said=signed_out")
    page.get_by_label("Name").fill("lead")
    page.get_by_label("Password").fill("not this one")
    page.get_by_label("Password").press("Enter")
    page.get_by_role("alert").wait_for()

    assert wrong == {}
    assert violations(page) == []


@pytest.mark.parametrize("path", ["/queue", "/team", "/labels", "/lead", "/search?q=shoes", "/articles", "/mentions"])
def test_the_keyboards_place_is_always_seen(site: Site, path: str) -> None:
    make_item(site.db)
    make_article(site.db)
    make_slip(site.db)
    page = site.visit("anna", path)

    seen = walk(page, 25)

    assert len(seen) > 8
    assert [name for name, outlined in seen if not outlined] == []


def walk(page: Page, steps: int) -> list[tuple[str, bool]]:
    """(what has the focus, whether an outline shows it) for each press of Tab, until it leaves the page."""
    seen: list[tuple[str, bool]] = []
    for _ in range(steps):
        page.keyboard.press("Tab")
        told: list[Any] | None = page.evaluate(
            """() => {
              const one = document.activeElement;
              if (!one || one === document.body) return null;
              const drawn = (style) => style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
              const around = one.closest("label");
              return [one.outerHTML.slice(0, 80), drawn(getComputedStyle(one)) || drawn(getComputedStyle(one, "::after"))
                || Boolean(around && drawn(getComputedStyle(around)))];
            }"""
        )
        if told is None:
            break
        seen.append((told[0], told[1]))
    return seen


def test_nothing_moves_where_reduced_motion_is_asked_for(site: Site) -> None:
    make_item(site.db)
    moving = """() => [...document.querySelectorAll("*")].filter((one) => {
      const style = getComputedStyle(one);
      return style.transitionDuration.split(",").some((time) => parseFloat(time) > 0) || style.animationName !== "none";
    }).length + (getComputedStyle(document.documentElement).scrollBehavior === "smooth" ? 1 : 0)"""

    calm, usual = (site.visit("anna", reduced_motion=asked).evaluate(moving) for asked in ("reduce", "no-preference"))

    assert calm == 0
    assert usual > 0
