"""``Client`` and ``Handle``: commands, results, and what becomes of a lost answer (rules M1, M2, M9, M12)."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from pathlib import Path
from queue import Queue
from typing import Any

import attrs
import pytest

from tests.lab import T0
from tests.runner.doubles import WAIT, AnyStore, Machine, Watched, unavailable, world
from wfadapters.memory import MemoryStore
from wfadapters.sqlite import SqliteStore
from wfcore.define import workflow
from wfcore.errors import (
    CodecError,
    ContentionError,
    IllegalTransitionError,
    InstanceExistsError,
    InstanceFailedError,
    InstanceNotFoundError,
    InstanceTerminatedError,
    NotFinishedError,
    StepNameError,
    StoreUnavailableError,
    UnknownEventTypeError,
    UnknownWorkflowError,
)
from wfcore.keys import message_id, timer_id
from wfcore.model import InstanceStatus
from wfcore.outcome import Checkpointed
from wfcore.plan import Applied, DeleteInstance, Plan
from wfcore.planner import AsyncStep, plan_create
from wfcore.planner.changes import change
from wfcore.planner.lifecycle import instead
from wfcore.ports import DueQuery
from wfcore.runner import Client, Dispatcher, Handle, run_tick
from wfcore.workflow import EventType, Registry

Approved = EventType("approved", int)
SOON = timedelta(seconds=WAIT)
FOR_EVER = timedelta(hours=1)


@workflow(name="plus one", events=[Approved])
async def plus_one(step: AsyncStep, number: int) -> int:
    received = await step.wait_for_event("approval", Approved)
    return await step.do("add", lambda attempt: number + received.payload)


@workflow(name="fails")
async def fails(step: AsyncStep) -> None:
    raise ValueError("no")


@workflow(name="other")
async def other(step: AsyncStep) -> None: ...


REGISTRY = Registry([plus_one, fails])


@pytest.fixture(params=["memory", "sqlite"])
def inner(request: pytest.FixtureRequest, tmp_path: Path, machine: Machine) -> Iterator[AnyStore]:
    if request.param == "memory":
        yield MemoryStore(machine.clock)
    else:
        with SqliteStore(tmp_path / "workflows.db", clock=machine.clock, synchronous="OFF") as store:
            yield store


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def store(inner: AnyStore) -> Watched:
    return Watched(inner)


@pytest.fixture
def client(store: Watched, machine: Machine) -> Client:
    return Client(store, REGISTRY, runtime=machine.runtime)


def tick(store: AnyStore | Watched) -> None:
    """Handle what is due."""
    for fired in store.due(DueQuery()):
        run_tick(store, REGISTRY, fired)


def ended(store: Watched, handle: Handle[Any], status: InstanceStatus) -> None:
    """As terminate would."""
    found = handle.get()
    plan = change(found, (), Checkpointed(), execution_id="other", now=found.updated_at, status=status)
    assert isinstance(store.inner.apply(plan), Applied)


# ---- M1: create


def test_m1_create_stores_an_active_instance_whose_timer_is_due_now(client: Client, store: Watched) -> None:
    handle = client.create(plus_one, 1, id="a", tags={"team": "red"})
    row = handle.get()
    (fired,) = store.inner.due(DueQuery())
    assert (row.status, row.params, row.version, row.run_number) == ("active", "1", 1, 1)
    assert (row.tags, row.created_at, row.created_by) == ({"team": "red"}, T0, row.execution_id)
    assert (fired.hook.id, fired.hook.due_at, fired.hook.reason) == (timer_id(handle.ref), T0, "create")


def test_m1_create_is_one_retrieve_and_one_apply(client: Client, store: Watched) -> None:
    client.create(plus_one, 1)
    assert store.calls == ["retrieve", "apply"]


def test_m1_without_an_id_each_gets_one_of_its_own(client: Client) -> None:
    first, second = client.create(plus_one, 1), client.create(plus_one, 1)
    assert first.id != second.id
    assert first.ref == f"plus one#{first.id}"


def test_m1_an_id_that_exists_is_refused(client: Client, store: Watched) -> None:
    client.create(plus_one, 1, id="a")
    before = world(store.inner, "plus one#a")
    with pytest.raises(InstanceExistsError) as caught:
        client.create(plus_one, 2, id="a")
    assert (caught.value.ref, caught.value.status) == ("plus one#a", "active")
    assert world(store.inner, "plus one#a") == before


def test_m1_or_its_handle_is_returned(client: Client, store: Watched) -> None:
    client.create(plus_one, 1, id="a")
    before = world(store.inner, "plus one#a")
    handle = client.create(plus_one, 2, id="a", on_conflict="return_existing")
    assert handle.get().params == "1"
    assert world(store.inner, "plus one#a") == before


def test_m1_the_same_id_of_another_workflow_is_another_instance(client: Client) -> None:
    assert client.create(plus_one, 1, id="a").ref != client.create(fails, id="a").ref


def test_m1_a_race_has_one_winner(client: Client, store: Watched, inner: AnyStore) -> None:
    store.when("before", "apply", 1, lambda: Client(inner, REGISTRY).create(plus_one, 2, id="a"))
    with pytest.raises(InstanceExistsError):
        client.create(plus_one, 1, id="a")
    assert client.get("plus one#a").params == "2"


def test_m1_return_existing_holds_under_a_race(client: Client, store: Watched, inner: AnyStore) -> None:
    store.when("before", "apply", 1, lambda: Client(inner, REGISTRY).create(plus_one, 2, id="a"))
    handle = client.create(plus_one, 1, id="a", on_conflict="return_existing")
    assert handle.get().params == "2"


@pytest.mark.parametrize("on_conflict", ["raise", "return_existing"])
def test_m1_of_many_threads_one_creates(inner: AnyStore, on_conflict: Any) -> None:
    threads = 8
    barrier = threading.Barrier(threads, timeout=WAIT)
    client = Client(inner, REGISTRY)

    def create(number: int) -> int:
        barrier.wait()
        try:
            handle = client.create(plus_one, number, id="a", on_conflict=on_conflict)
        except InstanceExistsError:
            return -1
        return int(handle.get().params)

    with ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(create, range(threads)))
    stored = int(client.get("plus one#a").params)
    expected = [stored] * threads if on_conflict == "return_existing" else [-1] * (threads - 1) + [stored]
    assert sorted(found) == sorted(expected)


@pytest.mark.parametrize("params", ["1", 1.5, True, None, [1]])
def test_m1_params_are_checked_before_anything_is_stored(client: Client, store: Watched, params: Any) -> None:
    with pytest.raises(CodecError) as caught:
        client.create(plus_one, params, id="a")
    assert (caught.value.path, caught.value.expected) == ("$", "int")
    assert "apply" not in store.calls
    assert world(store.inner, "plus one#a") == {}


def test_m1_params_are_checked_for_an_id_that_exists_too(client: Client) -> None:
    client.create(plus_one, 1, id="a")
    with pytest.raises(CodecError):
        client.create(plus_one, "1", id="a", on_conflict="return_existing")  # type: ignore[call-overload] # that is the point


def test_m1_a_workflow_without_params_takes_none(client: Client) -> None:
    assert client.create(fails).get().params == "null"
    with pytest.raises(CodecError):
        client.create(fails, 1)  # type: ignore[misc] # that is the point


@pytest.mark.parametrize("id", ["", "a#b", "a\nb", "a" * 257, 7])
def test_m1_an_id_that_cannot_be_used_is_refused(client: Client, store: Watched, id: Any) -> None:  # as in the client
    with pytest.raises(StepNameError):
        client.create(plus_one, 1, id=id)
    assert store.calls == []


def test_a_workflow_that_the_registry_does_not_hold_is_refused(client: Client, store: Watched) -> None:
    with pytest.raises(UnknownWorkflowError) as caught:
        client.create(other)
    assert caught.value.known == ("fails", "plus one")
    with pytest.raises(UnknownWorkflowError):
        client.handle(other, "a")
    assert store.calls == []


def test_an_undecorated_function_is_refused(client: Client) -> None:
    with pytest.raises(TypeError, match=r"^<function other at .* is no workflow; pass what @workflow\(name=...\) made"):
        client.create(other.fn)  # type: ignore[call-overload] # that is the point


# ---- create_many


def test_create_many_skips_those_that_exist(client: Client) -> None:
    client.create(plus_one, 1, id="b")
    created = client.create_many(plus_one, [("a", 10), ("b", 20), ("c", 30)], tags={"batch": "1"})
    assert [handle.id for handle in created] == ["a", "c"]
    assert [client.get(f"plus one#{each}").params for each in "abc"] == ["10", "1", "30"]
    assert client.get("plus one#c").tags == {"batch": "1"}


def test_create_many_keeps_what_it_has_created_before_it_fails(client: Client) -> None:
    with pytest.raises(CodecError):
        client.create_many(plus_one, [("a", 1), ("b", "2"), ("c", 3)])  # type: ignore[misc] # that is the point
    assert client.get("plus one#a").status == "active"
    with pytest.raises(InstanceNotFoundError):
        client.get("plus one#c")


# ---- handles and reading


def test_a_handle_reads_nothing(client: Client, store: Watched) -> None:
    handle = client.handle(plus_one, "a")
    assert (handle.id, handle.ref, handle.workflow, repr(handle)) == (
        "a",
        "plus one#a",
        plus_one,
        "Handle('plus one#a')",
    )
    assert store.calls == []


@pytest.mark.parametrize("ask", [Handle.get, Handle.status, Handle.history, Handle.result])
def test_what_does_not_exist_is_said_to(client: Client, ask: Callable[[Handle[int]], object]) -> None:
    with pytest.raises(InstanceNotFoundError) as caught:
        ask(client.handle(plus_one, "a"))
    assert str(caught.value) == (
        "there is no instance 'plus one#a'; create it first, or check the workflow's name and the id"
    )
    with pytest.raises(InstanceNotFoundError):
        client.get("plus one#a")


def test_get_and_status_read_the_row(client: Client, store: Watched) -> None:
    handle = client.create(plus_one, 1)
    tick(store.inner)
    assert (handle.status(), handle.get()) == ("waiting", client.get(handle.ref))


def test_the_history_is_in_the_order_of_settlement_then_what_waits(client: Client, store: Watched) -> None:
    @workflow(name="fails")
    async def steps(step: AsyncStep) -> None:
        for name in ("b", "a", "c"):
            await step.do(name, lambda attempt: 1)
        await step.wait_for_event("go", "go")

    registry = Registry([steps])
    handle = Client(store, registry).create(steps)
    (fired,) = store.due(DueQuery())
    run_tick(store, registry, fired)
    handle.send_event("unrelated", 1, id="e1")
    handle.send_event("unrelated", 2, id="e0")
    history = handle.history()
    assert [step.key for step in history.steps] == ["do:b", "do:a", "do:c", "wait_for_event:go"]
    assert [step.sequence for step in history.steps] == [1, 2, 3, None]
    assert [event.id for event in history.events] == ["e1", "e0"]
    assert history.instance == handle.get()


# ---- M9: results


def test_m9_the_result_is_decoded(client: Client, store: Watched) -> None:
    handle = client.create(plus_one, 1)
    handle.send_event(Approved, 41)
    tick(store.inner)
    assert handle.result() == 42


def test_m9_the_result_of_a_failed_instance_is_its_failure(client: Client, store: Watched) -> None:
    handle = client.create(fails)
    tick(store.inner)
    with pytest.raises(InstanceFailedError) as caught:
        handle.result()
    assert caught.value.failure.is_a(ValueError)
    assert str(caught.value) == (
        f"instance {handle.ref!r} failed: ValueError: no; mend the cause, then handle.retry() goes on, and "
        "handle.restart() begins again"
    )


def test_m9_a_terminated_instance_has_none(client: Client, store: Watched) -> None:
    handle = client.create(plus_one, 1)
    ended(store, handle, "terminated")
    with pytest.raises(InstanceTerminatedError):
        handle.result()


@pytest.mark.parametrize("status", ["active", "waiting", "paused"])
def test_m9_an_instance_that_goes_on_has_none_yet(client: Client, store: Watched, status: InstanceStatus) -> None:
    handle = client.create(plus_one, 1)
    ended(store, handle, status)
    store.calls.clear()
    with pytest.raises(NotFinishedError) as caught:
        handle.result()
    assert (caught.value.status, caught.value.timeout) == (status, timedelta(0))
    assert store.calls == ["retrieve"]


def test_m9_a_result_that_does_not_fit_the_code_any_more_is_a_codec_error(inner: AnyStore) -> None:
    @workflow(name="fails")
    async def text(step: AsyncStep) -> str:
        return "7"

    @workflow(name="fails")
    async def number(step: AsyncStep) -> int:
        return 7

    handle = Client(inner, Registry([text])).create(text, id="a")
    (fired,) = inner.due(DueQuery())
    run_tick(inner, Registry([text]), fired)
    assert handle.result() == "7"
    with pytest.raises(CodecError):
        Client(inner, Registry([number])).handle(number, "a").result()


def test_m9_it_waits_for_so_long_and_no_longer(inner: AnyStore, machine: Machine) -> None:
    store = Watched(inner)
    client = Client(store, REGISTRY, runtime=machine.runtime, poll_interval=timedelta(milliseconds=1))
    handle = client.create(plus_one, 1)
    store.calls.clear()
    store.always["after", "retrieve"] = partial(machine.advance, 10)
    with pytest.raises(NotFinishedError) as caught:
        handle.result(timeout=timedelta(seconds=55))
    assert store.calls == ["retrieve"] * 4  # at 0, 20, 40 and 55 s: it rests as long as a look takes
    assert str(caught.value) == (
        f"instance {handle.ref!r} has not ended after 0:00:55: it is active; handle.explain() says for what"
    )


@pytest.mark.parametrize("timeout", [SOON, None])
def test_m9_waiting_is_woken_by_the_end_in_this_process(inner: AnyStore, timeout: timedelta | None) -> None:
    """Nobody polls: the interval is an hour."""
    store = Watched(inner)
    handle = Client(store, REGISTRY, poll_interval=FOR_EVER).create(plus_one, 1)
    handle.send_event(Approved, 1)
    store.calls.clear()
    looked = threading.Event()
    store.always["after", "retrieve"] = looked.set
    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(handle.result, timeout=timeout)
        assert looked.wait(WAIT)
        tick(inner)
        assert result.result(WAIT) == 2
    assert store.calls.count("retrieve") <= 3


def test_m9_waiting_finds_the_end_by_another_process(tmp_path: Path) -> None:
    """Another store object on the same file tells this one nothing."""
    with SqliteStore(tmp_path / "w.db", synchronous="OFF") as ours, SqliteStore(tmp_path / "w.db") as theirs:
        store = Watched(ours)
        handle = Client(store, REGISTRY, poll_interval=timedelta(milliseconds=5)).create(plus_one, 1)
        handle.send_event(Approved, 1)
        looked = threading.Event()
        store.always["after", "retrieve"] = looked.set
        with ThreadPoolExecutor(1) as pool:
            result = pool.submit(handle.result, timeout=SOON)
            assert looked.wait(WAIT)
            tick(theirs)
            assert result.result(WAIT) == 2


def test_m9_the_end_between_the_look_and_the_wait_is_not_missed(inner: AnyStore) -> None:
    store = Watched(inner)
    handle = Client(store, REGISTRY, poll_interval=FOR_EVER).create(plus_one, 1)
    handle.send_event(Approved, 1)
    store.when("after", "retrieve", 1, lambda: tick(inner))
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(handle.result, timeout=None).result(WAIT) == 2


@attrs.frozen
class Silent:
    """A store that tells nobody."""

    inner: AnyStore

    def retrieve(self, ref: str) -> Any:
        return self.inner.retrieve(ref)

    def apply(self, plan: Plan) -> Any:
        return self.inner.apply(plan)


def test_m9_a_store_that_tells_nobody_is_polled(inner: AnyStore) -> None:
    handle = Client(Silent(inner), REGISTRY, poll_interval=timedelta(milliseconds=5)).create(plus_one, 1)
    handle.send_event(Approved, 1)
    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(handle.result, timeout=SOON)
        tick(inner)
        assert result.result(WAIT) == 2


def test_m9_a_wait_looks_again_when_something_may_have_been_missed(inner: AnyStore) -> None:
    """As a store says that had lost its connection for notifications."""
    listeners: Queue[Callable[[str], None]] = Queue()

    class Forgetful(Silent):
        def listen(self, callback: Callable[[str], None]) -> Callable[[], None]:
            listeners.put(callback)
            return lambda: None

    handle = Client(Forgetful(inner), REGISTRY, poll_interval=FOR_EVER).create(plus_one, 1)
    handle.send_event(Approved, 1)
    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(handle.result, timeout=None)
        hear = listeners.get(timeout=WAIT)
        tick(inner)
        hear("")
        assert result.result(WAIT) == 2


def test_m9_nobody_listens_after_a_wait(inner: AnyStore) -> None:
    handle = Client(inner, REGISTRY).create(plus_one, 1)
    with pytest.raises(NotFinishedError):
        handle.result()
    assert inner._listeners._callbacks == {}


def test_the_poll_interval_is_longer_than_zero(inner: AnyStore) -> None:
    with pytest.raises(ValueError, match="poll_interval must be longer than zero"):
        Client(inner, REGISTRY, poll_interval=timedelta(0))


# ---- M2: events


def test_m2_an_event_and_its_hook_are_stored(client: Client, store: Watched) -> None:
    handle = client.create(plus_one, 1)
    store.calls.clear()
    handle.send_event(Approved, 7, id="e1")
    (event,) = handle.history().events
    assert (event.id, event.type, event.payload, event.actor) == ("e1", "approved", "7", "user")
    assert {hook.id for hook in store.retrieve(handle.ref).hooks} == {
        timer_id(handle.ref),
        message_id(handle.ref, "e1"),
    }
    assert store.calls[:2] == ["retrieve", "apply"]


def test_m2_the_same_id_again_changes_nothing_and_the_first_wins(client: Client, store: Watched) -> None:
    handle = client.create(plus_one, 1)
    handle.send_event(Approved, 7, id="e1")
    before = world(store.inner, handle.ref)
    handle.send_event(Approved, 8, id="e1")
    assert world(store.inner, handle.ref) == before


def test_m2_the_same_id_after_it_was_taken_is_not_delivered_again(client: Client, store: Watched) -> None:
    @workflow(name="fails")
    async def two(step: AsyncStep) -> list[int]:
        first = await step.wait_for_event("first", Approved)
        second = await step.wait_for_event("second", Approved)
        return [first.payload, second.payload]

    registry = Registry([two])
    handle = Client(store, registry).create(two)

    def run() -> None:
        for fired in store.due(DueQuery()):
            run_tick(store, registry, fired)

    for number, event_id in [(1, "e1"), (2, "e1"), (3, "e1"), (4, "e2")]:
        handle.send_event(Approved, number, id=event_id)
        run()
    assert handle.result() == [1, 4]


@pytest.mark.parametrize("status", ["complete", "errored", "terminated"])
def test_m2_an_instance_that_has_ended_takes_none(client: Client, store: Watched, status: InstanceStatus) -> None:
    handle = client.create(plus_one, 1)
    ended(store, handle, status)
    before = world(store.inner, handle.ref)
    with pytest.raises(IllegalTransitionError) as caught:
        handle.send_event(Approved, 1)
    assert (caught.value.status, caught.value.instead) == (status, instead(status))
    assert world(store.inner, handle.ref) == before


BAD_EVENTS: dict[str, tuple[tuple[Any, ...], dict[str, Any], type[Exception]]] = {
    "unknown type": ((EventType("rejected", int), 1), {}, UnknownEventTypeError),
    "unknown type by name": (("rejected", 1), {}, UnknownEventTypeError),
    "wrong payload": ((Approved, "1"), {}, CodecError),
    "wrong payload by name": (("approved", "1"), {}, CodecError),
    "missing payload": ((Approved,), {}, CodecError),
    "bad id": ((Approved, 1), {"id": "a#b"}, StepNameError),
    "empty id": ((Approved, 1), {"id": ""}, StepNameError),
}


@pytest.mark.parametrize("case", BAD_EVENTS)
def test_m2_a_wrong_event_is_the_senders_error(client: Client, store: Watched, case: str) -> None:
    arguments, options, error = BAD_EVENTS[case]
    handle = client.create(plus_one, 1)
    before = world(store.inner, handle.ref)
    with pytest.raises(error):
        handle.send_event(*arguments, **options)
    assert world(store.inner, handle.ref) == before


def test_m2_an_event_for_nobody_is_refused(client: Client, store: Watched) -> None:
    with pytest.raises(InstanceNotFoundError):
        client.handle(plus_one, "a").send_event(Approved, 1)
    assert "apply" not in store.calls


def test_m2_it_never_conflicts_with_a_tick(client: Client, store: Watched) -> None:
    handle = client.create(plus_one, 1)
    store.when("before", "apply", 1, lambda: tick(store.inner))
    handle.send_event(Approved, 1)
    assert store.calls.count("apply") == 2
    tick(store.inner)
    assert handle.result() == 2


# ---- M12: answers that are lost, writers that are faster


def created(client: Client) -> Handle[int]:
    return client.create(plus_one, 1, id="a")


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("failures", [1, 2])
def test_m12_create_is_exactly_once(client: Client, store: Watched, when: Any, failures: int) -> None:
    """The caller is not told that it exists already: it is the caller's own."""
    for number in range(1, failures + 1):
        store.when(when, "apply", number, unavailable)
    handle = created(client)
    assert handle.get().version == 1
    assert store.calls.count("apply") == (1 if when == "after" else failures + 1)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("failures", [1, 2])
