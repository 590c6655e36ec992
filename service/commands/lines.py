"""What commands about files share: lines that cannot be read, where results go, labelled examples and their vectors."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from service.commands.base import console, settings_or_exit

if TYPE_CHECKING:
    from scoring.encoder import Encoder
    from scoring.vectors import TextVectors

Out = Annotated[str, typer.Option("--output", "-o", help="Where to write; - is standard output.")]
Source = Annotated[str, typer.Option(help="The source (bot) that these belong to.")]


def complain(line: str) -> None:
    console.print(line, style="yellow", markup=False)


def complain_and_exit(bad: list[str]) -> None:
    for line in bad:
        complain(line)
    if bad:
        raise typer.Exit(1)


@contextmanager
def writer(path: str) -> Iterator[IO[str]]:
    """Standard output, or a file that appears only when it is complete."""
    if path == "-":
        yield sys.stdout
        return
    from connectors.errors import Reject

    beside = Path(path + ".part")
    with ExitStack() as stack:
        try:
            out = stack.enter_context(beside.open("w", encoding="utf-8"))
        except OSError as error:
            raise Reject(f"{path} cannot be written: {error.strerror}") from error
        yield out
    beside.replace(path)


def settings_encoder() -> "Encoder":
    from scoring.encoder import make_encoder

    settings = settings_or_exit()
    return make_encoder(settings.encoder, settings.precision, settings.threads)


def read_labelled(path: str, labelled: bool = True) -> tuple[list[str], list[str], bool]:
    from connectors.errors import Reject
    from connectors.files import open_bytes, read_lines
    from service.errors import Invalid
    from service.seeds import LabelledExample, PlainText

    texts: list[str] = []
    labels: list[str] = []
    failed = False
    with open_bytes(path) as opened:
        wanted: type[PlainText] = LabelledExample if labelled else PlainText
        for number, line, _ in read_lines(opened, wanted):
            if isinstance(line, Reject):
                complain(f"{path}, line {number}: {line.reason}")
                failed = True
                continue
            texts.append(line.text)
            labels.append(line.intent if isinstance(line, LabelledExample) else "")
    if not texts:
        raise Invalid(f"{path}: no readable line")
    return texts, labels, failed


def vectors_of(encoder: "Encoder", texts: list[str]) -> "TextVectors":
    from scoring.vectors import MemoryVectors, gather

    return gather(texts, encoder, MemoryVectors())
