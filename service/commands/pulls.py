"""Pulling from platforms by hand, and how the pulls stand."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from service.commands.base import console, guarded, open_database, settings_or_exit

if TYPE_CHECKING:
    from connectors.pulls.base import Page
    from service.pulls import Job, Run
    from service.settings import Settings

MOST_TRIES = 20
"""Tries in a row that end early, before a person should look."""


def register(app: typer.Typer) -> None:
    app.command("pull")(pull)


@guarded
def pull(
    name: Annotated[str | None, typer.Argument(help="Which of the configured pulls.")] = None,
    once: Annotated[
        bool, typer.Option("--once", help="Do not wait where the platform asks for it: say when to try again.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read one page and say what is in it; store nothing.")] = False,
    start: Annotated[
        datetime | None,
        typer.Option("--from", help="Begin anew at this time (UTC).", formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]),
    ] = None,
    status: Annotated[bool, typer.Option("--status", help="How the pulls stand.")] = False,
) -> None:
    """Ask a platform for what is new, and store it. Interrupted, it goes on where it stopped; nothing is stored twice."""
    from connectors.pulls.http import make_client
    from service.pulls import make_jobs

    settings = settings_or_exit()
    with make_client() as http:
        jobs = make_jobs(settings, http)
        if status:
            _tell_status(settings, jobs, name)
            return
        job = _job(jobs, name)
        begin = start.replace(tzinfo=UTC) if start else None
        if dry_run:
            _try_out(settings, job, begin)
        else:
            _pull(settings, job, begin, once)


def _job(jobs: "dict[str, Job]", name: str | None) -> "Job":
    from service.errors import NotFound

    known = ", ".join(sorted(jobs)) or "none: add one to pulls in the settings"
    if name is None or name not in jobs:
        raise NotFound(f"{'give the name of a pull' if name is None else f'there is no pull {name}'}; configured: {known}")
    return jobs[name]


def _pull(settings: "Settings", job: "Job", begin: datetime | None, once: bool) -> None:
    import threading
    from datetime import timedelta
    from random import Random

    from service.privacy import make_redact
    from service.pulls import begin_anew, run

    db = open_database(settings)
    redact = make_redact(settings.redact, settings.redact_phone_regions)
    settle = timedelta(seconds=settings.settle_seconds)
    stop = threading.Event()
    rng = Random()  # noqa: S311 - spreads waiting times, guards nothing
    if begin is not None:
        begin_anew(db, job, begin, _now())
    for _ in range(MOST_TRIES):
        done = run(db, job, redact, settle, _now, rng, stop)
        _tell(job, done)
        if done.error is None:
            return
        if done.again_at is None or once:
            raise typer.Exit(1)
        stop.wait((done.again_at - _now()).total_seconds())
    raise typer.Exit(1)


def _tell(job: "Job", done: "Run") -> None:
    counts = done.counts
    told = f"{counts.records} records with {counts.turns} turns and {counts.feedback} ratings, {counts.unreadable} unreadable"
    console.print(f"{job.name}: {told}", markup=False)
    if counts.unreadable:
        console.print("  unreadable records are kept: see the deliveries, and `triage replay`", style="yellow")
    if done.error:
        again = f"; again at {done.again_at:%Y-%m-%d %H:%M:%S} UTC" if done.again_at else ""
        console.print(f"  {done.error}{again}", style="red", markup=False)


def _try_out(settings: "Settings", job: "Job", begin: datetime | None) -> None:
    """One page from where the pull stands."""
    from contextlib import closing

    from connectors.errors import Retry
    from service.pulls import states

    row = states(open_database(settings)).get(job.name)
    cursor = row.cursor if row and begin is None else None
    start = begin or (row.start_at if row else None) or job.start
    try:
        with closing(job.pull.fetch(cursor, start, _now())) as pages:  # type: ignore[type-var]  # fetch is a generator
            page = next(iter(pages), None)
    except Retry as error:
        console.print(f"{job.name}: {error.reason}; it may work later", style="red", markup=False)
        raise typer.Exit(1) from error
    if page is None:
        console.print(f"{job.name}: nothing new", markup=False)
        return
    _tell_page(job, page)
    if page.bad:
        raise typer.Exit(1)


def _tell_page(job: "Job", page: "Page") -> None:
    from collections import Counter

    from connectors.events import Ignored

    found = Counter(event.what if isinstance(event, Ignored) else event.type for event in page.events)
    conversations = {event.conversation_id for event in page.events if not isinstance(event, Ignored)}
    console.print(
        f"{job.name}: {page.records} records of {len(conversations)} conversations on the first page; nothing is stored",
        markup=False,
    )
    for what, count in sorted(found.items()):
        console.print(f"  {count} × {what}", markup=False)
    for bad in page.bad[:20]:
        console.print(f"  unreadable: {bad.record.id}: {bad.reason}", style="yellow", markup=False)


def _tell_status(settings: "Settings", jobs: "dict[str, Job]", name: str | None) -> None:
    from service.pulls import states

    rows = states(open_database(settings))
    wanted = [_job(jobs, name).name] if name else sorted(jobs)
    if not wanted:
        console.print("No pulls are configured: see docs/pulls.md.")
    for one in wanted:
        row = rows.get(one)
        if row is None:
            typer.echo(f"{one}: never ran")
            continue
        typer.echo(
            f"{one}: last run {_time(row.ran_at)}, last complete {_time(row.succeeded_at)}, next {_time(row.due_at)}; "
            f"{row.records} records in all, {row.unreadable} unreadable"
        )
        if row.error:
            typer.echo(f"  {row.error} ({row.attempts} tries in a row)")


def _time(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}" if at else "never"


def _now() -> datetime:
    return datetime.now(UTC)
