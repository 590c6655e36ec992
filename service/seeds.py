"""Labelled examples from files, in whatever shape a team has them: JSON Lines, CSV, Rasa NLU YAML. Pure reading."""

import csv
import io
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, Field, ValidationError

from connectors.errors import Reject, explain
from connectors.events import Text
from connectors.files import open_bytes, read_lines

MOST_YAML = 32 * 1024 * 1024
TEXT_COLUMNS = ("text", "utterance", "question", "example", "sentence", "phrase", "query", "message")
INTENT_COLUMNS = ("intent", "label", "category", "class", "intent_name", "tag")
_ENTITY = re.compile(r"\[(?P<said>[^\[\]]*)\](?:\([^()]*\)|\{[^{}]*\})(?:\{[^{}]*\})?")
_DEEPEST = 20


class PlainText(BaseModel):
    text: Text


class LabelledExample(PlainText):
    intent: Annotated[Text, Field(min_length=1)]


class Seed(LabelledExample):
    text: Annotated[Text, Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class Read:
    """One example, or why there is none; `where` names file and line."""

    where: str
    example: Seed | Reject


def read_examples(path: str) -> Iterator[Read]:
    """What the file holds, by the ending of its name (.csv, .yml, .yaml, each also with .gz; else JSON Lines), in its order.

    Raises
    ------
    Reject
        The file cannot be opened.
    """
    suffix = Path(path.removesuffix(".gz")).suffix.lower()
    if suffix == ".csv":
        yield from _read_csv(path)
    elif suffix in (".yml", ".yaml"):
        yield from _read_rasa(path)
    else:
        with open_bytes(path) as opened:
            for number, line, _ in read_lines(opened, Seed):
                yield Read(f"{path}, line {number}", line)


def _checked(where: str, text: str, intent: str) -> Read:
    try:
        return Read(where, Seed(text=text.strip(), intent=intent.strip()))
    except ValidationError as error:
        return Read(where, Reject(explain(error)))


# --- CSV ----------------------------------------------------------------------------------------------------------


def _read_csv(path: str) -> Iterator[Read]:
    with open_bytes(path) as opened:
        number = 1
        try:
            text = opened.read().decode("utf-8-sig")
            rows = csv.reader(io.StringIO(text, newline=""), _dialect(text))
            header = next(rows, [])
            columns = _columns(header)
            if isinstance(columns, Reject):
                yield Read(f"{path}, line 1", columns)
                return
            for row in rows:
                number = rows.line_num
                if any(cell.strip() for cell in row):
                    said, intent = (row[i] if i < len(row) else "" for i in columns)
                    yield _checked(f"{path}, line {number}", said, intent)
        except (csv.Error, UnicodeDecodeError, OSError, EOFError, zlib.error) as error:
            yield Read(f"{path}, line {number}", Reject(f"cannot be read: {error}"))


def _dialect(text: str) -> type[csv.Dialect]:
    """Commas, semicolons or tabs, as the header has them most."""
    header = text.split("\n", 1)[0]

    class Found(csv.excel):
        delimiter = max(",;\t", key=header.count)
        strict = True

    return Found


def _columns(header: list[str]) -> tuple[int, int] | Reject:
    """Where text and intent stand; names are compared without regard to case and blanks."""
    names = [name.strip().lower().replace(" ", "_") for name in header]

    def first(wanted: tuple[str, ...]) -> int | None:
        return next((names.index(name) for name in wanted if name in names), None)

    text, intent = first(TEXT_COLUMNS), first(INTENT_COLUMNS)
    if text is None or intent is None:
        lacks = [f"'{known[0]}'" for known, place in ((TEXT_COLUMNS, text), (INTENT_COLUMNS, intent)) if place is None]
        return Reject(f"the header has no column {' and no column '.join(lacks)}; it has: {', '.join(header) or 'nothing'}")
    return text, intent


# --- Rasa NLU -----------------------------------------------------------------------------------------------------


class _Loader(yaml.SafeLoader):
    """Plain data only, and no aliases: a few lines of them can unfold to more than any memory holds."""

    _depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            self._refuse("aliases (*name) are not read")
        self._depth += 1
        if self._depth > _DEEPEST:
            self._refuse("nested too deeply")
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def _refuse(self, why: str) -> None:
        events: Any = self  # its types leave this method out
        raise yaml.YAMLError(f"line {events.peek_event().start_mark.line + 1}: {why}")


def _read_rasa(path: str) -> Iterator[Read]:
    """`nlu:` with entries of `intent` and `examples`; look-ups, synonyms, regular expressions and stories are passed over."""
    with open_bytes(path) as opened:
        try:
            content = opened.read(MOST_YAML + 1)
            if len(content) > MOST_YAML:
                yield Read(path, Reject(f"is larger than {MOST_YAML >> 20} MiB: cut it into several"))
                return
            root = _compose(content.decode("utf-8-sig"))
        except (yaml.YAMLError, UnicodeDecodeError, OSError, EOFError, zlib.error, RecursionError) as error:
            yield Read(path, Reject(f"is not YAML that can be read: {_told(error)}"))
            return
    fields = _fields(root)
    entries = fields.get("nlu")
    if not isinstance(entries, yaml.SequenceNode):
        yield Read(path, Reject("nlu: the list of intents is missing"))
        return
    for entry in entries.value:
        told = _fields(entry)
        where = f"{path}, line {entry.start_mark.line + 1}"
        if "intent" not in told:
            if not {"lookup", "synonym", "regex"} & set(told):
                yield Read(where, Reject("nlu: an entry names no intent"))
            continue
        intent = told["intent"]
        if not isinstance(intent, yaml.ScalarNode):
            yield Read(where, Reject("intent: must be a name"))
            continue
        yield from _examples_of(path, where, intent.value, told.get("examples"))


def _examples_of(path: str, where: str, intent: str, node: yaml.Node | None) -> Iterator[Read]:
    if isinstance(node, yaml.ScalarNode):
        block = node.style in ("|", ">")
        for offset, line in enumerate(node.value.splitlines()):
            number = node.start_mark.line + 1 + offset + block
            if not line.strip():
                continue
            if not line.lstrip().startswith("- "):
                yield Read(f"{path}, line {number}", Reject(f"examples of {intent}: each line begins with '- '"))
                continue
            yield _checked(f"{path}, line {number}", _plain(line.lstrip()[2:]), intent)
    elif isinstance(node, yaml.SequenceNode):  # the long form: - text: |
        for one in node.value:
            text = one if isinstance(one, yaml.ScalarNode) else _fields(one).get("text")
            at = f"{path}, line {one.start_mark.line + 1}"
            if isinstance(text, yaml.ScalarNode):
                yield _checked(at, _plain(text.value), intent)
            else:
                yield Read(at, Reject(f"examples of {intent}: text is missing"))
    else:
        yield Read(where, Reject(f"examples of {intent}: missing"))


def _plain(text: str) -> str:
    """The words that were said, without Rasa's marks of entities: [Malta](country) or [two]{"entity": "count"}."""
    return _ENTITY.sub(lambda found: found["said"], text)


def _compose(text: str) -> yaml.Node | None:
    loader = _Loader(text)
    try:
        node: yaml.Node | None = loader.get_single_node()
    finally:
        loader.dispose()
    return node


def _fields(node: yaml.Node | None) -> Mapping[str, yaml.Node]:
    if not isinstance(node, yaml.MappingNode):
        return {}
    return {key.value: value for key, value in node.value if isinstance(key, yaml.ScalarNode)}


def _told(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"line {error.problem_mark.line + 1}: {error.problem}"
    return str(error) if isinstance(error, yaml.YAMLError) else type(error).__name__
