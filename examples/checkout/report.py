"""What there is to see: a table of orders, by what a client can ask, and the findings of the proof."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

import attrs
from examples.checkout.app import App, Files
from examples.checkout.proof import Finding

from wfcore import InstanceFailedError, InstanceNotFoundError, NotFinishedError

STEPS = ("charge", "ask", "pick", "book", "receipt", "refund")


@attrs.frozen
class Run:
    """A step body that has begun: a line of the journal."""

    pid: int
    order: str
    step: str
    attempt: int


def read_journal(files: Files) -> list[Run]:
    if not files.journal.exists():
        return []
    with files.journal.open(encoding="utf-8") as lines:
        return [Run(**json.loads(line)) for line in lines if line.endswith("\n")]


def order_rows(app: App) -> Iterator[list[str]]:
    """A row for every order that was placed: its end, attempts and body runs by step, its approval."""
    runs = Counter((run.order, run.step) for run in read_journal(app.files))
    asked = {order_id: rest for order_id, *rest in app.connection.execute(_APPROVALS)}
    for order_id, cents in app.connection.execute("SELECT order_id, cents FROM orders ORDER BY order_id").fetchall():
        attempts: dict[str, int] = {}
        status, detail = "LOST", "there is no workflow"
        with suppress(InstanceNotFoundError):
            attempts = {step.name: step.attempts for step in app.handle(order_id).history().steps if step.kind == "do"}
            status, detail = _end(app, order_id)
        cells = [_cell(attempts.get(step, 0), runs[order_id, step]) for step in STEPS]
        yield [order_id, f"{cents / 100:.2f}", status, *cells, _approval(*asked.get(order_id, ())), detail]


def _end(app: App, order_id: str) -> tuple[str, str]:
    handle = app.handle(order_id)
    try:
        result = handle.result()
    except NotFinishedError as error:
        return error.status, ""
    except InstanceFailedError as error:
        return "errored", str(error.failure)
    return result.status, "" if result.status == "paid" else result.detail


_APPROVALS = "SELECT order_id, approver, answer, answered_at - asked_at FROM questions"


def _approval(approver: str = "", answer: str | None = None, seconds: float | None = None) -> str:
    if answer is None or seconds is None:
        return approver and f"{approver} ..."
    return f"{approver} {answer} {seconds:.1f} s"


def _cell(attempts: int, runs: int) -> str:
    return f"{attempts}" * (attempts == runs > 0) or f"{attempts}/{runs}" * (runs > 0) or "-"


def is_under_way(app: App) -> bool:
    """Whether there is something that a worker or an approver will still do."""
    return bool(app.connection.execute(_UNDER_WAY).fetchone()[0])


_UNDER_WAY = "SELECT (SELECT count(*) FROM wfcore_hooks) + (SELECT count(*) FROM questions WHERE answer IS NULL)"


def print_orders(app: App) -> None:
    rows = list(order_rows(app))
    _print_table([["order", "total", "result", *STEPS, "approval", "why"], *rows], right={1})
    print("\nBelow a step: its attempts; 1/2: 1 attempt was committed, its body was begun 2 times (by its own journal)")


def print_findings(findings: Sequence[Finding]) -> None:
    names = [finding.claim for finding in findings]
    for finding in findings:
        word = "DISPROVED" if finding.problems else "proved"
        print(f"{finding.claim:<{max(map(len, names))}}  {word:<9}  {finding.counted}")
        for problem in finding.problems:
            print(f"  ! {problem}")


def _print_table(table: Sequence[Sequence[str]], right: Iterable[int]) -> None:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        cells = [
            cell.rjust(width) if index in right else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())
