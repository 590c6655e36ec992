"""The `triage` command: starts things. Each command imports what it needs only when it runs."""

import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from service.commands import files, forget, hooks, intents, models, people, pulls, queues, report, search, simulate
from service.commands.base import console, guarded, open_database, settings_or_exit

app = typer.Typer(
    help="Finds the chatbot answers that went wrong, and carries people's corrections back to the knowledge base.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)
files.register(app)
forget.register(app)
hooks.register(app)
intents.register(app)
models.register(app)
people.register(app)
queues.register(app)
pulls.register(app)
report.register(app)
search.register(app)
simulate.register(app)


@app.command()
@guarded
def serve() -> None:
    """The web process: webhooks, API and pages."""
    from service.app import create_app, make_sinks
    from service.server import Server, config_of

    settings = settings_or_exit()
    open_database(settings).close()
    make_sinks(settings)  # wrong options show here, not only where publications wait
    application = create_app(settings)
    server = Server(config_of(settings, application), application)
    with suppress(KeyboardInterrupt):  # uvicorn raises it once it has stopped
        server.run()
    if not server.started:
        raise typer.Exit(3)


@app.command()
@guarded
def worker() -> None:
    """The worker process: scores, fills the queue, refits, publishes. Run as many as you like."""
    import signal
    import threading

    from service.app import make_sinks
    from service.worker import run

    settings = settings_or_exit()
    db = open_database(settings)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    sinks = make_sinks(settings)
    for name, sink in sinks.items():
        if trouble := sink.check():
            console.print(f"sink {name}: {trouble}", style="yellow")
    try:
        run(settings, db, sinks, stop)
    finally:
        db.close()


@app.command()
@guarded
def run() -> None:
    """Web and worker together, until Ctrl-C; either is started again if it dies."""
    from service.supervise import supervise

    settings = settings_or_exit()
    people.print_sign_in(settings)
    sys.exit(supervise([[sys.executable, "-m", "service", name] for name in ("serve", "worker")]))


@app.command()
@guarded
def init(
    sample: Annotated[bool, typer.Option(help="Load the sample shop's conversations if the database is empty.")] = False,
) -> None:
    """Prepare this folder: local settings with a fresh secret, the database, a first reviewer. Safe to repeat."""
    from service.setup import prepare

    for line in prepare(sample):
        console.print(line)


@app.command()
@guarded
def migrate() -> None:
    """Bring the database to this version's tables."""
    from service.migrate import upgrade

    settings = settings_or_exit()
    upgrade(settings.database_url)
    console.print("The database is up to date.")


@app.command()
@guarded
def replay() -> None:
    """Read deliveries and pulled records again that were authentic but unreadable."""
    from datetime import UTC, datetime, timedelta

    from connectors.pulls.http import make_client
    from service.app import make_sources
    from service.ingest import Reader
    from service.ingest import replay as replay_deliveries
    from service.privacy import make_redact
    from service.pulls import make_jobs

    settings = settings_or_exit()
    sources, _ = make_sources(settings)
    readers: dict[str, Reader] = {**{job.source: job.pull for job in make_jobs(settings, make_client()).values()}, **sources}
    redact = make_redact(settings.redact, settings.redact_phone_regions)
    accepted, still = replay_deliveries(
        open_database(settings), readers, redact, timedelta(seconds=settings.settle_seconds), datetime.now(UTC)
    )
    console.print(f"{accepted} deliveries accepted, {len(still)} still unreadable")
    for line in still:
        console.print(f"  {line}", style="yellow")
    if still:
        raise typer.Exit(1)


def main() -> None:
    # `python -m service` and `triage` show the same name in help texts.
    app(prog_name=Path("triage").name)
