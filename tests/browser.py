"""A real browser before a real web server, for tests of what only a browser shows: keys, focus, history, layout.

    def test_the_queue_opens_by_its_key(site: Site) -> None:
        make_item(site.db)

        page = site.visit("anna")
        page.keyboard.press("n")

        expect(page).to_have_url(re.compile("/items/"))

`site` is the web process on a free port of this machine over a migrated SQLite database of its own; `site.db` reads and fills
it. `site.visit(NAME)` makes the reviewer where there is none and gives a signed-in page in a browser profile of their own:
the same name again is a second browser of the same person; `page.context.new_page()` is a second tab. Options of the profile
go along: `site.visit("anna", viewport={"width": 360, "height": 740})`.

A script error on any page fails the test. Without a Chromium these tests are skipped; CHROMIUM names it where it is not on
the path.
"""

import os
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from conftest import add_reviewer, make_settings
from playwright.sync_api import Browser, Page, sync_playwright

from service.db import Database
from service.errors import TriageError
from service.settings import QueueSettings, Settings

PASSWORD = "a long enough password"


@dataclass
class Site:
    """The running service and the browser before it."""

    address: str
    db: Database
    settings: Settings
    browser: Browser
    errors: list[str] = field(default_factory=list)
    """What went wrong in the pages' scripts."""

    password: str = PASSWORD

    def add(self, name: str) -> None:
        """The reviewer, where there is none of that name."""
        with suppress(TriageError):
            add_reviewer(self.db, name, PASSWORD)

    def visit(self, name: str = "anna", path: str = "/queue", **profile: Any) -> Page:
        """A page of this reviewer's browser, signed in."""
        self.add(name)
        page = self.browser.new_context(base_url=self.address, **profile).new_page()
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.goto(f"/sign-in?next={path}")
        page.get_by_label("Name").fill(name)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_label("Password").press("Enter")
        page.wait_for_url(lambda url: "/sign-in" not in url)
        return page


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Of a module, not of the whole run: while it is open this thread has a running event loop."""
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no Chromium here: install Debian's package chromium, or name one in CHROMIUM")
    with sync_playwright() as playwright:
        # As root Chromium has no sandbox to start in; the pages are our own.
        sandbox = [] if getattr(os, "geteuid", lambda: 1)() else ["--no-sandbox"]
        switches = ["--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]
        opened = playwright.chromium.launch(executable_path=chromium, args=[*sandbox, *switches])
        yield opened
        opened.close()


@pytest.fixture
def queue_settings() -> QueueSettings:
    """The site's; a test file that needs others has a fixture of the same name."""
    return QueueSettings()


@pytest.fixture
def site(browser: Browser, sqlite_url: str, tmp_path: Path, queue_settings: QueueSettings) -> Iterator[Site]:
    # The other tests, which load this file too, need not wait for these.
    from service.app import create_app
    from service.server import Server

    settings = make_settings(sqlite_url, tmp_path, queue=queue_settings)
    db = Database(sqlite_url)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        app = create_app(settings)
        config = uvicorn.Config(app, log_config=None, access_log=False, ws="none", timeout_graceful_shutdown=2)
        server = Server(config, app)
        serving = threading.Thread(target=server.run, args=([listening],), name="web")
        serving.start()
        opened = Site(address, db, settings, browser)
        try:
            yield opened
        finally:
            for context in browser.contexts:
                context.close()
            server.should_exit = True
            serving.join(10)
            db.close()
    assert opened.errors == []
