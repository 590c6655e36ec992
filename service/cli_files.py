"""Commands about files: transcripts in, scores out, labelled examples, articles."""

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from service.cli_base import console, guarded, open_database, settings_or_exit

if TYPE_CHECKING:
    from scoring.encoder import Encoder
    from scoring.intents import IntentModel, Prediction
    from scoring.vectors import TextVectors

intents = typer.Typer(help="Our own intent model: fit, predict, evaluate, seed.", no_args_is_help=True)
articles = typer.Typer(help="Knowledge base articles.", no_args_is_help=True)

Files = Annotated[list[str], typer.Argument(help="Files; .gz is read as such, - is standard input.")]
Out = Annotated[str, typer.Option("--output", "-o", help="Where to write; - is standard output.")]
Source = Annotated[str, typer.Option(help="The source (bot) that these belong to.")]
# Conversations scored together: neighbours are looked for among them, vectors of their texts are held in memory.
SCORE_BATCH = 4096


def register(app: typer.Typer) -> None:
    app.command("import")(import_files)
    app.command()(score)
    app.command("seed")(seed)
    app.add_typer(intents, name="intents")
    app.add_typer(articles, name="articles")


@guarded
def import_files(
    files: Files,
    source: Source = "standard",
    dry_run: Annotated[bool, typer.Option(help="Only check the files; store nothing.")] = False,
) -> None:
    """Store transcripts (JSON Lines). The same file again changes nothing; an interrupted import goes on where it stopped."""
    from datetime import UTC, datetime, timedelta

    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    from service.imports import import_transcripts
    from service.privacy import make_redact

    settings = settings_or_exit()
    db = None if dry_run else open_database(settings)
    redact = make_redact(settings.redact, settings.redact_phone_regions)
    settle = timedelta(seconds=settings.settle_seconds)
    failed = False
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    for path in files:
        size = Path(path).stat().st_size if Path(path).is_file() and not path.endswith(".gz") else None
        with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
            task = progress.add_task(path, total=size)
            done = import_transcripts(
                db,
                source,
                path,
                redact,
                settle,
                datetime.now(UTC),
                report=_complain,
                advance=lambda count: progress.advance(task, count),  # noqa: B023 - called within this turn of the loop
            )
        failed = failed or bool(done.bad)
        console.print(
            f"{path}: {done.conversations} conversations with {done.turns} turns "
            f"{'are readable' if dry_run else 'stored'}, {len(done.bad)} bad lines"
            + (f", {done.skipped} lines were stored before" if done.skipped else ""),
            markup=False,
        )
    if failed:
        raise typer.Exit(1)


@guarded
def score(
    files: Files,
    output: Out = "-",
    intents_model: Annotated[Path | None, typer.Option("--intents", help="A model made by 'triage intents fit'.")] = None,
) -> None:
    """Score transcripts (JSON Lines) without a database: one exchange a line, in order.

    Similar questions are looked for among up to 4,096 conversations at a time. Each file is taken as one bot: the scores
    that its platform sent are read against those seen before in the file.
    """
    from connectors.errors import Reject
    from connectors.events import Conversation
    from connectors.files import open_bytes, read_lines, write_line
    from scoring.calibration import Calibration
    from scoring.intents import IntentModel
    from scoring.platform_scores import History, Key, histories
    from scoring.scorer import as_line
    from scoring.transcripts import split
    from scoring.vectors import MemoryVectors
    from service.scorers import make_scorer
    from service.transcripts import from_wire

    settings = settings_or_exit()
    encoder = _encoder()
    scorer = make_scorer(settings, encoder, MemoryVectors())
    model = IntentModel.load(intents_model, encoder.digest) if intents_model else None
    failed = False
    with _writer(output) as out:
        for path in files:
            batch = []
            seen: dict[Key, History] = {}

            def flush(batch: "list[Conversation]", out: IO[str] = out, seen: "dict[Key, History]" = seen) -> None:
                transcripts = [from_wire(c) for c in batch]
                for key, history in histories(exchange for one in transcripts for exchange in split(one)).items():
                    seen[key] = seen[key].merge(history) if key in seen else history
                platform = {key: Calibration.of(history) for key, history in seen.items()}
                scored = scorer.score(transcripts, None, {"": model} if model else None, platform)
                versions = scorer.versions(model, platform)
                for one in scored:
                    write_line(out, as_line(one, versions))
                out.flush()

            with open_bytes(path) as opened:
                for number, read, _ in read_lines(opened, Conversation):
                    if isinstance(read, Reject):
                        _complain(f"{path}, line {number}: {read.reason}")
                        failed = True
                        continue
                    batch.append(read)
                    if len(batch) >= SCORE_BATCH:
                        flush(batch)
                        batch = []
            flush(batch)
    if failed:
        raise typer.Exit(1)


# --- intents ------------------------------------------------------------------------------------------------------


