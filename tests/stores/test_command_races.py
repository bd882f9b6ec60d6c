"""Commands against ticks and against each other, by threads on SQLite: nothing is lost, stranded, doubled or revived.

Each thread does a seeded list of things; which thread is when where is for the machine to say. Time is counted, not
measured: it moves by a moment whenever somebody asks for it.
"""

from __future__ import annotations

import itertools
import random
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.lab import T0
from tests.runner.doubles import WAIT
from tests.stores.dump import world_in
from wfadapters.sqlite import Sql, SqliteStore
from wfcore import (
    Applied,
    AsyncStep,
    Attempt,
    AtVersion,
    Client,
    Conflict,
    ContentionError,
    DueQuery,
    EventType,
    IllegalTransitionError,
    InstanceExistsError,
    InstanceNotFoundError,
    Plan,
    PutInstance,
    Registry,
    Runtime,
    Snapshot,
    StepNotRetryableError,
    breaks_o5,
    run_tick,
    workflow,
)
from wfcore.model import TERMINAL
from wfcore.outcome import Created, Deferred, Deleted, Restarted, Retried, Terminated
from wfcore.plan import AddInstance

THREADS, ACTIONS = 4, 120
IDS = ("a", "b", "c")
Go = EventType("go", int)
REFUSALS = (IllegalTransitionError, InstanceNotFoundError, InstanceExistsError, StepNotRetryableError, ContentionError)
MOMENT = timedelta(microseconds=1)


@attrs.define
class Ledger:
    """The store that all threads share: every read is judged, every plan that was applied is kept."""

    inner: SqliteStore
    applied: list[Plan] = attrs.field(factory=list)
    broken: list[str] = attrs.field(factory=list)
    _lock: threading.Lock = attrs.field(factory=threading.Lock)

    def retrieve(self, ref: str) -> Snapshot:
        snapshot = self.inner.retrieve(ref)
        clause = breaks_o5(snapshot)
        if clause is not None:
            self.broken.append(f"{ref}: {clause}")
        return snapshot

    def apply(self, plan: Plan) -> Applied | Conflict:
        answer = self.inner.apply(plan)
        if isinstance(answer, Applied):
            with self._lock:
                self.applied.append(plan)
        return answer


@attrs.define
class Scene:
    """What the threads have in common.

    Attributes:
        store: theirs.
        granted: commands that were not refused, by outcome.
        sent: ids of events that were acknowledged, by ref.
        dependable: whether bodies succeed.
    """

    store: Ledger
    registry: Registry
    runtime: Runtime
    granted: Counter[str] = attrs.field(factory=Counter)
    sent: list[tuple[str, str]] = attrs.field(factory=list)
    dependable: bool = False
    calls: Any = attrs.field(factory=itertools.count)
    _lock: threading.Lock = attrs.field(factory=threading.Lock)

    def grant(self, outcome: str) -> None:
        with self._lock:
            self.granted[outcome] += 1


def scene(path: Path) -> Scene:
    moments, ids = itertools.count(1), itertools.count(1)

    def now() -> datetime:
        return T0 + next(moments) * MOMENT

    store = SqliteStore(path, clock=now, synchronous="OFF")
    with store._connections.cursor("test") as cursor:
        cursor.execute("CREATE TABLE done (key TEXT)")
    runtime = Runtime(now=now, monotonic=lambda: 0.0, new_id=lambda: f"id{next(ids)}", pause=lambda seconds: None)
    return Scene(Ledger(store), Registry([]), runtime)


def workflow_of(scene: Scene) -> Any:
    def body(attempt: Attempt) -> None:
        if not scene.dependable and next(scene.calls) % 5 == 0:
            raise ValueError("no luck")
        attempt.write(Sql("INSERT INTO done VALUES (?)", (attempt.idempotency_key,)))

    async def slow(step: AsyncStep) -> None:
        await step.sleep("nap", 20 * MOMENT)
        await step.do("ship", body)

    async def patient(step: AsyncStep) -> int:
        received = await step.wait_for_event("go", Go)
        await step.do("mail", body)
        return received.payload

    @workflow(name="w")
    async def w(step: AsyncStep) -> int:
        await step.do("charge", body)
        _, number = await step.gather("both", slow, patient)
        await step.do("close", body)
        return number

    return w


# ---- what a thread does


def tick(scene: Scene, _client: Client, _w: Any, chance: random.Random) -> None:
    due = scene.store.inner.due(DueQuery())
    if due:
        run_tick(scene.store, scene.registry, chance.choice(due), recover_after=MOMENT, runtime=scene.runtime)


