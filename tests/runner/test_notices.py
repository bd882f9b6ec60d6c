"""``Dispatcher(on_terminal=...)``: the end of an instance is announced at least once, whatever happens (rule O7)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.lab import MINUTE, SECOND, T0
from tests.runner.doubles import WAIT, AnyStore, Machine, Watched, unavailable
from wfadapters.memory import MemoryStore
from wfadapters.sqlite import SqliteStore
from wfcore import (
    AddHook,
    Applied,
    AsyncStep,
    Attempt,
    Client,
    Conflict,
    DeleteHook,
    Dispatcher,
    DueQuery,
    FiredHook,
    Handle,
    Instance,
    Plan,
    Registry,
    StopSignal,
    StoreUnavailableError,
    TerminalNotice,
    plan_delete,
    plan_restart,
    plan_terminate,
    workflow,
)
from wfcore.keys import is_terminal_notice, terminal_id
from wfcore.outcome import Checkpointed, TerminalNotified
from wfcore.planner.changes import change, terminal_notice
from wfcore.runner.notices import announce
from wfcore.runner.run import MAX_CONFLICTS


@workflow(name="told", notify=True)
async def told(step: AsyncStep) -> None:
    await step.wait_for_event("go", "go")


@workflow(name="silent")
async def silent(step: AsyncStep) -> None:
    await step.wait_for_event("go", "go")


@workflow(name="broken", notify=True)
async def broken(step: AsyncStep) -> None:
    def body(attempt: Attempt) -> None:
        attempt.write(object())

    await step.do("write", body)


REGISTRY = Registry([told, silent, broken])
FIRST = "told#1#terminal:3"


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture(params=["memory", "sqlite"])
def inner(request: pytest.FixtureRequest, machine: Machine, tmp_path: Path) -> Iterator[AnyStore]:
    if request.param == "memory":
        yield MemoryStore(machine.clock)
    else:
        with SqliteStore(tmp_path / "workflows.db", clock=machine.clock, synchronous="OFF") as store:
            yield store


@pytest.fixture
def store(inner: AnyStore) -> Watched:
    return Watched(inner)


@attrs.define
class Stage:
    """An instance on a store, and what its dispatchers were told."""

    store: Watched
    machine: Machine
    handle: Handle[Any]
    told: list[TerminalNotice] = attrs.field(factory=list)

    @property
    def ref(self) -> str:
        return self.handle.ref

    @property
    def ids(self) -> list[str]:
        return [notice.transition_id for notice in self.told]

    def dispatch(self, on_terminal: Callable[[TerminalNotice], object] | None = None) -> None:
        callback = on_terminal or self.told.append
        Dispatcher(self.store, REGISTRY, on_terminal=callback, runtime=self.machine.runtime).run_until_idle()

    def dispatch_deaf(self) -> None:
        """By a dispatcher that wants no notices."""
        Dispatcher(self.store, REGISTRY, runtime=self.machine.runtime).run_until_idle()

    def apply(self, plan: Plan) -> None:
        assert isinstance(self.store.inner.apply(plan), Applied)

    def terminate(self, *, notify: bool = True) -> None:
        snapshot = self.store.inner.retrieve(self.ref)
        self.apply(plan_terminate(snapshot, self.ref, notify=notify, execution_id=self.machine.new_id()))

    def restart(self) -> None:
        snapshot = self.store.inner.retrieve(self.ref)
        self.apply(plan_restart(snapshot, self.ref, self.handle.workflow, execution_id=self.machine.new_id()))

    def rival(self) -> None:
        """Another writer is faster: the instance gets a new version, and everything else stays."""
        row = self.handle.get()
        self.apply(change(row, (), Checkpointed(), execution_id=self.machine.new_id(), now=row.updated_at))

    def hooks(self) -> dict[str, Any]:
        hooks = self.store.inner.retrieve(self.ref).hooks
        return {hook.id.removeprefix(f"{self.ref}#"): hook for hook in hooks}

    def fired(self, hook_id: str = FIRST) -> FiredHook:
        (hook,) = [each for each in self.store.inner.retrieve(self.ref).hooks if each.id == hook_id]
        return FiredHook(hook=hook, timestamp=self.machine.now)

    def announce(self, fired: FiredHook, stop: StopSignal | None = None) -> bool:
        runtime = self.machine.runtime
        return announce(self.store, fired, self.told.append, stop=stop or StopSignal(), runtime=runtime)


@pytest.fixture
def stage(store: Watched, machine: Machine) -> Stage:
    """A waiting instance."""
    handle = Client(store.inner, REGISTRY).create(told, id="1")
    found = Stage(store, machine, handle)
    found.dispatch_deaf()
    store.calls.clear()
    store.plans.clear()
    return found


@pytest.fixture
def ended(stage: Stage) -> Stage:
    """The instance was terminated at T0."""
    stage.terminate()
    return stage


# ---- the notice reaches the callback


def test_o7_an_end_is_announced_once_and_the_notice_deleted(ended: Stage) -> None:
    row = ended.handle.get()
    ended.dispatch()
    ended.dispatch()
    assert [TerminalNotice(transition_id=FIRST, ended_at=T0, instance=row)] == ended.told
    assert {} == ended.hooks()


def test_o7_one_retrieve_and_one_apply_announce_an_end(ended: Stage) -> None:
    ended.dispatch()
    assert ["retrieve", "apply"] == [call for call in ended.store.calls if "due" not in call]
    assert [TerminalNotified(FIRST)] == [plan.outcome for plan in ended.store.plans]


def test_o7_an_announcement_leaves_the_instance_as_it_is(ended: Stage) -> None:
    before = ended.handle.get()
    ended.dispatch()
    assert before == ended.handle.get()


def test_o7_a_workflow_that_returns_is_announced(stage: Stage) -> None:
    stage.handle.send_event("go")
    stage.dispatch()
    assert ([(FIRST, "complete")], {}) == (
        [(notice.transition_id, notice.instance.status) for notice in stage.told],
        stage.hooks(),
    )


def test_o7_an_end_by_a_failed_write_is_announced(machine: Machine, tmp_path: Path) -> None:
    """T5: by the runner, which knows the workflow."""
    with SqliteStore(tmp_path / "w.db", clock=machine.clock, synchronous="OFF") as inner:
        stage = Stage(Watched(inner), machine, Client(inner, REGISTRY).create(broken, id="1"))
        stage.dispatch()
    assert [("broken#1#terminal:2", "errored")] == [(each.transition_id, each.instance.status) for each in stage.told]


def test_o7_without_notify_nobody_is_told(store: Watched, machine: Machine) -> None:
    stage = Stage(store, machine, Client(store.inner, REGISTRY).create(silent, id="1"))
    stage.terminate(notify=silent.notify)
    stage.dispatch()
    assert ([], {}) == (stage.told, stage.hooks())


def test_o7_without_on_terminal_a_dispatcher_does_not_see_notices(ended: Stage) -> None:
    ended.dispatch_deaf()
    assert (["due", "next_due_at"], {"terminal:3"}) == (ended.store.calls, set(ended.hooks()))
    assert {False} == {query.terminal_notices for query in ended.store.queries[-2:]}


def test_o7_a_notice_from_a_feed_that_does_not_leave_it_out_is_no_tick(ended: Stage) -> None:
    """A dispatcher that wants none leaves it to others, and spins on nothing."""

    @attrs.frozen
    class Generous:
        inner: Watched

        def due(self, query: DueQuery) -> Any:
            return self.inner.due(attrs.evolve(query, terminal_notices=True))

        def next_due_at(self, query: DueQuery) -> Any:
            return self.inner.next_due_at(attrs.evolve(query, terminal_notices=True))

    feed = Generous(ended.store)
    Dispatcher(ended.store, REGISTRY, feed=feed, runtime=ended.machine.runtime).run_until_idle()
    assert ({"terminal:3"}, []) == (set(ended.hooks()), ended.store.plans)


def test_o7_a_dispatcher_wakes_for_a_notice(stage: Stage) -> None:
    came = threading.Event()
    hour = timedelta(hours=1)
    with Dispatcher(stage.store, REGISTRY, on_terminal=lambda notice: came.set(), poll_interval=hour):
        stage.terminate()
        assert came.wait(WAIT)


def test_r6_an_announcement_is_no_tick_for_an_observer(ended: Stage) -> None:
    seen: list[object] = []
    Dispatcher(
        ended.store, REGISTRY, on_terminal=ended.told.append, observer=seen.append, runtime=ended.machine.runtime
    ).run_until_idle()
    assert ([FIRST], []) == (ended.ids, seen)


# ---- the callback raises


def test_o7_a_callback_that_raises_is_logged_and_called_again_later(
    ended: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(notice: TerminalNotice) -> None:
        raise ConnectionError("no mail today")

    ended.dispatch(fail)
    put_off = ended.hooks()["terminal:3"]
    assert (1, T0 + SECOND, "ConnectionError: no mail today") == (put_off.attempts, put_off.due_at, put_off.last_error)
    assert f"on_terminal failed for {FIRST}; it is called again" in caplog.text
    ended.dispatch()
    assert [] == ended.told
    ended.machine.now = T0 + SECOND
    ended.dispatch()
    assert ([FIRST], {}) == (ended.ids, ended.hooks())


def test_o7_a_callback_that_fails_again_and_again_is_called_at_longer_intervals(ended: Stage) -> None:
    calls: list[float] = []

    def fail(notice: TerminalNotice) -> None:
        calls.append((ended.machine.now - T0).total_seconds())
        raise ConnectionError

    for _second in range(10):
        ended.dispatch(fail)
        ended.machine.now += SECOND
    assert [0, 1, 3, 7] == calls


def test_o7_a_callback_that_would_have_to_be_awaited_counts_as_failed(
    ended: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    async def mail(notice: TerminalNotice) -> None: ...

    ended.dispatch(mail)
    assert 1 == ended.hooks()["terminal:3"].attempts
    assert "on_terminal gave an awaitable, and this dispatcher cannot await" in caplog.text


def test_o7_any_awaitable_counts_as_failed(ended: Stage) -> None:
    class Promise:
        def __await__(self) -> Any: ...

    ended.dispatch(lambda notice: Promise())
    assert 1 == ended.hooks()["terminal:3"].attempts


def test_s14_what_a_callback_raises_that_is_no_exception_ends_the_dispatcher(ended: Stage) -> None:
    def leave(notice: TerminalNotice) -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        ended.dispatch(leave)
    assert 0 == ended.hooks()["terminal:3"].attempts


# ---- restarted, deleted, others


def test_o7_an_instance_that_was_restarted_meanwhile_is_announced_with_its_new_row(ended: Stage) -> None:
    ended.machine.now = T0 + MINUTE
    ended.restart()
    ended.dispatch()
    (notice,) = ended.told
    assert (FIRST, T0, 2, None) == (
        notice.transition_id,
        notice.ended_at,
        notice.instance.run_number,
        notice.instance.completed_at,
    )
    assert ("waiting", {}) == (ended.handle.status(), ended.hooks())


def test_o7_every_end_of_an_instance_is_announced(ended: Stage) -> None:
    ended.machine.now = T0 + MINUTE
    ended.restart()
    ended.terminate()
    ended.dispatch()
    assert [(FIRST, T0), ("told#1#terminal:5", T0 + MINUTE)] == [
        (notice.transition_id, notice.ended_at) for notice in ended.told
    ]


def test_o7_a_restart_in_the_callback_runs(ended: Stage) -> None:
    """What the callback does to the instance is a conflict, and planned again."""

    def restart(notice: TerminalNotice) -> None:
        ended.told.append(notice)
        ended.restart()

    ended.dispatch(restart)
    assert ([FIRST], "waiting", {}) == (ended.ids, ended.handle.status(), ended.hooks())


def test_o7_an_instance_that_was_announced_can_be_deleted_in_the_next_moment(ended: Stage) -> None:
    ended.dispatch()
    ended.apply(plan_delete(ended.store.inner.retrieve(ended.ref), ended.ref, execution_id="delete"))
    ended.dispatch()
    assert [FIRST] == ended.ids


def test_o7_a_notice_that_another_dispatcher_has_handed_over_is_left_alone(ended: Stage) -> None:
    fired = ended.fired()
    ended.dispatch()
    assert (False, [FIRST]) == (ended.announce(fired), ended.ids)


def test_o7_a_notice_that_another_dispatcher_has_put_off_is_left_alone(ended: Stage) -> None:
    fired = ended.fired()
    ended.dispatch(lambda notice: 1 / 0)
    assert (False, []) == (ended.announce(fired), ended.told)


@pytest.mark.parametrize("ahead", ["store", "firing"])
def test_o7_a_notice_is_due_by_the_later_of_the_two_clocks(ended: Stage, ahead: str) -> None:
    ended.dispatch(lambda notice: 1 / 0)
    fired = ended.fired()
    if ahead == "store":
        ended.machine.now = T0 + SECOND
    else:
        fired = attrs.evolve(fired, timestamp=T0 + SECOND)
    assert ended.announce(fired)


def test_o7_a_notice_without_an_instance_is_deleted_and_not_announced(store: Watched, machine: Machine) -> None:
    """An instance that something else than a command has deleted, in part."""
    found = Client(store.inner, REGISTRY).create(told, id="1")
    row = found.get()
    orphan = terminal_notice(attrs.evolve(row, ref="told#2", instance_id="2"), 3, T0)
    stage = Stage(store, machine, found)
    fired = FiredHook(hook=orphan, timestamp=T0)
    orphaned = Orphaned(store.inner, fired)
    assert announce(orphaned, fired, stage.told.append, stop=StopSignal(), runtime=machine.runtime)
    assert ([], [(DeleteHook("told#2#terminal:3"),)]) == (stage.told, [plan.mutations for plan in orphaned.plans])


@attrs.define
class Orphaned:
    """A store that holds one hook more, of an instance that it does not hold."""

    inner: AnyStore
    fired: FiredHook
    plans: list[Plan] = attrs.field(factory=list)

    def retrieve(self, ref: str) -> Any:
        return attrs.evolve(self.inner.retrieve(ref), hooks=(self.fired.hook,))

    def apply(self, plan: Plan) -> Applied | Conflict:
        self.plans.append(plan)
        return self.inner.apply(plan)


# ---- conflicts and crashes


def test_o7_a_conflict_is_planned_again_and_does_not_call_again(ended: Stage) -> None:
    ended.store.when("before", "apply", 1, ended.rival)
    ended.store.when("before", "apply", 2, ended.rival)
    assert ended.announce(ended.fired())
    assert ([FIRST], {}, [0.01, 0.02]) == (ended.ids, ended.hooks(), ended.machine.pauses)


def test_o7_after_too_many_conflicts_the_notice_stays(ended: Stage) -> None:
    ended.store.always["before", "apply"] = ended.rival
    assert not ended.announce(ended.fired())
    assert ({"terminal:3"}, 1 + MAX_CONFLICTS) == (set(ended.hooks()), ended.store.calls.count("apply"))


def test_o7_a_notice_that_could_not_be_deleted_is_announced_again(ended: Stage) -> None:
    """At least once: its transition id tells."""
    ended.store.when("before", "apply", 1, unavailable)
    with pytest.raises(StoreUnavailableError):
        ended.dispatch()
    ended.dispatch()
    assert [FIRST, FIRST] == ended.ids


def test_o7_a_store_that_cannot_be_read_keeps_the_notice(ended: Stage) -> None:
    ended.store.when("before", "retrieve", 1, unavailable)
    with pytest.raises(StoreUnavailableError):
        ended.dispatch()
    assert ([], {"terminal:3"}) == (ended.told, set(ended.hooks()))


def test_r3_a_dispatcher_that_was_given_up_writes_nothing_after_the_callback(ended: Stage) -> None:
    assert not ended.announce(ended.fired(), StopSignal(requested=True, abandoned=True))
    assert ([FIRST], [], {"terminal:3"}) == (ended.ids, ended.store.plans, set(ended.hooks()))


# ---- keys


def test_o7_the_id_of_a_notice_is_made_of_ref_and_version() -> None:
    assert ("w#1#terminal:7", True) == (terminal_id("w#1", 7), is_terminal_notice(terminal_id("w#1", 7)))


def test_o7_a_notice_is_for_any_run_and_due_at_once() -> None:
    row = Instance(
        ref="w#1",
        workflow_name="w",
        instance_id="1",
        status="complete",
        params="null",
        created_at=T0,
        updated_at=T0,
        execution_id="x",
        created_by="x",
    )
    hook = terminal_notice(row, 7, T0 + MINUTE)
    assert ("w#1#terminal:7", "w#1", None, "w", "1", "terminal", T0 + MINUTE, T0 + MINUTE) == (
        hook.id,
        hook.instance_ref,
        hook.run_number,
        hook.workflow_name,
        hook.instance_id,
        hook.reason,
        hook.due_at,
        hook.created_at,
    )
    assert AddHook(hook).ref == row.ref
