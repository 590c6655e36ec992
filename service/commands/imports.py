"""How `triage import` is told to read files, and how it shows what it read."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from connectors.errors import Reject
from connectors.formats.columns import FIELDS
from connectors.formats.readers import FORMATS, Options
from service.commands.base import console

if TYPE_CHECKING:
    from connectors.events import Conversation
    from connectors.formats import tables
    from connectors.formats.readers import Plan

_NAMES = {"jsonl": "JSON of our own shape", "csv": "CSV", "openai": "chat log", "botframework": "Bot Framework transcript"}
_MOST_TURNS = 12


def options_of(
    format: str,
    columns: Sequence[str],
    roles: Sequence[str],
    encoding: str | None,
    delimiter: str | None,
    time_format: str | None,
) -> Options:
    """The options as they were given.

    Raises
    ------
    Reject
        One of them is none; the reason names it and says what it may be.
    """
    chosen = next((known for known in FORMATS if known == format), None)
    if chosen is None and format != "auto":
        raise Reject(f"--format {format}: must be one of {', '.join(FORMATS)} or auto")
    meanings = _pairs(roles, "--role", "rep=agent")
    for word, role in meanings.items():
        if role not in ("user", "bot", "agent"):
            raise Reject(f"--role {word}={role}: must mean user, bot or agent")
    if delimiter is not None:
        delimiter = {"\\t": "\t", "tab": "\t"}.get(delimiter, delimiter)
        if len(delimiter) != 1:
            raise Reject("--delimiter: must be one character, or tab")
    return Options(chosen, _pairs(columns, "--map", "text=utterance"), meanings, encoding, delimiter, time_format)


def _pairs(given: Sequence[str], option: str, example: str) -> dict[str, str]:
    pairs = {}
    for one in ",".join(given).split(",") if given else []:
        name, equals, value = one.partition("=")
        if not equals or not name.strip():
            raise Reject(f"{option} {one}: must look like {example}")
        pairs[name.strip()] = value.strip()
    return pairs


def show_plan(plan: "Plan") -> None:
    """Which format the file has; of a table, which column holds what."""
    console.print(f"read as {_NAMES[plan.format]}", markup=False)
    if plan.table is not None:
        _show_columns(plan.table)


def _show_columns(table: "tables.Table") -> None:
    mark = {"\t": "tab"}.get(table.delimiter, table.delimiter)
    rows = "a question and its answer" if table.columns.in_pairs else "a turn"
    shown = Table("field", "column", "in the first row", title=f"{table.encoding}, fields parted by {mark}, one row is {rows}")
    for name in FIELDS:
        if (column := table.columns.of.get(name)) is not None:
            shown.add_row(name, Text(column), Text(_short(table.example.get(column, ""))))
    others = [column for column in table.example if column not in table.columns.of.values()]
    console.print(shown)
    if others:
        console.print(f"kept as metadata: {', '.join(others)}", markup=False)
    console.print("Not right? Say so: --map FIELD=COLUMN,… (an empty COLUMN: none), --role WORD=user|bot|agent", markup=False)


def show_conversation(conversation: "Conversation") -> None:
    console.print(f"first conversation: {conversation.id}, {len(conversation.turns)} turns", markup=False)
    for turn in conversation.turns[:_MOST_TURNS]:
        notes = [f"intent {turn.intent.name}"] if turn.intent and turn.intent.name else []
        notes += [f"{len(turn.retrieval)} passages"] if turn.retrieval is not None else []
        notes += [f"rated {one.rating:g}" for one in turn.feedback if one.rating is not None]
        said = f"  {turn.at:%Y-%m-%d %H:%M} " if turn.at else "  "
        console.print(
            f"{said}{turn.role:>5}: {_short(turn.text, 90)}{'  [' + ', '.join(notes) + ']' if notes else ''}", markup=False
        )
    if len(conversation.turns) > _MOST_TURNS:
        console.print(f"  … and {len(conversation.turns) - _MOST_TURNS} more", markup=False)


def _short(text: str, most: int = 50) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= most else plain[: most - 1] + "…"
