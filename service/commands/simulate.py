"""The `triage simulate` command: how many labels a strategy would have needed on data whose labels are known."""

import json
from typing import Annotated

import typer

from service.commands.base import guarded
from service.commands.lines import read_labelled, settings_encoder, vectors_of

Examples = "labelled examples (JSON Lines: text, intent); .gz is read as such, - is standard input."


def register(app: typer.Typer) -> None:
    app.command()(simulate)


@guarded
def simulate(
    pool: Annotated[str, typer.Option(help=f"What may be chosen from: {Examples}")],
    test: Annotated[str, typer.Option(help=f"What accuracy is measured on: {Examples}")],
    strategy: Annotated[str, typer.Option(help="Which strategy chooses; see docs/active-learning.md.")] = "mixed",
    budget: Annotated[int, typer.Option(min=1, help="How many labels are asked for in all.")] = 1000,
    batch: Annotated[int, typer.Option(min=1, help="How many labels are asked for at a time.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Fixes every random choice.")] = 0,
) -> None:
    """Ask for known labels in batches; one JSON object with the accuracy after each on standard output."""
    from scoring.simulation import asking, make_task
    from scoring.simulation import simulate as run
    from scoring.strategies import STRATEGIES
    from service.errors import Invalid

    if strategy not in STRATEGIES:
        raise Invalid(f"no strategy is called {strategy}; there are {', '.join(STRATEGIES)}")
    texts, labels, bad = read_labelled(pool)
    asked, wanted, worse = read_labelled(test)
    vectors = vectors_of(settings_encoder(), [*texts, *asked])
    task = make_task(vectors.of(texts), labels, vectors.of(asked), wanted)
    curve = [(count, round(accuracy, 6)) for count, accuracy in run(task, asking(strategy), budget, batch, seed)]
    typer.echo(json.dumps({"strategy": strategy, "seed": seed, "curve": curve}))
    if bad or worse:
        raise typer.Exit(1)
