"""Commands as plans (rules M1, M2, G10, D3), and hooks without races (design 4)."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from tests.lab import MINUTE, SECOND, T0, Lab
from tests.planner.rows import REF, fired, instance, message, notice, pause_request, snapshot, timer
from wfcore import (
    CodecError,
    EventType,
    IllegalTransitionError,
    InstanceExistsError,
    InstanceNotFoundError,
    Step,
    StepNameError,
    UnknownEventTypeError,
    UnknownWorkflowError,
    plan_create,
    plan_defer,
    plan_send_event,
    workflow,
)
from wfcore.evolve import evolve
from wfcore.failure import failure_of
from wfcore.model import Event, Hook, Instance, InstanceStatus, Snapshot
from wfcore.outcome import Created, Deferred, EventSent
from wfcore.plan import Absent, AddEvent, AddHook, AddInstance, AtVersion, Conflict, DeleteHook, Exists, Plan, PutHook

ENDED: tuple[InstanceStatus, ...] = ("complete", "errored", "terminated")
EMPTY = snapshot(None)
LATER = T0 + MINUTE


@attrs.frozen
class Order:
    id: str
    cents: int


@attrs.frozen
class Approval:
    by: str


Approved = EventType("approved", Approval)
Refused = EventType("refused")


@workflow(name="w")
def plain(step: Step) -> None:
    step.wait_for_event("approval", "approved")


@workflow(name="w")
def ordering(step: Step, order: Order) -> None: ...


@workflow(name="w", events=[Approved, Refused])
def listing(step: Step) -> None: ...


def create(seen: Snapshot = EMPTY, workflow: Any = plain, params: object = None, **arguments: Any) -> Plan:
    return plan_create(seen, workflow, params, **{"instance_id": "1", "execution_id": "create", **arguments})


def send(
    seen: Snapshot | None = None, event: Any = "approved", payload: object = None, workflow: Any = plain, **more: Any
) -> Plan:
    row = snapshot(instance()) if seen is None else seen
    return plan_send_event(row, REF, workflow, event, payload, **{"event_id": "e1", "execution_id": "send", **more})


# ---- M1: create


def test_an_instance_is_created_active_with_its_timer_due_now() -> None:
    """M1."""
    row = Instance(
        ref=REF,
        workflow_name="w",
        instance_id="1",
        status="active",
        params="null",
        created_at=T0,
        updated_at=T0,
        execution_id="create",
        created_by="create",
    )
    hook = attrs.evolve(timer(T0), reason="create")
    assert Plan(REF, "create", (Absent(REF),), (AddInstance(row), AddHook(hook)), Created(REF)) == create()


@pytest.mark.parametrize(
    ("field", "expected"),
    [("version", 1), ("run_number", 1), ("key_run", 1), ("started_at", None), ("completed_at", None), ("tags", {})],
)
def test_a_new_instance_begins_at_the_beginning(field: str, expected: object) -> None:
    """M1."""
    assert expected == getattr(_created(create()), field)


def _created(plan: Plan) -> Instance:
    (row,) = [each.instance for each in plan.mutations if isinstance(each, AddInstance)]
    return row


def test_params_are_encoded_by_the_workflows_type() -> None:
    """M1."""
    assert '{"id":"o1","cents":7}' == _created(create(workflow=ordering, params=Order("o1", 7))).params


@pytest.mark.parametrize(
    ("into", "params"),
    [
        (ordering, {"id": "o1", "cents": 7}),
        (ordering, Order("o1", "seven")),  # type: ignore[arg-type] # that is the point
        (ordering, None),
        (plain, Order("o1", 7)),
        (plain, 7),
    ],
    ids=["a dict for a class", "a wrong field", "none", "params that it does not take", "a number for none"],
)
def test_params_that_do_not_fit_are_refused_before_anything_is_stored(into: Any, params: object) -> None:
    """M1."""
    with pytest.raises(CodecError):
        create(workflow=into, params=params)


def test_tags_are_kept_as_they_were() -> None:
    """M1: what the caller does with its dict later is its own affair."""
    tags = {"shop": "north"}
    plan = create(tags=tags)
    tags["shop"] = "south"
    assert {"shop": "north"} == _created(plan).tags


@pytest.mark.parametrize("status", ["active", "waiting", "paused", *ENDED])
def test_an_id_that_is_taken_is_refused(status: InstanceStatus) -> None:
    """M1: whatever has become of it."""
    with pytest.raises(InstanceExistsError) as refused:
        create(snapshot(instance(status=status)))
    assert (REF, status) == (refused.value.ref, refused.value.status)


def test_of_two_creations_of_one_id_one_wins() -> None:
    """M1: also under a race."""
    lab = Lab.of(plain)
    first = create(execution_id="first")
    second = create(execution_id="second")
    lab.apply(first)
    assert Conflict(REF, 1, "first") == evolve(lab.world, second)


@pytest.mark.parametrize("instance_id", ["", "a#b", "a\n", "a" * 257])
def test_an_id_that_cannot_be_used_is_refused(instance_id: str) -> None:
    """K4."""
    with pytest.raises(StepNameError):
        create(instance_id=instance_id)


def test_hooks_that_an_older_instance_left_are_deleted() -> None:
    """G1: so that the new one's own timer is added and not skipped."""
    plan = create(snapshot(None, hooks=[timer(LATER), message(), notice()]))
    assert (DeleteHook(f"{REF}#timer"), DeleteHook(f"{REF}#msg:e1")) == plan.mutations[:2]


