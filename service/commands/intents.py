"""`triage intents` and `triage seed`: our own intent model and the examples that it learns from."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.commands.base import console, guarded, open_database, settings_or_exit
from service.commands.lines import Out, Source, complain_and_exit, read_labelled, settings_encoder, vectors_of, writer

if TYPE_CHECKING:
    from scoring.encoder import Encoder
    from scoring.intents import IntentModel, Prediction

intents = typer.Typer(help="Our own intent model: fit, predict, evaluate, seed.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    app.command("seed")(seed)
    app.add_typer(intents, name="intents")


@intents.command("fit")
@guarded
def fit_intents(
    train: Annotated[str, typer.Argument(help="Labelled examples (JSON Lines: text, intent).")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The model file to write.")],
    seed: Annotated[int, typer.Option(help="Fixes every random choice.")] = 0,
) -> None:
    """Fit the intent model from labelled examples."""
    from scoring.intents import IntentModel

    texts, labels, failed = read_labelled(train)
    encoder = settings_encoder()
    model = IntentModel.fit(texts, vectors_of(encoder, texts).of(texts), labels, seed, encoder.digest)
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
    texts, _, failed = read_labelled(file, labelled=False)
    with writer(output) as out:
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
    texts, labels, failed = read_labelled(test)
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
    complain_and_exit(bad)


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


def _load(path: Path) -> "tuple[Encoder, IntentModel]":
    from scoring.intents import IntentModel

    encoder = settings_encoder()
    return encoder, IntentModel.load(path, encoder.digest)


def _predict(encoder: "Encoder", model: "IntentModel", texts: list[str]) -> "list[Prediction]":
    from scoring.clauses import clauses

    vectors = vectors_of(encoder, [*texts, *(clause for text in texts for clause in clauses(text))])
    return model.predict(texts, vectors.of(texts), vectors.of)
