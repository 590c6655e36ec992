"""Commands about accounts: reviewers and API tokens."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from service.commands.base import console, guarded, open_database, settings_or_exit

if TYPE_CHECKING:
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


@tokens.command("add")
@guarded
def add_token(
    name: str,
    scope: Annotated[list[str], typer.Option(help="ingest, review, sync or admin; may be repeated.")],
    reviewer: Annotated[str | None, typer.Option(help="The reviewer that the token acts for.")] = None,
) -> None:
    """A new token, printed once on standard output."""
    from datetime import UTC, datetime

    from service import auth
    from service.errors import Invalid
    from service.models import Scope

    unknown = [one for one in scope if one not in Scope.__members__]
    if unknown:
        raise Invalid(f"scope: '{unknown[0]}' is none of {', '.join(Scope)}")
    with open_database(settings_or_exit()).write() as session:
        token = auth.add_token(session, name, [Scope(one) for one in scope], datetime.now(UTC), reviewer)
    typer.echo(token)


@tokens.command("revoke")
@guarded
def revoke_token(name: str) -> None:
    """End a token."""
    from datetime import UTC, datetime

    from service import auth

    with open_database(settings_or_exit()).write() as session:
        auth.revoke_token(session, name, datetime.now(UTC))
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


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\n")
    password: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return password
