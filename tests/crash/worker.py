"""A process that is going to be killed: ``python -m tests.crash.worker plans|workflows FILE SEED POSITION...``

It writes a line to its standard output for everything that it was told is done, and never ends by itself.
"""

import itertools
import os
import sys
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.crash import shop
from tests.crash.lanes import Lane, prepare
from tests.crash.shop import CHECKOUT, CONCURRENCY, EVENT_ID, RECOVER_AFTER, REGISTRY, WRITERS, Approved
from wfadapters.sqlite import SqliteStore
from wfcore import Applied, Client, Conflict, Dispatcher, Handle, IllegalTransitionError, Plan, PutInstance, PutStep

IN_FLIGHT = 6


def say(line: str) -> None:
    """One write of less than a pipe's buffer: a line arrives whole or not at all."""
    os.write(sys.stdout.fileno(), f"{line}\n".encode())


def apply_plans(path: Path, seed: int, positions: list[int]) -> None:
    lanes = [Lane(seed, number) for number in range(len(positions))]
    for lane, position in zip(lanes, positions, strict=True):
        while lane.position < position:
            lane.advance()
    say("ready")
    with SqliteStore(path, on_connect=prepare) as store, ThreadPoolExecutor(len(lanes)) as pool:
        say("open")
        ended, _ = wait([pool.submit(_run, lane, store) for lane in lanes], return_when=FIRST_COMPLETED)
        sys.stderr.write(f"{[each.exception() for each in ended]}\n")
        os._exit(1)


def _run(lane: Lane, store: SqliteStore) -> None:
    while True:
        result = store.apply(lane.peek())
        assert result == lane.advance()
        say(f"{lane.number} {lane.position}")


class TellingStore(SqliteStore):
    """Says what became of each plan, before the dispatcher knows: no body is unaccounted for once its plan is."""

    def apply(self, plan: Plan) -> Applied | Conflict:
        has_result = any(isinstance(each, PutStep) and each.step.kind == "do" for each in plan.mutations)
        try:
            result = super().apply(plan)
        except BaseException:
            if has_result:
                say(f"unsure {plan.ref}")
            raise
        if isinstance(result, Applied):
            for each in plan.mutations:
                if isinstance(each, PutInstance):
                    say(f"version {each.instance.version} {each.ref}")
        elif has_result:
            say(f"lost {plan.ref}")
        return result


def run_workflows(path: Path, first: int) -> None:
    """Two dispatchers, each with connections of its own, get into each other's way all the time."""
    say("ready")
    shop.on_body = lambda number, name: say(f"body {number} {name}")
    settings: Mapping[str, Any] = {"concurrency": CONCURRENCY, "recover_after": RECOVER_AFTER}
    with (
        TellingStore(path, on_connect=prepare, writers=WRITERS) as store,
        TellingStore(path, on_connect=prepare, writers=WRITERS) as other,
    ):
        say("open")
        client = Client(store, REGISTRY)
        started: list[tuple[int, Handle[str]]] = []
        rival = Dispatcher(other, REGISTRY, poll_interval=timedelta(milliseconds=2), **settings)
        with Dispatcher(store, REGISTRY, **settings), rival:
            for number in itertools.count(first):
                handle = client.create(CHECKOUT, number, id=str(number), on_conflict="return_existing")
                say(f"created {number}")
                with suppress(IllegalTransitionError):  # a former life sent it, and was killed before it could say so
                    handle.send_event(Approved, f"approval {number}", id=EVENT_ID)
                say(f"sent {number}")
                started.append((number, handle))
                if len(started) == IN_FLIGHT:
                    oldest, handle = started.pop(0)
                    handle.result(timeout=timedelta(seconds=60))
                    say(f"done {oldest}")


if __name__ == "__main__":
    kind, file, *numbers = sys.argv[1:]
    if kind == "plans":
        apply_plans(Path(file), int(numbers[0]), [int(number) for number in numbers[1:]])
    else:
        run_workflows(Path(file), int(numbers[0]))
