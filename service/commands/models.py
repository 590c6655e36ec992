"""Commands about versions of what learns: which there are, which is live, and putting another in its place."""

from typing import TYPE_CHECKING, Annotated

import typer

from service.commands.base import console, guarded, open_database, settings_or_exit

if TYPE_CHECKING:
    from service.versions import Version

models = typer.Typer(help="Versions of what learns: intent models, weights, calibrations.", no_args_is_help=True)
Source = Annotated[str | None, typer.Option(help="The source (bot); without it, what holds for all.")]
Kind = Annotated[str, typer.Argument(help="intents, weights, 'platform retrieval', 'platform rerank' or 'platform intent'.")]


def register(app: typer.Typer) -> None:
    app.add_typer(models, name="models")


@models.command("list")
@guarded
def list_versions(
    kind: Annotated[str | None, typer.Option(help="Only this kind.")] = None,
    source: Annotated[str | None, typer.Option(help="Only this source.")] = None,
) -> None:
    """Every version, the latest first, and why it is live or not."""
    from rich.console import Console
    from rich.table import Table

    from service.versions import listed

    with open_database(settings_or_exit()).read() as session:
        found = listed(session, kind, source)
    table = Table("kind", "source", "version", "fitted at", "examples", "", "comparison", box=None, pad_edge=False)
    for one in found:
        when = f"{one.fitted_at:%Y-%m-%d %H:%M}"
        table.add_row(one.kind, one.source or "all", one.version, when, str(one.examples), _state(one), _reason(one))
    terminal = Console(highlight=False)
    Console(highlight=False, markup=False, width=None if terminal.is_terminal else 240).print(table)


@models.command("show")
@guarded
def show(version: str, source: Source = None) -> None:
    """One version with its comparison, figure by figure."""
    from service.versions import find

    with open_database(settings_or_exit()).read() as session:
        one = find(session, version, source)
    lines: dict[str, object] = {
        "kind": one.kind,
        "source": one.source or "all",
        "version": one.version,
        "fitted at": f"{one.fitted_at:%Y-%m-%d %H:%M:%S} UTC",
        "examples": one.examples,
        "state": _state(one) or "kept",
        **{name.replace("_", " "): value for name, value in (one.comparison or {}).items() if value is not None},
    }
    for name, value in lines.items():
        typer.echo(f"{name}: {round(value, 4) if isinstance(value, float) else value}")


@models.command("use")
@guarded
def use_version(version: str, source: Source = None) -> None:
    """Make this version live and keep it: refits are compared with it, but do not replace it until 'triage models unpin'."""
    from service.versions import use

    with open_database(settings_or_exit()).write() as session:
        chosen = use(session, version, source)
    _told(chosen.version, chosen.kind, chosen.source)


@models.command("rollback")
@guarded
def rollback_version(kind: Kind, source: Source = None) -> None:
    """Make the version live that was so before, and keep it like 'use'."""
    from service.versions import rollback

    with open_database(settings_or_exit()).write() as session:
        before = rollback(session, kind, source or "")
    _told(before.version if before else f"What ships of {kind}", kind, source or "")


@models.command("unpin")
@guarded
def unpin_version(kind: Kind, source: Source = None) -> None:
    """Let refits that are better replace the live version again."""
    from service.versions import unpin

    with open_database(settings_or_exit()).write() as session:
        unpin(session, kind, source or "")
    console.print(f"Better versions of {kind} go live by themselves again.", markup=False)


@models.command("slips")
@guarded
def slips(
    source: Annotated[str | None, typer.Option(help="Only this source.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
) -> None:
    """Labels that disagree with those of questions like theirs, the surest first: look at them again on /labels. JSON Lines."""
    import json
    from dataclasses import asdict

    from service.team.second_look import suspects

    with open_database(settings_or_exit()).read() as session:
        found = suspects(session, source=source, limit=limit)
    for one in found:
        told = {name: value for name, value in asdict(one).items() if name != "refusal"}
        typer.echo(json.dumps(told | {"given_at": one.given_at.isoformat()}, ensure_ascii=False))


def _state(one: "Version") -> str:
    return "" if not one.live else "live, pinned" if one.pinned else "live"


def _reason(one: "Version") -> str:
    return str((one.comparison or {}).get("reason", ""))


def _told(what: str, kind: str, source: str) -> None:
    import shlex

    unpin = shlex.join(["triage", "models", "unpin", kind, *(("--source", source) if source else ())])
    console.print(f"{what} is live for {source or 'all'} until: {unpin}", markup=False)
