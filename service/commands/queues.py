"""Commands about named queues: keep them, assign items, see what waits."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from service.commands.base import console, guarded, open_database, settings_or_exit

if TYPE_CHECKING:
    from service.team.queues import QueueContent

queues = typer.Typer(help="Named queues: filters over the items, with reviewers, budget and due time.", no_args_is_help=True)
Text = Annotated[str | None, typer.Option(help="'' for any.")]
People = Annotated[list[str] | None, typer.Option(help="A reviewer's name; may be repeated. '' for none.")]


def register(app: typer.Typer) -> None:
    app.add_typer(queues, name="queues")


@queues.command("list")
@guarded
def list_queues() -> None:
    """All queues with what waits in them."""
    from datetime import UTC, datetime

    from rich.table import Table

    from service.team import progress
    from service.team.queues import all_queues, content_of

    with open_database(settings_or_exit()).read() as session:
        found = [content_of(session, queue) for queue in all_queues(session)]
        waiting = progress.queue_progress(session, datetime.now(UTC))
    table = Table("queue", "filter", "reviewers", "reviews", "open", "held", "overdue", "disputed", "24 h", "budget")
    for content, now in zip(found, waiting, strict=True):
        table.add_row(
            content.name, _filter(content), ", ".join(content.reviewers) or "everybody", str(content.reviews), str(now.open),
            str(now.held), str(now.overdue), str(now.disputed), str(now.day), str(content.budget or "–"),
        )  # fmt: skip
    console.print(table)


@queues.command("set")
@guarded
def set_queue(
    name: str,
    signal: Text = None,
    source: Text = None,
    strategy: Text = None,
    intent: Text = None,
    channel: Text = None,
    least_priority: Annotated[float | None, typer.Option(help="From 0 to 1.")] = None,
    budget: Annotated[int | None, typer.Option(help="Reviews in 24 hours at most; 0 for no limit.")] = None,
    reviewer: People = None,
    adjudicator: People = None,
    reviews: Annotated[int | None, typer.Option(help="People who judge each item apart from each other.")] = None,
    calibration_share: Annotated[float | None, typer.Option(help="Share of known items, 0 to 0.5.")] = None,
    due_hours: Annotated[float | None, typer.Option(help="Hours until an item is due; 0 for never.")] = None,
) -> None:
    """Make a queue, or change what is given of a known one."""
    from datetime import UTC, datetime

    from service.errors import NotFound
    from service.team import queues as team
    from service.team.queues import QueueContent

    texts = {"signal": signal, "source": source, "strategy": strategy, "intent": intent, "channel": channel}
    people = {"reviewers": reviewer, "adjudicators": adjudicator}
    numbers = {"least_priority": least_priority, "reviews": reviews, "calibration_share": calibration_share}
    changes: dict[str, object] = {key: value for key, value in numbers.items() if value is not None}
    changes |= {
        key: value or None for key, value in {**texts, "budget": budget, "due_hours": due_hours}.items() if value is not None
    }
    changes |= {key: tuple(name for name in names if name) for key, names in people.items() if names is not None}
    with open_database(settings_or_exit()).write() as session:
        try:
            known = team.queue_by_name(session, name)
            before = team.content_of(session, known)
        except NotFound:
            known, before = None, QueueContent(name)
        team.save_queue(session, replace(before, **changes), datetime.now(UTC), known.id if known else None)  # type: ignore[arg-type]
    console.print(f"Queue {name} is {'changed' if known else 'made'}.", markup=False)


@queues.command("remove")
@guarded
def remove_queue(name: str) -> None:
    """Remove a queue; its items stay."""
    from service.team import queues as team

    with open_database(settings_or_exit()).write() as session:
        team.remove_queue(session, name)
    console.print(f"Queue {name} is gone; its items stay.", markup=False)


@queues.command("assign")
@guarded
def assign(
    reviewer: str,
    queue: Annotated[str | None, typer.Option(help="Of this queue; all items without it.")] = None,
    item: Annotated[int | None, typer.Option(help="This item alone.")] = None,
    most: Annotated[int, typer.Option(help="How many of the best at most.")] = 1,
    hours: Annotated[float, typer.Option(help="For how long.")] = 24.0,
) -> None:
    """Assign open items to a reviewer: nobody else is served them until the time is over."""
    from datetime import UTC, datetime

    from service.filters import QueueFilter
    from service.team import queues as team

    with open_database(settings_or_exit()).write() as session:
        only = QueueFilter(queue=team.queue_by_name(session, queue).name) if queue else None
        count = team.assign(session, reviewer, datetime.now(UTC), hours, item, only, most)
    console.print(f"{count} items are assigned to {reviewer}.", markup=False)


@queues.command("unassign")
@guarded
def unassign(
    reviewer: Annotated[str | None, typer.Option(help="All of this reviewer's.")] = None,
    item: Annotated[int | None, typer.Option(help="This item.")] = None,
) -> None:
    """Give assigned items back to everybody."""
    from service.team import queues as team

    with open_database(settings_or_exit()).write() as session:
        count = team.unassign(session, item, reviewer)
    console.print(f"{count} items are everybody's again.", markup=False)


def _filter(content: "QueueContent") -> str:
    told = {name: getattr(content, name) for name in ("signal", "source", "strategy", "intent", "channel", "least_priority")}
    return ", ".join(f"{name} {value}" for name, value in told.items() if value is not None) or "all items"
