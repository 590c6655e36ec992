"""Commands about webhook sources: what came, why a delivery was refused, a test delivery."""

from pathlib import Path
from typing import Annotated

import typer

from service.commands.base import console, guarded, open_database, settings_or_exit

hooks = typer.Typer(help="Webhook sources: what came, and why a delivery was refused.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    app.add_typer(hooks, name="hooks")


@hooks.command("list")
@guarded
def list_sources() -> None:
    """The sources with their addresses and counts."""
    from service.connections import connections

    settings = settings_or_exit()
    with open_database(settings).read() as session:
        found = connections(session, settings)
    for one in found:
        last = f"last accepted {one.last_at:%Y-%m-%d %H:%M} UTC" if one.last_at else "nothing accepted yet"
        typer.echo(f"{one.name} ({one.kind}) at /hooks/{one.name}: {one.accepted} accepted, {one.unreadable} unreadable, {last}")
        for kind in one.refused:
            typer.echo(f"  refused {kind.count}: {kind.what}")
        for kind in one.ignored:
            typer.echo(f"  ignored {kind.count}: {kind.what}")


@hooks.command("check")
@guarded
def check(
    name: str,
    headers: Annotated[Path | None, typer.Option(help="File with the request's headers, one 'name: value' a line.")] = None,
    body: Annotated[Path | None, typer.Option(help="File with the request's body, byte by byte.")] = None,
    received_at: Annotated[str | None, typer.Option(help="When it came, such as 2026-01-05T09:00:00Z.")] = None,
) -> None:
    """What is off with a refused delivery: secret, timestamp, body, header, encoding or scheme. Shows no secret.

    Without files: what the names of the headers of the last refused deliveries tell.
    """
    from datetime import UTC, datetime

    from connectors.doctor import diagnose
    from service.app import make_sources
    from service.errors import Invalid

    settings = settings_or_exit()
    sources, secrets = make_sources(settings)
    if name not in sources:
        raise Invalid(f"there is no source '{name}'; configured: {', '.join(sorted(sources)) or 'none'}")
    if headers is None and body is None:
        _of_kept(name)
        return
    if headers is None:
        raise Invalid("--headers: give a file with the request's headers")
    try:
        lines = headers.read_text(encoding="utf-8", errors="replace").splitlines()
        raw = body.read_bytes() if body else b""
    except OSError as error:
        raise Invalid(f"{error.filename}: {error.strerror}") from error
    try:
        at = datetime.fromisoformat(received_at) if received_at else None
    except ValueError as error:
        raise Invalid("--received-at: give a time such as 2026-01-05T09:00:00Z") from error
    told = {line.partition(":")[0]: line.partition(":")[2] for line in lines if ":" in line}
    others = {other: held for other, held in secrets.items() if other != name}
    moment = at.replace(tzinfo=UTC) if at and at.tzinfo is None else at
    findings = diagnose(sources[name], told, raw, secrets[name], moment, others)
    for finding in findings:
        typer.echo(f"{finding.part}: {finding.says}")
    if findings[0].part != "fine":
        raise typer.Exit(1)


def _of_kept(name: str) -> None:
    from connectors.doctor import diagnose_names
    from service.app import make_sources
    from service.connections import connections

    settings = settings_or_exit()
    sources, _ = make_sources(settings)
    with open_database(settings).read() as session:
        (one,) = (found for found in connections(session, settings) if found.name == name)
    if not one.refused:
        typer.echo(f"{name}: no delivery was refused")
        return
    for kind in one.refused:
        typer.echo(f"refused {kind.count}, last {kind.last_at:%Y-%m-%d %H:%M} UTC: {kind.what}")
        typer.echo(f"  its headers: {', '.join(kind.headers)}")
        for finding in diagnose_names(sources[name], kind.headers):
            typer.echo(f"  {finding.part}: {finding.says}")
    console.print("Their bodies are not kept: save a request's headers and body and give both files to know more.")


@hooks.command("test")
@guarded
def send(
    name: str, url: Annotated[str | None, typer.Option(help="Where the web process is reached, if not where it listens.")] = None
) -> None:
    """Sign a sample as the platform would and post it to our own address; what it stored is removed again."""
    from datetime import UTC, datetime

    import httpx

    from service.app import make_sources
    from service.connections import TEST_TIMEOUT, TESTED, TESTED_EMPTY, own_address, send_test
    from service.errors import Invalid

    settings = settings_or_exit()
    sources, secrets = make_sources(settings)
    if name not in sources:
        raise Invalid(f"there is no source '{name}'; configured: {', '.join(sorted(sources)) or 'none'}")
    with httpx.Client(base_url=url or own_address(settings), timeout=TEST_TIMEOUT) as client:
        turns = send_test(open_database(settings), client, name, sources[name], secrets[name], datetime.now(UTC))
    typer.echo(TESTED_EMPTY if turns is None else TESTED)
