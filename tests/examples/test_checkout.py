"""The checkout example: its workflow, its proof, and a short demo."""

import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import attrs
import pytest
from examples.checkout.__main__ import main
from examples.checkout.app import Files
from examples.checkout.gateway import open_gateway
from examples.checkout.orders import ANSWERED, Answer, Line, Order, Result, read_orders
from examples.checkout.proof import CLAIMS, SABOTAGE, prove, sabotage
from examples.checkout.shop import Shop
from examples.checkout.tables import Entry, OrderPaid, Question
from examples.checkout.workflow import make_checkout

from tests.examples.conftest import Clock, quick_app
from wfadapters.memory import MemoryStore
from wfcore import Client, Dispatcher, NotFinishedError, Registry, StepNameError

ROOT = Path(__file__).parents[2]
ORDER = Order(id="A-1", customer="Ada", card="tok_visa", approver="nina", lines=(Line("MUG-STONE", 2, 1450),))
DONE = ("charge", "ask", "pick", "book", "receipt")


def wanted() -> list[tuple[str, int]]:
    return [(order.id, order.cents) for order in read_orders()]


def problems(files: Files) -> dict[str, tuple[str, ...]]:
    """By claim, those that were disproved."""
    return {finding.claim: finding.problems for finding in prove(files, wanted()) if finding.problems}


# -- the workflow, in memory


@pytest.mark.parametrize(
    ("changes", "answer", "result", "ledger"),
    [
        ({}, True, Result("paid", "A-1.txt"), [(step, "done") for step in DONE]),
        ({"card": "tok_flaky_3"}, True, Result("paid", "A-1.txt"), [(step, "done") for step in DONE]),
        ({"card": "tok_declined"}, None, Result("declined", "insufficient funds"), [("charge", "failed")]),
        (
            {"approver": "petra"},
            None,
            Result("refunded", "no answer of petra in time"),
            [("charge", "done"), ("ask", "done"), ("refund", "done")],
        ),
        ({}, False, Result("refunded", "rejected by nina"), [("charge", "done"), ("ask", "done"), ("refund", "done")]),
        (
            {"lines": (Line("BOWL-CHAWAN", 1, 4200),)},
            True,
            Result("refunded", "BOWL-CHAWAN is sold out"),
            [("charge", "done"), ("ask", "done"), ("pick", "failed"), ("refund", "done")],
        ),
    ],
    ids=["paid", "paid after retries", "declined", "not answered in time", "rejected", "sold out"],
)
def test_each_kind_of_order_comes_to_its_end(
    tmp_path: Path,
    clock: Clock,
    changes: dict[str, Any],
    answer: bool | None,
    result: Result,
    ledger: list[tuple[str, str]],
) -> None:
    order = attrs.evolve(ORDER, **changes)
    gateway = open_gateway(tmp_path / "gateway.db", lambda _seconds: None)
    checkout = make_checkout(Shop(gateway, tmp_path / "bodies.jsonl", tmp_path, clock, lambda _seconds: None))
    store, registry = MemoryStore(clock), Registry([checkout])
    handle = Client(store, registry).create(checkout, order, id=order.id)
    if answer is not None:
        handle.send_event(ANSWERED, Answer(by=order.approver, yes=answer))
    dispatcher = Dispatcher(store, registry)
    for _second in range(10):
        dispatcher.run_until_idle()
        clock.advance()

    assert result == handle.result()
    assert ledger == [(each.step, each.outcome) for each in store.writes if isinstance(each, Entry)]
    booked = [each.cents for each in store.writes if isinstance(each, OrderPaid)]
    assert [order.cents] * (result.status == "paid") == booked


def test_a_question_stays_open_until_the_deadline(tmp_path: Path, clock: Clock) -> None:
    gateway = open_gateway(tmp_path / "gateway.db", lambda _seconds: None)
    checkout = make_checkout(Shop(gateway, tmp_path / "bodies.jsonl", tmp_path, clock, lambda _seconds: None))
    store, registry = MemoryStore(clock), Registry([checkout])
    handle = Client(store, registry).create(checkout, ORDER, id=ORDER.id)
    dispatcher = Dispatcher(store, registry)
    for _second in range(4):
        dispatcher.run_until_idle()
        clock.advance()

    assert [Question] == [type(each) for each in store.writes if not isinstance(each, Entry)]
    with pytest.raises(NotFinishedError):
        handle.result()


# -- the shop's own transactions


