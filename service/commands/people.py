"""Commands about accounts: reviewers and API tokens."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from service.commands.base import console, guarded, open_database, settings_or_exit

if TYPE_CHECKING:
    from datetime import datetime

    from rich.table import Table

    from service.settings import Settings

reviewers = typer.Typer(help="Reviewers' accounts.", no_args_is_help=True)
tokens = typer.Typer(help="API tokens for programs.", no_args_is_help=True)
FromStdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password from standard input.")]


def register(app: typer.Typer) -> None:
    app.add_typer(reviewers, name="reviewer")
    app.add_typer(tokens, name="token")


@reviewers.command("add")
@guarded
def add_reviewer(
    name: str,
    password_stdin: FromStdin = False,
    admin: Annotated[bool, typer.Option(help="May also administer.")] = False,
) -> None:
    """A new account; asks for the password."""
    from datetime import UTC, datetime

    from service import auth

    db = open_database(settings_or_exit())
    password = _password(password_stdin)
    with db.write() as session:
        auth.add_reviewer(session, name, password, datetime.now(UTC), admin)
    console.print(f"Reviewer {name} can sign in now.", markup=False)


@reviewers.command("password")
@guarded
def change_password(name: str, password_stdin: FromStdin = False) -> None:
    """A new password; ends the reviewer's sessions."""
    from service import auth

    db = open_database(settings_or_exit())
    password = _password(password_stdin)
    with db.write() as session:
        auth.set_password(session, name, password)
    forget_first_password(name)
    console.print(f"The password of {name} is changed.", markup=False)


@reviewers.command("remove")
@guarded
def remove_reviewer(name: str) -> None:
    """Shut an account; its verdicts stay."""
    from service import auth

    with open_database(settings_or_exit()).write() as session:
        auth.deactivate(session, name)
    forget_first_password(name)
    console.print(f"Reviewer {name} cannot sign in any more.", markup=False)


@reviewers.command("sessions")
@guarded
def list_sessions(name: Annotated[str | None, typer.Argument(help="Of this reviewer; without it, of all.")] = None) -> None:
    """Who is signed in, since when and from where."""
    from datetime import UTC, datetime

    from rich.table import Table

    from service import auth

    with open_database(settings_or_exit()).read() as session:
        found = auth.sessions_of(session, datetime.now(UTC), name)
    table = Table("reviewer", "signed in", "last seen", "ends", "from", box=None, pad_edge=False)
    for one in found:
        table.add_row(one.reviewer, _minute(one.began_at), _minute(one.seen_at), _minute(one.expires_at), one.address or "–")
    _print(table)


@reviewers.command("sign-out")
@guarded
def sign_out(name: str) -> None:
    """End all sessions of a reviewer; the password stays."""
    from service import auth

    with open_database(settings_or_exit()).write() as session:
        count = auth.sign_out_everywhere(session, name)
    console.print(f"{count} session{'' if count == 1 else 's'} of {name} ended.", markup=False)


@reviewers.command("tries")
@guarded
def list_tries() -> None:
    """Tries at signing in that failed in the last days: at which account, from where, how many were refused unseen."""
    from datetime import UTC, datetime

    from rich.table import Table

    from service.tries import refused

    with open_database(settings_or_exit()).read() as session:
        found = refused(session, datetime.now(UTC))
    table = Table("account", "from", "wrong", "refused", "last", "waits until", box=None, pad_edge=False)
    for one in found:
        account = "any" if one.kind == "address" else one.name or "none of ours"
        table.add_row(
            account, one.address or "anywhere", str(one.wrong), str(one.refused), _minute(one.tried_at), _minute(one.free_at)
        )
    _print(table)


@tokens.command("add")
@guarded
def add_token(
    name: str,
    scope: Annotated[list[str], typer.Option(help="ingest, review, sync or admin; may be repeated.")],
    reviewer: Annotated[str | None, typer.Option(help="The reviewer that the token acts for.")] = None,
    days: Annotated[int | None, typer.Option(min=1, max=3650, help="After how many days it ends; without it, never.")] = None,
) -> None:
    """A new token, printed once on standard output."""
    from datetime import UTC, datetime, timedelta

    from service import tokens as api_tokens
    from service.errors import Invalid
    from service.models import Scope

    unknown = [one for one in scope if one not in Scope.__members__]
    if unknown:
        raise Invalid(f"scope: '{unknown[0]}' is none of {', '.join(Scope)}")
    now = datetime.now(UTC)
    expires_at = now + timedelta(days=days) if days else None
    with open_database(settings_or_exit()).write() as session:
        token = api_tokens.add_token(session, name, [Scope(one) for one in scope], now, reviewer, expires_at)
    typer.echo(token)


@tokens.command("list")
@guarded
def list_tokens() -> None:
    """All tokens: what they may, when they were last used, when they end. Not the tokens themselves: nobody can read them."""
    from datetime import UTC, datetime

    from rich.table import Table

    from service.tokens import tokens as all_tokens

    with open_database(settings_or_exit()).read() as session:
        found = all_tokens(session, datetime.now(UTC))
    table = Table("token", "scopes", "acts for", "made", "last used", "ends", "", box=None, pad_edge=False)
    for one in found:
        state = "revoked" if one.revoked_at else "" if one.valid else "no use any more"
        times = [
            _minute(at, otherwise) for at, otherwise in ((one.created_at, ""), (one.used_at, "never"), (one.expires_at, "never"))
        ]
        table.add_row(one.name, ", ".join(one.scopes), one.reviewer or "–", *times, state)
    _print(table)


@tokens.command("revoke")
@guarded
def revoke_token(name: str) -> None:
    """End a token."""
    from datetime import UTC, datetime

    from service import tokens as api_tokens

    with open_database(settings_or_exit()).write() as session:
        api_tokens.revoke_token(session, name, datetime.now(UTC))
    console.print(f"The token {name} is revoked.", markup=False)


def forget_first_password(name: str) -> None:
    """The note with the first password is of no use once that reviewer has another."""
    from service.setup import SIGN_IN_FILE

    if SIGN_IN_FILE.exists() and f"Sign in as: {name} " in SIGN_IN_FILE.read_text():
        SIGN_IN_FILE.unlink()


def print_sign_in(settings: "Settings") -> None:
    """Where to go, and how to sign in."""
    from service.setup import SIGN_IN_FILE

    console.print(f"Transcript Triage is at http://{settings.host}:{settings.port}/", markup=False)
    if SIGN_IN_FILE.exists():
        console.print(SIGN_IN_FILE.read_text().strip(), markup=False)
    else:
        console.print("Sign in with an account made by 'triage reviewer add NAME'.", markup=False)


def _minute(at: "datetime | None", otherwise: str = "–") -> str:
    return f"{at:%Y-%m-%d %H:%M}" if at else otherwise


def _print(table: "Table") -> None:
    """On standard output, so that it can be piped; whole lines where nobody's terminal limits them."""
    from rich.console import Console

    out = Console(highlight=False, markup=False)
    (out if out.is_terminal else Console(highlight=False, markup=False, width=240)).print(table)


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\n")
    password: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return password