def test_m12_send_event_is_exactly_once(client: Client, store: Watched, when: Any, failures: int) -> None:
    handle = created(client)
    for number in range(1, failures + 1):
        store.when(when, "apply", number, unavailable)
    handle.send_event(Approved, 1)
    assert len(handle.history().events) == 1
    (first, *more) = [plan for plan in store.plans if plan.ref == handle.ref][1:]
    assert {each.mutations[0].event.id for each in (first, *more)} == {handle.history().events[0].id}  # type: ignore[union-attr] # AddEvent
    assert len({each.execution_id for each in (first, *more)}) == len(more) + 1


def test_m12_an_event_that_was_taken_before_its_answer_was_lost_is_taken_once(client: Client, store: Watched) -> None:
    """The instance goes on meanwhile, so that the event is not pending any more."""
    handle = created(client)

    @workflow(name="plus one", events=[Approved])
    async def goes_on(step: AsyncStep, number: int) -> None:
        await step.wait_for_event("approval", Approved)
        await step.wait_for_event("another", Approved)

    def taken() -> None:
        for fired in store.inner.due(DueQuery()):
            run_tick(store.inner, Registry([goes_on]), fired)
        unavailable()

    store.when("after", "apply", 1, taken)
    handle.send_event(Approved, 1)
    steps = {step.key: step.status for step in handle.history().steps}
    assert steps == {"wait_for_event:approval": "completed", "wait_for_event:another": "waiting"}
    assert handle.history().events == ()