def test_an_order_is_placed_with_its_checkout_or_not_at_all(tmp_path: Path, clock: Clock) -> None:
    with quick_app(tmp_path / "shop.db", clock) as app:
        with pytest.raises(StepNameError):
            app.place(attrs.evolve(ORDER, id="A#1"))
        assert [(0,)] == app.connection.execute("SELECT count(*) FROM orders").fetchall()


def test_an_order_that_is_placed_twice_is_one_order(tmp_path: Path, clock: Clock) -> None:
    with quick_app(tmp_path / "shop.db", clock) as app:
        app.place(ORDER)
        before = app.handle(ORDER.id).history()
        app.place(ORDER)
        assert before == app.handle(ORDER.id).history()


# -- the proof


def test_all_orders_of_the_file_come_to_their_ends(finished: Files, clock: Clock) -> None:
    assert {} == problems(finished)
    with quick_app(finished.db, clock) as app:
        ends = Counter(app.handle(order.id).result().status for order in read_orders())
    assert {"paid": 24, "refunded": 3, "declined": 1} == ends


@pytest.mark.parametrize(
    ("how", "claim", "problem"),
    [
        ("lost-row", "every paid order has one row", "is paid and has 0 rows of 0 cents"),
        ("double-row", "every paid order has one row", "is paid and has 2 rows"),
        ("lost-step", "every step was committed once", "is not in the ledger"),
        ("double-step", "every step was committed once", "stands 2 times in the ledger"),
        ("lost-order", "no order was lost", "has no workflow"),
        ("lost-charge", "every card was charged once", "with 0 charges"),
        ("double-charge", "every card was charged once", "with 2 charges"),
        ("lost-answer", "every answer in time was taken", "the event is gone"),
        ("unheard-answer", "every answer in time was taken", "nobody noticed"),
    ],
)
def test_the_proof_finds_what_was_lost_or_doubled(files: Files, how: str, claim: str, problem: str) -> None:
    sabotage(files, how)
    found = problems(files)
    assert claim in found
    assert any(problem in each for each in found[claim]), found


def test_every_sabotage_is_tried_and_every_claim_can_be_disproved() -> None:
    (mark,) = test_the_proof_finds_what_was_lost_or_doubled.pytestmark  # type: ignore[attr-defined]
    assert set(SABOTAGE) == {how for how, _, _ in mark.args[1]}
    # The last one is a matter of waiting: an order that is under way has a wake-up.
    assert {claim.name for claim in CLAIMS[:-1]} == {claim for _, claim, _ in mark.args[1]}


def test_the_proof_finds_an_order_that_has_not_ended(tmp_path: Path, clock: Clock) -> None:
    with quick_app(tmp_path / "shop.db", clock) as app:
        app.place(ORDER)
        found = {finding.claim: finding.problems for finding in prove(app.files, [(ORDER.id, ORDER.cents)])}
    assert ("A-1 is active",) == found["no order was lost"]
    assert ("A-1 has a wake-up left",) == found["nothing is left to do"]


def test_the_proof_finds_an_order_that_never_came_to_the_shop(files: Files) -> None:
    found = {finding.claim: finding.problems for finding in prove(files, [*wanted(), ("A-2000", 100)])}
    assert "A-2000 is not in the table of orders" in found["no order was lost"]


# -- the commands


def test_status_shows_the_proof_by_its_exit_code(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == main(["status", "--db", str(files.db)])
    sabotage(files, "lost-row")
    assert 1 == main(["status", "--db", str(files.db)])
    assert "DISPROVED" in capsys.readouterr().out


def test_status_shows_a_lost_order(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    sabotage(files, "lost-order")
    assert 1 == main(["status", "--db", str(files.db)])
    assert "LOST" in capsys.readouterr().out


def test_a_short_demo_kills_a_worker_and_loses_nothing(tmp_path: Path) -> None:
    played = demo("--dir", str(tmp_path), "--orders", "2", "--kills", "1")
    assert 0 == played.returncode, played.stdout + played.stderr
    assert "kill -9" in played.stdout
    assert "Nothing was lost, nothing was doubled." in played.stdout


def test_a_demo_that_lost_a_row_says_so_by_its_exit_code(tmp_path: Path) -> None:
    played = demo("--dir", str(tmp_path), "--orders", "1", "--kills", "0", "--sabotage", "lost-row")
    assert 1 == played.returncode, played.stdout + played.stderr


def demo(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "examples.checkout", "demo", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