def test_a_new_instance_has_its_own_timer_whatever_an_older_one_left() -> None:
    """O5."""
    lab = Lab.of(plain)
    lab.ref = REF
    lab.put(snapshot(None, hooks=[timer(LATER)]))
    lab.create(plain)
    assert T0 == lab.hooks()["timer"].due_at


# ---- M2: send an event


def test_an_event_is_appended_with_its_hook() -> None:
    """M2."""
    sent = Event(instance_ref=REF, id="e1", type="approved", payload='{"by":"ann"}', created_at=T0)
    expected = Plan(REF, "send", (Exists(REF),), (AddEvent(sent), AddHook(message())), EventSent("e1"))
    assert expected == send(payload={"by": "ann"})


def test_an_event_is_as_old_as_the_snapshot() -> None:
    """M2, W6: by the store's clock."""
    plan = send(snapshot(instance(), now=LATER))
    assert [LATER, LATER] == [
        each.event.created_at if isinstance(each, AddEvent) else each.hook.due_at  # type: ignore[union-attr] # two of them
        for each in plan.mutations
    ]


@pytest.mark.parametrize("status", ["active", "waiting", "paused"])
def test_an_event_can_be_sent_to_what_has_not_ended(status: InstanceStatus) -> None:
    """M2."""
    assert EventSent("e1") == send(snapshot(instance(status=status))).outcome


@pytest.mark.parametrize("status", ENDED)
def test_no_event_can_be_sent_to_what_has_ended(status: InstanceStatus) -> None:
    """M2."""
    with pytest.raises(IllegalTransitionError) as refused:
        send(snapshot(instance(status=status)))
    assert (REF, status, "send an event to") == (refused.value.ref, refused.value.status, refused.value.command)


def test_no_event_can_be_sent_to_nobody() -> None:
    """M2."""
    with pytest.raises(InstanceNotFoundError) as refused:
        send(EMPTY)
    assert REF == refused.value.ref


def test_an_event_never_conflicts_with_a_running_tick() -> None:
    """M2, A10: neither does the tick with it."""
    lab = Lab.of(plain)
    lab.create(plain)
    sent = send(lab.snapshot())
    lab.tick()
    lab.apply(sent)
    assert {"msg:e1"} == set(lab.hooks())


def test_a_retried_send_appends_once() -> None:
    """M2: idempotent by its id."""
    lab = Lab.of(plain)
    lab.create(plain)
    for _try in range(3):
        lab.send("approved", id="e1")
    assert (["e1"], {"timer", "msg:e1"}) == (list(lab.events()), set(lab.hooks()))


def test_of_two_payloads_under_one_id_the_first_wins() -> None:
    """M2."""
    lab = Lab.of(plain)
    lab.create(plain)
    lab.send("approved", "first", id="e1")
    lab.send("approved", "second", id="e1")
    assert '"first"' == lab.events()["e1"].payload


@pytest.mark.parametrize(
    ("event", "payload", "expected"),
    [
        (Approved, Approval("ann"), ("approved", '{"by":"ann"}')),
        (Refused, None, ("refused", "null")),
        ("approved", {"by": "ann"}, ("approved", '{"by":"ann"}')),
        ("anything", [1], ("anything", "[1]")),
    ],
)
def test_an_event_is_encoded_by_its_type(event: Any, payload: object, expected: tuple[str, str]) -> None:
    """M2, W11: a str means plain JSON."""
    added = send(event=event, payload=payload).mutations[0]
    assert isinstance(added, AddEvent)
    assert expected == (added.event.type, added.event.payload)


