"""The approvers: another program, which reads the shop's list of questions and answers by events."""

from __future__ import annotations

from datetime import datetime

from examples.checkout.app import App
from examples.checkout.orders import ANSWERED, Answer
from examples.checkout.tables import transaction

from wfcore import Client, IllegalTransitionError

# nina says yes at once, omar takes his time, quinn always says no, petra comes back when it is all over.
SECONDS_TO_THINK = {"omar": 3.0}
_OPEN = "SELECT order_id, approver, asked_at FROM questions WHERE answer IS NULL"
_CLOSE = "UPDATE questions SET answer = ?, answered_at = ? WHERE order_id = ?"


def answer_questions(app: App, now: datetime) -> None:
    """Answer what the approvers have made up their minds about."""
    for order_id, approver, asked_at in app.connection.execute(_OPEN).fetchall():
        if approver == "petra":
            ready = app.handle(order_id).status() not in ("active", "waiting")
        else:
            ready = now.timestamp() >= asked_at + SECONDS_TO_THINK.get(approver, 0.0)
        if ready:
            _answer(app, order_id, Answer(by=approver, yes=approver != "quinn"), now)


def _answer(app: App, order_id: str, answer: Answer, now: datetime) -> None:
    """Send the event and close the question: both or neither."""
    with transaction(app.connection):
        handle = Client(app.store.within(app.connection), app.registry).handle(app.checkout, order_id)
        try:
            handle.send_event(ANSWERED, answer, id=f"answer of {answer.by}")
            word = "yes" if answer.yes else "no"
        except IllegalTransitionError:  # the checkout has ended without it
            word = "too late"
        app.connection.execute(_CLOSE, (word, now.timestamp(), order_id))
