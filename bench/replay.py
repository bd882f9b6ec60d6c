"""Replay per settled step, beside a bare coroutine that is driven by hand and decodes the same payloads.

The bare loop is what replay cannot be without: something that is awaited, and a payload that becomes a value. It has
no keys, no order, no records and no checks.
"""

from collections.abc import Callable, Coroutine, Generator
from datetime import UTC, datetime, timedelta
from time import thread_time
from typing import Any

import attrs
from bench.rounds import Spread, alternate, table

from wfcore import AsyncStep, Attempt, Registry, Step, Workflow, workflow
from wfcore.codec import JSON
from wfcore.model import FiredHook, Hook, Instance, Snapshot, StepRecord
from wfcore.outcome import Completed
from wfcore.planner import plan_tick

TARGET = 3.0
SIZES = (10, 100, 1_000, 10_000)
_T0 = datetime(2026, 1, 1, tzinfo=UTC)


@attrs.frozen
class Line:
    """The small class: three fields."""

    sku: str
    quantity: int
    note: str


def count(_attempt: Attempt) -> int:
    raise AssertionError("a recorded step is not run again")


def order(_attempt: Attempt) -> Line:
    raise AssertionError("a recorded step is not run again")


PAYLOADS: dict[str, tuple[type[Any], Callable[[int], object]]] = {
    "int": (int, lambda number: number),
    "class of 3 fields": (Line, lambda number: Line(f"sku-{number}", number, "as a gift")),
}


@workflow(name="steps")
async def awaited_ints(step: AsyncStep, steps: int) -> int:
    for _ in range(steps):
        await step.do("work", count)
    return steps


@workflow(name="steps")
async def awaited_lines(step: AsyncStep, steps: int) -> int:
    for _ in range(steps):
        await step.do("work", order)
    return steps


@workflow(name="steps")
def called_ints(step: Step, steps: int) -> int:
    for _ in range(steps):
        step.do("work", count)
    return steps


@workflow(name="steps")
def called_lines(step: Step, steps: int) -> int:
    for _ in range(steps):
        step.do("work", order)
    return steps


WORKFLOWS: dict[tuple[str, str], Workflow[int, int]] = {
    ("async def", "int"): awaited_ints,
    ("async def", "class of 3 fields"): awaited_lines,
    ("def", "int"): called_ints,
    ("def", "class of 3 fields"): called_lines,
}


def _snapshot(payloads: list[str]) -> Snapshot:
    ref = "steps#1"
    end = _T0 + timedelta(seconds=len(payloads))
    instance = Instance(
        ref=ref,
        workflow_name="steps",
        instance_id="1",
        status="active",
        params=str(len(payloads)),
        created_at=_T0,
        updated_at=end,
        started_at=_T0,
        version=len(payloads) + 1,
        execution_id=f"tick-{len(payloads)}",
        created_by="create",
    )
    steps = (
        StepRecord(
            instance_ref=ref,
            run_number=1,
            key=f"do:work#{number}" if number else "do:work",
            kind="do",
            name="work",
            status="completed",
            attempts=1,
            max_attempts=1,
            result=payload,
            sequence=number + 1,
            created_at=_T0 + timedelta(seconds=number),
            settled_at=_T0 + timedelta(seconds=number + 1),
            execution_id=f"tick-{number}",
        )
        for number, payload in enumerate(payloads)
    )
    hook = Hook(
        id=f"{ref}#timer",
        instance_ref=ref,
        run_number=1,
        workflow_name="steps",
        instance_id="1",
        reason="wake",
        due_at=_T0,
        created_at=_T0,
    )
    return Snapshot(instance=instance, steps=tuple(steps), hooks=(hook,), now=end)


class _Next:
    def __await__(self) -> Generator[None, Any, Any]:
        return (yield)


async def _bare(steps: int) -> int:
    for _ in range(steps):
        await _Next()
    return steps


def _drive(coroutine: Coroutine[Any, Any, int], payloads: list[str], type_: type[Any]) -> None:
    decode = JSON.decode
    coroutine.send(None)
    try:
        for payload in payloads:
            coroutine.send(decode(payload, type_))
    except StopIteration:
        return


@attrs.frozen
class Case:
    """One row of the table: N recorded steps of one payload, replayed to the end of the workflow."""

    colour: str
    payload: str
    size: int

    def sides(self, seconds: float) -> tuple[Callable[[int], float], Callable[[int], float]]:
        """Replay, and the bare loop; each returns its microseconds of CPU per step."""
        type_, value = PAYLOADS[self.payload]
        registry = Registry([WORKFLOWS[self.colour, self.payload]])
        payloads = [JSON.encode(value(number), type_) for number in range(self.size)]
        snapshot = _snapshot(payloads)
        fired = FiredHook(hook=snapshot.hooks[0], timestamp=snapshot.now)

        def replay() -> None:
            plan = plan_tick(snapshot, fired, registry, execution_id="replay")
            assert isinstance(plan.outcome, Completed), plan

        def bare() -> None:
            _drive(_bare(self.size), payloads, type_)

        return self._timed(replay, seconds), self._timed(bare, seconds)

    def _timed(self, run: Callable[[], None], seconds: float) -> Callable[[int], float]:
        run()
        began = thread_time()
        run()
        loops = max(1, int(seconds / max(thread_time() - began, 1e-6)))

        def sample(_round: int) -> float:
            began = thread_time()
            for _ in range(loops):
                run()
            return (thread_time() - began) / loops / self.size * 1e6

        return sample


def measure(*, quick: bool) -> str:
    """The table."""
    rounds, seconds = (3, 0.001) if quick else (11, 0.02)
    rows = []
    for colour, payload in WORKFLOWS:
        ours: dict[int, Spread] = {}
        for size in SIZES:
            ours[size], bare = alternate(rounds, *Case(colour, payload, size).sides(seconds))
            rows.append(
                (
                    f"{colour}, {payload}",
                    f"{size:,}",
                    f"{ours[size].best:.2f}",
                    f"{bare.best:.2f}",
                    f"{ours[size].best / bare.best:.2f}",
                    f"{ours[size].best / ours[100].best:.2f}" if size > 100 else "",
                )
            )
    heads = ("workflow, payload", "steps", "replay us", "bare us", "ratio", "of 100 steps")
    return table(
        f"Replay: CPU time per recorded step, best of {rounds} alternating rounds (target: ratio <= {TARGET:g})",
        heads,
        rows,
    )
