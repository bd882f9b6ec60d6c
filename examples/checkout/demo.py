"""The demo: a worker that is killed again and again, orders that do not notice, and the proof of it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import attrs
from examples.checkout.app import App, Files, open_app
from examples.checkout.orders import Order
from examples.checkout.proof import prove, sabotage
from examples.checkout.report import Run, is_under_way, print_findings, print_orders, read_journal
from examples.checkout.tables import connect

ROOT = Path(__file__).parents[2]
SECONDS_BETWEEN_ORDERS = 0.2
SECONDS_TO_WORK = 1.5  # from a worker's first body until it is killed
SECONDS_IN_ALL = 120.0
SECONDS_TO_AIM = 1.5  # after that, for a body that makes a difference; then any body in flight will do
# Which bodies shall be in flight when the worker is killed: for the first kill, the second, ... again from the start.
TARGETS = (("charge",), ("book", "pick"), ("receipt", "refund"))


class DemoFailed(Exception):  # noqa: N818 - printed, not handled
    """The demo could not be played to its end; says nothing about the orders."""


@attrs.define
class Stage:
    """The processes of a demo, and its clock."""

    app: App
    began: float = attrs.field(factory=time.monotonic)
    children: list[subprocess.Popen[bytes]] = attrs.field(factory=list)

    @property
    def log(self) -> Path:
        return self.app.files.db.with_name("processes.log")

    def start(self, command: str, *options: str) -> subprocess.Popen[bytes]:
        arguments = [command, "--db", str(self.app.files.db), "--parent", str(os.getpid()), *options]
        with self.log.open("ab") as log:
            child = subprocess.Popen(
                [sys.executable, "-m", "examples.checkout", *arguments], cwd=ROOT, stdout=log, stderr=log
            )
        self.children.append(child)
        return child

    def stop(self, child: subprocess.Popen[bytes]) -> None:
        """Ask it to end, as an operator would; it must."""
        child.terminate()
        self.until(f"the end of process {child.pid}", lambda: child.poll() is not None)
        self.children.remove(child)

    def until(self, what: str, happened: Callable[[], bool]) -> None:
        """Wait for something, and look after the processes meanwhile."""
        while not happened():
            for child in self.children:
                if child.poll():
                    raise DemoFailed(f"process {child.pid} ended with {child.returncode}, see {self.log}")
            if time.monotonic() > self.began + SECONDS_IN_ALL:
                raise DemoFailed(f"waited in vain for {what}, {SECONDS_IN_ALL:.0f} s after the beginning")
            time.sleep(0.02)

    def say(self, text: str) -> None:
        print(f"{time.monotonic() - self.began:5.1f} s  {text}", flush=True)


def play(db: Path, orders: list[Order], kills: int, sabotaged: str | None) -> bool:
    """Play the demo; whether every claim was proved."""
    with open_app(db) as app, _stage(app) as stage:
        pause = SECONDS_BETWEEN_ORDERS * max(1.0, kills / len(TARGETS))  # who kills more wants more to kill
        loader = stage.start("load", "--orders", str(len(orders)), "--pause", str(pause))
        worker, approver = stage.start("worker"), stage.start("approve")
        stage.say(f"{len(orders)} orders begin to arrive; worker {worker.pid}, approver {approver.pid}")
        cut: list[Run] = []
        killed = 0
        while killed < kills:
            found = _kill(stage, worker, TARGETS[killed % len(TARGETS)], len(orders))
            killed += bool(found)  # nothing found: it does not count
            cut += found
            worker = stage.start("worker")
            stage.say(f"worker {worker.pid} is started in its place")
        stage.until("the last order", lambda: _all_ended(app, len(orders)))
        stage.say(f"all {len(orders)} orders have ended")
        stage.until("the end of the loader", lambda: loader.poll() is not None)
        stage.stop(worker)
        stage.stop(approver)

        if sabotaged:
            sabotage(app.files, sabotaged)
            stage.say(f"sabotage: {sabotaged}")
        print()
        print_orders(app)
        _print_runs(app, cut)
        findings = prove(app.files, ((order.id, order.cents) for order in orders))
        print_findings(findings)
        return not any(finding.problems for finding in findings)


@contextmanager
def _stage(app: App) -> Iterator[Stage]:
    stage = Stage(app)
    try:
        yield stage
    finally:
        for child in stage.children:
            child.kill()
            child.wait()


def _kill(stage: Stage, worker: subprocess.Popen[bytes], targets: tuple[str, ...], orders: int) -> list[Run]:
    """Kill the worker in the middle of its work; the bodies that it had begun, and whose end will never be stored."""
    app, pid = stage.app, worker.pid
    stage.until(
        "a first body", lambda: any(run.pid == pid for run in read_journal(app.files)) or _all_ended(app, orders)
    )
    not_before = time.monotonic() + min(SECONDS_TO_WORK, orders * SECONDS_BETWEEN_ORDERS)

    def at_a_bad_moment() -> bool:
        if _all_ended(app, orders):
            raise DemoFailed("all orders have ended, and the worker was not killed as often as it was to be")
        aiming = time.monotonic() < not_before + SECONDS_TO_AIM
        in_flight = _in_flight(app, pid) if time.monotonic() > not_before else []
        return any(run.step in targets or not aiming for run in in_flight)

    stage.until("a body in flight", at_a_bad_moment)
    worker.kill()
    worker.wait()
    stage.children.remove(worker)
    cut = _in_flight(app, pid)  # it is dead: this is final, and its last body may have been committed since the look
    stage.say(f"kill -9 {pid}, in the middle of {_listed(cut) or 'nothing: once more'}")
    charged = [run.order for run in cut if run.step == "charge" and _is_charged(app.files, run.order)]
    if charged:
        print(f"         the gateway has the money of {', '.join(charged)}, and nobody here knows")
    return cut


def _in_flight(app: App, pid: int) -> list[Run]:
    """The bodies that this process has begun, without an end in the database."""
    runs = [run for run in read_journal(app.files) if run.pid == pid]  # before the steps: what ends meanwhile counts
    found = app.connection.execute("SELECT instance_ref, name, attempts FROM wfcore_steps WHERE kind = 'do'")
    attempts = {(ref, name): ended for ref, name, ended in found}
    return [run for run in runs if run.attempt > attempts.get((f"checkout#{run.order}", run.step), 0)]


def _listed(runs: list[Run]) -> str:
    """``charge A-1 A-2, pick A-3``."""
    steps: dict[str, list[str]] = {}
    for run in runs:
        steps.setdefault(run.step, [run.step]).append(run.order)
    return ", ".join(map(" ".join, steps.values()))


def _is_charged(files: Files, order_id: str) -> bool:
    with closing(connect(files.gateway)) as gateway:
        return gateway.execute("SELECT 1 FROM charges WHERE order_id = ?", (order_id,)).fetchone() is not None


def _all_ended(app: App, count: int) -> bool:
    (placed,) = app.connection.execute("SELECT count(*) FROM orders").fetchone()
    return placed == count and not is_under_way(app)


def _print_runs(app: App, cut: list[Run]) -> None:
    begun = len(read_journal(app.files))
    (ended,) = app.connection.execute("SELECT total(attempts) FROM wfcore_steps WHERE kind = 'do'").fetchone()
    print(f"bodies were begun {begun} times: {ended:.0f} attempts were committed, {len(cut)} were cut off by kill -9\n")