@intents.command("fit")
@guarded
def fit_intents(
    train: Annotated[str, typer.Argument(help="Labelled examples (JSON Lines: text, intent).")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The model file to write.")],
    seed: Annotated[int, typer.Option(help="Fixes every random choice.")] = 0,
) -> None:
    """Fit the intent model from labelled examples."""
    from scoring.intents import IntentModel

    texts, labels, failed = _examples(train)
    encoder = _encoder()
    model = IntentModel.fit(texts, _vectors(encoder, texts).of(texts), labels, seed, encoder.digest)
    model.save(output)
    console.print(f"{output}: {len(set(labels))} intents from {len(texts)} examples, version {model.version}", markup=False)
    if failed:
        raise typer.Exit(1)


@intents.command("predict")
@guarded
def predict_intents(
    model: Path,
    file: Annotated[str, typer.Argument(help="Texts (JSON Lines: text).")],
    output: Out = "-",
) -> None:
    """The intent of each text, in order, with confidence, out-of-scope score and ranking."""
    from connectors.files import write_line

    encoder, fitted = _load(model)
    texts, _, failed = _examples(file, labelled=False)
    with _writer(output) as out:
        for text, found in zip(texts, _predict(encoder, fitted, texts), strict=True):
            write_line(
                out,
                {
                    "text": text,
                    "intent": found.intent,
                    "intents": list(found.intents),
                    "confidence": round(found.confidence, 6),
                    "out_of_scope": round(found.out_of_scope, 6),
                    "ranking": [{"name": name, "confidence": round(c, 6)} for name, c in found.ranking],
                },
            )
    if failed:
        raise typer.Exit(1)


@intents.command("evaluate")
@guarded
def evaluate_intents(
    model: Path, test: Annotated[str, typer.Argument(help="Labelled examples; intent 'oos' means out of scope.")]
) -> None:
    """Accuracy, and how well confidence and out-of-scope score tell right from wrong; one JSON object on standard output."""
    from scoring.evaluation import evaluate

    encoder, fitted = _load(model)
    texts, labels, failed = _examples(test)
    typer.echo(json.dumps(evaluate(_predict(encoder, fitted, texts), labels)))
    if failed:
        raise typer.Exit(1)


@intents.command("seed")
@guarded
def seed(
    files: Annotated[list[str], typer.Argument(help="JSON Lines (text, intent), CSV with a header, or Rasa NLU YAML.")],
    source: Source = "standard",
    dry_run: Annotated[bool, typer.Option(help="Only show what the files hold; store nothing.")] = False,
) -> None:
    """Store labelled examples; the worker fits the source's intent model from them."""
    from datetime import UTC, datetime

    from service.imports import import_examples

    if dry_run:
        bad = _show_seeds(files)
    else:
        taken, bad = import_examples(open_database(settings_or_exit()), source, files, datetime.now(UTC))
        console.print(f"{taken} examples stored, {len(bad)} bad lines")
    _complain_and_exit(bad)


def _show_seeds(files: list[str]) -> list[str]:
    """Each intent with its examples counted and one shown; returns what cannot be read."""
    from connectors.errors import Reject
    from service.seeds import read_examples

    bad: list[str] = []
    for path in files:
        texts: dict[str, list[str]] = {}
        for read in read_examples(path):
            if isinstance(read.example, Reject):
                bad.append(f"{read.where}: {read.example.reason}")
            else:
                texts.setdefault(read.example.intent, []).append(read.example.text)
        console.print(f"{path}: {sum(map(len, texts.values()))} examples of {len(texts)} intents are readable", markup=False)
        for intent, said in sorted(texts.items()):
            console.print(f"  {intent}: {len(said)}, such as {said[0][:80]!r}", markup=False)
    return bad


# --- articles -----------------------------------------------------------------------------------------------------


@articles.command("import")
@guarded
def import_articles_command(
    files: Annotated[list[str], typer.Argument(help="Markdown files or folders, CSV, or JSON Lines.")],
) -> None:
    """Store articles and publish them to the configured sinks; unchanged ones are left alone."""
    from datetime import UTC, datetime

    from service.imports import import_articles

    settings = settings_or_exit()
    saved, unchanged, bad = import_articles(open_database(settings), files, list(settings.sinks), datetime.now(UTC))
    console.print(f"{saved} articles made or changed, {unchanged} unchanged, {len(bad)} unreadable")
    _complain_and_exit(bad)


# --- helpers ------------------------------------------------------------------------------------------------------


def _complain(line: str) -> None:
    console.print(line, style="yellow", markup=False)


def _complain_and_exit(bad: list[str]) -> None:
    for line in bad:
        _complain(line)
    if bad:
        raise typer.Exit(1)


@contextmanager
def _writer(path: str) -> Iterator[IO[str]]:
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


def _encoder() -> "Encoder":
    from scoring.encoder import make_encoder

    settings = settings_or_exit()
    return make_encoder(settings.encoder, settings.precision, settings.threads)


def _examples(path: str, labelled: bool = True) -> tuple[list[str], list[str], bool]:
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
                _complain(f"{path}, line {number}: {line.reason}")
                failed = True
                continue
            texts.append(line.text)
            labels.append(line.intent if isinstance(line, LabelledExample) else "")
    if not texts:
        raise Invalid(f"{path}: no readable line")
    return texts, labels, failed


def _vectors(encoder: "Encoder", texts: list[str]) -> "TextVectors":
    from scoring.vectors import MemoryVectors, gather

    return gather(texts, encoder, MemoryVectors())


def _load(path: Path) -> "tuple[Encoder, IntentModel]":
    from scoring.intents import IntentModel

    encoder = _encoder()
    return encoder, IntentModel.load(path, encoder.digest)


def _predict(encoder: "Encoder", model: "IntentModel", texts: list[str]) -> "list[Prediction]":
    from scoring.clauses import clauses

    vectors = _vectors(encoder, [*texts, *(clause for text in texts for clause in clauses(text))])
    return model.predict(texts, vectors.of(texts), vectors.of)
