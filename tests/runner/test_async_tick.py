"""``run_tick_async``: where bodies run, what is in flight at once, and what becomes of it (R5, W10, O6, S13)."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from datetime import timedelta
from functools import partial
from typing import Any

import attrs
import pytest

from tests.lab import T0
from tests.runner.doubles import WAIT, Desk, unavailable
from tests.runner.loops import Awaited, Gate, cancelled, in_loop
from wfcore.define import workflow
from wfcore.errors import StepBodyError, StepFailedError, StepUsageError, StoreUnavailableError
from wfcore.keys import message_id
from wfcore.model import PAUSE_REQUEST, Event, Hook
from wfcore.outcome import Checkpointed, Completed, Ignored, Paused, Stuck
from wfcore.plan import AddEvent, AddHook, Applied, Exists, Plan, PutHook, PutStep
from wfcore.planner import AsyncStep, Attempt, Step, plan_restart
from wfcore.planner.changes import change
from wfcore.runner import StopSignal, TickReport, run_tick_async
from wfcore.workflow import Workflow

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)


def do(name: str, body: Callable[[Attempt], Any], **options: Any) -> Callable[[AsyncStep], Awaitable[Any]]:
    """A branch of one step; its results are plain JSON."""

    async def branch(step: AsyncStep) -> Any:
        return await step.do(name, body, returns=Any, **options)

    return branch


def nap(seconds: float) -> Callable[[AsyncStep], Awaitable[None]]:
    async def branch(step: AsyncStep) -> None:
        await step.sleep("nap", timedelta(seconds=seconds))

    return branch


def gathers(*branches: Callable[[AsyncStep], Awaitable[Any]], **options: Any) -> Workflow[None, Any]:
    @workflow(name="w", **options)
    async def w(step: AsyncStep) -> list[Any]:
        return list(await step.gather("g", *branches))

    return w


def races(*branches: Callable[[AsyncStep], Awaitable[Any]]) -> Workflow[None, Any]:
    @workflow(name="w")
    async def w(step: AsyncStep) -> list[Any]:
        return list(await step.race("r", *branches))

    return w


@attrs.define
class Body:
    """An awaitable body that stands at a gate, and knows what became of it."""

    gate: Gate = attrs.field(factory=Gate)
    runs: int = 0
    cancels: int = 0

    async def run(self) -> int:
        self.runs += 1
        try:
            await self.gate()
        except asyncio.CancelledError:
            self.cancels += 1
            raise
        return self.runs


def body_of(stands: Body) -> Callable[[Attempt], Any]:
    async def body(attempt: Attempt) -> int:
        return await stands.run()

    return body


async def tick(desk: Desk, **options: Any) -> TickReport:
    runtime = desk.machine.runtime
    return await run_tick_async(Awaited(desk.store), desk.registry, desk.fired(), runtime=runtime, **options)


def ticked(desk: Desk, **options: Any) -> TickReport:
    return in_loop(tick(desk, **options), desk.machine)


def statuses(desk: Desk) -> dict[str, str]:
    return {step.key.rpartition(">")[2].rpartition("/")[2]: step.status for step in desk.snapshot.steps}


def message(desk: Desk, type_: str = "go", *, system: bool = False) -> None:
    """Somebody sends an event, or asks for a pause; the running tick has not seen its hook."""
    event = Event(
        instance_ref=desk.ref,
        id=f"{type_}-1",
        type=type_,
        payload="null",
        actor="system" if system else "user",
        created_at=desk.machine.now,
    )
    hook = Hook(
        id=message_id(desk.ref, event.id),
        instance_ref=desk.ref,
        run_number=None,
        workflow_name="w",
        instance_id="1",
        reason="pause" if system else "event",
        due_at=desk.machine.now,
        created_at=desk.machine.now,
    )
    plan = Plan(
        ref=desk.ref,
        execution_id=f"sent {event.id}",
        preconditions=(Exists(desk.ref),),
        mutations=(AddEvent(event), AddHook(hook)),
        outcome=Checkpointed(),
    )
    assert isinstance(desk.store.inner.apply(plan), Applied)


# ---- R5: where a body runs

Where = tuple[bool, bool]
"""Whether it is the thread of the loop, and whether it has a running loop."""


def here(places: list[Where], host: list[int]) -> None:
    running = asyncio._get_running_loop() is not None
    places.append((threading.get_ident() == host[0], running))


def plain(places: list[Where], host: list[int], attempt: Attempt) -> int:
    here(places, host)
    return 1


async def awaitable(places: list[Where], host: list[int], attempt: Attempt) -> int:
    here(places, host)
    await asyncio.sleep(0)
    here(places, host)
    return 1


def gives_awaitable(places: list[Where], host: list[int], attempt: Attempt) -> Any:
    here(places, host)
    return awaitable(places, host, attempt)


def a_def(body: Callable[[Attempt], int]) -> Workflow[None, int]:
    @workflow(name="w")
    def w(step: Step) -> int:
        return step.do("a", body, returns=int)

    return w


def an_async_def(body: Callable[[Attempt], int]) -> Workflow[None, int]:
    @workflow(name="w")
    async def w(step: AsyncStep) -> int:
        return await step.do("a", body, returns=int)

    return w


THREAD, LOOP = (False, False), (True, True)
COLOURS = [
    (a_def, plain, [THREAD]),
    (an_async_def, plain, [THREAD]),
    (an_async_def, awaitable, [LOOP, LOOP]),
    (an_async_def, gives_awaitable, [THREAD, LOOP, LOOP]),
]


@pytest.mark.parametrize(("colour", "body", "expected"), COLOURS)
def test_r5_where_a_body_runs_under_asyncio(
    colour: Callable[[Any], Workflow[None, int]], body: Callable[..., Any], expected: list[Where]
) -> None:
    places: list[Where] = []
    desk = Desk.of(colour(partial(body, places, [threading.get_ident()])))
    assert isinstance(ticked(desk).result, Applied)
    assert (places, desk.instance.output) == (expected, "1")


@pytest.mark.parametrize("body", [awaitable, gives_awaitable])
@pytest.mark.parametrize(
    ("colour", "ticks"),
    [
        (a_def, ticked),
        (a_def, Desk.tick),
        (an_async_def, Desk.tick),
    ],
    ids=["def, asyncio", "def, blocking", "async def, blocking"],
)
def test_r5_an_awaitable_that_cannot_be_awaited_is_the_authors_error(
    colour: Callable[[Any], Workflow[None, int]], ticks: Callable[[Desk], TickReport], body: Callable[..., Any]
) -> None:
    desk = Desk.of(colour(partial(body, [], [0])))
    error = ticks(desk).error
    assert isinstance(error, StepBodyError)
    assert "needs an 'async def' workflow and an AsyncDispatcher" in str(error)
    assert desk.snapshot.steps == ()


VARIABLE: ContextVar[str] = ContextVar("VARIABLE", default="unset")


@pytest.mark.parametrize("colour", [a_def, an_async_def])
def test_r5_context_variables_of_the_host_are_carried_to_threads(colour: Callable[[Any], Workflow[None, Any]]) -> None:
    seen: list[str] = []

    def body(attempt: Attempt) -> int:
        seen.append(VARIABLE.get())
        return 1

    desk = Desk.of(colour(body))

    async def main() -> None:
        VARIABLE.set("set")
        await tick(desk)

    in_loop(main(), desk.machine)
    assert seen == ["set"]


def test_r5_awaitable_bodies_of_branches_run_at_once() -> None:
    together = asyncio.Barrier(3)

    async def body(attempt: Attempt) -> int:
        return await together.wait()

    desk = Desk.of(gathers(*(do(name, body) for name in "abc")))
    ticked(desk)
    assert desk.instance.status == "complete"
    assert {"do:a": "completed", "do:b": "completed", "do:c": "completed"} == statuses(desk)


def test_r5_plain_bodies_of_branches_run_at_once() -> None:
    together = threading.Barrier(3, timeout=WAIT)
    desk = Desk.of(gathers(*(do(name, lambda attempt: together.wait()) for name in "abc")))
    ticked(desk)
    assert desk.instance.status == "complete"


def test_branches_take_as_long_as_the_longest() -> None:
    async def body(seconds: float, attempt: Attempt) -> float:
        await asyncio.sleep(seconds)
        return seconds

    desk = Desk.of(gathers(*(do(str(each), partial(body, each)) for each in (3, 1, 2))))
    report = ticked(desk)
    assert (desk.instance.output, desk.machine.seconds) == ("[3,1,2]", 3)
    assert (report.bodies, report.body_duration) == (3, 6 * SECOND)
    assert [step.name for step in sorted(desk.snapshot.steps, key=lambda step: step.sequence or 0)] == ["1", "2", "3"]


# ---- W10, P5: races with time


def test_w10_a_race_with_a_sleep_times_a_body_out() -> None:
    slow = Body()
    desk = Desk.of(races(do("slow", body_of(slow)), nap(5)))
    ticked(desk)
    assert ("[1,null]", 5.0) == (desk.instance.output, desk.machine.seconds)
    assert (slow.runs, slow.cancels) == (1, 1)


def test_p5_a_body_that_was_cancelled_leaves_no_record() -> None:
    desk = Desk.of(races(do("slow", body_of(Body())), nap(5)))
    ticked(desk)
    assert statuses(desk) == {"sleep:nap": "completed"}


def test_w10_a_result_goes_before_a_deadline_of_the_same_moment() -> None:
    async def body(attempt: Attempt) -> str:
        await asyncio.sleep(5)
        return "body"

    desk = Desk.of(races(do("slow", body), nap(5)))
    ticked(desk)
    assert desk.instance.output == '[0,"body"]'


def test_w10_the_blocking_runner_looks_after_the_body() -> None:
    desk = Desk.of(races(do("slow", lambda attempt: desk.machine.advance(7)), nap(5)))
    desk.tick()
    assert desk.instance.output == "[0,null]"


def test_p5_a_thread_that_lost_is_awaited_and_recorded() -> None:
    started, release = threading.Event(), threading.Event()

    def body(attempt: Attempt) -> int:
        started.set()
        assert release.wait(WAIT)
        return 1

    async def wins(attempt: Attempt) -> str:
        await asyncio.to_thread(started.wait, WAIT)
        asyncio.get_running_loop().call_soon(release.set)
        return "won"

    desk = Desk.of(races(do("slow", body), do("quick", wins)))
    ticked(desk)
    assert desk.instance.output == '[1,"won"]'
    assert statuses(desk) == {"do:slow": "completed", "do:quick": "completed"}


def test_p5_an_awaitable_that_a_losing_thread_gives_is_not_awaited() -> None:
    started, release = threading.Event(), threading.Event()
    awaited: list[str] = []

    async def late() -> None:
        awaited.append("late")

    def body(attempt: Attempt) -> Any:
        started.set()
        assert release.wait(WAIT)
        return late()

    async def wins(attempt: Attempt) -> str:
        await asyncio.to_thread(started.wait, WAIT)
        asyncio.get_running_loop().call_later(0.1, release.set)
        return "won"

    desk = Desk.of(races(do("slow", body), do("quick", wins)))
    ticked(desk)
    assert (awaited, statuses(desk)) == ([], {"do:quick": "completed"})


# ---- O6: bodies in flight over a checkpoint


async def one(attempt: Attempt) -> int:
    return 1


def two_steps(body: Callable[[Attempt], Any]) -> Callable[[AsyncStep], Awaitable[Any]]:
    async def branch(step: AsyncStep) -> Any:
        await step.do("first", one)
        return await step.do("second", body, returns=Any)

    return branch


def open_gate(body: Body) -> Callable[[Attempt], Any]:
    async def opens(attempt: Attempt) -> int:
        body.gate.opened.set()
        return 1

    return opens


def test_o6_a_body_in_flight_runs_on_over_a_checkpoint() -> None:
    slow = Body()
    desk = Desk.of(gathers(do("slow", body_of(slow)), two_steps(open_gate(slow))))
    report = ticked(desk)
    assert (slow.runs, report.checkpoints, desk.store.calls.count("retrieve")) == (1, 2, 1)
    committed = [[each.step.name for each in plan.mutations if isinstance(each, PutStep)] for plan in desk.store.plans]
    assert committed == [["first"], ["second"], ["slow"]]


def test_o6_after_an_unseen_hook_the_body_is_kept_and_its_result_is_taken() -> None:
    slow = Body()
    desk = Desk.of(gathers(do("slow", body_of(slow)), two_steps(open_gate(slow))))
    desk.store.when("before", "apply", 1, partial(message, desk))
    ticked(desk)
    assert desk.store.calls.count("retrieve") == 2
    assert (slow.runs, slow.cancels, desk.instance.output) == (1, 0, "[1,1]")


def test_o6_unless_somebody_else_has_written_the_instance() -> None:
    slow = Body()
    desk = Desk.of(gathers(do("slow", body_of(slow)), two_steps(open_gate(slow))))
    desk.store.when("before", "apply", 1, partial(message, desk))
    desk.store.when("before", "retrieve", 2, desk.rival)
    report = ticked(desk)
    assert (slow.runs, slow.cancels, desk.instance.status) == (1, 1, "active")
    assert isinstance(report.plan and report.plan.outcome, Ignored)  # another runner is at work (rule G4)


def test_o6_after_a_conflict_it_is_cancelled_and_runs_again() -> None:
    slow = Body()
    desk = Desk.of(gathers(do("slow", body_of(slow)), two_steps(open_gate(slow))))
    desk.store.when("before", "apply", 1, desk.rival)
    report = ticked(desk)
    assert (slow.runs, slow.cancels, report.conflicts, desk.instance.output) == (2, 1, 1, "[2,1]")


def test_o6_a_thread_is_awaited_after_a_conflict_and_its_result_thrown_away() -> None:
    runs: list[int] = []
    release = threading.Event()

    def slow(attempt: Attempt) -> int:
        runs.append(1)
        assert release.wait(WAIT)
        return len(runs)

    desk = Desk.of(gathers(do("slow", slow), two_steps(one)))
    desk.store.when("before", "apply", 1, desk.rival)
    desk.store.when("after", "apply", 1, release.set)
    ticked(desk)
    assert desk.instance.output == "[2,1]"


def test_o6_a_fresh_tick_that_pauses_ends_it() -> None:
    slow = Body()
    desk = Desk.of(gathers(do("slow", body_of(slow)), two_steps(one)))
    desk.store.when("before", "apply", 1, partial(message, desk, PAUSE_REQUEST, system=True))
    report = ticked(desk)
    assert report.plan is not None
    assert (type(report.plan.outcome), desk.instance.status) == (Paused, "paused")
    assert (slow.runs, slow.cancels) == (1, 1)
    assert statuses(desk) == {"do:first": "completed"}


def test_o6_stop_ends_at_the_checkpoint_and_cancels_the_others() -> None:
    slow = Body()
    stop = StopSignal()

    async def first(attempt: Attempt) -> int:
        stop.requested = True
        return 1

    desk = Desk.of(gathers(do("slow", body_of(slow)), do("first", first)))
    ticked(desk, stop=stop)
    assert (slow.cancels, statuses(desk), len(desk.due())) == (1, {"do:first": "completed"}, 1)


def test_p3_a_plan_that_parks_is_made_when_no_body_is_in_flight() -> None:
    async def body(attempt: Attempt) -> int:
        await asyncio.sleep(7)
        return 1

    desk = Desk.of(gathers(do("slow", body), nap(60)))
    ticked(desk)
    assert (desk.machine.seconds, desk.instance.status) == (7, "waiting")
    assert statuses(desk) == {"do:slow": "completed", "sleep:nap": "waiting"}


# ---- S13: at-most-once bodies


def once(body: Callable[[Attempt], Any], name: str = "once") -> Callable[[AsyncStep], Awaitable[Any]]:
    return do(name, body, at_most_once=HOUR)


@pytest.mark.usefixtures("both_runners")
def test_s13_a_result_survives_a_conflict() -> None:
    runs: list[int] = []

    def body(attempt: Attempt) -> int:
        runs.append(1)
        desk.rival()
        return 7

    desk = Desk.of(gathers(once(body)))
    report = desk.tick()
    assert (runs, report.conflicts, desk.instance.output) == ([1], 1, "[7]")


def noting(runs: list[int]) -> Callable[[Attempt], int]:
    def body(attempt: Attempt) -> int:
        runs.append(1)
        return 7

    return body


def stays_away(desk: Desk) -> None:
    """From now on the store cannot be reached."""
    desk.store.always["before", "retrieve"] = unavailable
    unavailable()


@pytest.mark.usefixtures("both_runners")
@pytest.mark.parametrize(
    ("when", "operation", "number"),
    [("after", "apply", 1), ("before", "apply", 1), ("after", "apply", 2), ("before", "apply", 2)],
    ids=["start, stored", "start, not stored", "result, stored", "result, not stored"],
)
def test_s13_a_lost_acknowledgement_wastes_no_body(when: Any, operation: Any, number: int) -> None:
    """The row tells whether the start was committed, and by whom."""
    runs: list[int] = []
    desk = Desk.of(gathers(once(noting(runs))))
    desk.store.when(when, operation, number, unavailable)
    desk.store.when("before", "retrieve", 2, unavailable)
    desk.tick()
    assert ([1], "complete", "[7]") == (runs, desk.instance.status, desk.instance.output)


@pytest.mark.usefixtures("both_runners")
def test_s13_a_store_that_stays_away_is_the_callers_to_know() -> None:
    """T6: the start is stored, and nobody runs its body until its deadline; then the attempt counts as failed."""
    runs: list[int] = []
    desk = Desk.of(gathers(once(noting(runs))))
    desk.store.when("after", "apply", 1, partial(stays_away, desk))
    with pytest.raises(StoreUnavailableError):
        desk.tick()
    desk.store.always.clear()
    desk.machine.advance(10)
    desk.tick()
    desk.machine.advance(3_600)
    desk.tick()
    assert desk.instance.failure is not None
    assert ([], "StepFailedError") == (runs, desk.instance.failure.type.rpartition(".")[2])


def test_s13_a_body_in_flight_survives_the_conflict_of_another() -> None:
    slow = Body()

    async def second(attempt: Attempt) -> int:
        slow.gate.opened.set()
        return 2

    desk = Desk.of(gathers(once(body_of(slow)), two_steps(second)))
    desk.store.when("before", "apply", 2, partial(rival_stops, desk))  # the first commits the start
    report = ticked(desk)
    assert (report.conflicts, slow.runs, slow.cancels) == (1, 1, 0)
    assert desk.instance.output == "[1,2]"


def rival_stops(desk: Desk) -> None:
    """Another runner writes the instance, and lets go of it."""
    found, (timer,) = desk.instance, desk.snapshot.hooks
    due = PutHook(attrs.evolve(timer, due_at=desk.machine.now))
    plan = change(found, (due,), Checkpointed(), execution_id="rival", now=found.updated_at)
    assert isinstance(desk.store.inner.apply(plan), Applied)


def test_s13_it_is_ended_when_the_instance_begins_another_run() -> None:
    """A result of the old run must not be taken for one of the new, and nobody waits for it."""
    slow = Body()

    def restart() -> None:
        plan = plan_restart(desk.snapshot, desk.ref, workflow, execution_id="restart")
        assert isinstance(desk.store.inner.apply(plan), Applied)

    desk = Desk.of(gathers(once(body_of(slow)), two_steps(one)))
    (workflow,) = desk.registry
    desk.store.when("before", "apply", 2, restart)
    ticked(desk)
    assert (slow.runs, slow.cancels, desk.instance.run_number) == (1, 1, 2)


def test_s13_a_loser_that_was_cancelled_does_not_run_again_though_the_plan_that_says_so_is_lost() -> None:
    slow = Body()

    async def after(step: AsyncStep) -> None:
        await step.race("r", once(body_of(slow)), nap(5))
        await step.do("after", one)
        await step.do("end", one)

    desk = Desk.of(gathers(after))
    desk.store.when("before", "apply", 2, partial(rival_stops, desk))  # the first commits the start
    ticked(desk)
    assert (1, 1, "complete") == (slow.runs, slow.cancels, desk.instance.status)
    assert "cancelled" == statuses(desk)["do:once"]


def test_s13_it_is_awaited_and_recorded_though_another_runner_is_at_work() -> None:
    """Rule G4 would leave the instance alone; nobody else has the result."""
    slow = Body()
    desk = Desk.of(gathers(once(body_of(slow)), two_steps(one)))
    desk.store.when("before", "apply", 2, desk.rival)
    desk.store.when("after", "retrieve", 2, slow.gate.opened.set)
    ticked(desk)
    assert (slow.runs, slow.cancels, desk.instance.output) == (1, 0, "[1,1]")


def test_s13_its_result_is_recorded_though_the_instance_is_paused_meanwhile() -> None:
    slow = Body()
    desk = Desk.of(gathers(once(body_of(slow)), two_steps(one)))
    desk.store.when("before", "apply", 2, partial(message, desk, PAUSE_REQUEST, system=True))
    desk.store.when("after", "apply", 3, slow.gate.opened.set)  # the pause
    ticked(desk)
    assert (desk.instance.status, slow.runs, slow.cancels) == ("paused", 1, 0)
    assert statuses(desk) == {"do:once": "completed", "do:first": "completed"}


@pytest.mark.usefixtures("both_runners")
def test_s13_a_stop_starts_no_body_that_nobody_would_run() -> None:
    runs: list[int] = []
    stop = StopSignal(requested=True)
    desk = Desk.of(gathers(once(noting(runs))))
    desk.tick(stop=stop)
    stopped = list(runs)
    desk.tick()
    assert ([], [1], "[7]") == (stopped, runs, desk.instance.output)


def test_s13_a_stop_waits_for_it() -> None:
    slow = Body()
    stop = StopSignal()

    async def first(attempt: Attempt) -> int:
        stop.requested = True
        asyncio.get_running_loop().call_later(1, slow.gate.opened.set)
        return 1

    async def branch(step: AsyncStep) -> None:
        await step.do("first", first)
        await step.do("second", one)

    desk = Desk.of(gathers(once(body_of(slow)), branch))
    ticked(desk, stop=stop)
    assert (slow.runs, slow.cancels) == (1, 0)
    assert statuses(desk) == {"do:once": "completed", "do:first": "completed"}
    assert len(desk.due()) == 1


def terminated(desk: Desk) -> None:
    found = desk.instance
    plan = change(found, (), Checkpointed(), execution_id="end", now=found.updated_at, status="terminated")
    assert isinstance(desk.store.inner.apply(plan), Applied)


@pytest.mark.usefixtures("both_runners")
def test_s13_on_an_instance_that_has_ended_it_is_discarded_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk.of(gathers(once(lambda attempt: terminated(desk))))
    report = desk.tick()
    assert report.plan is not None
    assert (type(report.plan.outcome), desk.instance.status) == (Ignored, "terminated")
    assert "w#1: the result of 'gather:g[0]/do:once' was not recorded, and it runs only once" in caplog.text.replace(
        ">", "/"
    )


# ---- S14, D6, K2: what leaves a body


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, asyncio.CancelledError])
@pytest.mark.parametrize("threaded", [False, True])
def test_s14_what_is_no_exception_leaves_the_tick_and_nothing_is_written(
    error: type[BaseException], threaded: bool
) -> None:
    other = Body()

    async def leaves(attempt: Attempt) -> None:
        await other.gate.reached.wait()
        raise error

    def leaves_thread(attempt: Attempt) -> None:
        raise error

    desk = Desk.of(gathers(do("slow", body_of(other)), do("leaves", leaves_thread if threaded else leaves)))
    before = desk.rows()

    async def main() -> str:
        try:
            await tick(desk)
        except BaseException as left:  # that is the point
            return type(left).__name__
        return "nothing"

    assert in_loop(main(), desk.machine) == error.__name__
    assert (desk.rows(), other.cancels) == (before, 1)


def test_k2_a_body_that_uses_a_step_is_the_authors_error() -> None:
    @workflow(name="w")
    async def w(step: AsyncStep) -> None:
        async def body(attempt: Attempt) -> None:
            await step.do("inner", one)

        await step.do("outer", body)

    desk = Desk.of(w)
    assert isinstance(ticked(desk).error, StepUsageError)


def test_k2_a_body_that_uses_a_step_costs_the_others_nothing() -> None:
    """D9: what else is in flight lands and is kept."""
    slow = Body()

    async def uses(step: AsyncStep) -> None:
        async def body(attempt: Attempt) -> None:
            asyncio.get_running_loop().call_later(1, slow.gate.opened.set)
            await step.do("inner", one)

        await step.do("outer", body)

    desk = Desk.of(gathers(uses, do("slow", body_of(slow))))
    report = ticked(desk)
    assert isinstance(report.plan and report.plan.outcome, Stuck)
    assert statuses(desk) == {"do:slow": "completed"}


# ---- cancelling the host


async def cancel_at(desk: Desk, at: Callable[[], Awaitable[object]], **options: Any) -> bool:
    task = asyncio.create_task(tick(desk, **options))
    await at()
    return await cancelled(task)


def test_cancelling_the_host_cancels_its_bodies_and_writes_nothing() -> None:
    one_of, other = Body(), Body()
    desk = Desk.of(gathers(do("a", body_of(one_of)), do("b", body_of(other))))
    before = desk.rows()
    assert in_loop(cancel_at(desk, other.gate.reached.wait), desk.machine)
    assert (one_of.cancels, other.cancels, desk.rows()) == (1, 1, before)


def test_and_afterwards_another_tick_does_it_all() -> None:
    slow = Body()
    desk = Desk.of(gathers(do("a", body_of(slow))))
    assert in_loop(cancel_at(desk, slow.gate.reached.wait), desk.machine)
    slow.gate = Gate()
    slow.gate.opened.set()
    ticked(desk)
    assert (desk.instance.output, slow.runs) == ("[2]", 2)


@pytest.mark.parametrize("colour", [a_def, an_async_def])
def test_a_tick_that_is_cancelled_at_apply_finishes_it(colour: Callable[[Any], Workflow[None, int]]) -> None:
    desk = Desk.of(colour(lambda attempt: 1))

    async def main() -> tuple[bool, bool]:
        gate = Gate()
        store = Awaited(desk.store, before={"apply": gate})
        task = asyncio.create_task(run_tick_async(store, desk.registry, desk.fired(), runtime=desk.machine.runtime))
        await gate.reached.wait()
        task.cancel()
        await asyncio.sleep(0.1)
        early = task.done()
        gate.opened.set()
        await asyncio.wait([task])
        return early, task.cancelled()

    assert in_loop(main(), desk.machine) == (False, True)
    assert desk.instance.status == "complete"


@pytest.mark.parametrize("colour", [a_def, an_async_def])
def test_a_body_in_a_thread_is_left_behind_and_commits_nothing(colour: Callable[[Any], Workflow[None, int]]) -> None:
    started, release, over = threading.Event(), threading.Event(), threading.Event()

    def body(attempt: Attempt) -> int:
        started.set()
        assert release.wait(WAIT)
        over.set()
        return 1

    desk = Desk.of(colour(body))
    before = desk.rows()
    assert in_loop(cancel_at(desk, lambda: asyncio.to_thread(started.wait, WAIT)))
    release.set()
    assert over.wait(WAIT)
    join_bodies()
    assert desk.rows() == before


def join_bodies() -> None:
    for thread in threading.enumerate():
        if thread.name.startswith("wfcore-body"):
            thread.join(WAIT)


@pytest.mark.parametrize("waits_at", ["its first checkpoint", "its body"])
def test_a_def_workflow_that_was_left_behind_commits_no_checkpoint(waits_at: str) -> None:
    """Its thread wants to, and is told that nobody is there any more."""
    started, release = threading.Event(), threading.Event()
    runs: list[str] = []

    def first(attempt: Attempt) -> None:
        runs.append("first")
        if waits_at == "its body":
            started.set()
            assert release.wait(WAIT)

    @workflow(name="w")
    def w(step: Step) -> None:
        step.do("first", first)
        step.do("second", lambda attempt: runs.append("second"))

    desk = Desk.of(w)

    async def main() -> bool:
        gate = Gate()
        store = Awaited(desk.store, before={} if waits_at == "its body" else {"apply": gate})
        task = asyncio.create_task(run_tick_async(store, desk.registry, desk.fired()))
        await (asyncio.to_thread(started.wait, WAIT) if waits_at == "its body" else gate.reached.wait())
        task.cancel()
        release.set()
        gate.opened.set()
        await asyncio.wait([task])
        await asyncio.to_thread(join_bodies)
        return task.cancelled()

    assert in_loop(main())
    assert (runs, desk.instance.version) == (["first"], 1 if waits_at == "its body" else 2)


def test_a_thread_that_outlives_its_loop_disturbs_nobody() -> None:
    started, release = threading.Event(), threading.Event()

    def body(attempt: Attempt) -> int:
        started.set()
        assert release.wait(WAIT)
        return 1

    for colour in (a_def, an_async_def):
        started.clear()
        release.clear()
        desk = Desk.of(colour(body))
        in_loop(cancel_at(desk, lambda: asyncio.to_thread(started.wait, WAIT)))
        release.set()
        join_bodies()
        assert desk.instance.version == 1


# ---- the store


def test_t6_a_store_that_is_unavailable_ends_the_tick_and_its_bodies() -> None:
    slow = Body()
    desk = Desk.of(gathers(do("slow", body_of(slow)), two_steps(one)))
    before = desk.rows()
    desk.store.always["before", "apply"] = unavailable
    with pytest.raises(StoreUnavailableError):
        ticked(desk)
    assert (slow.cancels, desk.rows()) == (1, before)


def test_the_whole_of_it_takes_no_time() -> None:
    """Nothing above waits for real: the machine's clock stands still unless somebody sleeps."""
    desk = Desk.of(gathers(do("a", one)))
    report = ticked(desk)
    assert (desk.machine.now, report.duration, type(report.plan and report.plan.outcome)) == (T0, 0 * SECOND, Completed)


def test_p4_nothing_but_the_bodies_of_a_group_that_has_failed_settles_before_it_is_raised() -> None:
    """The result of another branch waits its turn, though it is there first."""
    slow, other = Body(), Body()

    async def fails(attempt: Attempt) -> int:
        asyncio.get_running_loop().call_later(1, other.gate.opened.set)
        asyncio.get_running_loop().call_later(2, slow.gate.opened.set)
        raise ValueError("no")

    async def failing(step: AsyncStep) -> str:
        try:
            await step.gather("inner", do("fails", fails), do("slow", body_of(slow)))
        except StepFailedError as error:
            return error.step_key
        return "not reached"

    desk = Desk.of(gathers(failing, do("other", body_of(other))))
    ticked(desk)
    order = sorted((step for step in desk.snapshot.steps if step.sequence), key=lambda step: step.sequence or 0)
    assert ["fails", "slow", "other"] == [step.name for step in order]
    assert '["gather:g[0]>gather:inner[0]>do:fails",1]' == desk.instance.output