def test_a_listed_type_is_known_by_its_name() -> None:
    """W11."""
    added = send(event="approved", payload=Approval("ann"), workflow=listing).mutations[0]
    assert isinstance(added, AddEvent)
    assert '{"by":"ann"}' == added.event.payload


@pytest.mark.parametrize(
    ("event", "payload", "to"),
    [
        (Approved, {"by": "ann"}, plain),
        (Approved, None, plain),
        (Refused, 1, plain),
        ("approved", Approval("ann"), plain),
        ("approved", {"by": "ann"}, listing),
        (EventType("approved", int), 1, listing),
    ],
    ids=[
        "a dict for a class",
        "nothing for a class",
        "something for nothing",
        "a class for plain JSON",
        "a listed type",
        "another payload than the listed type's",
    ],
)
def test_a_wrong_payload_is_the_senders_error(event: Any, payload: object, to: Any) -> None:
    """W11: before anything is stored."""
    with pytest.raises(CodecError):
        send(event=event, payload=payload, workflow=to)


@pytest.mark.parametrize("event", ["paid", EventType("paid")], ids=["name", "value"])
def test_a_type_that_the_workflow_does_not_list_is_the_senders_error(event: Any) -> None:
    """W11."""
    with pytest.raises(UnknownEventTypeError) as refused:
        send(event=event, workflow=listing)
    assert ("w", "paid", ("approved", "refused")) == (
        refused.value.workflow_name,
        refused.value.event_type,
        refused.value.known,
    )


@pytest.mark.parametrize("event_id", ["", "#pause-1", "a\x00"])
def test_an_event_id_that_cannot_be_used_is_refused(event_id: str) -> None:
    """K4: ids of system events live in a namespace of their own."""
    with pytest.raises(StepNameError):
        send(event_id=event_id)


# ---- G10, D3: deferring a hook

ERROR = UnknownWorkflowError("w", ("other",))
TEXT = f"UnknownWorkflowError: {ERROR}"


def defer(seen: Snapshot, hook: Hook, at: Any = T0) -> Plan:
    return plan_defer(seen, fired(hook, at), ERROR, execution_id="defer")


def test_a_deferred_hook_is_put_back_for_later_with_the_error() -> None:
    """G10, D3: without a new version of the instance."""
    expected = Plan(
        REF,
        "defer",
        (AtVersion(REF, 7, "before"),),
        (PutHook(timer(T0 + SECOND, attempts=1, last_error=TEXT)),),
        Deferred(T0 + SECOND, failure_of(ERROR)),
    )
    assert expected == defer(snapshot(instance(), hooks=[timer(), message()]), timer())


@pytest.mark.parametrize(
    ("attempts", "seconds"), [(0, 1), (1, 2), (2, 4), (3, 8), (8, 256), (9, 300), (10, 300), (500, 300)]
)
def test_a_hook_is_deferred_longer_and_longer_without_end(attempts: int, seconds: int) -> None:
    """T6."""
    stored = timer(attempts=attempts)
    plan = defer(snapshot(instance(), hooks=[stored]), stored)
    expected = timer(T0 + seconds * SECOND, attempts=attempts + 1, last_error=TEXT)
    assert (PutHook(expected),) == plan.mutations


@pytest.mark.parametrize(
    ("due_at", "store", "timestamp", "expected"),
    [
        (T0, T0, T0, T0 + SECOND),
        (T0 - MINUTE, T0, T0, T0 + SECOND),
        (T0, LATER, T0, LATER + SECOND),
        (T0, T0, LATER, LATER + SECOND),
        (LATER, T0, T0, LATER),
    ],
    ids=["now", "late", "the store is ahead", "the firing is ahead", "it is due later than that by itself"],
)
def test_a_hook_is_deferred_from_now_and_never_made_earlier(
    due_at: Any, store: Any, timestamp: Any, expected: Any
) -> None:
    """Design 4: ``max(its own, now + back-off)``."""
    plan = defer(snapshot(instance(), hooks=[timer(due_at)], now=store), timer(due_at), timestamp)
    assert (PutHook(timer(expected, attempts=1, last_error=TEXT)),) == plan.mutations


@pytest.mark.parametrize(
    "seen",
    [snapshot(instance(), hooks=[message()]), snapshot(instance()), snapshot(None, hooks=[timer()]), EMPTY],
    ids=["another hook", "no hook", "no instance", "nothing"],
)
def test_a_hook_that_is_gone_is_not_put_back(seen: Snapshot) -> None:
    """Design 4: a handled hook is not resurrected."""
    plan = defer(seen, timer())
    assert ((), (), Deferred(None, failure_of(ERROR))) == (plan.preconditions, plan.mutations, plan.outcome)


