"""The catalog of an SQLite file with 100,000 instances: a page, counts, a history, an audit; medians of whole calls.

Nine of ten instances have ended; the others wait, each with its timer, are active, paused, errored or terminated. Each
has a few recorded steps, two tags (one shared by half of all, one by a thousandth), and is one of five workflows.
"""

import random
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from time import perf_counter, thread_time
from typing import Any

import attrs
from bench.rounds import Spread, table

from wfadapters import rows
from wfadapters.columns import Table, instant_column
from wfadapters.sqlite import SqliteStore
from wfcore import Client, Event, Hook, Instance, InstanceQuery, InstanceStatus, Registry, StepRecord

TARGET_MS = 50
STEPS = 5
LONG = "wf0#long"
LONG_STEPS = 1_000
_T0 = datetime(2026, 1, 1, tzinfo=UTC)
_SOON = _T0 + timedelta(days=365)
_STATUSES: Sequence[InstanceStatus] = ("complete", "waiting", "active", "paused", "errored", "terminated")
_SHARES = (900, 50, 10, 10, 20, 10)


def _instances(count: int) -> Iterator[Instance]:
    chance = random.Random(1)
    for number in range(count):
        workflow_name = f"wf{number % 5}"
        yield Instance(
            ref=f"{workflow_name}#{number:08}",
            workflow_name=workflow_name,
            instance_id=f"{number:08}",
            status=chance.choices(_STATUSES, _SHARES)[0],
            params='{"order": "' + "x" * 200 + '"}',
            output="null",
            tags={"region": chance.choice(("eu", "us")), "customer": str(number % 1000)},
            created_at=_T0 + timedelta(seconds=number // 3),
            updated_at=_T0,
            execution_id="e",
            created_by="e",
        )
    yield Instance(
        ref=LONG,
        workflow_name="wf0",
        instance_id="long",
        status="complete",
        params="{}",
        created_at=_T0,
        updated_at=_T0,
        execution_id="e",
        created_by="e",
    )


def _step(ref: str, number: int, **fields: Any) -> StepRecord:
    settled: dict[str, Any] = {"kind": "do", "status": "completed", "sequence": number + 1, "result": "{}"}
    return StepRecord(
        instance_ref=ref,
        run_number=1,
        name="step",
        key=f"do:step#{number}",
        created_at=_T0,
        execution_id="e",
        **{**settled, **fields},
    )


def _rows_of(instance: Instance) -> Iterator[tuple[Table, tuple[Any, ...]]]:
    yield rows.INSTANCES, rows.instance_row(instance)
    ref = instance.ref
    for number in range(LONG_STEPS if ref == LONG else STEPS):
        yield rows.STEPS, rows.step_row(_step(ref, number))
        if ref == LONG:
            event = Event(instance_ref=ref, id=f"m{number}", type="t", payload="{}", created_at=_T0)
            yield rows.EVENTS, (*rows.event_row(event)[:6], "do:step", 1, instant_column(_T0))
    if instance.status == "waiting":
        yield rows.STEPS, rows.step_row(_step(ref, STEPS, kind="sleep", status="waiting", sequence=None, wake_at=_SOON))
    if instance.status in ("waiting", "active"):
        timer = Hook(
            id=f"{ref}#timer",
            instance_ref=ref,
            run_number=1,
            workflow_name=instance.workflow_name,
            instance_id=instance.instance_id,
            reason="wake",
            due_at=_SOON,
            created_at=_T0,
        )
        yield rows.HOOKS, rows.hook_row(timer)


def _fill(path: Path, count: int) -> None:
    SqliteStore(path).close()  # makes the tables
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN")
        for instance in _instances(count):
            for into, row in _rows_of(instance):
                columns, marks = ", ".join(into.columns), ", ".join("?" for _ in row)
                connection.execute(f"INSERT INTO {into.name} ({columns}) VALUES ({marks})", row)  # noqa: S608 # our own
        connection.execute("COMMIT")


def _queries(count: int) -> dict[str, InstanceQuery]:
    middle = _T0 + timedelta(seconds=count // 6)
    return {
        "no filter": InstanceQuery(),
        "a workflow": InstanceQuery(workflow_names="wf3"),
        "five workflows": InstanceQuery(workflow_names=[f"wf{number}" for number in range(5)]),
        "a common status": InstanceQuery(statuses="complete"),
        "a rare status": InstanceQuery(statuses="paused"),
        "created since": InstanceQuery(created_since=middle),
        "created before": InstanceQuery(created_before=middle),
        "a common tag": InstanceQuery(tags={"region": "eu"}),
        "a rare tag": InstanceQuery(tags={"customer": "7"}),
        "two tags": InstanceQuery(tags={"region": "eu", "customer": "7"}),
        "a tag and a workflow": InstanceQuery(tags={"region": "eu"}, workflow_names="wf3"),
    }


def _deep(store: SqliteStore, query: InstanceQuery, pages: int) -> InstanceQuery:
    """The query of a later page."""
    for _ in range(pages):
        query = query.after(store.list_instances(query)) or query
    return query


@attrs.frozen
class Cost:
    """Milliseconds of wall and CPU time per call."""

    wall: Spread
    cpu: Spread


def _timed(call: Callable[[], object], times: int) -> Cost:
    wall, cpu = [], []
    for _ in range(times):
        began, cpu_began = perf_counter(), thread_time()
        call()
        cpu.append((thread_time() - cpu_began) * 1e3)
        wall.append((perf_counter() - began) * 1e3)
    return Cost(Spread(tuple(wall)), Spread(tuple(cpu)))


def _costs(store: SqliteStore, count: int, times: int) -> Iterator[tuple[str, Cost]]:
    client = Client(store, Registry([]))
    for name, query in _queries(count).items():
        deep = _deep(store, query, 10)
        yield f"page of 100, {name}", _timed(partial(client.list, query), times)
        yield f"its 11th page, {name}", _timed(partial(client.list, deep), times)
        yield f"counts, {name}", _timed(partial(client.count_by_status, query), times)
    yield f"history of {STEPS} steps", _timed(partial(store.history, "wf1#00000001"), times)
    yield f"history of {LONG_STEPS:,} steps and events", _timed(partial(store.history, LONG), times)
    assert client.audit() == ()
    yield "audit of all", _timed(client.audit, 3)


def measure(*, quick: bool) -> str:
    """The table."""
    count, times = (2_000, 3) if quick else (100_000, 21)
    with tempfile.TemporaryDirectory(prefix="wfcore-bench-") as folder:
        path = Path(folder) / "catalog.sqlite"
        _fill(path, count)
        with SqliteStore(path) as store:
            lines = [
                (
                    name,
                    *(f"{each:.2f}" for each in (cost.wall.median, cost.wall.best, cost.wall.worst, cost.cpu.median)),
                )
                for name, cost in _costs(store, count, times)
            ]
    title = f"The catalog of {count:,} instances in SQLite (target: every median but the audit's <= {TARGET_MS} ms)"
    return table(title, ("what", "median ms", "min", "max", "CPU ms"), lines)
