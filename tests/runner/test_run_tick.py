"""``run_tick``: one hook to the end, and all that can go wrong around a plan (rules R1, R2, R6, O6, T5, T6, D3)."""

import logging
import sqlite3
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.lab import SECOND, T0
from tests.runner.doubles import Desk, Machine, unavailable
from tests.twins import Colour, Running, as_async_def, both_colours
from wfadapters.memory import MemoryStore
from wfadapters.sqlite import Sql, SqliteStore
from wfcore.define import workflow
from wfcore.errors import (
    ContentionError,
    NonDeterminismError,
    NonRetryableError,
    StepFailedError,
    StoreError,
    StoreUnavailableError,
    UnknownWorkflowError,
    WriteFailedError,
)
from wfcore.keys import message_id, timer_id
from wfcore.model import FiredHook
from wfcore.outcome import Checkpointed, Completed, Deferred, Ignored, Rescheduled, Stuck, Suspended
from wfcore.plan import AddEvent, AddHook, Applied, AtVersion, Conflict, Plan, PutHook, PutInstance, Write
from wfcore.planner import AsyncStep, Attempt
from wfcore.planner.changes import change
from wfcore.ports import DueQuery
from wfcore.retry import Retry
from wfcore.runner import BodyRun, StopSignal, TickReport, run_tick
from wfcore.workflow import Registry, Workflow

pytestmark = pytest.mark.usefixtures("both_runners")


class Bodies:
    """Bodies that count: ``bodies("a")`` returns how often ``a`` was run; ``act`` is called before."""

    def __init__(self) -> None:
        self.runs: list[str] = []
        self.act: dict[str, Callable[[], object]] = {}

    def __call__(self, name: str) -> Callable[[Attempt], int]:
        def body(attempt: Attempt) -> int:
            self.runs.append(name)
            action = self.act.get(name)
            if action is not None:
                action()
            return self.runs.count(name)

        return body


@pytest.fixture
def bodies() -> Bodies:
    return Bodies()


def steps(bodies: Bodies, *names: str) -> Callable[[Any], Running]:
    """A program that runs some steps and returns their results."""

    def program(step: Any) -> Running:
        results = []
        for name in names:
            result = yield step.do(name, bodies(name), returns=int)
            results.append(result)  # a comprehension cannot yield
        return results

    return program


def napping(step: Any) -> Running:
    yield step.sleep("nap", timedelta(minutes=1))
    return "awake"


def timers(plans: list[Plan]) -> list[timedelta | None]:
    """When the timer of each plan is due, counted from the plan."""
    found: list[timedelta | None] = []
    for plan in plans:
        (row,) = [each.instance for each in plan.mutations if isinstance(each, PutInstance)]
        due = [each.hook.due_at - row.updated_at for each in plan.mutations if isinstance(each, PutHook)]
        found.append(due[0] if due else None)
    return found


# ---- R1: one retrieve, one plan, one apply


@both_colours
def test_r1_a_tick_is_one_retrieve_and_one_apply(colour: Colour) -> None:
    desk = Desk.of(colour(napping))
    report = desk.tick()
    assert desk.store.calls == ["retrieve", "apply"]
    assert (type(report.plan and report.plan.outcome), report.result) == (
        Suspended,
        Applied(frozenset({timer_id(desk.ref)})),
    )


def test_r1_an_empty_plan_is_not_applied() -> None:
    desk = Desk.of(as_async_def(napping))
    desk.tick()
    desk.store.calls.clear()
    report = desk.tick()
    assert desk.store.calls == ["retrieve"]
    assert report.plan is not None
    assert report.plan.outcome == Rescheduled(T0 + timedelta(minutes=1))
    assert report.result is None


@both_colours
def test_r1_after_a_conflict_it_retrieves_again_and_plans_with_a_new_execution_id(colour: Colour) -> None:
    desk = Desk.of(colour(napping))
    desk.store.when("before", "apply", 1, desk.rival)
    report = desk.tick()
    lost, won = desk.store.plans
    assert desk.store.calls == ["retrieve", "apply", "retrieve", "apply"]
    assert lost.execution_id != won.execution_id
    assert AtVersion(desk.ref, 2, "rival1") in won.preconditions
    assert (report.conflicts, desk.instance.version) == (1, 3)


def test_r1_it_tries_again_five_times_with_growing_pauses_and_then_defers_the_hook() -> None:
    desk = Desk.of(as_async_def(napping))
    for number in range(1, 7):
        desk.store.when("before", "apply", number, desk.rival)
    report = desk.tick()
    assert desk.store.calls == ["retrieve", "apply"] * 7
    assert len({plan.execution_id for plan in desk.store.plans}) == 7
    assert desk.machine.pauses == sorted(set(desk.machine.pauses))
    assert len(desk.machine.pauses) == 5
    (hook,) = desk.snapshot.hooks
    assert (hook.attempts, hook.due_at) == (1, desk.machine.now + SECOND)
    assert hook.last_error == f"ContentionError: {report.error}"
    assert isinstance(report.error, ContentionError)
    assert report.conflicts == 6


