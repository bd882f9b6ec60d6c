"""Many instances in an SQLite file: their plans one by one, and all at once (``apply_many``).

* ``apply``: the store alone; the plans are there already.
* ``create``: the client, which reads, plans and applies: ``create`` for each, or one ``create_many``.
"""

import tempfile
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from time import perf_counter
from typing import TypeAlias

from bench.rounds import alternate, ratio, table

from wfadapters.sqlite import SqliteStore
from wfadapters.sqlite.store import Synchronous
from wfcore import Client, Plan, Registry, Step, plan_create, workflow

Side: TypeAlias = Callable[[int], float]
"""From the number of a round to the time that an instance takes, in seconds."""


@workflow(name="order")
def order(step: Step, cents: int) -> int:
    step.sleep("day", timedelta(days=1))
    return cents


def plans(store: SqliteStore, prefix: str, count: int) -> list[Plan]:
    snapshot = store.retrieve(f"order#{prefix}")
    return [
        plan_create(snapshot, order, number, instance_id=f"{prefix}-{number}", execution_id=prefix)
        for number in range(count)
    ]


def applies(store: SqliteStore, count: int) -> tuple[Side, Side]:
    def one_by_one(round_number: int) -> float:
        made = plans(store, f"one-{round_number}", count)
        began = perf_counter()
        for plan in made:
            store.apply(plan)
        return (perf_counter() - began) / count

    def at_once(round_number: int) -> float:
        made = plans(store, f"many-{round_number}", count)
        began = perf_counter()
        store.apply_many(made)
        return (perf_counter() - began) / count

    return one_by_one, at_once


def creates(store: SqliteStore, count: int) -> tuple[Side, Side]:
    client = Client(store, Registry([order]))

    def one_by_one(round_number: int) -> float:
        began = perf_counter()
        for number in range(count):
            client.create(order, number, id=f"create-{round_number}-{number}")
        return (perf_counter() - began) / count

    def at_once(round_number: int) -> float:
        began = perf_counter()
        client.create_many(order, [(f"create_many-{round_number}-{number}", number) for number in range(count)])
        return (perf_counter() - began) / count

    return one_by_one, at_once


def measure(*, quick: bool) -> str:
    """The table."""
    rounds, count = (3, 20) if quick else (21, 100)
    modes: Sequence[Synchronous] = ("FULL", "NORMAL")
    rows = []
    for name, sides in (("apply", applies), ("create", creates)):
        for synchronous in modes:
            with (
                tempfile.TemporaryDirectory(prefix="wfcore-bench-") as folder,
                SqliteStore(Path(folder) / "many.sqlite", synchronous=synchronous) as store,
            ):
                store.apply_many(plans(store, "warm", 1_000))
                alone, together = alternate(rounds, *sides(store, count))
            figures = (each.median * 1e6 for each in (alone, together))
            rows.append(
                (f"{name}, {synchronous}", *(f"{each:,.0f}" for each in figures), f"{ratio(alone, together):.1f}")
            )
    heads = ("what, synchronous", "us/instance alone", "at once", "ratio")
    return table(f"{count} instances in SQLite, one by one and at once: medians of alternating rounds", heads, rows)
