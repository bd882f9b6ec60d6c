"""Rules of a tick hold in both colours of the runner."""

import pytest

from tests.runner.doubles import Desk
from tests.runner.loops import tick_in_loop
from wfcore.runner import run_tick


@pytest.fixture(params=[run_tick, tick_in_loop], ids=["blocking", "asyncio"])
def both_runners(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let desks run their ticks by each runner."""
    monkeypatch.setattr(Desk, "ticks", staticmethod(request.param))
