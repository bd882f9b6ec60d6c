"""Measuring two things against each other: alternating rounds, so that what disturbs one disturbs the other."""

import gc
import statistics
from collections.abc import Callable, Sequence

import attrs


@attrs.frozen
class Spread:
    """The samples of one side, one per round."""

    samples: tuple[float, ...]

    @property
    def best(self) -> float:
        return min(self.samples)

    @property
    def median(self) -> float:
        return statistics.median(self.samples)

    @property
    def worst(self) -> float:
        return max(self.samples)


def alternate(rounds: int, *sides: Callable[[int], float]) -> list[Spread]:
    """Run each side once per round; a side takes the round's number and returns its sample.

    Who goes first changes from round to round.
    """
    samples: list[list[float]] = [[] for _ in sides]
    gc.collect()
    for number in range(rounds):
        order = list(enumerate(sides))
        for index, side in order if number % 2 else reversed(order):
            samples[index].append(side(number))
    return [Spread(tuple(each)) for each in samples]


def ratio(over: Spread, under: Spread) -> float:
    """The median of the rounds' own ratios: what slows the machine down for a while is in both halves of a round."""
    return statistics.median(one / other for one, other in zip(over.samples, under.samples, strict=True))


def table(title: str, heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Text in columns; the first is to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width) for place, (cell, width) in enumerate(cells)
        ).rstrip()
        for cells in (list(zip(row, widths, strict=True)) for row in (heads, *rows))
    ]
    return "\n".join([title, "", lines[0], "-" * len(lines[0]), *lines[1:], ""])
