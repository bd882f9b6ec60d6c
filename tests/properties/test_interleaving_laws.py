"""Two dispatchers' worth of ticks at once, by threads: results are those of one, and each version has one commit."""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, TypeAlias, assert_never

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.runner.doubles import WAIT, AnyStore, Machine
from tests.twins import BOTH, Colour, Running
from wfadapters.memory import MemoryStore
from wfadapters.sqlite import Sql, SqliteStore
from wfcore.errors import EventTimeoutError, StepFailedError
from wfcore.model import Snapshot
from wfcore.plan import Applied, AtVersion, Conflict, Plan
from wfcore.planner import Attempt
from wfcore.ports import DueQuery
from wfcore.retry import Retry
from wfcore.runner import Client, run_tick
from wfcore.runner.runtime import REAL
from wfcore.workflow import Registry

THREADS = 3
Kind: TypeAlias = Literal["do", "write", "fail once", "fail", "sleep", "wait", "wait in vain"]
KINDS: tuple[Kind, ...] = ("do", "write", "fail once", "fail", "sleep", "wait", "wait in vain")
programs = st.lists(st.sampled_from(KINDS), max_size=6)


@attrs.define
class Recorded:
    """A store that notes which plans were applied, and makes the ticks of one round start from the same rows."""

    inner: AnyStore
    applied: list[Plan] = attrs.field(factory=list)
    conflicts: int = 0
    _round: threading.Barrier | None = None
    _waited: set[int] = attrs.field(factory=set)
    _lock: threading.Lock = attrs.field(factory=threading.Lock)

    def begin(self, threads: int) -> None:
        self._round, self._waited = threading.Barrier(threads, timeout=WAIT), set()

    def retrieve(self, ref: str) -> Snapshot:
        snapshot = self.inner.retrieve(ref)
        with self._lock:
            first = threading.get_ident() not in self._waited
            self._waited.add(threading.get_ident())
        if first and self._round is not None:
            self._round.wait()
        return snapshot

    def apply(self, plan: Plan) -> Applied | Conflict:
        answer = self.inner.apply(plan)
        with self._lock:
            if isinstance(answer, Applied):
                self.applied.append(plan)
            else:
                self.conflicts += 1
        return answer


def body(number: int, kind: Kind, attempt: Attempt) -> int:
    if kind == "fail" or (kind == "fail once" and attempt.number == 1):
        attempt.write(Sql("INSERT INTO done VALUES (?)", (-number,)))
        raise ValueError("no")
    if kind == "write":
        attempt.write(Sql("INSERT INTO done VALUES (?)", (number,)))
    return number


def program_of(kinds: list[Kind]) -> Callable[[Any], Running]:
    retry = Retry(max_attempts=2, delay=timedelta(seconds=1))

    def program(step: Any) -> Running:
        found: list[Any] = []
        for number, kind in enumerate(kinds):
            try:
                match kind:
                    case "do" | "write" | "fail once" | "fail":
                        result = yield step.do(kind, partial(body, number, kind), retry=retry)
                        found.append(result)
                    case "sleep":
                        yield step.sleep(kind, timedelta(seconds=1))
                    case "wait":
                        received = yield step.wait_for_event(kind, "go")
                        found.append(received.payload)
                    case "wait in vain":
                        yield step.wait_for_event(kind, "never", timeout=timedelta(seconds=1))
                    case unreachable:
                        assert_never(unreachable)
            except (StepFailedError, EventTimeoutError) as error:
                found.append(type(error).__name__)
        return found

    return program


def open_store(kind: str, folder: str, machine: Machine) -> AnyStore:
    if kind == "memory":
        return MemoryStore(machine.clock)
    store = SqliteStore(Path(folder) / "w.db", clock=machine.clock, synchronous="OFF")
    with store._connections.cursor("test") as cursor:
        cursor.execute("CREATE TABLE done (number INTEGER)")
    return store


def rows_written(store: AnyStore) -> list[int]:
    if isinstance(store, MemoryStore):
        return sorted(each.parameters[0] for each in store.writes if isinstance(each, Sql))  # type: ignore[misc, index] # one number each
    with store._connections.cursor("test") as cursor:
        return [number for (number,) in cursor.execute("SELECT number FROM done ORDER BY 1").fetchall()]


@attrs.define
class Ran:
    result: Any
    steps: list[tuple[Any, ...]]
    written: list[int]
    versions: Counter[int]


def run(store: AnyStore, machine: Machine, colour: Colour, kinds: list[Kind], threads: int) -> Ran:
    """Hand every due hook to so many threads at once, until the workflow has ended."""
    workflow = colour(program_of(kinds))
    registry = Registry([workflow])
    recorded = Recorded(store)
    handle = Client(store, registry).create(workflow, id="1")
    for number in range(kinds.count("wait")):
        handle.send_event("go", number, id=str(number))
    runtime = attrs.evolve(REAL, monotonic=machine.monotonic, pause=lambda seconds: None)
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(100):
            (fired, *_) = [*store.due(DueQuery()), None]
            if fired is not None:
                recorded.begin(threads)
                ticks = [pool.submit(run_tick, recorded, registry, fired, runtime=runtime) for _ in range(threads)]
                assert all(tick.result(WAIT) for tick in ticks)
            if store.retrieve(handle.ref).instance.completed_at:  # type: ignore[union-attr] # it was created
                break
            machine.advance(1)
    versions = Counter(
        each.version for plan in recorded.applied for each in plan.preconditions if isinstance(each, AtVersion)
    )
    assert recorded.conflicts > 0 or threads == 1
    history = Client(store, registry).handle(workflow, "1").history()
    steps = [(step.key, step.status, step.attempts, step.sequence, step.result) for step in history.steps]
    return Ran((history.instance.output, history.instance.failure), steps, rows_written(store), versions)


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
@pytest.mark.parametrize("colour", BOTH)
@settings(max_examples=max(settings().max_examples // 5, 1))
@given(kinds=programs)
def test_ticks_at_the_same_time_come_to_what_one_comes_to(kind: str, colour: Colour, kinds: list[Kind]) -> None:
    with TemporaryDirectory() as folder:
        alone, together = Machine(), Machine()
        expected = run(MemoryStore(alone.clock), alone, colour, kinds, 1)
        store = open_store(kind, folder, together)
        try:
            found = run(store, together, colour, kinds, THREADS)
        finally:
            if isinstance(store, SqliteStore):
                store.close()
    assert (found.result, found.steps, found.written) == (expected.result, expected.steps, expected.written)
    assert set(found.versions.values()) <= {1}
    assert found.versions.keys() == set(range(1, len(found.versions) + 1))