def test_m12_if_the_instance_has_ended_meanwhile_it_is_not_known_whether_the_event_was_sent(
    client: Client, store: Watched
) -> None:
    handle = created(client)

    def completed() -> None:
        tick(store.inner)
        unavailable()

    store.when("after", "apply", 1, completed)
    with pytest.raises(ContentionError) as caught:
        handle.send_event(Approved, 1)
    assert handle.result() == 2
    assert (caught.value.unknown, caught.value.command, caught.value.ref) == (True, "send_event", handle.ref)
    assert str(caught.value).startswith(
        f"it is not known whether send_event took effect on {handle.ref!r}: the acknowledgement was lost"
    )


def test_m12_a_created_instance_that_has_moved_on_is_known_by_its_creator(client: Client, store: Watched) -> None:
    def moves_on() -> None:
        tick(store.inner)
        unavailable()

    store.when("after", "apply", 1, moves_on)
    assert created(client).status() == "waiting"


def test_m12_a_lost_answer_does_not_make_another_ones_instance_ours(client: Client, store: Watched) -> None:
    def somebody_else() -> None:
        Client(store.inner, REGISTRY).create(plus_one, 2, id="a")
        unavailable()

    store.when("before", "apply", 1, somebody_else)
    with pytest.raises(InstanceExistsError):
        created(client)


