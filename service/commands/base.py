"""What all commands share: consoles, settings, the database, and errors as one sentence instead of a traceback."""

import functools
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import typer
from rich.console import Console

if TYPE_CHECKING:
    from service.db import Database
    from service.settings import Settings

P = ParamSpec("P")
R = TypeVar("R")

console = Console(stderr=True, highlight=False, soft_wrap=True)


def guarded(command: Callable[P, R]) -> Callable[P, R]:
    """Our own errors become one line on standard error and exit code 1; anything else is a defect and shows itself."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except typer.Exit:
            raise
        except BrokenPipeError:  # whoever read our output has enough
            sys.stderr.close()
        except Exception as error:
            if not _is_told(error):
                raise
            console.print(str(error), style="red", markup=False)
        raise typer.Exit(1)

    return run


def _is_told(error: Exception) -> bool:
    """Is the message meant for the person at the terminal?"""
    from connectors.errors import Reject
    from scoring.encoder import ModelUnusable
    from scoring.intents import IntentModelUnusable
    from scoring.scorer import UnknownSignal
    from service.errors import TriageError

    return isinstance(error, TriageError | Reject | ModelUnusable | IntentModelUnusable | UnknownSignal)


def settings_or_exit() -> "Settings":
    """This process's settings, with logging set up by them."""
    from service.logs import set_up
    from service.settings import load_settings

    settings = load_settings()
    set_up(settings.log_level, settings.log_json)
    return settings


def open_database(settings: "Settings") -> "Database":
    """The database, checked to be at this version.

    Raises
    ------
    SetupError
        It is not migrated.
    """
    from service.db import Database
    from service.migrate import check_current

    db = Database(settings.database_url)
    check_current(db)
    return db
