"""The `triage search` command: the search page's finds at the terminal and in pipes."""

import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from service.commands.base import console, guarded, open_database, settings_or_exit

if TYPE_CHECKING:
    from service.db import Database
    from service.searching.fields import Wanted
    from service.searching.find import Found
    from service.searching.results import Result
    from service.settings import Settings

A_PAGE = 100
WORKER_SECONDS = 1.0
"""How long a worker is given to answer by meaning, before this process does it itself: a model takes seconds to load."""
_LOOK_SECONDS = 0.1
Day = Annotated[str, typer.Option(metavar="DAY", help="A day of UTC such as 2026-01-31; it counts too.")]
Priority = Annotated[str, typer.Option(metavar="SHARE", help="Priority, from 0 to 1.")]


def register(app: typer.Typer) -> None:
    app.command()(search)


@guarded
def search(
    words: Annotated[list[str] | None, typer.Argument(help='Words, "phrases", beginnings*; -exclusions after --.')] = None,
    meaning: Annotated[bool, typer.Option("--meaning", help="Questions that say the same in other words.")] = False,
    source: Annotated[str, typer.Option(help="Of this source (bot).")] = "",
    channel: Annotated[str, typer.Option(help="Of this channel.")] = "",
    since: Day = "",
    until: Day = "",
    feedback: Annotated[str, typer.Option(help="yes or no: with or without the end user's feedback.")] = "",
    intent: Annotated[str, typer.Option(help="With an exchange of this intent.")] = "",
    signal: Annotated[str, typer.Option(help="With an exchange against which this signal speaks.")] = "",
    verdict: Annotated[str, typer.Option(help="With an exchange of this verdict; none: without any.")] = "",
    least: Priority = "",
    most: Priority = "",
    order: Annotated[str, typer.Option(help="relevance, date or priority.")] = "",
    saved: Annotated[
        str, typer.Option("--filter", metavar="NAME", help="A saved filter; options given here replace its own.")
    ] = "",
    reviewer: Annotated[str | None, typer.Option(help="Whose filter, where several have one of that name.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many conversations.")] = 25,
    as_json: Annotated[bool, typer.Option("--json", help="JSON Lines, as in a pipe; otherwise a table on a terminal.")] = False,
) -> None:
    """Find conversations by words or meaning and by what is known of them, as the search page does."""
    from service.searching.fields import read_fields
    from service.searching.saved import filter_named, over

    given = {
        "q": " ".join(words or ()), "by": "meaning" if meaning else "", "source": source, "channel": channel, "since": since,
        "until": until, "feedback": feedback, "intent": intent, "signal": signal, "verdict": verdict, "least": least,
        "most": most, "order": order,
    }  # fmt: skip
    settings = settings_or_exit()
    db = open_database(settings)
    if saved:
        with db.read() as session:
            given = over(filter_named(session, saved, reviewer), given)
    wanted = read_fields(given)
    pages = _pages(settings, db, wanted, limit)
    first, shown = next(pages)
    if as_json or not sys.stdout.isatty():
        _write_lines(shown)
        for _, more in pages:
            _write_lines(more)
    else:
        _print_table([*shown, *(one for _, more in pages for one in more)])
    if not as_json:
        _say_how_many(wanted, first, limit)


def _pages(settings: "Settings", db: "Database", wanted: "Wanted", limit: int) -> "Iterator[tuple[Found, list[Result]]]":
    from service.searching.results import results

    left, cursor = limit, None
    while left:
        found = _found(settings, db, wanted, cursor, min(left, A_PAGE))
        with db.read() as session:
            shown = results(session, wanted, found)
        yield found, shown
        left, cursor = left - len(found.conversations), found.cursor
        if cursor is None:
            return


def _found(settings: "Settings", db: "Database", wanted: "Wanted", cursor: str | None, limit: int) -> "Found":
    """The page of finds. By meaning a worker answers; where none does, the question is encoded here."""
    import time
    from datetime import UTC, datetime

    from service.searching.find import find

    redact: Callable[[str], str] = str
    if wanted.by == "meaning":
        from service.privacy import make_redact

        redact = make_redact(settings.redact, settings.redact_phone_regions)
    begun = time.monotonic()
    found = find(db, wanted, cursor, limit, datetime.now(UTC), redact)
    while found.waiting and time.monotonic() - begun < WORKER_SECONDS:
        time.sleep(_LOOK_SECONDS)
        found = find(db, wanted, cursor, limit, datetime.now(UTC), redact)
    if not found.waiting:
        return found
    from scoring.encoder import make_encoder
    from service.searching.meaning import answer_due
    from service.vectors import make_past

    encoder = make_encoder(settings.encoder, settings.precision, settings.threads)
    answer_due(db, encoder, make_past(db, encoder), datetime.now(UTC))
    return find(db, wanted, cursor, limit, datetime.now(UTC), redact)


def _write_lines(found: "list[Result]") -> None:
    from service.searching.shapes import told

    for one in found:
        sys.stdout.write(told(one).model_dump_json() + "\n")
    sys.stdout.flush()


def _print_table(found: "list[Result]") -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("conversation", "source", "began", "priority", "said", box=None, pad_edge=False)
    for one in found:
        priority = max((exchange.priority for exchange in one.exchanges), default=None)
        pieces = one.places[0].pieces if one.places else [(one.opening, False)]
        said = "".join(f"[bold]{escape(text)}[/bold]" if asked else escape(text) for text, asked in pieces)
        table.add_row(
            escape(one.external_id), escape(one.source), f"{one.began_at:%Y-%m-%d %H:%M}",
            "" if priority is None else f"{priority:.2f}", " ".join(said.split()),
        )  # fmt: skip
    Console(highlight=False).print(table)


def _say_how_many(wanted: "Wanted", found: "Found", limit: int) -> None:
    count = f"more than {found.count:,}" if found.more else f"{found.count:,}"
    shown = "" if found.count <= limit and not found.more else f"; the first {limit:,} are shown, --limit says how many"
    words = "; nothing by meaning, so by words" if wanted.by == "meaning" and found.by == "words" and wanted.q else ""
    console.print(f"{count} conversation{'' if count == '1' else 's'}{shown}{words}", markup=False)