def command(scene: Scene, client: Client, w: Any, chance: random.Random) -> None:
    handle = client.handle(w, chance.choice(IDS))
    match chance.choice(
        ["pause", "pause", "resume", "resume", "terminate", "restart", "retry", "retry", "again", "delete", "create"]
        + ["send"] * 4
    ):
        case "pause":
            handle.pause()
        case "resume":
            handle.resume()
        case "terminate":
            handle.terminate()
            scene.grant("Terminated")
        case "restart":
            handle.restart()
            scene.grant("Restarted")
        case "retry":
            handle.retry()
            scene.grant("Retried")
        case "delete":
            handle.delete()
            scene.grant("Deleted")
        case "create":
            client.create(w, id=handle.id)
            scene.grant("Created")
        case "again":
            _, what = client.restart_or_create(w, id=handle.id)
            if what != "unchanged":
                scene.grant(what.capitalize())
        case _:
            event_id = scene.runtime.new_id()
            handle.send_event(Go, 1, id=event_id)
            scene.sent.append((handle.ref, event_id))


def act(scene: Scene, client: Client, w: Any, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(ACTIONS):
        action: Callable[..., None] = chance.choice([tick, tick, command])
        try:
            action(scene, client, w, chance)
        except REFUSALS:
            continue


def drain(scene: Scene, client: Client, w: Any) -> None:
    """Everybody has gone home: what is left is let go on to its end, by one."""
    scene.dependable = True
    chance = random.Random(0)
    for instance_id in IDS:
        handle = client.handle(w, instance_id)
        for _ in range(200):
            tick(scene, client, w, chance)
            try:
                status = handle.status()
                if status == "paused":
                    handle.resume()
                elif status == "errored":
                    handle.retry()
                elif status in TERMINAL:
                    break
                else:
                    handle.send_event(Go, 2)
            except (InstanceNotFoundError, StepNotRetryableError):
                break
        else:
            raise AssertionError(f"{handle.ref} does not come to its end: {handle.explain()}")


@pytest.mark.parametrize("seed", range(6))
def test_m12_whatever_threads_do_at_once_nothing_is_lost_stranded_doubled_or_revived(tmp_path: Path, seed: int) -> None:
    """M3 to M8, M11, O5, A3."""
    found = scene(tmp_path / "w.db")
    w = workflow_of(found)
    found.registry = Registry([w])
    client = Client(found.store, found.registry, runtime=found.runtime)
    with ThreadPoolExecutor(THREADS) as pool:
        acts = [pool.submit(act, found, client, w, seed * THREADS + thread) for thread in range(THREADS)]
        for each in acts:
            each.result(6 * WAIT)
    assert found.granted == committed(found)
    drain(found, client, w)
    assert [] == found.store.broken  # nothing was ever seen stranded
    assert [] == doubled(found)
    assert [] == revived(found)
    assert [] == vanished(found, tmp_path / "w.db")
    found.store.inner.close()


def committed(scene: Scene) -> Counter[str]:
    """How many plans of commands were applied, by outcome: as many as commands were granted, whatever they met."""
    wanted = (Created, Restarted, Retried, Terminated, Deleted)
    return Counter(type(plan.outcome).__name__ for plan in scene.store.applied if isinstance(plan.outcome, wanted))


def doubled(scene: Scene) -> list[object]:
    """Writes of steps that were committed twice, and versions that two plans have followed."""
    with scene.store.inner._connections.cursor("test") as cursor:
        keys = Counter(key for (key,) in cursor.execute("SELECT key FROM done").fetchall())
    versions = Counter(
        each
        for plan in scene.store.applied
        for each in plan.preconditions
        if isinstance(each, AtVersion) and not isinstance(plan.outcome, Deferred)  # that leaves the version as it is
    )
    both: tuple[Counter[Any], ...] = (keys, versions)
    return [each for counted in both for each, count in counted.items() if count > 1]


def revived(scene: Scene) -> list[str]:
    """Plans of one incarnation that were applied to another."""
    creators: dict[str, str] = {}
    for plan in scene.store.applied:
        for mutation in plan.mutations:
            if isinstance(mutation, PutInstance | AddInstance):
                creators[mutation.instance.execution_id] = mutation.instance.created_by
    found: list[str] = []
    for plan in scene.store.applied:
        rows = [each.instance for each in plan.mutations if isinstance(each, PutInstance)]
        held = [each.execution_id for each in plan.preconditions if isinstance(each, AtVersion)]
        found.extend(row.ref for row in rows if creators[held[0]] != row.created_by)
    return found


def vanished(scene: Scene, path: Path) -> list[str]:
    """Events that were acknowledged and are not there, although no plan has deleted their instance since."""
    connection = sqlite3.connect(path)
    rows = world_in(connection)
    connection.close()
    deleted = {plan.ref for plan in scene.store.applied if isinstance(plan.outcome, Deleted)}
    return [event_id for ref, event_id in scene.sent if ref not in deleted and event_id not in rows[ref].events]