def test_r1_five_conflicts_are_survived() -> None:
    desk = Desk.of(as_async_def(napping))
    for number in range(1, 6):
        desk.store.when("before", "apply", number, desk.rival)
    report = desk.tick()
    assert (report.conflicts, report.error, desk.instance.status) == (5, None, "waiting")


def test_r1_a_conflict_of_the_deferral_is_dropped() -> None:
    desk = Desk.of(as_async_def(napping))
    desk.store.always["before", "apply"] = desk.rival
    before = desk.rows()
    report = desk.tick()
    assert isinstance(report.result, Conflict)
    assert desk.rows().hooks == before.hooks
    assert desk.instance.version == 8


def test_r1_a_tick_that_lost_completes_no_hook() -> None:
    """The winner has not seen the message; nobody but the tick after it may delete its hook."""
    desk = Desk.of(as_async_def(napping))
    desk.handle.send_event("go", id="m1")
    desk.store.always["before", "apply"] = desk.rival
    desk.tick()
    assert {hook.id for hook in desk.snapshot.hooks} == {timer_id(desk.ref), message_id(desk.ref, "m1")}


def test_r1_after_a_conflict_a_runner_that_goes_on_is_left_alone(bodies: Bodies) -> None:
    """Rule G4 counts again: the instance is not ours any more."""
    desk = Desk.of(as_async_def(steps(bodies, "a", "b")))
    fired = desk.fired()

    def another_runner() -> None:
        found = desk.instance
        (hook,) = desk.snapshot.hooks
        hook = attrs.evolve(hook, due_at=desk.machine.now + 10 * SECOND)
        plan = change(found, (PutHook(hook),), Checkpointed(), execution_id="other", now=found.updated_at)
        assert isinstance(desk.store.inner.apply(plan), Applied)

    desk.store.when("before", "apply", 1, another_runner)
    report = desk.tick(fired)
    assert report.plan is not None
    assert isinstance(report.plan.outcome, Ignored)
    assert bodies.runs == ["a"]


# ---- R2


@both_colours
def test_r2_the_result_of_a_body_that_lost_is_not_used(colour: Colour, bodies: Bodies) -> None:
    desk = Desk.of(colour(steps(bodies, "a")))
    desk.store.when("before", "apply", 1, desk.rival)
    desk.tick()
    assert bodies.runs == ["a", "a"]
    assert desk.handle.result() == [2]


def test_r2_the_winners_result_is_replayed(bodies: Bodies) -> None:
    desk = Desk.of(as_async_def(steps(bodies, "a")))
    fired = desk.fired()
    desk.store.when("before", "apply", 1, lambda: run_tick(desk.store.inner, desk.registry, fired))
    report = desk.tick(fired)
    assert bodies.runs == ["a", "a"]
    assert desk.handle.result() == [2]
    assert desk.instance.version == 2
    assert isinstance(report.plan and report.plan.outcome, Ignored)


# ---- O6: checkpoints and continuations


@both_colours
def test_o6_nothing_is_read_between_checkpoints(colour: Colour, bodies: Bodies) -> None:
    desk = Desk.of(colour(steps(bodies, "a", "b", "c")))
    report = desk.tick()
    assert desk.store.calls == ["retrieve", "apply", "apply", "apply"]
    assert len({plan.execution_id for plan in desk.store.plans}) == 3
    assert (report.checkpoints, desk.instance.version, bodies.runs) == (2, 4, ["a", "b", "c"])


@both_colours
def test_o6_with_one_checkpoint_a_tick_there_is_one_apply(colour: Colour, bodies: Bodies) -> None:
    desk = Desk.of(colour(steps(bodies, "a", "b", "c"), checkpoint="tick"))
    report = desk.tick()
    assert desk.store.calls == ["retrieve", "apply"]
    assert report.checkpoints == 0


def test_o6_the_timer_of_a_checkpoint_is_due_after_recover_after(bodies: Bodies) -> None:
    desk = Desk.of(as_async_def(steps(bodies, "a", "b", "c")))
    bodies.act["a"] = bodies.act["b"] = lambda: desk.machine.advance(100)
    desk.tick(recover_after=timedelta(seconds=42))
    assert timers(desk.store.plans) == [timedelta(seconds=42), timedelta(seconds=42), None]
    assert [plan.mutations[0].instance.updated_at for plan in desk.store.plans] == [  # type: ignore[union-attr] # rows
        T0 + timedelta(seconds=100),
        T0 + timedelta(seconds=200),
        T0 + timedelta(seconds=200),
    ]


def test_o6_a_plan_that_ends_the_continuation_writes_the_real_timer(bodies: Bodies) -> None:
    def program(step: Any) -> Running:
        yield step.do("a", bodies("a"))
        yield step.do("b", bodies("b"))
        yield step.sleep("nap", timedelta(minutes=1))

    desk = Desk.of(as_async_def(program))
    desk.tick()
    assert timers(desk.store.plans) == [timedelta(seconds=10), timedelta(minutes=1)]


