"""The strategies by name. A new one is a file here and a line below."""

from scoring.strategies import (
    chance,
    committee,
    coverage,
    entropy,
    expected_model_change,
    least_confidence,
    margin,
    mixed,
)
from scoring.strategies.base import Strategy

STRATEGIES: dict[str, Strategy] = {
    strategy.name: strategy
    for strategy in (
        chance.STRATEGY,
        least_confidence.STRATEGY,
        margin.STRATEGY,
        entropy.STRATEGY,
        committee.STRATEGY,
        expected_model_change.STRATEGY,
        coverage.STRATEGY,
        mixed.STRATEGY,
    )
}
