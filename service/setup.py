"""Preparing a folder for use: local settings, the database, a first reviewer, the sample. Every step may be repeated."""

import base64
import os
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.resources import as_file, files
from pathlib import Path

from sqlalchemy import select
from sqlmodel import col

from service import auth
from service.db import Database
from service.imports import import_articles, import_examples, import_transcripts
from service.migrate import upgrade
from service.models import Conversation
from service.privacy import make_redact
from service.settings import DATA_DIR, LOCAL_FILE, load_settings

SIGN_IN_FILE = DATA_DIR / "sign-in.txt"
SAMPLE_SOURCE = "standard"


def prepare(sample: bool) -> Iterator[str]:
    """Does the steps that are still to do, and says each."""
    DATA_DIR.mkdir(mode=0o700, exist_ok=True)
    if not LOCAL_FILE.exists():
        secret = "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()
        _write_private(
            LOCAL_FILE,
            "# Made by `triage init`; triage.toml and the environment go before it.\n"
            f'[sources.{SAMPLE_SOURCE}]\nkind = "standard"\nsecrets = ["{secret}"]\n\n'
            f'[sinks.folder]\nkind = "markdown"\npath = "{DATA_DIR}/knowledge-base"\n',
        )
        yield f"Wrote {LOCAL_FILE}: the source '{SAMPLE_SOURCE}' with a fresh signing secret, and a folder as knowledge base."
    settings = load_settings()
    upgrade(settings.database_url)
    db = Database(settings.database_url)
    now = datetime.now(UTC)
    with db.write() as session:
        if not auth.any_reviewer(session):
            password = secrets.token_urlsafe(9)
            auth.add_reviewer(session, "lead", password, now, is_admin=True)
            _write_private(SIGN_IN_FILE, f"Sign in as: lead    password: {password}\n")
            yield f"Made the reviewer 'lead'; how to sign in stands in {SIGN_IN_FILE}."
    with db.read() as session:
        empty = session.execute(select(col(Conversation.id)).limit(1)).first() is None
    if sample and empty:
        redact = make_redact(settings.redact, settings.redact_phone_regions)
        folder = files("service") / "sample"
        with as_file(folder / "articles.jsonl") as path:
            import_articles(db, [str(path)], list(settings.sinks), now)
        with as_file(folder / "intents.jsonl") as path:
            import_examples(db, SAMPLE_SOURCE, [str(path)], now)
        with as_file(folder / "conversations.jsonl") as path:
            done = import_transcripts(db, SAMPLE_SOURCE, str(path), redact, timedelta(), now)
        yield f"Loaded the sample: {done.conversations} conversations of a small shop's bot."
    db.close()


def _write_private(path: Path, content: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as opened:
        opened.write(content)