@both_colours
def test_o6_an_unseen_hook_ends_the_continuation_and_the_runner_retrieves_again(colour: Colour, bodies: Bodies) -> None:
    """Rule G4 does not keep it from its own instance, and no body runs twice."""
    desk = Desk.of(colour(steps(bodies, "a", "b", "c")))
    bodies.act["a"] = lambda: desk.handle.send_event("go", id="m1")
    report = desk.tick()
    assert desk.store.calls == ["retrieve", "apply", "retrieve", "apply", "apply"]
    assert bodies.runs == ["a", "b", "c"]
    assert desk.handle.result() == [1, 1, 1]
    assert desk.snapshot.hooks == ()
    assert report.checkpoints == 2


def test_o6_an_event_that_comes_during_a_continuation_is_taken_by_it(bodies: Bodies) -> None:
    def program(step: Any) -> Running:
        yield step.do("a", bodies("a"))
        yield step.do("b", bodies("b"))
        received = yield step.wait_for_event("go", "go")
        return received.payload

    desk = Desk.of(as_async_def(program))
    bodies.act["a"] = lambda: desk.handle.send_event("go", 7)
    desk.tick()
    assert desk.handle.result() == 7


def test_o6_a_conflict_sends_a_continuation_back_to_a_retrieve(bodies: Bodies) -> None:
    desk = Desk.of(as_async_def(steps(bodies, "a", "b", "c")))
    due_now: list[FiredHook] = []

    def takes_over() -> None:  # the timer is due again: somebody else may run
        found = desk.instance
        (hook,) = desk.snapshot.hooks
        hook = attrs.evolve(hook, due_at=found.updated_at)
        plan = change(found, (PutHook(hook),), Checkpointed(), execution_id="other", now=found.updated_at)
        assert isinstance(desk.store.inner.apply(plan), Applied)
        due_now.extend(desk.due())

    desk.store.when("before", "apply", 2, takes_over)
    desk.tick()
    assert desk.store.calls == ["retrieve", "apply", "apply", "retrieve", "apply", "apply"]
    assert bodies.runs == ["a", "b", "b", "c"]
    assert desk.handle.result() == [1, 2, 1]
    assert due_now


@both_colours
def test_o6_a_clean_stop_releases_the_instance_at_the_checkpoint(colour: Colour, bodies: Bodies) -> None:
    stop = StopSignal()
    desk = Desk.of(colour(steps(bodies, "a", "b")))
    bodies.act["a"] = lambda: setattr(stop, "requested", True)
    report = desk.tick(stop=stop)
    (fired,) = desk.due()
    assert (fired.hook.id, fired.hook.due_at) == (timer_id(desk.ref), T0)
    assert isinstance(report.plan and report.plan.outcome, Checkpointed)
    desk.tick(fired)
    assert bodies.runs == ["a", "b"]
    assert desk.handle.result() == [1, 1]


def test_o6_a_stop_does_not_keep_a_tick_from_its_end(bodies: Bodies) -> None:
    desk = Desk.of(as_async_def(steps(bodies, "a")))
    desk.tick(stop=StopSignal(requested=True))
    assert desk.handle.result() == [1]


def test_a_conflict_after_a_stop_leaves_the_hook_as_it_is(bodies: Bodies) -> None:
    """Nobody lost too often: another runner takes it at once."""
    stop = StopSignal(requested=True)
    desk = Desk.of(as_async_def(steps(bodies, "a")))
    hooks = desk.rows().hooks
    desk.store.when("before", "apply", 1, desk.rival)
    report = desk.tick(stop=stop)
    assert desk.rows().hooks == hooks
    assert desk.store.calls == ["retrieve", "apply"]
    assert (report.conflicts, report.error) == (1, None)


@both_colours
def test_an_abandoned_tick_throws_the_result_of_its_body_away(colour: Colour, bodies: Bodies) -> None:
    stop = StopSignal()
    desk = Desk.of(colour(steps(bodies, "a")))
    bodies.act["a"] = lambda: setattr(stop, "abandoned", True)
    before = desk.rows()
    report = desk.tick(stop=stop)
    assert desk.rows() == before
    assert desk.store.calls == ["retrieve"]
    assert (report.plan, report.result, report.error, report.bodies) == (None, None, None, 1)


@both_colours
def test_an_abandoned_tick_begins_no_body(colour: Colour, bodies: Bodies) -> None:
    stop = StopSignal(requested=True, abandoned=True)
    desk = Desk.of(colour(steps(bodies, "a")))
    report = desk.tick(stop=stop)
    assert desk.store.calls == ["retrieve"]
    assert (bodies.runs, report.plan, report.error, report.bodies) == ([], None, None, 0)


def test_an_abandoned_tick_writes_no_deferral_either() -> None:
    stop = StopSignal()
    desk = Desk.of(as_async_def(napping))
    desk.registry = Registry([])
    desk.store.when("after", "retrieve", 1, lambda: setattr(stop, "abandoned", True))
    desk.tick(stop=stop)
    assert desk.store.calls == ["retrieve"]


