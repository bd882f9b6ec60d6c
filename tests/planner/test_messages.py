"""Starts of other instances and messages to them (rules T1, T4): queued by an attempt, committed with the step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from tests.lab import MINUTE, SECOND, T0, Lab
from tests.planner.rows import instance, snapshot
from tests.planner.worker import Worker
from wfcore.define import workflow
from wfcore.errors import CodecError, InstanceNotFoundError, StepFailedError, StepNameError, UnknownEventTypeError
from wfcore.evolve import applied
from wfcore.model import Event, Hook, Instance
from wfcore.outcome import Completed
from wfcore.plan import AddEvent, AddHook, AddInstance, AtVersion, Exists, Mutation, Plan, PutStep, Write
from wfcore.planner import AsyncStep, Attempt, Step
from wfcore.retry import Retry
from wfcore.workflow import EventType, Workflow

Body = Callable[[Attempt], Any]
Approved = EventType("approved", int)
Done = EventType("done")
TWICE = Retry(max_attempts=2, delay=SECOND)


@workflow(name="child", events=[Approved, Done])
def child(step: Step, amount: int) -> int:
    return amount + step.wait_for_event("approval", Approved).payload


@workflow(name="plain")
def plain(step: Step) -> None:
    step.wait_for_event("any", "any")


def parent(*bodies: Body, retry: Retry | None = None, **options: Any) -> Workflow[Any, Any]:
    @workflow(name="w", **options)
    def w(step: Step) -> Any:
        try:
            for number, body in enumerate(bodies):
                step.do(f"tell {number}", body, retry=retry)
        except StepFailedError as error:
            return error.failure.type
        return "told"

    return w


def lab_of(*bodies: Body, **options: Any) -> Lab:
    w = parent(*bodies, **options)
    lab = Lab.of(w, child, plain)
    lab.create(w)
    return lab


def start(attempt: Attempt) -> None:
    attempt.start(child, 40, id="c", tags={"colour": "red"})


def tell(attempt: Attempt) -> None:
    attempt.send_event(child, "c", Approved, 2)


def tell_for_sure(attempt: Attempt) -> None:
    attempt.send_event(child, "c", Approved, 2, required=True)


def added(plan: Plan) -> list[Mutation]:
    return [each for each in plan.mutations if isinstance(each, AddInstance | AddEvent | AddHook)]


def child_lab(lab: Lab) -> Lab:
    return attrs.evolve(lab, ref="child#c")


# ---- T1


def test_t4_a_start_is_an_instance_and_a_hook_of_its_own() -> None:
    plan = lab_of(start).tick()
    assert [
        AddInstance(
            Instance(
                ref="child#c",
                workflow_name="child",
                instance_id="c",
                status="active",
                params="40",
                tags={"colour": "red"},
                created_at=T0,
                updated_at=T0,
                execution_id=plan.execution_id,
                created_by=plan.execution_id,
            )
        ),
        AddHook(a_hook("child#c#start", "create")),
    ] == added(plan)


def test_t4_a_message_is_an_event_and_a_hook_of_its_own() -> None:
    plan = lab_of(lambda attempt: attempt.send_event(child, "c", Approved, 2, event_id="e")).tick()
    assert [
        AddEvent(Event(instance_ref="child#c", id="e", type="approved", payload="2", created_at=T0)),
        AddHook(a_hook("child#c#msg:e", "event")),
    ] == added(plan)


def a_hook(hook_id: str, reason: Any) -> Hook:
    return Hook(
        id=hook_id,
        instance_ref="child#c",
        run_number=None,
        workflow_name="child",
        instance_id="c",
        reason=reason,
        due_at=T0,
        created_at=T0,
    )


def fails(*bodies: Body) -> Body:
    def body(attempt: Attempt) -> None:
        for each in bodies:
            each(attempt)
        if attempt.number == 1:
            raise LookupError

    return body


@pytest.mark.parametrize("queued", [start, tell, tell_for_sure])
def test_t1_what_a_failed_attempt_queued_is_dropped(queued: Body) -> None:
    assert [] == added(lab_of(fails(queued)).tick())


@pytest.mark.parametrize("queued", [start, tell])
def test_t1_what_the_attempt_queued_that_succeeds_commits_once(queued: Body) -> None:
    lab = lab_of(fails(queued), retry=TWICE)
    lab.run(until=T0 + MINUTE)
    assert 2 == len([each for plan in lab.plans[1:] for each in added(plan)])


def test_t1_what_is_queued_commits_in_its_order_right_after_the_steps_record() -> None:
    def body(attempt: Attempt) -> None:
        attempt.write("one")
        start(attempt)
        tell(attempt)
        attempt.write("two")

    plan = lab_of(body).tick()
    place = next(number for number, each in enumerate(plan.mutations) if isinstance(each, PutStep))
    assert [AddInstance, AddHook, AddEvent, AddHook, Write] == [type(each) for each in plan.mutations[place + 2 :]][:5]


def test_t1_the_id_of_an_event_is_the_same_in_every_attempt_of_a_step_and_different_otherwise() -> None:
    ids: list[list[str]] = []

    def body(attempt: Attempt) -> None:
        tell(attempt)
        tell(attempt)
        effects = attempt.effects(succeeded=True, now=T0, execution_id="x")
        ids.append([each.event.id for each in effects if isinstance(each, AddEvent)])
        if attempt.number == 1:
            raise LookupError

    lab = lab_of(body, body, retry=TWICE)
    lab.run(until=T0 + MINUTE)
    first, again, other, other_again = ids
    assert (first, other, 4) == (again, other_again, len({*first, *other}))


# ---- T4: present and absent


def test_t4_a_started_instance_runs() -> None:
    lab = lab_of(start, tell)
    lab.run()
    of_child = child_lab(lab)
    of_child.run()
    assert ("complete", "42") == (of_child.instance.status, of_child.instance.output)


def test_o5_an_instance_that_was_started_and_not_yet_ticked_has_its_start_hook() -> None:
    lab = lab_of(start)
    lab.run()
    assert ["start"] == [*child_lab(lab).hooks()]


def test_t4_the_start_hook_gives_way_to_the_instances_own_timer() -> None:
    @workflow(name="sleeper")
    def sleeper(step: Step) -> None:
        step.sleep("nap", MINUTE)

    w = parent(lambda attempt: attempt.start(sleeper, id="s"))
    lab = Lab.of(w, sleeper)
    lab.create(w)
    lab.run()
    of_sleeper = attrs.evolve(lab, ref="sleeper#s")
    of_sleeper.tick()
    assert ["timer"] == [*of_sleeper.hooks()]


@pytest.mark.parametrize("status", ["active", "waiting", "paused", "complete", "errored", "terminated"])
def test_t4_a_start_changes_nothing_of_an_instance_that_exists(status: Any) -> None:
    lab = lab_of(start)
    there = instance(ref="child#c", workflow_name="child", instance_id="c", status=status, params="1")
    of_child = child_lab(lab)
    of_child.put(snapshot(there))
    lab.world = of_child.world
    lab.run()
    assert there == lab.world["child#c"].instance


def test_t4_a_message_that_was_sent_before_is_not_added_again() -> None:
    lab = lab_of(
        start,
        lambda attempt: attempt.send_event(child, "c", Approved, 2, event_id="e"),
        lambda attempt: attempt.send_event(child, "c", Approved, 3, event_id="e"),
    )
    lab.run()
    assert ["2"] == [each.payload for each in child_lab(lab).events().values()]


def test_t4_a_message_to_nobody_has_no_effect_and_is_reported() -> None:
    lab = lab_of(tell)
    plan = lab.tick()
    undelivered = applied(lab.world, plan).undelivered
    assert (Completed('"told"'), ["child#c", "child#c"], False) == (
        plan.outcome,
        [each.ref for each in undelivered],
        bool(lab.world["child#c"].events or lab.world["child#c"].hooks),
    )


def test_t4_a_message_that_was_delivered_is_not_reported() -> None:
    lab = lab_of(start, tell, checkpoint="tick")
    plan = lab.tick()
    assert () == applied(lab.world, plan).undelivered


# ---- T4: required


def test_t4_a_required_message_makes_the_plan_depend_on_its_receiver() -> None:
    plan = lab_of(tell_for_sure).plan()
    assert (AtVersion("w#1", 1, "create1"), Exists("child#c")) == plan.preconditions


def test_t4_a_message_that_is_not_required_does_not() -> None:
    assert (AtVersion("w#1", 1, "create1"),) == lab_of(tell).plan().preconditions


def test_t4_a_required_message_of_a_failed_attempt_does_not() -> None:
    assert (AtVersion("w#1", 1, "create1"),) == lab_of(fails(tell_for_sure)).plan().preconditions


def test_t4_without_its_receiver_the_attempt_fails() -> None:
    lab = lab_of(tell_for_sure)
    plan = lab.plan(absent=frozenset({"child#c"}))
    assert (Completed('"wfcore.errors.caller.InstanceNotFoundError"'), []) == (plan.outcome, added(plan))


def test_t4_it_fails_like_any_other_attempt() -> None:
    lab = lab_of(tell_for_sure, retry=TWICE)
    plan = lab.plan(absent=frozenset({"child#c"}))
    [step] = [each.step for each in plan.mutations if isinstance(each, PutStep)]
    assert ("waiting", 1, T0 + SECOND) == (step.status, step.attempts, step.next_retry_at)


def test_t4_a_receiver_that_has_come_by_the_next_attempt_gets_the_message() -> None:
    lab = lab_of(tell_for_sure, retry=TWICE)
    lab.apply(lab.plan(absent=frozenset({"child#c"})))
    of_child = child_lab(lab)
    of_child.create(child, 40, id="c")
    lab.world = of_child.world
    lab.run(until=T0 + SECOND)
    assert ["2"] == [each.payload for each in child_lab(lab).events().values()]


def both(*bodies: Body) -> Body:
    def body(attempt: Attempt) -> None:
        for each in bodies:
            each(attempt)

    return body


def test_t4_a_receiver_that_the_same_attempt_starts_first_is_there() -> None:
    assert (AtVersion("w#1", 1, "create1"),) == lab_of(both(start, tell_for_sure)).plan().preconditions


def test_t4_a_receiver_that_the_same_attempt_starts_afterwards_is_not_there_yet() -> None:
    """Mutations are applied in their order: the event would be lost without a word."""
    plan = lab_of(both(tell_for_sure, start)).plan()
    assert Exists("child#c") in plan.preconditions


def test_t4_a_receiver_that_was_absent_and_is_started_by_the_same_attempt_is_there() -> None:
    lab = lab_of(both(start, tell_for_sure))
    assert Completed('"told"') == lab.plan(absent=frozenset({"child#c"})).outcome


def test_t4_a_receiver_that_an_earlier_step_of_the_same_plan_starts_is_there() -> None:
    """Preconditions are looked at before the plan is applied: they would never hold."""
    plan = lab_of(start, tell_for_sure, checkpoint="tick").plan()
    assert ((AtVersion("w#1", 1, "create1"),), Completed('"told"')) == (plan.preconditions, plan.outcome)


@pytest.mark.parametrize("checkpoint", ["tick", "step"])
def test_t4_a_receiver_that_was_absent_and_is_started_by_an_earlier_step_is_there(checkpoint: Any) -> None:
    lab = lab_of(start, tell_for_sure, checkpoint=checkpoint)
    Worker(lab).tick(absent=frozenset({"child#c"}))
    assert '"told"' == lab.instance.output


def test_t4_after_a_checkpoint_its_existence_is_required_again() -> None:
    """It may have been deleted meanwhile."""
    lab = lab_of(start, tell_for_sure)
    Worker(lab).tick()
    assert [Exists("child#c")] == [each for each in lab.plans[-1].preconditions if isinstance(each, Exists)]


# ---- to oneself


@workflow(name="echo")
def echo(step: Step) -> int:
    step.do("tell", lambda attempt: attempt.send_event(echo, "1", Approved, 7, event_id="e", required=True))
    return step.wait_for_event("answer", Approved).payload


def test_t4_a_message_to_oneself_is_taken_by_the_next_tick() -> None:
    lab = Lab.of(echo)
    lab.create(echo)
    Worker(lab).tick()
    assert ("waiting", ["msg:e"]) == (lab.instance.status, [*lab.hooks()])
    lab.run()
    assert "7" == lab.instance.output


def test_t4_oneself_is_there() -> None:
    lab = Lab.of(echo)
    lab.create(echo)
    plan = lab.plan(absent=frozenset())
    assert [AtVersion] == [type(each) for each in plan.preconditions]


def test_t4_a_start_of_oneself_changes_nothing() -> None:
    w = parent(lambda attempt: attempt.start(w, id="1"))
    lab = Lab.of(w)
    lab.create(w)
    lab.run()
    assert ("complete", 1, {}) == (lab.instance.status, lab.instance.run_number, lab.hooks())


# ---- what is refused where it is queued


@attrs.frozen
class Strange:
    body: Body
    error: type[Exception]


REFUSED = {
    "params of another type": Strange(lambda attempt: attempt.start(child, "40", id="c"), CodecError),  # type: ignore[misc] # the mistake
    "no params": Strange(lambda attempt: attempt.start(child, id="c"), CodecError),  # type: ignore[arg-type] # the mistake
    "params where there are none": Strange(lambda attempt: attempt.start(plain, 1, id="c"), CodecError),  # type: ignore[misc] # the mistake
    "tags that are no text": Strange(lambda attempt: attempt.start(child, 1, id="c", tags={"a": 1}), CodecError),  # type: ignore[dict-item] # the mistake
    "an id that cannot be used": Strange(lambda attempt: attempt.start(child, 1, id="a#b"), StepNameError),
    "a payload of another type": Strange(lambda attempt: attempt.send_event(child, "c", Approved, "2"), CodecError),  # type: ignore[misc] # the mistake
    "a type that is not listed": Strange(
        lambda attempt: attempt.send_event(child, "c", "other"), UnknownEventTypeError
    ),
    "an id of an instance that cannot be used": Strange(
        lambda attempt: attempt.send_event(child, "", Approved, 2), StepNameError
    ),
    "an id of an event that cannot be used": Strange(
        lambda attempt: attempt.send_event(child, "c", Approved, 2, event_id="a#b"), StepNameError
    ),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_t4_what_does_not_fit_is_refused_where_it_is_queued(case: Strange) -> None:
    with pytest.raises(case.error):
        case.body(Attempt(1, "key"))


def test_w11_a_name_that_the_receiver_lists_has_the_listed_type() -> None:
    attempt = Attempt(1, "key")
    with pytest.raises(CodecError):
        attempt.send_event(child, "c", "approved", "2")


def test_t4_local_types_of_both_workflows_can_be_stored() -> None:
    @attrs.frozen
    class Line:
        cents: int

    @attrs.frozen
    class Order:
        lines: tuple[Line, ...]

    @workflow(name="shop")
    def shop(step: Step, order: Order) -> int:
        return sum(line.cents for line in order.lines)

    def make() -> Workflow[None, Any]:
        @attrs.frozen
        class Mine:
            cents: int

        @workflow(name="w")
        def w(step: Step) -> Mine:
            step.do("start", lambda attempt: attempt.start(shop, Order((Line(40), Line(2))), id="s"))
            return step.do("mine", lambda attempt: Mine(1), returns=Mine)

        return w

    w = make()
    lab = Lab.of(w, shop)
    lab.create(w)
    lab.run()
    of_shop = attrs.evolve(lab, ref="shop#s")
    of_shop.run()
    assert "42" == of_shop.instance.output


# ---- from branches and from on_consume


def test_t1_branches_commit_what_they_queued_with_their_own_steps() -> None:
    @workflow(name="w")
    async def w(step: AsyncStep) -> None:
        async def one(inner: AsyncStep, name: str) -> None:
            await inner.do("start", lambda attempt: attempt.start(plain, id=name))

        await step.map("all", ["a", "b", "c"], one)

    lab = Lab.of(w, plain)
    lab.create(w)
    lab.run()
    assert {"plain#a", "plain#b", "plain#c"} <= {*lab.world}


def test_w9_what_on_consume_queues_commits_with_the_consumption() -> None:
    @workflow(name="w")
    def w(step: Step) -> None:
        step.wait_for_event("go", "go", on_consume=lambda attempt, received: attempt.start(plain, id=received.payload))

    lab = Lab.of(w, plain)
    lab.create(w)
    lab.tick()
    lab.send("go", "a")
    lab.run()
    assert "active" == attrs.evolve(lab, ref="plain#a").instance.status


def test_w9_a_required_event_of_on_consume_without_receiver_releases_the_event() -> None:
    @workflow(name="w")
    def w(step: Step) -> str:
        try:
            step.wait_for_event(
                "go", "go", on_consume=lambda attempt, _: attempt.send_event(plain, "a", "any", required=True)
            )
        except StepFailedError as error:
            return str(error.failure.is_a(InstanceNotFoundError))
        return "told"

    lab = Lab.of(w, plain)
    lab.create(w)
    lab.tick()
    lab.send("go", id="e")
    lab.apply(lab.plan(absent=frozenset({"plain#a"})))
    assert ('"True"', None) == (lab.instance.output, lab.events()["e"].consumed_by)
