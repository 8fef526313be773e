"""Measuring contenders in turn, and comparing what belongs to the same round."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from integration.benchmarks.figures import spread
from integration.benchmarks.serving.contender import Contender

Values = dict[str, list[float]]


def in_turn(
    contenders: Sequence[Contender], turns: range, act: Callable[[Contender, int], float]
) -> Values:
    """The values of all contenders, by name; another one is first in every round."""
    found: Values = {contender.name: [] for contender in contenders}
    for turn in turns:
        first = turn % len(contenders)
        for contender in [*contenders[first:], *contenders[:first]]:
            found[contender.name].append(act(contender, turn))
    return found


def ratio(values: Values, contender: Contender) -> str:
    """To the first contender, of the same rounds."""
    base, *_ = values.values()
    return spread(
        [mine / theirs for mine, theirs in zip(values[contender.name], base, strict=True)]
    )
