"""Two versions of the code at once: who cannot run an instance leaves it, with pauses, to who can (D3, D4, G10)."""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import attrs
import pytest

from tests.crash.shop import Record
from tests.operations.sites import Site, on_postgres, on_sqlite
from tests.operations.trade import PATIENCE
from wfcore import Attempt, Client, Dispatcher, DueQuery, EventType, Registry, Step, TickReport, workflow

Approved = EventType("approved", str)
HOUR, LONGEST_PAUSE = timedelta(hours=1), timedelta(minutes=5)


def write(number: int, name: str, attempt: Attempt) -> None:
    attempt.write(Record(number, name))


@workflow(name="order")
def old_order(step: Step, number: int) -> str:
    step.do("charge", partial(write, number, "charge"))
    step.wait_for_event("approval", Approved)
    step.do("ship", partial(write, number, "ship"))
    return "shipped"


@workflow(name="order")
def changed_order(step: Step, number: int) -> str:
    step.do("check", partial(write, number, "check"))
    step.do("charge", partial(write, number, "charge"))
    step.wait_for_event("approval", Approved)
    step.do("ship", partial(write, number, "ship"))
    return "shipped"


@workflow(name="order")
def patched_order(step: Step, number: int) -> str:
    if step.patched("check"):
        step.do("check", partial(write, number, "check"))
    step.do("charge", partial(write, number, "charge"))
    step.wait_for_event("approval", Approved)
    step.do("ship", partial(write, number, "ship"))
    return "shipped"


@workflow(name="greeting")
def greeting(step: Step) -> str:
    return "hello"


OLD = Registry([old_order])
NEW = {"patched": Registry([patched_order, greeting]), "changed": Registry([changed_order, greeting])}
EITHER_NEW = pytest.mark.parametrize("new", NEW.values(), ids=NEW)


@attrs.define
class World:
    """A site in virtual time, and what its ticks reported."""

    site: Site
    now: list[datetime]
    reports: list[TickReport] = attrs.field(factory=list)

    def run(self, registry: Registry) -> None:
        """Let a process with that code do all that is due."""
        Dispatcher(self.site.store, registry, observer=self.reports.append).run_until_idle()

    def pass_time(self) -> bool:
        """Until something is due; whether anything ever is."""
        due_at = self.site.store.next_due_at(DueQuery())
        self.now[0] = max(self.now[0], due_at or self.now[0])
        return due_at is not None


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    now = [datetime(2026, 1, 1, 9, tzinfo=UTC)]
    clock: Callable[[], datetime] = lambda: now[0]
    if request.param == "sqlite":
        opened = on_sqlite(tmp_path / "workflows.db", clock=clock)
    else:
        opened = on_postgres(request.getfixturevalue("url"), clock=clock)
    with opened as site:
        yield World(site, now)


@EITHER_NEW
def test_d3_code_that_does_not_fit_looks_seldom_and_changes_nothing_until_code_that_fits_is_there(
    world: World, new: Registry
) -> None:
    handle = Client(world.site.store, new).create(new.get("order"), 7, id="7")
    world.run(new)
    handle.send_event(Approved, "yes")
    before, began = handle.get(), world.now[0]
    world.reports.clear()
    while world.now[0] < began + HOUR:
        world.run(OLD)
        world.pass_time()
    assert handle.get() == before
    assert {type(report.error).__name__ for report in world.reports} == {"NonDeterminismError"}
    assert sum(report.bodies for report in world.reports) == 0
    assert 10 <= len(world.reports) <= 22  # after 1, 2, 4, ... seconds, then every five minutes
    world.now[0] += LONGEST_PAUSE
    world.run(new)
    assert handle.result() == "shipped"
    assert world.site.rows() == [(7, "charge"), (7, "check"), (7, "ship")]


@EITHER_NEW
@pytest.mark.parametrize("seed", range(2))
def test_two_versions_side_by_side_bring_every_instance_to_its_end(world: World, new: Registry, seed: int) -> None:
    """Each instance may be handed to either; what one has begun, it may be that only that one can go on with."""
    chance = random.Random(seed)
    versions = [OLD, new]
    client = Client(world.site.store, OLD)
    handles = [client.create(old_order, number, id=str(number)) for number in range(8)]
    began = world.now[0]
    for step in range(60):
        world.run(chance.choice(versions))
        if step < len(handles):
            handles[step].send_event(Approved, "yes")
        if not world.pass_time() and step >= len(handles):
            break
    assert [handle.result() for handle in handles] == ["shipped"] * 8
    once = Counter(world.site.rows())
    assert set(once.values()) == {1}
    assert {row for row in once if row[1] != "check"} == {(n, name) for n in range(8) for name in ("charge", "ship")}
    assert client.audit() == ()
    assert world.now[0] - began < HOUR
    errors = Counter(type(report.error).__name__ for report in world.reports if report.error)
    assert set(errors) <= {"NonDeterminismError"}


def test_g10_a_process_without_the_workflow_does_not_even_see_it(tmp_path: Path) -> None:
    """Both run, in earnest."""
    seen: list[TickReport] = []
    new = NEW["patched"]
    with on_sqlite(tmp_path / "workflows.db") as site, site.dispatching(OLD, observer=seen.append):
        client = Client(site.store, new)
        handle = client.create(greeting, id="1")
        order = client.create(patched_order, 1, id="1")
        order.send_event(Approved, "yes")
        assert order.result(timeout=PATIENCE) == "shipped"
        assert handle.status() == "active"
        with site.dispatching(new):
            assert handle.result(timeout=PATIENCE) == "hello"
        assert {report.fired.hook.instance_ref for report in seen} == {order.ref}
