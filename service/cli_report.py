"""The `triage report` command: how often the bot fails and what the reviews were worth, with how sure that is."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli_base import guarded, open_database, settings_or_exit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from service.quality import Quality


def register(app: typer.Typer) -> None:
    app.command()(report)


@guarded
def report(as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of sentences.")] = False) -> None:
    """How often the bot fails, what signals and queue are worth, and what is not known yet."""
    from datetime import UTC, datetime

    from service.gaps import gaps
    from service.quality import measure

    settings = settings_or_exit()
    db = open_database(settings)
    with db.read() as session:
        found = measure(session, datetime.now(UTC), settings.signal_thresholds)
        unknown = gaps(session, list(settings.sources))
    if as_json:
        typer.echo(json.dumps({**asdict(found), "unknown": [asdict(gap) for gap in unknown]}, default=str, ensure_ascii=False))
        return
    for line in _lines(found):
        typer.echo(line)
    if unknown:
        typer.echo("\nNot known yet")
        for gap in unknown:
            typer.echo(f"  {gap.unknown} {gap.next}")


def _lines(found: "Quality") -> "Iterator[str]":
    yield f"The bot: {found.failure_rate.sentence}"
    groups = (("source", found.by_source), ("channel", found.by_channel), ("intent", found.by_intent), ("week", found.by_week))
    for name, numbers in groups:
        if numbers:
            yield f"\nFailures by {name}"
            yield from (f"  {one.name}: {one.sentence}" for one in numbers)
    yield "\nSignals"
    for signal in found.signals:
        yield f"  {signal.name}"
        yield f"    precision: {signal.precision.sentence}"
        yield f"    recall: {signal.recall.sentence}"
        yield f"    threshold: {signal.threshold.sentence}"
    yield "\nQueue"
    yield f"  precision: {found.queue_precision.sentence}"
    yield f"  recall: {found.queue_recall.sentence}"
    yield f"  reviews saved: {found.saved.sentence}"
