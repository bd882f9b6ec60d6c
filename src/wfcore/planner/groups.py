"""``gather``, ``race``, ``map``: how the ends of branches become one (rules P1, P4, P5). Pure: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

import attrs

from wfcore.errors import NonDeterminismError
from wfcore.model import Payload, StepRecord
from wfcore.planner.calls import Raised, Returned
from wfcore.planner.steps.decision import Raise, Return

OnError: TypeAlias = Literal["raise", "collect"]


@attrs.define(eq=False)
class Fan:
    """What workflow code asks for: branches, and what becomes of their ends.

    Attributes:
        labels: of the branches, in order: how they are called in keys, and in the result of a race.
        begin: for each branch, its function; takes the branch and its scope, gives what is to be awaited.
        races: whether the first end decides.
        on_error: whether the first error decides, or is collected.
        max_concurrency: how many branches may have a body under way at once; ``None``: all.
        items: number and digest of what is mapped, to be recorded; ``None``: nothing is.
        join: makes the group's result of the values in order; unused by a race.
    """

    labels: tuple[int | str, ...]
    begin: tuple[Callable[..., Any], ...]
    races: bool = False
    on_error: OnError = "raise"
    max_concurrency: int | None = None
    items: Payload | None = None
    join: Callable[[list[Any]], Any] = list


def decide_group(fan: Fan, ended: Mapping[int, Returned[Any] | Raised], latest: int) -> Return | Raise | None:
    """What the group gives now that the branch at index ``latest`` has ended; ``None``: it goes on (rules P4, P5)."""
    result = ended[latest]
    if fan.races:
        return Return((fan.labels[latest], result.value)) if isinstance(result, Returned) else Raise(result.error)
    if isinstance(result, Raised) and fan.on_error == "raise":
        return Raise(result.error)
    return join(fan, ended) if len(ended) == len(fan.begin) else None


def join(fan: Fan, ended: Mapping[int, Returned[Any] | Raised]) -> Return:
    """The result of a group of which all branches have ended."""
    results = (ended[index] for index in range(len(fan.begin)))
    if fan.on_error == "collect":
        return Return(fan.join(list(results)))
    return Return(fan.join([result.value for result in results if isinstance(result, Returned)]))


def check_items(fan: Fan, record: StepRecord) -> None:
    """Refuse to map another list than the one that is recorded (rule P1).

    Raises:
        NonDeterminismError: it is another list.
    """
    if record.result != fan.items:
        raise NonDeterminismError(
            record.instance_ref,
            record.key,
            None,
            (record.key,),
            record.parent_key or "",
            f"the list under a map has changed: recorded {record.result}, now {fan.items}",
        )