def test_m12_a_commit_that_arrives_late_is_known_as_ours(client: Client, store: Watched) -> None:
    """The first try commits while the second is on its way."""
    store.when("before", "apply", 1, unavailable)
    store.when("before", "apply", 2, lambda: store.inner.apply(store.plans[0]))
    handle = created(client)
    assert handle.get().created_by == store.plans[0].execution_id


def test_m12_a_store_that_fails_again_and_again_is_the_callers(client: Client, store: Watched) -> None:
    store.always["before", "apply"] = unavailable
    with pytest.raises(StoreUnavailableError):
        created(client)
    assert store.calls.count("apply") == 3
    assert world(store.inner, "plus one#a") == {}


def test_m12_the_last_try_counts_too(client: Client, store: Watched) -> None:
    for number in (1, 2):
        store.when("before", "apply", number, unavailable)
    store.when("after", "apply", 3, unavailable)
    assert created(client).status() == "active"


def test_m12_what_is_in_doubt_is_looked_at_again(client: Client, store: Watched) -> None:
    """The store stays away for a moment after it has taken the plan."""
    store.when("after", "apply", 1, unavailable)
    store.when("before", "retrieve", 2, unavailable)
    store.when("before", "retrieve", 3, unavailable)
    assert created(client).status() == "active"


