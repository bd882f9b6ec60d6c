"""What a test asks for happens; what does not happen fails the test."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import attrs
import pytest

from tests.testing.shop import (
    HOUR,
    MINUTE,
    SECOND,
    SHOP,
    Approval,
    Approved,
    DeclinedError,
    Order,
    Payment,
    checkout,
    counting,
    impatient,
    patient,
)
from wfcore import AsyncStep, Attempt, InstanceNotFoundError, Received, Retry, Step, workflow
from wfcore.testing import (
    InjectedError,
    SimulatedHandle,
    Simulation,
    StubTypeError,
    UndeliverableError,
    UnusedModifierError,
)


@pytest.fixture
def sim() -> Simulation:
    return Simulation(SHOP)


def approved(sim: Simulation) -> SimulatedHandle[str]:
    run = sim.create(checkout, Order("A-1"), id="a-1")
    run.send_event(Approved, Approval("eva"))
    sim.run_until_done(run)
    return run


# -- stubs


def test_a_stub_takes_the_place_of_a_body(sim: Simulation) -> None:
    sim.stub("charge", returns=Payment("stubbed"))
    assert approved(sim).result().startswith("stubbed")
    assert () == sim.writes


def test_a_stub_may_be_a_body_of_its_own(sim: Simulation) -> None:
    def body(attempt: Attempt) -> Payment:
        attempt.write(attempt.number)
        return Payment("stubbed")

    sim.stub("do:charge", body)
    approved(sim)
    assert (1,) == sim.writes


def test_a_stub_may_be_awaited(sim: Simulation) -> None:
    async def body(attempt: Attempt) -> str:
        return "pigeon"

    sim.stub("send", body)
    assert approved(sim).result().endswith("pigeon, pigeon")


def test_a_stub_may_fail_and_its_step_is_tried_again(sim: Simulation) -> None:
    def body(attempt: Attempt) -> Payment:
        if attempt.number == 1:
            raise DeclinedError
        return Payment("second")

    sim.stub("charge", body)
    run = approved(sim)
    assert (2, "second") == (run.steps()["do:charge"].attempts, run.result()[:6])


def test_a_bare_name_means_every_step_of_that_name_in_any_scope(sim: Simulation) -> None:
    sim.stub("send", returns="nothing")
    assert approved(sim).result().endswith("nothing, nothing")


def test_a_key_means_one_step(sim: Simulation) -> None:
    sim.stub("gather:fulfil[1]>do:send", returns="nothing")
    assert approved(sim).result().endswith("parcel sent, nothing")


def test_the_last_stub_of_a_step_counts_and_the_first_is_no_mistake(sim: Simulation) -> None:
    sim.stub("charge", returns=Payment("first"))
    sim.stub("charge", returns=Payment("second"))
    assert approved(sim).result().startswith("second")
    sim.check()


def test_a_stub_may_return_nothing() -> None:
    def speaks(attempt: Attempt) -> None:
        raise DeclinedError

    @workflow(name="quiet")
    def quiet(step: Step) -> None:
        step.do("hush", speaks)

    with Simulation([quiet]) as sim:
        sim.stub("hush", returns=None)
        run = sim.create(quiet)
        sim.run_until_done(run)
    assert "complete" == run.status()


@pytest.mark.parametrize("arguments", [(), (lambda attempt: 1, 1)])
def test_a_stub_is_a_body_or_a_value(sim: Simulation, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError, match="either a body or returns="):
        sim.stub("one", *arguments[:1], **({"returns": 1} if arguments[1:] else {}))


@pytest.mark.parametrize("body", [lambda attempt: "one", partial(lambda value, attempt: value, 1.5)])
def test_a_stub_that_does_not_fit_the_steps_type_fails_the_test_not_the_step(
    sim: Simulation, body: Callable[[Attempt], Any]
) -> None:
    sim.stub("one", body)
    run = sim.create(counting, 1)
    with pytest.raises(StubTypeError, match="it must be int, not") as caught:
        sim.run_until_idle()
    assert "do:one" == caught.value.step_key
    assert "active" == run.status()
    assert {} == run.steps()


def test_a_stub_of_a_class_that_is_local_to_the_test_fits() -> None:
    @attrs.frozen
    class Local:
        number: int

    def body(attempt: Attempt) -> Local:
        return Local(1)

    @workflow(name="local")
    def local(step: Step) -> int:
        return step.do("one", body).number

    sim = Simulation([local])
    sim.stub("one", returns=Local(7))
    run = sim.create(local)
    sim.run_until_done(run)
    assert 7 == run.result()


def test_a_stub_that_does_not_fit_is_not_swallowed_by_the_workflow() -> None:
    @workflow(name="greedy")
    def greedy(step: Step) -> str:
        try:
            step.do("one", lambda attempt: 1, returns=int)
        except BaseException:
            return "swallowed"
        return "done"

    sim = Simulation([greedy])
    sim.stub("one", returns="x")
    sim.create(greedy)
    with pytest.raises(StubTypeError):
        sim.run_until_idle()


def test_the_body_of_on_consume_is_stubbed_by_its_key() -> None:
    def refuse(attempt: Attempt, received: Received[Any]) -> None:
        raise DeclinedError

    @workflow(name="choosy")
    def choosy(step: Step) -> str:
        return str(step.wait_for_event("word", "word", on_consume=refuse).payload)

    sim = Simulation([choosy])
    sim.stub("wait_for_event:word", lambda attempt: None)
    run = sim.create(choosy)
    run.send_event("word", "hello")
    sim.run_until_done(run)
    assert "hello" == run.result()


# -- failures


def test_attempts_fail_as_often_as_asked_for(sim: Simulation) -> None:
    sim.fail("charge", times=2)
    run = approved(sim)
    assert (3, "complete") == (run.steps()["do:charge"].attempts, run.status())
    assert (("charged", "A-1"),) == sim.writes


def test_attempts_fail_with_the_error_that_is_given(sim: Simulation) -> None:
    sim.fail("one", error=DeclinedError("no money"))
    run = sim.create(counting, 1)
    sim.run_until_done(run)
    failure = run.steps()["do:one"].failure
    assert failure is not None
    assert failure.is_a(DeclinedError)


def test_attempts_fail_with_an_error_of_the_kit_otherwise(sim: Simulation) -> None:
    sim.fail("one")
    run = sim.create(counting, 1)
    sim.run_until_done(run)
    failure = run.steps()["do:one"].failure
    assert failure is not None
    assert failure.is_a(InjectedError)


def test_a_failure_goes_before_a_stub(sim: Simulation) -> None:
    sim.stub("charge", returns=Payment("stubbed"))
    sim.fail("charge")
    assert 2 == approved(sim).steps()["do:charge"].attempts


def test_an_interrupted_body_has_run_and_runs_again(sim: Simulation) -> None:
    sim.interrupt("charge", times=2)
    run = approved(sim)
    assert (3, 1) == (sim.body_runs("charge"), run.steps()["do:charge"].attempts)
    assert (("charged", "A-1"),) == sim.writes
    assert 2 == sum(row.outcome == "crashed" for row in sim.trace)


# -- crashes


@pytest.mark.parametrize(("when", "runs"), [("before", 3), ("after", 2)])
def test_a_process_that_dies_before_an_apply_has_written_nothing(sim: Simulation, when: Any, runs: int) -> None:
    sim.crash(when)
    run = sim.create(counting, 2)
    sim.run_until_done(run)
    assert (runs, 2) == (sim.body_runs("one"), run.result())
    sim.check()


def test_a_process_dies_at_the_apply_that_is_named(sim: Simulation) -> None:
    sim.crash("after", apply=2)
    sim.run_until_done(sim.create(counting, 3))
    assert ["Created", "Checkpointed", "Checkpointed", "crashed", "Completed"] == [row.outcome for row in sim.trace]


@pytest.mark.parametrize("arguments", [("during", 1), ("before", 0)])
def test_a_crash_that_cannot_be_is_refused(sim: Simulation, arguments: tuple[Any, int]) -> None:
    with pytest.raises(ValueError, match="pass 'before' or 'after'"):
        sim.crash(arguments[0], apply=arguments[1])


# -- time


def test_sleeps_are_skipped_by_moving_time(sim: Simulation) -> None:
    @workflow(name="sleepy")
    def sleepy(step: Step) -> None:
        step.sleep("one", HOUR)
        step.sleep("another", HOUR)
        step.wait_for_event("word", "word")

    sim = Simulation([sleepy])
    sim.skip_sleeps()
    run = sim.create(sleepy)
    sim.run_until_idle()
    assert sim.clock.start + 2 * HOUR == sim.now
    assert ["sleep:one", "sleep:another", "wait_for_event:word"] == list(run.steps())
    sim.check()


def test_what_becomes_due_before_a_sleep_is_over_is_handled_at_its_time() -> None:
    async def wait(step: AsyncStep) -> str:
        return str(await step.wait_for_event("word", "word", timeout=MINUTE))

    async def sleep(step: AsyncStep) -> None:
        await step.sleep("nap", HOUR)

    @workflow(name="both")
    async def both(step: AsyncStep) -> None:
        await step.gather("both", wait, sleep)

    sim = Simulation([both])
    sim.skip_sleeps()
    run = sim.create(both)
    sim.run_until_idle()
    assert ("errored", sim.clock.start + MINUTE) == (run.status(), sim.now)


def test_a_back_off_is_skipped_by_moving_time(sim: Simulation) -> None:
    sim.fail("charge", times=2)
    sim.skip_backoff()
    run = sim.create(checkout, Order("A-1"))
    sim.run_until_idle()
    assert "completed" == run.steps()["do:charge"].status
    assert timedelta(seconds=6) == sim.now - sim.clock.start
    sim.check()


def test_a_wait_times_out_by_moving_time(sim: Simulation) -> None:
    sim.time_out("word")
    run = sim.create(impatient)
    sim.run_until_idle()
    assert ["wait_for_event:word", "sleep:sulk"] == list(run.steps())
    assert sim.clock.start + HOUR == sim.now
    sim.check()


def test_a_wait_without_a_deadline_does_not_time_out(sim: Simulation) -> None:
    sim.time_out("wait_for_event:word")
    run = sim.create(patient)
    sim.run_until_idle()
    assert "waiting" == run.status()
    with pytest.raises(UnusedModifierError, match="time_out"):
        sim.check()


def test_nothing_is_skipped_for_an_instance_that_is_paused_or_has_ended(sim: Simulation) -> None:
    sim.skip_sleeps()
    run = approved(sim)
    sim.run_until_idle()
    assert run.get().completed_at == sim.now


# -- deliveries


def test_an_event_is_delivered_at_its_time(sim: Simulation) -> None:
    run = sim.create(impatient)
    sim.deliver(run, "word", "hello", at=MINUTE)
    sim.run_until_done(run)
    assert ("hello", sim.clock.start + MINUTE) == (run.result(), sim.now)
    sim.check()


def test_an_event_may_be_planned_before_its_instance_exists(sim: Simulation) -> None:
    sim.deliver((impatient, "1"), "word", "hello", at=sim.now + MINUTE)
    run = sim.create(impatient, id="1")
    sim.run_until_done(run)
    assert "hello" == run.result()


def test_an_event_at_the_deadline_is_there_before_it(sim: Simulation) -> None:
    run = sim.create(impatient)
    sim.deliver(run, "word", "just in time", at=HOUR)
    sim.run_until_done(run)
    assert "just in time" == run.result()


def test_events_are_delivered_in_the_order_of_their_times(sim: Simulation) -> None:
    run = sim.create(patient)
    sim.deliver(run, "word", "second", at=2 * SECOND)
    sim.deliver(run, "word", "first", at=SECOND)
    sim.run_until_done(run)
    assert "first" == run.result()


def test_an_event_that_cannot_be_delivered_fails_the_test(sim: Simulation) -> None:
    sim.deliver((impatient, "nobody"), "word", "hello", at=MINUTE)
    with pytest.raises(UndeliverableError, match="there is no instance") as caught:
        sim.advance(HOUR)
    assert ("impatient#nobody", "word") == (caught.value.ref, caught.value.event)
    assert isinstance(caught.value.__cause__, InstanceNotFoundError)


# -- what never happened

NEVER: dict[str, Callable[[Simulation], None]] = {
    "stub('chrage', returns=1): never": lambda sim: sim.stub("chrage", returns=1),
    "stub('chrage', ...): never": lambda sim: sim.stub("chrage", lambda attempt: 1),
    "fail('one', times=3): happened 1 times of 3": lambda sim: sim.fail("one", times=3),
    "fail('other', times=1): never": lambda sim: sim.fail("other"),
    "interrupt('other', times=1): never": lambda sim: sim.interrupt("other"),
    "crash('before', apply=9): never": lambda sim: sim.crash(apply=9),
    "skip_sleeps(): never": Simulation.skip_sleeps,
    "skip_backoff(): never": Simulation.skip_backoff,
    "time_out('word'): never": lambda sim: sim.time_out("word"),
    "deliver(..., 'word', at=2026-01-01T01:00:00+00:00): never": lambda sim: sim.deliver(
        (patient, "1"), "word", at=HOUR
    ),
    "conflict(times=9): happened 0 times of 9": lambda sim: sim.conflict(times=9),
    "lose_ack(times=9, committed=True): happened 1 times of 9": lambda sim: sim.lose_ack(times=9),
    "store_down(for_=0:00:00): never": lambda sim: sim.store_down(for_=timedelta(0)),
}


@pytest.mark.parametrize("text", NEVER)
def test_what_was_asked_for_and_never_happened_fails_the_test(text: str) -> None:
    retry = Retry(max_attempts=1)

    @workflow(name="single")
    def single(step: Step) -> None:
        step.do("one", lambda attempt: None, retry=retry)

    sim = Simulation([single, patient])
    NEVER[text](sim)
    if "conflict" not in text:
        sim.create(single)
    sim.run_until_idle()
    with pytest.raises(UnusedModifierError) as caught:
        sim.check()
    assert text in str(caught.value)
    assert "The steps that there were: " in str(caught.value)


def test_the_text_names_the_steps_that_there_were(sim: Simulation) -> None:
    sim.stub("chrage", returns=1)
    sim.run_until_done(sim.create(counting, 2))
    with pytest.raises(UnusedModifierError, match="do:one, do:one#1"):
        sim.check()


def test_leaving_the_block_checks_it() -> None:
    with pytest.raises(UnusedModifierError, match="chrage"):
        leave(Simulation(SHOP), lambda sim: sim.stub("chrage", returns=1))


def test_another_failure_of_the_test_is_not_hidden() -> None:
    def fails(sim: Simulation) -> None:
        sim.stub("chrage", returns=1)
        raise DeclinedError

    with pytest.raises(DeclinedError):
        leave(Simulation(SHOP), fails)


def test_a_block_passes_in_which_everything_happened() -> None:
    def test(sim: Simulation) -> None:
        sim.fail("charge")
        approved(sim)

    leave(Simulation(SHOP), test)


def leave(sim: Simulation, test: Callable[[Simulation], object]) -> None:
    with sim:
        test(sim)
