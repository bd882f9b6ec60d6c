"""``check_replay``: does code fit what is recorded? Nothing is run, nothing is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.testing.shop import HOUR, MINUTE, SECOND, SHOP, Approval, Approved, Order, checkout, counting, impatient
from wfadapters.sqlite import Sql, SqliteStore
from wfcore import (
    AsyncStep,
    Attempt,
    Instance,
    NonDeterminismError,
    Registry,
    Retry,
    Snapshot,
    Step,
    StepFailedError,
    UnknownWorkflowError,
    Workflow,
    plan_terminate,
    workflow,
)
from wfcore.testing import ReplayVerdict, SimulatedHandle, Simulation, VirtualClock, check_replay

Any_ = Workflow[Any, Any]


def named(fn: Callable[..., Any]) -> Any_:
    """A version of one workflow."""
    return workflow(name="versions")(fn)


def stored(sim: Simulation, run: SimulatedHandle[Any]) -> Snapshot:
    return sim.store.retrieve(run.ref)


def after(old: Any_, new: Any_, *, until: Callable[[Simulation, SimulatedHandle[Any]], object]) -> ReplayVerdict:
    """The verdict on new code, for an instance that the old code has run."""
    sim = Simulation([old])
    run = sim.create(old, id="1")
    until(sim, run)
    return check_replay(stored(sim, run), Registry([new]))


def idle(sim: Simulation, run: SimulatedHandle[Any]) -> None:
    sim.run_until_idle()


def done(sim: Simulation, run: SimulatedHandle[Any]) -> None:
    sim.run_until_done(run)


@named
def old(step: Step) -> str:
    step.do("a", lambda attempt: None)
    step.sleep("nap", HOUR)
    step.do("b", lambda attempt: None)
    return "done"


@named
def same_again(step: Step) -> str:
    step.do("a", lambda attempt: None)
    step.sleep("nap", MINUTE)
    step.do("c", lambda attempt: None)
    return "done"


@named
def mismatched(step: Step) -> str:
    step.do("other", lambda attempt: None)
    return "done"


@named
def other_end(step: Step) -> str:
    step.do("a", lambda attempt: None)
    step.sleep("nap", HOUR)
    step.do("b", lambda attempt: None)
    return "finished"


@named
def other_type(step: Step, number: int) -> str:
    return ""


@workflow(name="another")
def another(step: Step) -> None:
    pass


@pytest.mark.parametrize(
    ("until", "new", "kind", "ok"),
    [
        (idle, old, "goes on", True),
        (idle, same_again, "goes on", True),
        (idle, other_end, "goes on", True),
        (idle, mismatched, "mismatch", False),
        (idle, other_type, "mismatch", False),
        (idle, another, "unknown workflow", False),
        (done, old, "ends as recorded", True),
        (done, other_end, "ends differently", False),
        (done, same_again, "mismatch", False),
        (done, mismatched, "mismatch", False),
    ],
)
def test_code_fits_or_not(until: Any, new: Any_, kind: str, ok: bool) -> None:
    verdict = after(old, new, until=until)
    assert (kind, ok, "versions#1") == (verdict.kind, verdict.ok, verdict.ref), str(verdict)


def test_a_verdict_names_what_comes_next() -> None:
    sim = Simulation([old])
    run = sim.create(old, id="1")
    assert "'do:a' would run" == check_replay(stored(sim, run), Registry([old])).what
    sim.run_until_idle()
    assert (
        "it waits for 'sleep:nap' until 2026-01-01T01:00:00+00:00"
        in check_replay(stored(sim, run), Registry([old])).what
    )


def test_a_verdict_reads_in_one_line() -> None:
    assert 'versions#1: ends as recorded: it returns "done"' == str(after(old, old, until=done))


def test_a_verdict_carries_the_error() -> None:
    assert isinstance(after(old, mismatched, until=idle).error, NonDeterminismError)
    assert isinstance(after(old, another, until=idle).error, UnknownWorkflowError)
    assert after(old, old, until=idle).error is None


def test_a_step_that_is_due_would_run_and_is_not_run() -> None:
    calls: list[Attempt] = []

    @named
    def counted(step: Step) -> None:
        step.do("a", calls.append)

    sim = Simulation([counted])
    run = sim.create(counted, id="1")
    before = stored(sim, run)
    assert "'do:a' would run" == check_replay(before, Registry([counted])).what
    assert ([], before) == (calls, stored(sim, run))


def test_a_body_that_workflow_code_would_swallow_is_not_run_either() -> None:
    @named
    def greedy(step: Step) -> str:
        try:
            step.do("a", lambda attempt: None)
        except BaseException:
            return "swallowed"
        return "done"

    sim = Simulation([greedy])
    run = sim.create(greedy, id="1")
    assert "'do:a' would run" == check_replay(stored(sim, run), Registry([greedy])).what


def test_a_paused_instance_is_replayed_like_any_other() -> None:
    sim = Simulation([old])
    run = sim.create(old, id="1")
    sim.run_until_idle()
    found = stored(sim, run)
    assert found.instance is not None
    paused = attrs.evolve(found, instance=attrs.evolve(found.instance, status="paused"), hooks=())
    assert ("goes on", "mismatch") == (
        check_replay(paused, Registry([old])).kind,
        check_replay(paused, Registry([mismatched])).kind,
    )


def test_an_instance_that_was_terminated_has_no_end_of_its_own() -> None:
    sim = Simulation([old])
    run = sim.create(old, id="1")
    sim.run_until_idle()
    sim.store.apply(plan_terminate(stored(sim, run), run.ref, execution_id="x", notify=False))
    assert ("goes on", True) == (
        check_replay(stored(sim, run), Registry([old])).kind,
        check_replay(stored(sim, run), Registry([old])).ok,
    )
    assert not check_replay(stored(sim, run), Registry([mismatched])).ok


def test_an_instance_that_a_failed_write_has_ended_has_no_end_of_its_own(tmp_path: Path) -> None:
    @named
    def writes(step: Step) -> None:
        step.do("a", lambda attempt: attempt.write(Sql("INSERT INTO nowhere VALUES (1)")))

    clock = VirtualClock()
    with SqliteStore(tmp_path / "s.sqlite", clock=clock) as store:
        sim = Simulation([writes], store=store, clock=clock)
        run = sim.create(writes, id="1")
        sim.run_until_done(run)
        assert "errored" == run.status()
        assert check_replay(stored(sim, run), Registry([writes])).ok


def test_there_has_to_be_an_instance() -> None:
    sim = Simulation([old])
    with pytest.raises(ValueError, match="no instance"):
        check_replay(stored(sim, sim.handle(old, "1")), Registry([old]))


# -- every way to end is derived again


async def raises(step: AsyncStep) -> None:
    await step.sleep("short", SECOND)
    raise ValueError("no")


async def sleeps(step: AsyncStep) -> str:
    await step.sleep("long", HOUR)
    return "late"


async def waits(step: AsyncStep) -> object:
    return (await step.wait_for_event("word", "word", timeout=MINUTE)).payload


async def works(step: AsyncStep) -> str:
    return await step.do("work", lambda attempt: "worked", returns=str)


async def fails(step: AsyncStep) -> str:
    def body(attempt: Attempt) -> str:
        raise ValueError("no")

    return await step.do("fail", body, retry=Retry(max_attempts=2, delay=SECOND))


BRANCHES = [works, sleeps, waits, fails, raises]
PAIRS = [(a, b) for a in BRANCHES for b in BRANCHES if a is not b]


@pytest.mark.parametrize("group", ["gather", "race"])
@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: "-".join(branch.__name__ for branch in pair))
def test_an_end_in_branches_is_derived_again(group: str, pair: tuple[Any, Any]) -> None:
    @named
    async def branching(step: AsyncStep) -> str:
        try:
            return repr(await getattr(step, group)("both", *pair))
        except StepFailedError as error:
            return f"caught {error}"

    sim = Simulation([branching])
    run = sim.create(branching, id="1")
    sim.run_until_done(run)
    verdict = check_replay(stored(sim, run), Registry([branching]))
    assert "ends as recorded" == verdict.kind, verdict


def test_an_end_is_derived_again_whatever_its_events() -> None:
    sim = Simulation(SHOP)
    one = sim.create(checkout, Order("A-1"), id="1")
    sim.deliver(one, Approved, Approval("eva"), at=MINUTE)
    other = sim.create(impatient, id="1")
    third = sim.create(counting, 3, id="1")
    for run in (one, other, third):
        sim.run_until_done(run)
        assert "ends as recorded" == check_replay(stored(sim, run), Registry(SHOP)).kind


def test_an_instance_that_is_due_is_replayed_at_the_time_at_which_it_was_written() -> None:
    """Otherwise what is due by now would settle, and the verdict would depend on when it is asked for."""
    sim = Simulation([old])
    run = sim.create(old, id="1")
    sim.run_until_idle()
    sim.clock.advance_to(sim.now + 10 * HOUR)
    found = stored(sim, run)
    assert isinstance(found.instance, Instance)
    assert "it waits for 'sleep:nap'" in check_replay(found, Registry([old])).what