def test_m12_a_store_that_cannot_be_read_is_the_callers_at_once(client: Client, store: Watched) -> None:
    store.always["before", "retrieve"] = unavailable
    with pytest.raises(StoreUnavailableError):
        created(client)
    assert store.calls == ["retrieve"]


def test_m12_a_command_that_always_loses_gives_up(client: Client, store: Watched, machine: Machine) -> None:
    """The instance comes and goes: a retrieve finds none, the apply finds one."""

    def comes() -> None:
        snapshot = store.inner.retrieve("plus one#a")
        plan = plan_create(snapshot, plus_one, 2, instance_id="a", execution_id="other")
        assert isinstance(store.inner.apply(plan), Applied)

    def goes() -> None:
        found = store.inner.retrieve("plus one#a").instance
        if found is not None:
            change_plan = change(found, (), Checkpointed(), execution_id="gone", now=T0)
            store.inner.apply(
                Plan(found.ref, "gone", change_plan.preconditions, (DeleteInstance(found.ref),), Checkpointed())
            )

    store.always["before", "apply"] = comes
    store.always["before", "retrieve"] = goes
    with pytest.raises(ContentionError) as caught:
        created(client)
    assert (caught.value.tries, caught.value.unknown, caught.value.command) == (10, False, "create")
    assert store.calls == ["retrieve", "apply"] * 10
    assert len(machine.pauses) == 9
    assert machine.pauses == sorted(machine.pauses)


# ---- with a dispatcher


def test_a_dispatcher_and_a_client_of_one_store_need_no_polling(inner: AnyStore) -> None:
    client = Client(inner, REGISTRY, poll_interval=FOR_EVER)
    with Dispatcher(inner, REGISTRY, poll_interval=FOR_EVER):
        handle = client.create(plus_one, 1)
        handle.send_event(Approved, 1)
        assert handle.result(timeout=SOON) == 2
