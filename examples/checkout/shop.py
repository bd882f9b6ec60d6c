"""The shop's own work: the bodies of the steps.

A body may run more than once: a worker can die after the body and before its commit. So what it does to the outside
carries ``attempt.idempotency_key``, or can be done twice without harm; and what it does to the shop's own tables it
hands to ``attempt.write``, which commits together with the step, once.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import attrs
from examples.checkout.gateway import Gateway
from examples.checkout.orders import Order, Payment
from examples.checkout.tables import Entry, OrderPaid, Question

from wfcore import Attempt

WORK_SECONDS = 0.15
SOLD_OUT = frozenset({"BOWL-CHAWAN"})


class SoldOut(Exception):  # noqa: N818 - the words of the trade
    """The shelf is empty."""


@attrs.frozen
class Shop:
    gateway: Gateway
    journal: Path  # gets a line from every body that begins, before anything else happens
    receipts: Path
    now: Callable[[], datetime]
    pause: Callable[[float], None]

    def charge(self, order: Order, attempt: Attempt) -> Payment:
        self._begin("charge", order, attempt)
        return self.gateway.charge(attempt.idempotency_key, order.id, order.card, order.cents)

    def ask(self, order: Order, attempt: Attempt) -> None:
        self._begin("ask", order, attempt)
        attempt.write(Question(order.id, order.approver, order.cents, self.now()))

    def pick(self, order: Order, attempt: Attempt) -> None:
        self._begin("pick", order, attempt)
        self.pause(WORK_SECONDS)
        for line in order.lines:
            if line.sku in SOLD_OUT:
                raise SoldOut(f"{line.sku} is sold out")

    def book(self, order: Order, payment: Payment, attempt: Attempt) -> None:
        self._begin("book", order, attempt)
        self.pause(WORK_SECONDS)
        attempt.write(OrderPaid(order.id, order.customer, payment.id, payment.cents))

    def receipt(self, order: Order, payment: Payment, paid_at: datetime, attempt: Attempt) -> str:
        self._begin("receipt", order, attempt)
        self.pause(WORK_SECONDS)
        lines = [f"{line.quantity:3} x {line.sku:<16}{line.quantity * line.cents / 100:9.2f}" for line in order.lines]
        head = f"{order.id}  {order.customer}  {paid_at:%Y-%m-%d}"
        text = "\n".join([head, *lines, f"{payment.id:<22}{payment.cents / 100:9.2f}", ""])
        (self.receipts / f"{order.id}.txt").write_text(text, encoding="utf-8")  # a second time: the same file
        return f"{order.id}.txt"

    def refund(self, order: Order, payment: Payment, attempt: Attempt) -> str:
        self._begin("refund", order, attempt)
        return self.gateway.refund(attempt.idempotency_key, order.id, payment)

    def _begin(self, step: str, order: Order, attempt: Attempt) -> None:
        line = json.dumps({"pid": os.getpid(), "order": order.id, "step": step, "attempt": attempt.number})
        journal = os.open(self.journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(journal, f"{line}\n".encode())
        finally:
            os.close(journal)
        attempt.write(Entry(order.id, step, "done"))
        attempt.on_terminal_error(Entry(order.id, step, "failed"))
