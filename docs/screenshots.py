"""Takes the pictures in docs/images: the sample, scored and partly decided, in a light Chromium.

    .venv/bin/python docs/screenshots.py

Everything happens in a temporary folder: the sample's conversations are scored with the packaged model, a team of three
decides some of them by the functions that the pages call, and a web process shows the rest. Seed, names, times and decisions
are fixed. Needs a Chromium; CHROMIUM names it where it is not /usr/bin/chromium.
"""

import os
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib.resources import as_file, files
from pathlib import Path
from random import Random

import uvicorn
from playwright.sync_api import Browser, sync_playwright
from sqlalchemy import select
from sqlmodel import col

from scoring.encoder import make_encoder
from service import auth, claims
from service.app import create_app
from service.db import Database
from service.imports import import_articles, import_examples, import_transcripts
from service.learn.intents import IntentModels, refit_due
from service.migrate import upgrade
from service.models import Exchange, ReviewItem, RootCause, VerdictLabel
from service.privacy import make_redact
from service.review import Decision
from service.scorers import make_scorer
from service.searching import index as search_index
from service.server import Server
from service.settings import QueueSettings, Settings, SourceSettings
from service.team import comments, opinions, queues
from service.team.queues import QueueContent
from service.triage import Triage
from service.vectors import StoredVectors, make_past

IMAGES = Path(__file__).parent / "images"
SIZE = {"width": 1280, "height": 800}
PASSWORD = "only for the pictures"  # noqa: S105
SOURCE = "standard"
NOW = datetime(2026, 11, 22, 17, 0, tzinfo=UTC)
PAGES = {
    "queue": "/queue",
    "team": "/team",
    "labels": "/labels",
    "lead": "/lead?since=2026-10-26&until=2026-11-22",
    "search": "/search?q=return",
}
LEASE = timedelta(minutes=30)
SECRET = "whsec_b25seSBmb3IgdGhlIHBpY3R1cmVzLCAzMiBieXRlcw=="  # noqa: S105


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(
            database_url=f"sqlite:///{folder}/triage.db",
            sources={SOURCE: SourceSettings(secrets=[SECRET])},
            queue=QueueSettings(review_rate=0.5, random_share=0.5, undo_seconds=0),
        )
        upgrade(settings.database_url)
        db = Database(settings.database_url)
        fill(db, settings)
        with serving(settings) as address, sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"),
                args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
            )
            take(browser, address)
            browser.close()
        db.close()


def fill(db: Database, settings: Settings) -> None:
    """The sample scored, four of five items decided, and one held by a colleague."""
    sample = files("service") / "sample"
    with as_file(sample / "articles.jsonl") as path:
        import_articles(db, [str(path)], [], NOW)
    with as_file(sample / "intents.jsonl") as path:
        import_examples(db, SOURCE, [str(path)], NOW)
    with as_file(sample / "conversations.jsonl") as path:
        import_transcripts(db, SOURCE, str(path), make_redact(True, ["US", "GB", "DE"]), timedelta(), NOW)
    encoder = make_encoder(settings.encoder, settings.precision, 1)
    refit_due(db, encoder, NOW, settings.refit_after, timedelta())
    intents = IntentModels(db, encoder).current()
    triage = Triage(db, encoder, make_scorer(settings, encoder, StoredVectors(db)), make_past(db, encoder), settings.queue)
    rng = Random(7)  # noqa: S311 - the same pictures each time
    while triage.score_due(intents, NOW, settings.score_batch):
        pass
    while triage.pick_due(NOW, rng):
        pass
    with db.write() as session:
        lead, mira, tom = (
            auth.add_reviewer(session, name, PASSWORD, NOW, name == "lead").id or 0 for name in ("lead", "Mira", "Tom")
        )
        queues.save_queue(session, QueueContent(name="Feedback first", signal="user_feedback", budget=40, due_hours=48), NOW)
    decide_some(db, [lead, mira, tom], rng)
    now = datetime.now(UTC)  # leases count from the clock
    with db.write() as session:
        held = claims.claim_next(session, mira, now, LEASE)
        if held is not None:
            comments.add_comment(session, held.item_id, mira, "@lead is this still our policy?", "first", now)
    while search_index.index_due(db):
        pass


def decide_some(db: Database, people: list[int], rng: Random) -> None:
    """As reviewers might: what the signals are sure of is mostly wrong, the rest mostly good."""
    with db.read() as session:
        rows = (
            select(ReviewItem, Exchange)
            .join(Exchange, col(Exchange.id) == col(ReviewItem.exchange_id))
            .order_by(col(ReviewItem.id))
        )
        waiting = list(session.execute(rows).all())
    for place, (item, exchange) in enumerate(waiting):
        if place % 5 == 0:
            continue
        who = rng.choice(people)
        at = (exchange.asked_at or NOW) + timedelta(hours=rng.uniform(2, 30))
        failed = rng.random() < 0.15 + 0.8 * item.priority
        label = rng.choice([VerdictLabel.wrong, VerdictLabel.wrong, VerdictLabel.incomplete]) if failed else VerdictLabel.good
        causes = (rng.choice([RootCause.retrieval, RootCause.missing_article, RootCause.outdated_article]),) if failed else ()
        with db.write() as session:
            claim = claims.claim_item(session, item.id or 0, who, at, LEASE)
            done = at + timedelta(seconds=rng.uniform(15, 90))
            opinions.decide(session, item.id or 0, who, claim.fence, Decision(label, causes=causes), [], done)


@contextmanager
def serving(settings: Settings) -> Iterator[str]:
    app = create_app(settings)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = Server(uvicorn.Config(app, log_config=None, access_log=False, ws="none"), app)
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def take(browser: Browser, address: str) -> None:
    page = browser.new_context(base_url=address, viewport=SIZE, color_scheme="light", timezone_id="UTC").new_page()
    page.goto("/sign-in")
    page.get_by_label("Name").fill("lead")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_label("Password").press("Enter")
    page.wait_for_url("**/queue*")
    for name, path in PAGES.items():
        page.set_viewport_size({**SIZE, "height": 1150} if name == "lead" else SIZE)  # with the first chart
        page.goto(path)
        page.screenshot(path=IMAGES / f"{name}.png")
    page.set_viewport_size(SIZE)
    page.goto("/queue")
    page.locator("tr:not(.held) a.question").nth(1).click()
    page.get_by_role("button", name="Take this item").click()
    page.wait_for_url("**/items/*fence=*")
    page.keyboard.press("2")
    page.wait_for_timeout(1000)  # what the answer would change is asked for and shown
    page.screenshot(path=IMAGES / "item.png")


if __name__ == "__main__":
    main()
