"""Commands that forget what people said, on request."""

from typing import TYPE_CHECKING, Annotated

import typer

from service.commands.base import console, guarded, open_database, settings_or_exit

if TYPE_CHECKING:
    from service.forgetting.erase import Going

Source = Annotated[str | None, typer.Option(help="Which source's conversation.")]


def register(app: typer.Typer) -> None:
    app.command("forget")(forget)
    app.command("forgotten")(forgotten)
    app.command("scrub")(scrub_file)


@guarded
def forget(
    conversation: Annotated[str | None, typer.Argument(help="The platform's id of the conversation.")] = None,
    source: Source = None,
    user: Annotated[str | None, typer.Option(help="All conversations whose metadata name this user, in place of one.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    lift: Annotated[bool, typer.Option("--lift", help="Let the platform tell a forgotten conversation again.")] = False,
) -> None:
    """Forget what was said in a conversation, or by a user; it does not come back when the platform sends it again."""
    from datetime import UTC, datetime

    from service.errors import Invalid
    from service.forgetting import erase
    from service.forgetting.scrub import scrub

    wanted = erase.Wanted(source, conversation, user)
    wanted.check()
    if lift and (not conversation or not source or dry_run):
        raise Invalid("--lift: give one conversation and its source, and no --dry-run")
    db = open_database(settings_or_exit())
    if lift:
        erase.lift(db, source or "", conversation or "")
        console.print("Lifted: what the platform tells of it from now on is taken in.")
        return
    if dry_run:
        _tell(erase.foresee(db, wanted), "Would go")
        return
    if not yes:
        _tell(erase.foresee(db, wanted), "Would go")
        typer.confirm("This cannot be undone. Forget it?", abort=True, err=True)
    _tell(erase.erase(db, wanted, datetime.now(UTC)), "Gone")
    if not scrub(db):
        console.print("Another process reads the database's log: the worker empties it within minutes.", style="yellow")
    if db.is_sqlite:
        console.print("'triage scrub' in a quiet hour also clears the copies that SQLite may leave between rows.")


@guarded
def forgotten(
    source: Annotated[str | None, typer.Option(help="Of this source alone.")] = None,
    most: Annotated[int, typer.Option(min=1, max=500, help="How many at most.")] = 100,
    old: Annotated[bool, typer.Option("--old", help="Those that were forgotten for their age too.")] = False,
) -> None:
    """The conversations that are kept from coming back, the latest first."""
    from service.forgetting.erase import forgotten as find
    from service.models import ForgottenBecause

    kinds = tuple(ForgottenBecause) if old else (ForgottenBecause.request, ForgottenBecause.platform)
    with open_database(settings_or_exit()).read() as session:
        found = [one for because in kinds for one in find(session, because, source, most)]
    for one in sorted(found, key=lambda one: one.forgotten_at, reverse=True)[:most]:
        typer.echo(f"{one.forgotten_at:%Y-%m-%d %H:%M} UTC  {one.because}  {one.source}  {one.conversation_id}")


@guarded
def scrub_file() -> None:
    """On SQLite: write the file anew, so that no copy of what was deleted is left in it. All other writing waits for it."""
    from service.forgetting.scrub import rewrite

    db = open_database(settings_or_exit())
    if not db.is_sqlite:
        console.print("PostgreSQL overwrites what was deleted by its own vacuum: nothing was done.")
    elif rewrite(db):
        console.print("The file is written anew; nothing of what was deleted is left in it.")
    else:
        console.print("The file is written anew, but another process reads its log: the worker empties it within minutes.")


def _tell(going: "Going", what: str) -> None:
    for source, conversation_id in going.conversations:
        typer.echo(f"{source} {conversation_id}")
    typer.echo(
        f"{what}: conversations {len(going.conversations)}, turns {going.turns}, ratings' words {going.ratings},"
        f" exchanges {going.exchanges}, open items {going.open_items}, drafts {going.drafts}, comments {going.comments},"
        f" labelled examples {going.examples}, kept deliveries {going.bodies}. Verdicts that stay, as labels: {going.verdicts}"
    )
    for article_id, key in going.articles:
        typer.echo(f"Article {article_id} ({key}) stays; its question is in the user's own words: reword it if it tells of them")
