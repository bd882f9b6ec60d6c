"""``given(...).when(...)``, then ``then``, ``stays_quiet``, ``refuses``: what they say, and when they fail."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from tests.testing.checkout import (
    DAY,
    MINUTE,
    SECOND,
    Approval,
    Approved,
    Card,
    DeclinedError,
    Order,
    OrderPaid,
    Receipt,
    Wire,
    checkout,
)
from wfcore import (
    AsyncStep,
    Attempt,
    Checkpointed,
    CodecError,
    Completed,
    Deferred,
    DeleteHook,
    Errored,
    EventSent,
    FiredHook,
    Ignored,
    IllegalTransitionError,
    LogLine,
    NonDeterminismError,
    Paused,
    PauseRequested,
    Plan,
    Resumed,
    Snapshot,
    Step,
    StepFailedError,
    StepInterruptedError,
    Suspended,
    Terminated,
    export_snapshot,
    import_snapshot,
    plan_defer,
    plan_terminate,
    workflow,
)
from wfcore.testing import (
    START,
    Given,
    PlanMismatchError,
    Planned,
    UnexpectedBodyError,
    UnfitValueError,
    add_event,
    add_instance,
    completed,
    errored,
    event,
    fails,
    failure,
    given,
    hook,
    message,
    no_step,
    no_timer,
    output,
    pause,
    pause_request,
    put_event,
    put_instance,
    put_step,
    restart,
    resume,
    returns,
    send_event,
    started,
    stored,
    terminate,
    timed_out,
    timer,
    timer_at,
    waiting,
    writes,
)

ORDER = Order("A-1")
CHARGED = completed("do:charge", Wire("i"))
SETTLED = completed("sleep:settle")
SETTLING = waiting("sleep:settle", until=START + 10 * MINUTE)
ASKING = waiting("wait_for_event:approval", Approved, until=START + DAY)


def begun() -> Given:
    return given(checkout, ORDER)


def settling() -> Given:
    return given(checkout, ORDER, steps=[CHARGED, SETTLING])


def asking(**row: Any) -> Given:
    return given(checkout, ORDER, steps=[CHARGED, SETTLED, ASKING], **row)


def text_of(check: Callable[[], object]) -> str:
    with pytest.raises(AssertionError) as failed:
        check()
    assert str(pickle.loads(pickle.dumps(failed.value))) == str(failed.value)
    return str(failed.value)


# ---- a whole workflow, tick by tick


def test_ticks_are_chained() -> None:
    """Each tick finds what the one before has left."""
    paid = begun().performing({"charge": returns(Wire("i"))}).when()
    paid.then(Suspended(START + 10 * MINUTE, ("sleep:settle",)), put_step("charge", status="completed"))
    asks = paid.and_then().when(at=10 * MINUTE).then(Suspended, timer_at(START + 10 * MINUTE + DAY))
    sent = asks.and_then().when(send_event(Approved, Approval("eva"))).then(EventSent("e1"))
    sent.and_then().when(message()).then(output(Receipt(Wire("i"), "eva")), no_timer())


def test_time_goes_on_in_a_chain() -> None:
    quiet = settling().when(at=MINUTE).stays_quiet()
    assert START + 2 * MINUTE == quiet.and_then().when(at=MINUTE).given.now


def test_time_never_goes_back() -> None:
    with pytest.raises(ValueError, match="time never goes back"):
        begun().when(at=START - SECOND)


def test_an_instant_has_a_time_zone() -> None:
    with pytest.raises(ValueError, match="is naive"):
        begun().when(at=START.replace(tzinfo=None))


def test_a_snapshot_in_place_of_what_is_said() -> None:
    """A bug report is a test."""
    exported = export_snapshot(settling().snapshot)
    given(import_snapshot(exported), [checkout]).when(at=10 * MINUTE).then(settling().when(at=10 * MINUTE).plan)


# ---- bodies


def test_without_performing_the_real_bodies_run() -> None:
    begun().when().then(put_step("do:charge", result=Card("real")), writes(OrderPaid("A-1")))


def test_a_body_that_fails() -> None:
    """S6."""
    tick = begun().performing({"charge": fails(DeclinedError("no"))}).when()
    tick.then(
        put_step("charge", status="waiting", attempts=1, failure=DeclinedError, next_retry_at=START + 2 * SECOND),
        timer_at(START + 2 * SECOND),
    )


def test_a_function_in_place_of_a_body() -> None:
    def paid(attempt: Attempt) -> Wire:
        attempt.write("paid")
        return Wire("w")

    begun().performing({"do:charge": paid}).when().then(writes("paid"), put_step("charge", result=Wire("w")))


def test_bodies_do_in_later_ticks_what_they_did() -> None:
    first = begun().performing({"charge": fails(DeclinedError("no"))}).when()
    first.and_then().when(at=2 * SECOND).then(failure(StepFailedError), put_step("charge", status="errored"))


def test_a_body_that_is_not_expected_is_named() -> None:
    with pytest.raises(UnexpectedBodyError) as failed:
        begun().performing({"ship": returns()}).when()
    assert ("do:charge", ("ship",)) == (failed.value.key, failed.value.expected)


def test_the_text_about_a_body_that_is_not_expected_says_what_to_do() -> None:
    assert (
        "the body of 'do:charge' is to run, but the test expects none; "
        "say what it does: .performing({'do:charge': returns(...)})"
    ) == text_of(lambda: begun().performing({}).when())


def test_a_result_that_does_not_fit_fails_the_test_and_not_the_step() -> None:
    """S5 is not for what a test makes up."""
    assert "the test's value for the result of 'do:charge' does not fit: expected Card | Wire, found 1 (integer)" == (
        text_of(lambda: begun().performing({"charge": returns(1)}).when())
    )


def test_a_function_whose_result_does_not_fit_fails_the_test_too() -> None:
    with pytest.raises(UnfitValueError):
        begun().performing({"charge": lambda attempt: 1}).when()


def test_a_value_in_place_of_a_body_is_refused() -> None:
    with pytest.raises(TypeError, match=r"'charge': pass returns\(Card\(number='1'\)\)"):
        begun().performing({"charge": Card("1")})  # type: ignore[dict-item]


def test_an_exact_key_goes_before_a_bare_name() -> None:
    tick = begun().performing({"charge": returns(Card("bare")), "do:charge": returns(Card("exact"))}).when()
    tick.then(put_step("charge", result=Card("exact")))


def test_a_body_that_is_awaited() -> None:
    """R5."""

    async def pay(attempt: Attempt) -> Card:
        return Card("awaited")

    @workflow(name="awaiting")
    async def awaiting(step: AsyncStep) -> Card:
        return await step.do("pay", pay)

    given(awaiting).when().then(output(Card("awaited")))


def test_a_body_that_is_awaited_may_fail() -> None:
    async def pay(attempt: Attempt) -> Card:
        raise DeclinedError

    @workflow(name="awaiting")
    async def awaiting(step: AsyncStep) -> Card:
        return await step.do("pay", pay)

    given(awaiting).when().then(put_step("pay", failure=DeclinedError))


def test_a_body_is_awaited_in_a_test_that_runs_in_an_event_loop_too() -> None:
    async def pay(attempt: Attempt) -> Card:
        return Card("awaited")

    @workflow(name="awaiting")
    async def awaiting(step: AsyncStep) -> Card:
        return await step.do("pay", pay)

    async def test() -> None:
        given(awaiting).when().then(output(Card("awaited")))

    asyncio.run(test())


def test_on_consume_is_a_body_of_its_wait() -> None:
    """W9."""

    @workflow(name="taking")
    async def taking(step: AsyncStep) -> None:
        await step.wait_for_event("approval", Approved, on_consume=lambda attempt, received: None)

    offered = given(
        taking, steps=[waiting("wait_for_event:approval", Approved)], events=[event(Approved, Approval("e"))]
    )
    tick = offered.performing({"approval": fails(DeclinedError())}).when(message())
    tick.then(put_step("wait_for_event:approval", status="errored", failure=DeclinedError))


# ---- what fires


def test_the_wake_up_that_is_due_first_fires() -> None:
    """Rule G2 tells which one it was."""
    stale = hook("old", START - SECOND, run=1)
    tick = given(checkout, ORDER, run_number=2, hooks=[timer(), stale]).when()
    tick.then(Ignored("the hook is for run 1, the instance is in run 2"))


def test_without_a_stored_wake_up_the_timer_fires() -> None:
    given(checkout, ORDER, hooks=[]).performing({"charge": returns(Card("c"))}).when().then(Suspended)


def test_a_hook_of_another_run_stays_quiet() -> None:
    """G2."""
    given(checkout, ORDER, run_number=2).when(timer(run=1)).stays_quiet()


def test_a_workflow_of_an_earlier_tick_is_mine() -> None:
    """S13: the start is committed by one tick, and run by the next tick of the same runner."""

    @workflow(name="letter")
    def letter(step: Step) -> int:
        return step.do("send", lambda attempt: 1, returns=int, at_most_once=MINUTE)

    begins = given(letter).when().then(Checkpointed(), put_step("send", status="started", wake_at=START + MINUTE))
    begins.and_then().when().then(output(1))
    begins.and_then().when(mine=()).stays_quiet()


def test_a_start_that_another_runner_has_made() -> None:
    """S13: nobody else runs it; at its deadline it counts as failed."""

    @workflow(name="letter")
    def letter(step: Step) -> int:
        return step.do("send", lambda attempt: 1, returns=int, at_most_once=MINUTE)

    sending = given(letter, steps=[started("do:send", until=START + MINUTE)]).performing({})
    sending.when().stays_quiet()
    sending.when(at=MINUTE).then(Errored, put_step("send", failure=StepInterruptedError))


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (pause(), PauseRequested("#pause:1")),
        (resume(), Resumed()),
        (terminate(), Terminated()),
        (send_event(Approved, Approval("eva"), id="x"), EventSent("x")),
        (
            lambda snapshot, new_id: plan_terminate(snapshot, "checkout#1", notify=True, execution_id=new_id),
            Terminated(),
        ),
    ],
)
def test_a_command_in_place_of_a_wake_up(command: Any, expected: Any) -> None:
    settling().when(command).then(expected)


def test_a_new_run() -> None:
    """M6."""
    again = settling().when(restart(Order("B-2"))).then(put_instance(run_number=2, params=Order("B-2")))
    again.and_then().performing({"charge": returns(Card("c"))}).when().then(put_step("charge", run_number=2))


def test_a_pause_and_what_comes_of_it() -> None:
    asked = settling().when(pause()).then(PauseRequested("#pause:1"), add_event("#pause:1", actor="system"))
    paused = asked.and_then().when(message("#pause:1")).then(Paused(), put_event("#pause:1", consumed_by="#pause"))
    goes_on = paused.and_then().when(resume(), at=DAY).then(Resumed(), timer_at(START + DAY))
    goes_on.and_then().when().then(Suspended, put_step("sleep:settle", status="completed"))


# ---- then


def test_a_whole_plan() -> None:
    plan = settling().when(at=10 * MINUTE).plan
    settling().when(at=10 * MINUTE).then(plan)


def test_a_plan_of_another_instant_is_another_plan() -> None:
    plan = settling().when(at=10 * MINUTE).plan
    with pytest.raises(PlanMismatchError):
        settling().when(at=11 * MINUTE).then(plan)


@pytest.mark.parametrize(
    ("expected", "problem"),
    [
        (
            Completed,
            (
                "outcome: expected Completed, "
                "found Suspended: until 2026-01-02 00:10:00, waiting_on wait_for_event:approval"
            ),
        ),
        (
            Suspended(None, ()),
            (
                "outcome: expected Suspended: until none, waiting_on none, "
                "found Suspended: until 2026-01-02 00:10:00, waiting_on wait_for_event:approval"
            ),
        ),
        (
            output(1),
            (
                "outcome: expected Completed with 1, "
                "found Suspended: until 2026-01-02 00:10:00, waiting_on wait_for_event:approval"
            ),
        ),
        (
            failure(DeclinedError),
            (
                "outcome: expected Errored with DeclinedError, "
                "found Suspended: until 2026-01-02 00:10:00, waiting_on wait_for_event:approval"
            ),
        ),
        (put_step("charge"), "missing: PutStep charge (found sleep:settle, wait_for_event:approval)"),
        (put_step("sleep:settle", status="waiting"), "PutStep sleep:settle, status: expected waiting, found completed"),
        (
            put_step("sleep:settle", status="waiting", sequence=7),
            "PutStep sleep:settle\n  status: expected waiting, found completed\n  sequence: expected 7, found 2",
        ),
        (put_instance(version=3), "PutInstance checkout#1, version: expected 3, found 2"),
        (put_event("e1"), "missing: PutEvent e1 (found none)"),
        (add_event("e1"), "missing: AddEvent e1 (found none)"),
        (add_instance("parcel#1"), "missing: AddInstance parcel#1 (found none)"),
        (
            no_step("sleep:settle"),
            (
                "unexpected: PutStep sleep:settle (status completed, wake_at 2026-01-01 00:10:00, sequence 2, "
                "settled_at 2026-01-01 00:10:00)"
            ),
        ),
        (
            timer_at(START + DAY),
            "timer after the plan: expected 2026-01-02 00:00:00, found 2026-01-02 00:10:00 (0:10:00 later)",
        ),
        (no_timer(), "timer after the plan: expected none, found 2026-01-02 00:10:00"),
        (writes("paid"), "writes: expected paid, found none"),
        (DeleteHook("checkout#1#timer"), "missing: DeleteHook timer"),
        (LogLine("approved", {"by": "eva"}), "missing: log 'approved' {'by': 'eva'}"),
    ],
)
def test_what_is_missed_is_told(expected: Any, problem: str) -> None:
    check = text_of(lambda: settling().when(at=10 * MINUTE).then(expected))
    assert problem == check.partition("\n\nplanned:\n")[0]


def test_all_that_is_missed_is_told_at_once() -> None:
    check = text_of(lambda: settling().when(at=10 * MINUTE).then(Completed, no_timer()))
    assert 2 == len(check.partition("\n\nplanned:\n")[0].splitlines())


def test_what_was_planned_is_told_as_changes_of_rows() -> None:
    assert (
        "planned:\n"
        "  Suspended: until 2026-01-02 00:10:00, waiting_on wait_for_event:approval\n"
        "  PutInstance checkout#1: version 1 -> 2\n"
        "  PutStep sleep:settle: status waiting -> completed, sequence none -> 2, "
        "settled_at none -> 2026-01-01 00:10:00\n"
        "  PutStep wait_for_event:approval: status waiting, wake_at 2026-01-02 00:10:00, event_types approved\n"
        "  PutHook timer: due_at 2026-01-01 00:10:00 -> 2026-01-02 00:10:00"
    ) == text_of(lambda: settling().when(at=10 * MINUTE).then(no_timer())).partition("\n\n")[2]


def test_mutations_and_log_lines_are_expected_as_they_are() -> None:
    tick = asking(events=[event(Approved, Approval("eva"))]).when(message())
    tick.then(DeleteHook("checkout#1#timer"), LogLine("approved", {"by": "eva"}))


def test_an_error_in_place_of_the_plan_is_told() -> None:
    lost = given(checkout, ORDER, steps=[completed("sleep:nap")]).when()
    assert text_of(lambda: lost.then(Suspended)).startswith("expected a plan, found NonDeterminismError: checkout#1: ")


def test_expecting_nothing_is_a_mistake() -> None:
    with pytest.raises(TypeError, match="stays_quiet"):
        begun().when().then()


def test_expecting_something_else_is_a_mistake() -> None:
    with pytest.raises(TypeError, match="no plan, outcome, mutation"):
        begun().when().then("completed")  # type: ignore[arg-type]


def test_the_failure_of_a_command_that_cannot_be_is_no_plan() -> None:
    with pytest.raises(IllegalTransitionError):
        given(checkout, ORDER, status="complete").when(pause()).and_then()


# ---- stays_quiet


@pytest.mark.parametrize(
    "tick",
    [
        lambda: settling().when(at=MINUTE),
        lambda: given(checkout, ORDER, steps=[CHARGED, SETTLING], hooks=[]).when(),
        lambda: given(checkout, ORDER, steps=[CHARGED, SETTLING], hooks=[timer(), message()]).when(message()),
        lambda: given(checkout, ORDER, status="paused", steps=[SETTLING]).when(at=DAY),
        lambda: given(checkout, ORDER, status="complete", events=[pause_request()]).when(message("#pause:1")),
        lambda: given(checkout, ORDER, hooks=[timer(START + MINUTE)]).when(message("e9")),
        lambda: given(Snapshot(instance=None, now=START), [checkout]).when(),
        lambda: given(checkout, ORDER, status="paused").when(pause()),
        lambda: settling().when(resume()),
    ],
    ids=["G7", "G7, timer lost", "G7, message", "G6", "G3", "G4", "G1", "M3", "M4"],
)
def test_a_tick_that_only_tidies_up_is_quiet(tick: Callable[[], Planned]) -> None:
    tick().stays_quiet()


@pytest.mark.parametrize(
    ("tick", "noise"),
    [
        (lambda: settling().when(at=10 * MINUTE), "unexpected: PutStep sleep:settle"),
        (lambda: settling().when(pause()), "unexpected: AddEvent #pause:1"),
        (lambda: settling().when(terminate()), "unexpected: PutInstance checkout#1 (status terminated"),
        (lambda: asking(events=[event(Approved, Approval("e"))]).when(message()), "unexpected: log 'approved'"),
        (lambda: begun().when(), "the body of 'do:charge' ran"),
        (lambda: given(checkout, ORDER, steps=[SETTLED]).when(), "expected a plan, found NonDeterminismError"),
    ],
    ids=["a step", "an event", "the instance", "a log", "a body", "an error"],
)
def test_a_tick_that_does_something_is_not_quiet(tick: Callable[[], Planned], noise: str) -> None:
    assert noise in text_of(tick().stays_quiet)


def test_a_hook_that_is_put_off_is_not_quiet() -> None:
    """A message that is put off was not handled."""

    def put_off(snapshot: Snapshot, execution_id: str) -> Plan:
        (sent,) = (each for each in snapshot.hooks if each.id.endswith("e1"))
        return plan_defer(snapshot, FiredHook(hook=sent, timestamp=START), KeyError("k"), execution_id=execution_id)

    deferred = asking(events=[event(Approved, Approval("e"))]).when(put_off).then(Deferred)
    assert "unexpected: PutHook msg:e1" in text_of(deferred.stays_quiet)


# ---- refuses


def lost() -> Planned:
    return given(checkout, ORDER, steps=[completed("sleep:nap")]).when()


def test_a_mismatch_is_refused() -> None:
    """D1."""
    lost().refuses(NonDeterminismError)


def test_the_facts_of_an_error_count() -> None:
    lost().refuses(NonDeterminismError, expected="sleep:nap", asked=("do:charge",))


def test_an_error_that_is_equal() -> None:
    given(checkout, ORDER, status="complete").when(pause()).refuses(
        IllegalTransitionError("checkout#1", "complete", "pause", ("restart", "delete"))
    )


@pytest.mark.parametrize(
    ("check", "problem"),
    [
        (lambda: lost().refuses(CodecError), "expected CodecError, found NonDeterminismError: checkout#1: "),
        (
            lambda: lost().refuses(NonDeterminismError, expected="do:charge"),
            "NonDeterminismError, expected: expected do:charge, found sleep:nap",
        ),
        (lambda: lost().refuses(NonDeterminismError, nothing=1), "has no 'nothing'"),
        (lambda: lost().refuses(KeyError("k")), "expected KeyError: 'k', found NonDeterminismError: "),
        (lambda: settling().when().refuses(NonDeterminismError), "expected NonDeterminismError, found a plan"),
        (
            lambda: (
                given(checkout, ORDER, status="complete")
                .when(pause())
                .refuses(IllegalTransitionError("checkout#1", "complete", "resume"))
            ),
            "IllegalTransitionError, command: expected resume, found pause",
        ),
    ],
    ids=["another class", "another fact", "no such fact", "another class of instance", "a plan", "another instance"],
)
def test_another_refusal_is_told(check: Callable[[], object], problem: str) -> None:
    assert problem in text_of(check)


# ---- values


def test_results_are_encoded_by_the_type_that_the_code_gives_them() -> None:
    """S15: a union of classes carries a tag."""
    step = settling().snapshot.steps[0]
    assert '{"$type":"Wire","iban":"i"}' == step.result


def test_a_given_result_that_does_not_fit_is_refused() -> None:
    with pytest.raises(UnfitValueError) as failed:
        given(checkout, ORDER, steps=[completed("do:charge", 7)])
    assert "the result of 'do:charge'" == failed.value.what


def test_params_that_do_not_fit_are_refused() -> None:
    assert (
        "the test's value for the parameters of 'checkout' does not fit: expected Order, found 1 (integer)"
    ) == text_of(lambda: given(checkout, 1))  # type: ignore[misc]


def test_what_is_stored_need_not_fit() -> None:
    """Old records may be what new code cannot read."""
    given(checkout, ORDER, steps=[completed("do:charge", stored('{"amount":1}'))]).when().refuses(CodecError)


def test_params_may_be_what_is_stored() -> None:
    given(checkout, stored("7")).when().refuses(CodecError)


def test_a_result_that_the_code_does_not_ask_for_is_encoded_as_it_looks() -> None:
    unasked = given(checkout, ORDER, steps=[completed("do:other", Card("1"))]).snapshot
    assert '{"number":"1"}' == unasked.steps[0].result


def test_a_wait_that_has_taken_an_event() -> None:
    taken = completed("wait_for_event:approval", event(Approved, Approval("eva")))
    given(checkout, ORDER, steps=[CHARGED, SETTLED, taken]).when().then(output(Receipt(Wire("i"), "eva")))


def test_a_wait_that_has_timed_out() -> None:
    late = timed_out("wait_for_event:approval", Approved, until=START)
    given(checkout, ORDER, steps=[CHARGED, SETTLED, late]).when().then(failure(TimeoutError))


def test_a_step_that_has_failed() -> None:
    """S2."""
    failed = errored("do:charge", DeclinedError("no"), attempts=2)
    given(checkout, ORDER, steps=[failed]).when().then(failure(StepFailedError))


def test_the_items_of_a_map() -> None:
    """P1: they are recorded by a digest."""

    async def ship(step: AsyncStep, card: Card) -> str:
        return card.number

    @workflow(name="shipping")
    async def shipping(step: AsyncStep) -> list[str]:
        return await step.map("parcels", [Card("1"), Card("2")], ship)

    same = [completed("map:parcels", [Card("1"), Card("2")])]
    given(shipping, steps=same).when().then(output(["1", "2"]))
    given(shipping, steps=[completed("map:parcels", [Card("1")])]).when().refuses(NonDeterminismError)
