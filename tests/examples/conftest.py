"""The shop of the checkout example without its pauses, on a clock that tests move by hand."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest
from examples.checkout.app import App, Files, open_app
from examples.checkout.approver import answer_questions
from examples.checkout.orders import read_orders
from examples.checkout.report import is_under_way

from wfcore import Dispatcher


@attrs.define
class Clock:
    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self) -> None:
        self.now += timedelta(seconds=1)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@contextmanager
def quick_app(db: Path, clock: Callable[[], datetime]) -> Iterator[App]:
    with open_app(db, now=clock, pause=lambda _seconds: None, synchronous="OFF") as app:
        yield app


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """A shop with all orders at their ends; not to be changed."""
    clock = Clock()
    with quick_app(tmp_path_factory.mktemp("finished") / "shop.db", clock) as app:
        for order in read_orders():
            app.place(order)
        dispatcher = Dispatcher(app.store, app.registry)
        for _second in range(60):
            dispatcher.run_until_idle()
            answer_questions(app, clock())
            clock.advance()
            if not is_under_way(app):
                break
    return app.files


@pytest.fixture
def files(finished: Files, tmp_path: Path) -> Files:
    """A copy of that shop."""
    shutil.copytree(finished.db.parent, tmp_path, dirs_exist_ok=True)
    return Files(tmp_path / finished.db.name)
