"""SQLite ticks through ``run_tick``, beside a raw ``sqlite3`` script of the same statements on a file of its own.

Two workloads:

* ``in a row``: a workflow of 10 steps, all due. One wake-up: one retrieve, and an apply for each step.
* ``own wake-up``: 10 recorded steps and a sleep that is over. One wake-up: a retrieve of 11 records, their replay,
  one new step, one apply.
"""

import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter, thread_time
from typing import Any

import attrs
from bench.recorded import Raw, Statement, listening
from bench.rounds import Spread, alternate, ratio, table

from wfadapters.sqlite import SqliteStore
from wfadapters.sqlite.store import Synchronous
from wfcore import Attempt, Client, Registry, Step, Workflow, run_tick, workflow
from wfcore.model import FiredHook, Snapshot
from wfcore.plan import Applied

TARGET = 0.6
BUDGET_MS = 0.5
STEPS = 10
WARM_UP_COMMITS = 1_000
_T0 = datetime(2026, 1, 1, tzinfo=UTC)
_NAP = timedelta(minutes=1)


def work(_attempt: Attempt) -> int:
    return 7


@workflow(name="in-a-row")
def in_a_row(step: Step) -> int:
    return sum(step.do("work", work) for _ in range(STEPS))


@workflow(name="own-wake-up", checkpoint="tick")
def own_wake_up(step: Step) -> int:
    total = sum(step.do("work", work) for _ in range(STEPS))
    step.sleep("nap", _NAP)
    total += step.do("work", work)
    step.sleep("nap", _NAP)
    return total


@attrs.frozen
class Workload:
    """What one wake-up does; ``before`` is how many wake-ups of an instance are not timed."""

    name: str
    workflow: Workflow[None, int]
    before: int
    applies: int


WORKLOADS = (Workload("in a row", in_a_row, 0, STEPS), Workload("own wake-up", own_wake_up, 1, 1))


class Ours:
    """Instances in a store, up to the wake-up that is timed."""

    def __init__(self, path: Path, synchronous: Synchronous, workload: Workload) -> None:
        self.store = SqliteStore(path, clock=self._now, synchronous=synchronous)
        self._registry = Registry([workload.workflow])
        self._workload = workload
        self._time = _T0
        self._created = 0

    def _now(self) -> datetime:
        return self._time

    def prepare(self, instances: int) -> list[FiredHook]:
        """New instances; their hooks as they fire at the wake-up that is timed."""
        client = Client(self.store, self._registry)
        refs = []
        for _ in range(instances):
            self._created += 1
            refs.append(client.create(self._workload.workflow, id=str(self._created)).ref)
        for _ in range(self._workload.before):
            self.tick([self._fired(ref) for ref in refs])
            self._time += 2 * _NAP  # a tick counts its own time too
        return [self._fired(ref) for ref in refs]

    def _fired(self, ref: str) -> FiredHook:
        snapshot: Snapshot = self.store.retrieve(ref)
        return FiredHook(hook=snapshot.hooks[0], timestamp=snapshot.now)

    def tick(self, fired: Sequence[FiredHook]) -> None:
        for each in fired:
            report = run_tick(self.store, self._registry, each)
            assert isinstance(report.result, Applied), report


@attrs.frozen
class Script:
    """What the store said for some instances: to prepare them, and in the wake-ups that are timed."""

    prepared: list[Statement]
    timed: list[Statement]


def _record(folder: Path, workload: Workload, batches: list[int]) -> tuple[list[Statement], list[Script]]:
    """What the store said to open a new file, and then for each batch of instances."""
    scripts = []
    with listening() as said:
        ours = Ours(folder / "recorded.sqlite", "OFF", workload)
        opening = [*said]
        for instances in batches:
            said.clear()
            fired = ours.prepare(instances)
            prepared = [*said]
            said.clear()
            ours.tick(fired)
            scripts.append(Script(prepared, [*said]))
        ours.store.close()
    return opening, scripts


@attrs.frozen
class Result:
    """Seconds of wall and CPU time per apply, of both sides."""

    ours: Spread
    raw: Spread
    ours_cpu: Spread
    raw_cpu: Spread


class _Side:
    """Times batches, and keeps the CPU time of each."""

    def __init__(self, prepare: Callable[[int], Any], run: Callable[[Any], None], applies: int) -> None:
        self._prepare = prepare
        self._run = run
        self._applies = applies
        self.cpu: list[float] = []

    def __call__(self, number: int) -> float:
        prepared = self._prepare(number)
        began, cpu = perf_counter(), thread_time()
        self._run(prepared)
        self.cpu.append((thread_time() - cpu) / self._applies)
        return (perf_counter() - began) / self._applies


def compare(folder: Path, workload: Workload, synchronous: Synchronous, *, quick: bool) -> Result:
    """Run a workload both ways; the files are warm before anything is timed."""
    rounds = 3 if quick else 41
    applies = 20 if quick else 100
    instances = applies // workload.applies
    warm_up = 2 if quick else WARM_UP_COMMITS // workload.applies
    opening, scripts = _record(folder, workload, [warm_up, *[instances] * rounds])
    with ExitStack() as stack:
        ours = Ours(folder / "ours.sqlite", synchronous, workload)
        stack.callback(ours.store.close)
        raw = Raw(folder / "raw.sqlite", synchronous, opening)
        stack.callback(raw.close)

        def prepare_raw(number: int) -> list[Statement]:
            raw.run(scripts[number + 1].prepared)
            return scripts[number + 1].timed

        ours.tick(ours.prepare(warm_up))
        raw.run([*scripts[0].prepared, *scripts[0].timed])
        mine = _Side(lambda _number: ours.prepare(instances), ours.tick, applies)
        theirs = _Side(prepare_raw, raw.run, applies)
        wall, raw_wall = alternate(rounds, mine, theirs)
    return Result(wall, raw_wall, Spread(tuple(mine.cpu)), Spread(tuple(theirs.cpu)))


def measure(*, quick: bool) -> str:
    """The table."""
    rows = []
    modes: tuple[Synchronous, ...] = ("FULL", "NORMAL")
    for workload in WORKLOADS:
        for synchronous in modes:
            with tempfile.TemporaryDirectory(prefix="wfcore-bench-") as folder:
                result = compare(Path(folder), workload, synchronous, quick=quick)
            rows.append(
                (
                    f"{workload.name}, {synchronous}",
                    f"{1 / result.ours.median:,.0f}",
                    f"{1 / result.ours.worst:,.0f}-{1 / result.ours.best:,.0f}",
                    f"{1 / result.raw.median:,.0f}",
                    f"{1 / result.raw.worst:,.0f}-{1 / result.raw.best:,.0f}",
                    f"{ratio(result.raw, result.ours):.2f}",
                    f"{result.ours_cpu.median * 1e3:.3f}",
                    f"{result.raw_cpu.median * 1e3:.3f}",
                )
            )
    heads = ("steps, synchronous", "steps/s", "min-max", "raw/s", "min-max", "ratio", "CPU ms/step", "raw CPU ms")
    return table(
        f"SQLite ticks: medians of alternating rounds (targets: ratio >= {TARGET:g}, CPU <= {BUDGET_MS:g} ms a step)",
        heads,
        rows,
    )
