"""PostgreSQL beside raw psycopg scripts that do as much: several at once, an idle dispatcher, many plans, reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from datetime import timedelta
from itertools import count
from threading import Thread
from time import perf_counter
from typing import Any

import psycopg
from bench.postgres import STEPS, at_once, begin, in_a_row, ten_steps, work
from bench.rounds import Spread, alternate, ratio, table

from wfadapters.postgres import PostgresStore
from wfcore import Client, Dispatcher, Plan, Registry, Step, plan_create, run_tick, workflow
from wfcore.model import FiredHook

THREADS = 8
FOREVER = timedelta(hours=1)
_numbers = count()


@workflow(name="one")
def one(step: Step) -> int:
    return step.do("work", work)


@workflow(name="thousand", checkpoint="tick")
def thousand(step: Step) -> None:
    for _ in range(1_000):
        step.do("work", work)
    step.sleep("long", FOREVER)


REGISTRY = Registry([in_a_row, one, thousand])


def measure(url: str, *, quick: bool) -> str:
    """The tables."""
    rounds = 3 if quick else 21
    return "\n".join([_several(url, 3 if quick else 11), _others(url, rounds)])


# ---- several at once


def _several(url: str, rounds: int) -> str:
    with PostgresStore(url) as store, ExitStack() as stack:
        connections = [stack.enter_context(psycopg.connect(url, autocommit=True)) for _ in range(THREADS)]
        threads = stack.enter_context(ThreadPoolExecutor(THREADS))
        sides = [
            _Several(lambda refs: store.apply_many(_creates(store, refs)), lambda _refs: _dispatch(store)),
            _Several(
                lambda refs: _begin(connections[0], refs),
                lambda refs: list(
                    threads.map(_steps, [connections[i % THREADS] for i in range(THREADS)], _split(refs))
                ),
            ),
        ]
        for side in sides:
            side(-1)  # warm up
        ours, raw = alternate(rounds, *sides)
    lines = [
        (name, f"{1 / each.median:,.0f}", f"{1 / each.worst:,.0f}-{1 / each.best:,.0f}", f"{ratio(raw, each):.2f}")
        for name, each in {"a dispatcher": ours, "8 threads, one statement": raw}.items()
    ]
    title = "PostgreSQL: 10 steps in a row, 8 instances at a time, medians of alternating rounds"
    return table(title, ("who", "steps/s", "min-max", "ratio"), lines)


class _Several:
    """Times 32 instances of 10 steps; gives seconds for a step."""

    def __init__(self, prepare: Callable[[list[str]], object], run: Callable[[list[str]], object]) -> None:
        self._prepare = prepare
        self._run = run

    def __call__(self, _number: int) -> float:
        refs = [str(next(_numbers)) for _ in range(4 * THREADS)]
        self._prepare(refs)
        began = perf_counter()
        self._run(refs)
        return (perf_counter() - began) / len(refs) / STEPS


def _dispatch(store: PostgresStore) -> None:
    Dispatcher(store, REGISTRY, concurrency=THREADS).run_until_idle()


def _begin(connection: Any, refs: list[str]) -> None:
    for ref in refs:
        begin(connection, ref)


def _steps(connection: Any, refs: list[str]) -> None:
    for ref in refs:
        ten_steps(connection, ref, at_once)


def _split(refs: list[str]) -> list[list[str]]:
    return [refs[place::THREADS] for place in range(THREADS)]


def _creates(store: PostgresStore, ids: list[str]) -> list[Plan]:
    nothing = store.retrieve("in-a-row#nothing")
    return [plan_create(nothing, in_a_row, instance_id=each, execution_id=each) for each in ids]


# ---- an answer of ours, and what it takes to do as much by hand


def _others(url: str, rounds: int) -> str:
    with PostgresStore(url) as store, PostgresStore(url) as other, psycopg.connect(url, autocommit=True) as raw:
        pairs = {
            ("create to result, idle", "notified there and back"): _reactions(url, store, other),
            ("100 creates at once", "one by one"): _batches(store),
            ("retrieve 1,000 steps", "the same rows"): _histories(store, raw),
        }
        lines = []
        for (what, floor), sides in pairs.items():
            with sides as (ours, theirs):
                for side in (ours, theirs):
                    side()  # warm up
                mine, raws = alternate(rounds, _timed(ours), _timed(theirs))
            lines.append((what, *_figures(mine), floor, *_figures(raws), f"{ratio(raws, mine):.2f}"))
    heads = ("what", "ms", "min-max", "beside", "ms", "min-max", "ratio")
    return table("PostgreSQL: medians of alternating rounds", heads, lines)


def _timed(run: Callable[[], object]) -> Callable[[int], float]:
    def side(_number: int) -> float:
        began = perf_counter()
        run()
        return perf_counter() - began

    return side


def _figures(spread: Spread) -> tuple[str, str]:
    return f"{spread.median * 1e3:.2f}", f"{spread.best * 1e3:.2f}-{spread.worst * 1e3:.2f}"


@contextmanager
def _reactions(url: str, store: PostgresStore, other: PostgresStore) -> Iterator[tuple[Callable[[], object], ...]]:
    """A dispatcher that is idle, on another store, runs one step; nobody polls. By hand: what both say and hear."""
    client = Client(store, REGISTRY)

    def ours() -> None:
        assert client.create(one, id=str(next(_numbers))).result(timeout=FOREVER) == 7

    with Dispatcher(other, REGISTRY, poll_interval=FOREVER), _echo(url) as theirs:
        yield ours, theirs


@contextmanager
def _echo(url: str) -> Iterator[Callable[[], object]]:
    with (
        psycopg.connect(url, autocommit=True) as writer,
        psycopg.connect(url, autocommit=True) as hearer,
        psycopg.connect(url, autocommit=True) as far,
        psycopg.connect(url, autocommit=True) as far_writer,
    ):
        hearer.execute("LISTEN back")
        far.execute("LISTEN there")

        def answer() -> None:
            for heard in far.notifies():
                if not heard.payload:
                    return
                with far_writer.transaction():
                    at_once(far_writer, {"ref": heard.payload, "version": 0, "key": "do:work", "body": ""})
                    far_writer.execute("SELECT pg_notify('back', '')")

        def there_and_back() -> None:
            ref = str(next(_numbers))
            with writer.transaction():
                begin(writer, ref)
                writer.execute("SELECT pg_notify('there', %s)", (ref,))
            with closing(hearer.notifies()) as heard:
                next(heard)

        thread = Thread(target=answer)
        thread.start()
        try:
            yield there_and_back
        finally:
            writer.execute("NOTIFY there")
            thread.join()


@contextmanager
def _batches(store: PostgresStore) -> Iterator[tuple[Callable[[], object], ...]]:
    def together() -> None:
        store.apply_many(_creates(store, [str(next(_numbers)) for _ in range(100)]))

    def one_by_one() -> None:
        for plan in _creates(store, [str(next(_numbers)) for _ in range(100)]):
            store.apply(plan)

    yield together, one_by_one


@contextmanager
def _histories(store: PostgresStore, raw: psycopg.Connection[Any]) -> Iterator[tuple[Callable[[], object], ...]]:
    ref = Client(store, REGISTRY).create(thousand, id="1").ref
    begun = store.retrieve(ref)
    run_tick(store, REGISTRY, FiredHook(hook=begun.hooks[0], timestamp=begun.now))

    def ours() -> None:
        assert len(store.retrieve(ref).steps) == 1_001

    def theirs() -> None:
        rows = raw.execute("SELECT * FROM wfcore.wfcore_steps WHERE instance_ref = %s", (ref,)).fetchall()
        assert len(rows) == 1_001

    yield ours, theirs
