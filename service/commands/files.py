"""Commands about files: transcripts in, scores out, articles."""

from pathlib import Path
from typing import IO, Annotated

import typer

from service.commands.base import console, guarded, open_database, settings_or_exit
from service.commands.lines import Out, Source, complain, complain_and_exit, settings_encoder, writer

articles = typer.Typer(help="Knowledge base articles.", no_args_is_help=True)

Files = Annotated[list[str], typer.Argument(help="Files; .gz is read as such, - is standard input.")]
# Conversations scored together: neighbours are looked for among them, vectors of their texts are held in memory.
SCORE_BATCH = 4096


def register(app: typer.Typer) -> None:
    app.command("import")(import_files)
    app.command()(score)
    app.add_typer(articles, name="articles")


@guarded
def import_files(
    files: Files,
    source: Source = "standard",
    dry_run: Annotated[bool, typer.Option(help="Only check the files and show how they are read; store nothing.")] = False,
    format: Annotated[str, typer.Option(help="jsonl, csv, openai, botframework, or auto: by the file's content.")] = "auto",
    map: Annotated[list[str], typer.Option(help="CSV: which column holds what, as text=utterance,role=who.")] = [],  # noqa: B006
    role: Annotated[list[str], typer.Option(help="CSV: what a word for a speaker means, as rep=agent.")] = [],  # noqa: B006
    encoding: Annotated[str | None, typer.Option(help="CSV: such as cp1252; otherwise told from the file.")] = None,
    delimiter: Annotated[str | None, typer.Option(help="CSV: one character; otherwise told from the file.")] = None,
    time_format: Annotated[str | None, typer.Option(help="CSV: such as '%d.%m.%Y %H:%M', where times are not ISO 8601.")] = None,
) -> None:
    """Store conversations from files. The same file again changes nothing; an interrupted import goes on where it stopped."""
    from datetime import UTC, datetime, timedelta

    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    from service.commands.imports import options_of, show_conversation, show_plan
    from service.imports import import_transcripts
    from service.privacy import make_redact

    settings = settings_or_exit()
    options = options_of(format, map, role, encoding, delimiter, time_format)
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
                report=complain,
                advance=lambda count: progress.advance(task, count),  # noqa: B023 - called within this turn of the loop
                options=options,
                planned=show_plan,
            )
        failed = failed or bool(done.bad)
        if dry_run and done.example is not None:
            show_conversation(done.example)
        console.print(
            f"{path}: {done.conversations} conversations with {done.turns} turns "
            f"{'are readable' if dry_run else 'stored'}, {len(done.bad)} bad {done.unit}s"
            + (f", {done.skipped} {done.unit}s were stored before" if done.skipped else ""),
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
    encoder = settings_encoder()
    scorer = make_scorer(settings, encoder, MemoryVectors())
    model = IntentModel.load(intents_model, encoder.digest) if intents_model else None
    failed = False
    with writer(output) as out:
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
                        complain(f"{path}, line {number}: {read.reason}")
                        failed = True
                        continue
                    batch.append(read)
                    if len(batch) >= SCORE_BATCH:
                        flush(batch)
                        batch = []
            flush(batch)
    if failed:
        raise typer.Exit(1)


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
    complain_and_exit(bad)