class SpeechlessError(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


def fail_speechless() -> None:
    raise SpeechlessError


def test_a_tick_that_fails_with_an_error_that_cannot_be_printed_is_deferred_too(
    caplog: pytest.LogCaptureFixture,
) -> None:
    desk = Desk.of(as_async_def(napping))
    desk.store.when("before", "apply", 1, fail_speechless)
    report = desk.tick()
    (hook,) = desk.rows().hooks.values()
    assert (hook.attempts, hook.last_error) == (1, "SpeechlessError: <str() of the exception raised ValueError>")
    assert isinstance(report.error, SpeechlessError)
    assert "SpeechlessError: <str() of the exception raised ValueError>" in caplog.text


def test_r6_a_payload_that_does_not_fit_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    @workflow(name="w")
    async def before(step: AsyncStep, card: str) -> None:
        pass

    @workflow(name="w")
    async def after(step: AsyncStep, card: int) -> None:
        pass

    desk = Desk.of(before, "4111-1111")
    desk.registry = Registry([after])
    desk.tick()
    (line,) = [record.message for record in caplog.records if record.levelno >= logging.INFO]
    assert line == (
        "tick of w#1 failed: CodecError: at $: expected int; in the parameters of 'w#1', as other code stored it: "
        "deploy code whose type takes it; the instance is unchanged"
    )


# ---- T5: a user's write fails


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Callable[[], SqliteStore]]:
    opened = []

    def open_store() -> SqliteStore:
        opened.append(SqliteStore(tmp_path / "workflows.db", clock=lambda: T0, synchronous="OFF"))
        return opened[-1]

    yield open_store
    for store in opened:
        store.close()


def writing(attempt: Attempt) -> int:
    attempt.write(Sql("INSERT INTO nowhere VALUES (1)"))
    return 1


def write_then_more(step: Any) -> Running:
    yield step.do("first", lambda attempt: 0)
    yield step.do("write", writing)
    yield step.do("more", lambda attempt: 2)


def write_at_the_end(step: Any) -> Running:
    yield step.do("first", lambda attempt: 0)
    yield step.do("write", writing)


places = pytest.mark.parametrize("program", [write_then_more, write_at_the_end], ids=["checkpoint", "end"])


@both_colours
@places
def test_t5_a_failing_write_ends_the_instance_with_its_failure(
    sqlite: Callable[[], SqliteStore], colour: Colour, program: Callable[[Any], Running]
) -> None:
    desk = Desk.of(colour(program), store=sqlite())
    report = desk.tick()
    found = desk.rows()
    write = found.steps[1, "do:write"]
    assert found.instance is not None
    assert (found.instance.status, found.hooks) == ("errored", {})
    assert found.instance.failure is not None
    assert found.instance.failure.is_a(WriteFailedError)
    assert (write.status, write.attempts, write.sequence) == ("errored", 1, 2)
    assert write.failure == found.instance.failure
    assert "do:more" not in {key for _, key in found.steps}
    assert report.error is None


@places
def test_t5_an_instance_that_has_moved_on_is_left_alone(
    sqlite: Callable[[], SqliteStore], program: Callable[[Any], Running]
) -> None:
    desk = Desk.of(as_async_def(program), store=sqlite())
    desk.store.when("after", "retrieve", 2, desk.rival)
    desk.store.when("before", "retrieve", 2, desk.rival)
    report = desk.tick()
    assert desk.instance.status == "active"
    assert list(desk.rows().steps) == [(1, "do:first")]
    assert isinstance(report.plan and report.plan.outcome, Ignored)


def test_t5_an_instance_that_moves_on_meanwhile_is_left_alone(sqlite: Callable[[], SqliteStore]) -> None:
    desk = Desk.of(as_async_def(write_at_the_end), store=sqlite())
    desk.store.when("after", "retrieve", 2, desk.rival)
    report = desk.tick()
    assert desk.instance.status == "active"
    assert isinstance(report.result, Conflict)


def test_t5_the_rows_of_the_tick_are_not_kept(sqlite: Callable[[], SqliteStore], tmp_path: Path) -> None:
    @workflow(name="w", checkpoint="tick")
    async def w(step: AsyncStep) -> None:
        await step.do("first", lambda attempt: attempt.write(Sql("CREATE TABLE kept (x)")))
        await step.do("write", writing)

    desk = Desk.of(w, store=sqlite())
    desk.tick()
    assert list(desk.rows().steps) == [(1, "do:write")]
    with sqlite3.connect(tmp_path / "workflows.db") as connection:
        assert connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'kept'").fetchall() == []
    connection.close()


# ---- T6: the store fails


def three_steps(step: Any) -> Running:
    for name in "abc":
        yield step.do(name, lambda attempt: 1)


