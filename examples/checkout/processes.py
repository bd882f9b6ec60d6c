"""What each of the shop's processes does until it is told to stop."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from examples.checkout.app import open_app, utc_now
from examples.checkout.approver import answer_questions
from examples.checkout.orders import read_orders

from wfcore import Dispatcher

# When a worker has died in the middle of an order, the next one takes it over after this time. Short, as all bodies
# are; a body that takes longer would be run by both of two workers.
RECOVER_AFTER = timedelta(seconds=2)
POLL = timedelta(seconds=0.2)


def load(db: Path, limit: int | None, pause: float) -> None:
    """Place the orders, one after the other, and end."""
    with open_app(db) as app:
        for order in list(read_orders())[:limit]:
            app.place(order)
            time.sleep(pause)


def work(db: Path) -> None:
    """Run the workflows."""
    with open_app(db) as app:
        dispatcher = Dispatcher(app.store, app.registry, poll_interval=POLL, recover_after=RECOVER_AFTER)
        # A signal may come while this thread holds the dispatcher's lock; another thread waits for it.
        _when_told_to_stop(lambda: threading.Thread(target=dispatcher.stop).start())
        dispatcher.run()


def approve(db: Path) -> None:
    """Answer the shop's questions."""
    stopped = threading.Event()
    _when_told_to_stop(stopped.set)
    with open_app(db) as app:
        while not stopped.is_set():
            answer_questions(app, utc_now())
            time.sleep(POLL.total_seconds() / 2)


def end_with(parent: int) -> None:
    """Stop this process when that one, its parent, is gone: a demo leaves nothing behind, however it ends."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


def _when_told_to_stop(stop: Callable[[], object]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop())
