"""Migrations, run from Python so that no alembic.ini is needed where the package is installed."""

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import text
from sqlalchemy.exc import DatabaseError, OperationalError

from service.db import Database
from service.errors import SetupError

if TYPE_CHECKING:
    from alembic.config import Config

_FOLDER = Path(__file__).parent / "migrations"


def config(url: str) -> "Config":
    from alembic.config import Config  # half a second that only migrating may cost

    made = Config()
    made.set_main_option("script_location", str(_FOLDER))
    made.attributes["url"] = url
    return made


def upgrade(url: str) -> None:
    """Bring the database to the latest tables.

    Raises
    ------
    SetupError
        The database cannot be reached.
    """
    from alembic import command

    try:
        command.upgrade(config(url), "head")
    except OperationalError as error:
        raise _unreachable(error) from error


def check_current(db: Database) -> None:
    """Quietly returns if the database has this version's tables.

    Raises
    ------
    SetupError
        It has not, or cannot be reached.
    """
    # Migrations are numbered in their order: the last file's number is the version we need.
    wanted = max(file.stem.partition("_")[0] for file in (_FOLDER / "versions").glob("[0-9]*.py"))
    try:
        with db.engine.connect() as connection:
            present = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    except OperationalError as error:
        if not db.is_sqlite:
            raise _unreachable(error) from error
        present = None
    except DatabaseError:  # no such table
        present = None
    if present != wanted:
        raise SetupError(f"the database is at version {present or 'none'}, this program needs {wanted}: run 'triage migrate'")


def _unreachable(error: OperationalError) -> SetupError:
    return SetupError(f"the database cannot be reached: check TRIAGE_DATABASE_URL ({type(error.orig).__name__})")