@both_colours
@pytest.mark.parametrize(
    ("operation", "number", "kept"),
    [("retrieve", 1, []), ("apply", 1, []), ("apply", 2, ["do:a"]), ("apply", 3, ["do:a", "do:b"])],
    ids=["retrieve", "first checkpoint", "second checkpoint", "end"],
)
def test_t6_a_store_that_is_unavailable_changes_nothing_and_the_error_reaches_the_caller(
    colour: Colour, operation: Any, number: int, kept: list[str]
) -> None:
    desk = Desk.of(colour(three_steps))
    desk.store.when("before", operation, number, unavailable)
    with pytest.raises(StoreUnavailableError):
        desk.tick()
    assert [step.key for step in desk.snapshot.steps] == kept
    assert [hook.id for hook in desk.snapshot.hooks] == [timer_id(desk.ref)]
    assert desk.instance.status == "active"
    (report,) = desk.reports
    assert isinstance(report.error, StoreUnavailableError)
    assert report.result is None
    desk.machine.advance(10)
    desk.tick()
    assert desk.handle.result() is None


def test_t6_an_answer_that_is_lost_loses_nothing(bodies: Bodies) -> None:
    desk = Desk.of(as_async_def(steps(bodies, "a", "b")))
    desk.store.when("after", "apply", 1, unavailable)
    with pytest.raises(StoreUnavailableError):
        desk.tick()
    assert desk.due() == []
    desk.machine.advance(10)
    (fired,) = desk.due()
    desk.tick(fired)
    assert bodies.runs == ["a", "b"]


def test_t6_a_store_that_fails_at_the_deferral_reaches_the_caller_too() -> None:
    desk = Desk.of(as_async_def(napping))
    desk.registry = Registry([])
    before = desk.rows()
    desk.store.when("before", "apply", 1, unavailable)
    with pytest.raises(StoreUnavailableError):
        desk.tick()
    assert desk.rows() == before


def test_t6_a_store_that_fails_at_the_end_of_a_failed_write_keeps_the_hook(
    sqlite: Callable[[], SqliteStore],
) -> None:
    desk = Desk.of(as_async_def(write_at_the_end), store=sqlite())
    desk.store.when("before", "apply", 3, unavailable)
    with pytest.raises(StoreUnavailableError):
        desk.tick()
    assert desk.instance.status == "active"
    assert [hook.id for hook in desk.snapshot.hooks] == [timer_id(desk.ref)]


def broken() -> None:
    raise ZeroDivisionError("unexpected")


