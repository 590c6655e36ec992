"""The `triage report` command: how often the bot fails and what the reviews were worth, with how sure that is."""

import json
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from service.commands.base import guarded, open_database, settings_or_exit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from service.lead import Lead


class Form(StrEnum):
    text = "text"
    json = "json"
    csv = "csv"


def register(app: typer.Typer) -> None:
    app.command()(report)


@guarded
def report(
    form: Annotated[Form, typer.Option("--format", help="Sentences, one JSON object, or a CSV table.")] = Form.text,
    name: Annotated[
        str, typer.Option("--table", help="Which table as CSV: numbers, weeks, intents, signals, queue, …")
    ] = "numbers",
    weeks: Annotated[str, typer.Option(help="The last so many ISO weeks (UTC).")] = "",
    since: Annotated[str, typer.Option(help="From this day on (UTC), like 2026-01-31.")] = "",
    until: Annotated[str, typer.Option(help="Up to this day.")] = "",
    source: Annotated[str, typer.Option(help="Of this source alone.")] = "",
    channel: Annotated[str, typer.Option(help="Of this channel alone.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="As --format json.")] = False,
) -> None:
    """How often the bot fails, what signals and queue are worth, and what is not known yet."""
    from datetime import UTC, datetime

    from service.lead import Numbers, part_of
    from service.tables import as_csv, table

    settings = settings_or_exit()
    now = datetime.now(UTC)
    part = part_of(now.date(), weeks, since, until, source, channel)
    db = open_database(settings)
    with db.read() as session:
        lead = Numbers(settings.signal_thresholds, list(settings.sources)).of(session, now, part)
    if as_json or form == Form.json:
        told = {**asdict(lead.quality), "queue": asdict(lead.queue), "corrections": asdict(lead.corrections)}
        told["unknown"] = [asdict(gap) for gap in lead.unknown]
        typer.echo(json.dumps(told, default=str, ensure_ascii=False))
    elif form == Form.csv:
        typer.echo(as_csv(table(name, lead)), nl=False)
    else:
        for line in _lines(lead):
            typer.echo(line)


def _lines(lead: "Lead") -> "Iterator[str]":
    found = lead.quality
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
    yield f"  open: {lead.queue.open:,}. {lead.queue.forecast.sentence}"
    yield "\nCorrections"
    yield f"  {lead.corrections.sentence}"
    if lead.unknown:
        yield "\nNot known yet"
        yield from (f"  {gap.unknown} {gap.next}" for gap in lead.unknown)
