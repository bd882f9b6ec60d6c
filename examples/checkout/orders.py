"""What goes through a checkout: plain typed values, which the workflow, its steps and its senders share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import attrs

from wfcore import JSON, EventType

ORDERS = Path(__file__).with_name("orders.jsonl")


@attrs.frozen
class Line:
    sku: str
    quantity: int
    cents: int  # of one piece


@attrs.frozen
class Order:
    id: str
    customer: str
    card: str
    approver: str
    lines: tuple[Line, ...]

    @property
    def cents(self) -> int:
        return sum(line.quantity * line.cents for line in self.lines)


@attrs.frozen
class Payment:
    id: str
    cents: int


@attrs.frozen
class Answer:
    by: str
    yes: bool


ANSWERED = EventType("answered", Answer)


@attrs.frozen
class Result:
    """How a checkout ends. An order that is not ``paid`` has cost its customer nothing."""

    status: Literal["paid", "declined", "refunded"]
    detail: str


def read_orders(path: Path = ORDERS) -> Iterator[Order]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            order: Order = JSON.decode(line, Order)
            yield order