def test_an_error_that_nobody_expects_defers_the_hook_and_is_logged_whole(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk.of(as_async_def(three_steps))
    desk.store.when("before", "apply", 1, broken)
    report = desk.tick()
    (hook,) = desk.snapshot.hooks
    assert isinstance(report.error, ZeroDivisionError)
    assert (hook.attempts, hook.due_at, hook.last_error) == (1, T0 + SECOND, "ZeroDivisionError: unexpected")
    assert "in broken" in caplog.text


def test_an_error_that_nobody_expects_after_a_checkpoint_leaves_the_hook_as_it_is() -> None:
    """What was committed meanwhile is not the snapshot's any more."""
    desk = Desk.of(as_async_def(three_steps))
    desk.store.when("before", "apply", 2, broken)
    report = desk.tick()
    (hook,) = desk.snapshot.hooks
    assert isinstance(report.error, ZeroDivisionError)
    assert isinstance(report.result, Conflict)
    assert (hook.attempts, hook.due_at) == (0, T0 + 10 * SECOND)
    desk.machine.advance(10)
    desk.tick()
    assert desk.handle.result() is None


def test_an_error_that_nobody_expects_reaches_the_caller_if_it_cannot_be_stored() -> None:
    desk = Desk.of(as_async_def(three_steps))
    desk.store.always["before", "apply"] = broken
    with pytest.raises(ZeroDivisionError):
        desk.tick()
    (report,) = desk.reports
    assert isinstance(report.error, ZeroDivisionError)


# ---- D3, D9, G10: what is wrong with the code


def renamed(step: Any) -> Running:
    yield step.sleep("snooze", timedelta(minutes=1))


def returns_early(step: Any) -> Running:
    return 1
    yield


def bad_name(step: Any) -> Running:
    yield step.sleep("a > b", SECOND)


@pytest.mark.parametrize("code", [renamed, returns_early, bad_name, None])
def test_d3_g10_the_hook_is_deferred_with_growing_back_off_and_the_instance_does_not_change(
    code: Callable[[Any], Running] | None,
) -> None:
    desk = Desk.of(as_async_def(napping))
    desk.tick()
    desk.machine.advance(60)
    before = desk.rows()
    deployed, desk.registry = desk.registry, Registry([] if code is None else [as_async_def(code)])
    waits = []
    for attempts in (1, 2, 3, 4):
        (fired,) = desk.due()
        report = desk.tick(fired)
        (hook,) = desk.snapshot.hooks
        waits.append(hook.due_at - desk.machine.now)
        assert (hook.attempts, hook.last_error) == (attempts, f"{type(report.error).__name__}: {report.error}")
        assert isinstance(report.plan and report.plan.outcome, Deferred)
        desk.machine.now = hook.due_at
    assert waits == [timedelta(seconds=1 << attempts) for attempts in range(4)]
    assert (desk.rows().instance, desk.rows().steps) == (before.instance, before.steps)
    desk.registry = deployed
    desk.tick(desk.due()[0])
    assert desk.handle.result() == "awake"


def test_d3_the_error_is_a_mismatch_and_the_report_has_it() -> None:
    desk = Desk.of(as_async_def(napping))
    desk.tick()
    desk.machine.advance(60)
    desk.registry = Registry([as_async_def(renamed)])
    error = desk.tick().error
    assert isinstance(error, NonDeterminismError)
    assert error.expected == "sleep:nap"


def test_g10_an_unknown_workflow_is_never_errored() -> None:
    desk = Desk.of(as_async_def(napping))
    desk.registry = Registry([])
    error = desk.tick().error
    assert isinstance(error, UnknownWorkflowError)
    assert desk.instance.status == "active"


def test_d9_after_new_work_the_work_is_committed_and_no_body_is_repeated(bodies: Bodies) -> None:
    def program(step: Any) -> Running:
        yield step.do("a", bodies("a"))
        yield step.sleep("a > b", SECOND)

    desk = Desk.of(as_async_def(program))
    report = desk.tick()
    assert isinstance(report.plan and report.plan.outcome, Stuck)
    (hook,) = desk.snapshot.hooks
    assert (desk.instance.status, hook.due_at, hook.attempts) == ("active", T0 + SECOND, 1)
    desk.machine.advance(1)
    (fired,) = desk.due()
    desk.tick(fired)
    (hook,) = desk.snapshot.hooks
    assert (hook.due_at, hook.attempts) == (desk.machine.now + 2 * SECOND, 2)
    assert bodies.runs == ["a"]


def test_d9_after_a_checkpoint_too(bodies: Bodies) -> None:
    def program(step: Any) -> Running:
        yield step.do("a", bodies("a"))
        yield step.do("b", bodies("b"))
        yield step.sleep("a > b", SECOND)

    desk = Desk.of(as_async_def(program))
    desk.tick()
    assert [step.key for step in desk.snapshot.steps] == ["do:a", "do:b"]
    assert desk.snapshot.hooks[0].due_at == T0 + SECOND


def test_a_message_that_fires_while_the_code_is_wrong_is_deferred_and_not_lost() -> None:
    def program(step: Any) -> Running:
        yield step.wait_for_event("go", "go", timeout=timedelta(minutes=1))
        return "gone"

    desk = Desk.of(as_async_def(program))
    desk.tick()
    desk.handle.send_event("go", id="m1")
    deployed, desk.registry = desk.registry, Registry([])
    (fired,) = desk.due()
    desk.tick(fired)
    hooks = {hook.id: hook.attempts for hook in desk.snapshot.hooks}
    assert hooks == {message_id(desk.ref, "m1"): 1, timer_id(desk.ref): 0}
    desk.registry = deployed
    desk.tick()
    assert desk.handle.result() == "gone"


# ---- S14


@both_colours
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_s14_what_is_no_exception_leaves_the_tick_and_nothing_is_written(
    colour: Colour, error: type[BaseException]
) -> None:
    def leave(attempt: Attempt) -> None:
        raise error

    def program(step: Any) -> Running:
        yield step.do("a", leave)

    desk = Desk.of(colour(program))
    before = desk.rows()
    with pytest.raises(error):
        desk.tick()
    assert desk.rows() == before
    assert desk.store.calls == ["retrieve"]
    assert len(desk.reports) == 1


@both_colours
def test_s14_what_was_committed_before_stays(colour: Colour) -> None:
    def leave(attempt: Attempt) -> None:
        raise KeyboardInterrupt

    def program(step: Any) -> Running:
        yield step.do("a", lambda attempt: 1)
        yield step.do("b", leave)

    desk = Desk.of(colour(program))
    with pytest.raises(KeyboardInterrupt):
        desk.tick()
    assert [step.key for step in desk.snapshot.steps] == ["do:a"]


# ---- the tick's time


def failing_after(machine: Callable[[], Machine], seconds: float) -> Callable[[Any], Running]:
    def fail(attempt: Attempt) -> None:
        machine().advance(seconds)
        raise ValueError("no")

    def program(step: Any) -> Running:
        yield step.do("a", fail, retry=Retry(max_attempts=2, delay=timedelta(seconds=10)))

    return program


@both_colours
def test_a_retry_delay_counts_from_the_failure(colour: Colour) -> None:
    desk = Desk.of(colour(failing_after(lambda: desk.machine, 30)))
    desk.tick()
    (step,) = desk.snapshot.steps
    assert step.next_retry_at == T0 + timedelta(seconds=40)


def test_a_sleep_counts_from_the_end_of_the_step_before() -> None:
    def program(step: Any) -> Running:
        yield step.do("a", lambda attempt: desk.machine.advance(30))
        yield step.sleep("nap", timedelta(seconds=10))

    desk = Desk.of(as_async_def(program))
    desk.tick()
    assert desk.fired().hook.due_at == T0 + timedelta(seconds=40)


def test_the_time_does_not_go_back_after_a_conflict_or_in_a_continuation() -> None:
    """The store's clock stands still, or jumps back; the runner's own time does not."""

    def program(step: Any) -> Running:
        yield step.do("a", lambda attempt: desk.machine.advance(30))
        yield step.do("b", lambda attempt: desk.machine.advance(30))
        yield step.do("c", lambda attempt: 1)

    desk = Desk.of(as_async_def(program))

    def clock_jumps_back() -> None:
        desk.machine.now = T0 - timedelta(days=1)
        desk.handle.send_event("go")

    desk.store.when("before", "apply", 1, clock_jumps_back)
    desk.tick()
    settled = [step.settled_at for step in desk.handle.history().steps]
    assert settled == sorted(settled, key=str)
    assert settled[1] is not None
    assert settled[1] >= T0 + timedelta(seconds=60)


@pytest.mark.parametrize("when", ["before", "after"])
def test_the_ticks_time_is_never_ahead_of_the_stores_clock(when: Any) -> None:
    """Or a deadline would be over early, and an instance that is due now would not be due yet."""
    desk = Desk.of(as_async_def(three_steps))
    desk.store.always[when, "retrieve"] = lambda: desk.machine.advance(0.5)
    desk.tick()
    assert desk.instance.updated_at <= desk.machine.now


# ---- D8: log lines


def logging_program(step: Any) -> Running:
    step.log("hello", number=1)
    yield step.do("a", lambda attempt: 1)
    step.log("between %s", odd=object)
    yield step.do("b", lambda attempt: 1)
    step.log("bye")


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [
        (record.name, record.getMessage()) for record in caplog.records if record.name.startswith("wfcore.workflow")
    ]


EXPECTED = [
    ("wfcore.workflow.w", "hello number=1"),
    ("wfcore.workflow.w", "between %s odd=\"<class 'object'>\""),
    ("wfcore.workflow.w", "bye"),
]


@both_colours
def test_d8_a_line_is_logged_once_by_the_workflows_name(colour: Colour, caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk.of(colour(logging_program))
    with caplog.at_level(logging.INFO):
        desk.tick()
    assert lines(caplog) == EXPECTED
    (hello, *_) = [record for record in caplog.records if record.name == "wfcore.workflow.w"]
    assert (vars(hello)["wfcore_ref"], vars(hello)["wfcore_fields"]) == (desk.ref, {"number": 1})
    assert hello.levelno == logging.INFO


def test_d8_a_tick_that_loses_or_fails_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk.of(as_async_def(logging_program))
    desk.store.when("before", "apply", 1, desk.rival)
    desk.store.when("before", "apply", 3, unavailable)
    with caplog.at_level(logging.INFO):
        with pytest.raises(StoreUnavailableError):
            desk.tick()
        assert lines(caplog) == EXPECTED[:1]
        desk.machine.advance(10)
        desk.tick()
    assert lines(caplog) == EXPECTED


# ---- R6: reports


def ran(name: str, *, began: timedelta, duration: timedelta) -> BodyRun:
    return BodyRun(key=f"do:{name}", name=name, attempt=1, began=began, duration=duration, failure=None)


def test_r6_a_report_tells_what_the_tick_did_and_how_long_it_took(bodies: Bodies) -> None:
    desk = Desk.of(as_async_def(steps(bodies, "a", "b")))
    bodies.act["a"] = lambda: desk.machine.advance(3)
    bodies.act["b"] = lambda: desk.machine.advance(4)
    desk.store.always["before", "retrieve"] = lambda: desk.machine.advance(0.5)
    desk.store.always["after", "apply"] = lambda: desk.machine.advance(0.25)
    fired, created, began_at = desk.fired(), desk.instance, desk.machine.now
    report = desk.tick(fired)
    assert report == TickReport(
        fired=fired,
        began_at=began_at,
        instance=created,
        plan=desk.store.plans[-1],
        result=Applied(frozenset()),
        error=None,
        conflicts=0,
        checkpoints=1,
        bodies=2,
        body_runs=(
            ran("a", began=timedelta(seconds=0.5), duration=timedelta(seconds=3)),
            ran("b", began=timedelta(seconds=3.75), duration=timedelta(seconds=4)),
        ),
        undelivered=(),
        records=0,
        largest_payload=5,
        duration=timedelta(seconds=8),
        body_duration=timedelta(seconds=7),
        store_duration=timedelta(seconds=1),
    )
    assert desk.reports == [report]


def test_r6_a_report_names_the_class_of_what_a_body_raised_and_the_attempt() -> None:
    def fail(attempt: Attempt) -> None:
        raise ConnectionError("the card number")

    @workflow(name="w")
    async def program(step: AsyncStep) -> None:
        await step.do("pay", fail, retry=Retry(max_attempts=2, delay=SECOND))

    desk = Desk.of(program)
    desk.tick()
    desk.machine.advance(60)
    assert [(1, "builtins.ConnectionError"), (2, "builtins.ConnectionError")] == [
        (run.attempt, run.failure) for run in (*desk.reports[0].body_runs, *desk.tick().body_runs)
    ]


def test_r6_conflicts_are_counted_and_pauses_are_in_the_duration(bodies: Bodies) -> None:
    desk = Desk.of(as_async_def(steps(bodies, "a")))
    desk.store.when("before", "apply", 1, desk.rival)
    report = desk.tick()
    assert (report.conflicts, report.bodies) == (1, 2)
    assert report.duration == timedelta(seconds=sum(desk.machine.pauses))


def test_r6_every_tick_has_one_report() -> None:
    desk = Desk.of(as_async_def(napping))
    fired = desk.fired()
    for _ in range(3):
        desk.tick(fired)
    assert [type(report.plan and report.plan.outcome) for report in desk.reports] == [
        Suspended,
        Rescheduled,
        Rescheduled,
    ]


def test_r6_an_observer_that_raises_is_logged_and_does_no_harm(caplog: pytest.LogCaptureFixture) -> None:
    def broken(report: TickReport) -> None:
        raise ValueError("observer")

    desk = Desk.of(as_async_def(returns_early))
    report = desk.tick(observer=broken)
    assert isinstance(report.plan and report.plan.outcome, Completed)
    (record,) = [each for each in caplog.records if each.name == "wfcore.runner"]
    assert record.levelno == logging.ERROR
    assert desk.ref in record.getMessage()


def test_r6_no_payload_is_logged_at_info(caplog: pytest.LogCaptureFixture) -> None:
    def program(step: Any) -> Running:
        yield step.do("a", lambda attempt: "secret")
        yield step.wait_for_event("b", "go")
        return "secret"

    desk = Desk.of(as_async_def(program))
    with caplog.at_level(logging.DEBUG):
        desk.tick()
        desk.handle.send_event("go", "secret")
        desk.tick()
    assert desk.handle.result() == "secret"
    assert "secret" not in caplog.text


def test_r6_a_failed_tick_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk.of(as_async_def(napping))
    desk.registry = Registry([])
    desk.tick()
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("wfcore.runner", "WARNING")
    assert record.getMessage().startswith(f"tick of {desk.ref} failed: UnknownWorkflowError: no workflow 'w'")


# ---- a tick more changes nothing


def test_any_firing_may_be_repeated_or_early(bodies: Bodies) -> None:
    def program(step: Any) -> Running:
        yield step.do("a", bodies("a"))
        yield step.sleep("nap", timedelta(minutes=1))
        yield step.do("b", bodies("b"))

    desk = Desk.of(as_async_def(program))
    first = desk.fired()
    for seconds in (0, 0, 30, 0, 29, 0, 1, 0, 100):
        desk.machine.advance(seconds)
        desk.tick(attrs.evolve(first, timestamp=desk.machine.now))
    assert bodies.runs == ["a", "b"]
    assert desk.instance.completed_at == T0 + timedelta(minutes=1)


def test_a_body_may_fail_for_good(bodies: Bodies) -> None:
    def refuse(attempt: Attempt) -> None:
        raise NonRetryableError("declined")

    def program(step: Any) -> Running:
        yield step.do("a", refuse, retry=Retry(max_attempts=5))

    desk = Desk.of(as_async_def(program))
    desk.tick()
    assert desk.instance.status == "errored"


def test_writes_commit_once(bodies: Bodies) -> None:
    def write(attempt: Attempt) -> None:
        attempt.write("paid")

    def program(step: Any) -> Running:
        yield step.do("a", write)
        yield step.do("b", bodies("b"))

    desk = Desk.of(as_async_def(program))
    desk.store.when("before", "apply", 1, desk.rival)
    desk.tick()
    assert isinstance(desk.store.inner, MemoryStore)
    assert desk.store.inner.writes == ("paid",)
    assert sum(isinstance(each, Write) for plan in desk.store.plans for each in plan.mutations) == 2


def test_a_corrupt_row_reaches_the_caller_and_nothing_is_written(
    sqlite: Callable[[], SqliteStore], tmp_path: Path
) -> None:
    desk = Desk.of(as_async_def(napping), store=sqlite())
    (fired,) = desk.store.inner.due(DueQuery())
    with sqlite3.connect(tmp_path / "workflows.db") as connection:
        connection.execute("UPDATE wfcore_instances SET status = 'running'")
    connection.close()
    with pytest.raises(StoreError, match="status 'running' is none of active"):
        desk.tick(fired)
    assert desk.store.calls == ["retrieve"]


# ---- T4: messages to others


def sends(*, required: bool) -> Workflow[None, str]:
    @workflow(name="w")
    async def w(step: AsyncStep) -> str:
        def body(attempt: Attempt) -> str:
            attempt.send_event(w, "nobody", "go", required=required)
            return "sent"

        try:
            return await step.do("send", body)
        except StepFailedError as error:
            return error.failure.type

    return w


def test_t4_a_message_to_nobody_is_in_the_report_and_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk.of(sends(required=False))
    report = desk.tick()
    assert desk.instance.output == '"sent"'
    assert {type(each) for each in report.undelivered} == {AddEvent, AddHook}
    assert "w#1 sent event 'go' to 'w#nobody', which does not exist" in caplog.text


def test_t4_a_required_message_to_nobody_fails_the_step_and_is_no_conflict() -> None:
    desk = Desk.of(sends(required=True))
    report = desk.tick()
    assert desk.instance.output == '"wfcore.errors.caller.InstanceNotFoundError"'
    assert (report.conflicts, report.undelivered) == (0, ())