def test_the_stored_row_is_deferred_and_not_the_fired_one() -> None:
    """Design 4: a firing is only a trigger."""
    stored = timer(LATER, run=2, attempts=3)
    plan = defer(snapshot(instance(run_number=2), hooks=[stored]), timer(T0, run=1))
    assert (PutHook(attrs.evolve(stored, attempts=4, last_error=TEXT)),) == plan.mutations


def test_deferring_does_not_disturb_a_running_tick() -> None:
    """Design 4."""
    lab = Lab.of(plain)
    lab.create(plain)
    tick = lab.plan()
    lab.apply(defer(lab.snapshot(), lab.fired().hook))
    lab.apply(tick)
    assert ("waiting", {}) == (lab.instance.status, lab.hooks())


def test_deferring_does_not_overwrite_a_newer_timer() -> None:
    """Design 4: it conflicts, and is dropped."""

    @workflow(name="w")
    def w(step: Step) -> None:
        step.sleep("nap", MINUTE)

    lab = Lab.of(w)
    lab.create(w)
    late = defer(lab.snapshot(), lab.fired().hook)
    lab.tick()
    assert Conflict(REF, 2, "tick2") == evolve(lab.world, late)


def test_a_deferred_instance_keeps_its_row() -> None:
    """G10, D3: it is unchanged, and goes on by itself once the code fits again."""
    lab = Lab.of(plain)
    lab.create(plain)
    before = lab.instance
    lab.apply(defer(lab.snapshot(), lab.fired().hook))
    assert before == lab.instance


# ---- hooks without races


def test_an_instance_has_one_timer() -> None:
    """Design 4: its id is made of the ref alone."""

    @workflow(name="w")
    def w(step: Step) -> None:
        step.sleep("a", MINUTE)
        step.sleep("b", MINUTE)

    lab = Lab.of(w)
    lab.create(w)
    lab.tick()
    lab.tick(at=LATER)
    assert {"timer": LATER + MINUTE} == {name: hook.due_at for name, hook in lab.hooks().items()}


def test_each_message_has_a_hook_of_its_own() -> None:
    """Design 4."""
    lab = Lab.of(plain)
    lab.create(plain)
    lab.send("approved", id="e1")
    lab.send("approved", id="e2")
    assert {"timer", "msg:e1", "msg:e2"} == set(lab.hooks())


def test_a_message_is_for_any_run() -> None:
    """Design 4."""
    lab = Lab.of(plain)
    lab.create(plain)
    lab.send("approved", id="e1")
    assert [None] == [hook.run_number for name, hook in lab.hooks().items() if name != "timer"]


def test_a_tick_that_did_not_see_a_message_conflicts_with_the_one_that_handled_it() -> None:
    """Design 4: a plan that deletes a message hook raises the version; else the wake-up would be lost."""
    lab = Lab.of(plain)
    lab.create(plain)
    blind = lab.plan()
    lab.send("refused", id="e1")
    lab.tick()
    assert Conflict(REF, 2, "tick4") == evolve(lab.world, blind)


def test_a_message_that_arrives_during_a_tick_wakes_the_instance() -> None:
    """Design 4."""
    lab = Lab.of(plain)
    lab.create(plain)
    tick = lab.plan()
    lab.send("approved", id="e1")
    lab.apply(tick)
    lab.run()
    assert "complete" == lab.instance.status


def test_a_pause_request_that_arrives_during_a_tick_pauses_after_it() -> None:
    """M3, G5: never refused because of a running tick."""
    lab = Lab.of(plain)
    lab.create(plain)
    tick = lab.plan()
    request = AddEvent(pause_request()), AddHook(message("#pause-1", reason="pause"))
    lab.apply(Plan(REF, "pause", (Exists(REF),), request, EventSent("#pause-1")))
    lab.apply(tick)
    lab.run()
    assert ("paused", {}) == (lab.instance.status, lab.hooks())


@pytest.mark.parametrize("again", [1, 2, 3])
def test_a_hook_that_fires_again_changes_nothing(again: int) -> None:
    """Design 1: a hook may be early, late, repeated, reordered or lost and delivered again."""
    lab = Lab.of(plain)
    lab.create(plain)
    first = lab.fired()
    lab.tick()
    for _time in range(again):
        lab.apply(lab.plan(fired=first))
    assert (2, "waiting") == (lab.instance.version, lab.instance.status)
