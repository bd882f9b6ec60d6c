"""``Simulation``: real planner, real runner, virtual time."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

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
    careful,
    checkout,
    counting,
    impatient,
    patient,
    restless,
)
from wfadapters.memory import MemoryStore
from wfadapters.sqlite import SqliteStore
from wfcore import (
    AsyncStep,
    Attempt,
    Checkpointed,
    Completed,
    InstanceFailedError,
    InstanceNotFoundError,
    NotFinishedError,
    Retry,
    Step,
    TerminalNotice,
    workflow,
)
from wfcore.testing import (
    ClockMismatchError,
    EndlessError,
    NeverFinishesError,
    ReplayDiffersError,
    SimulatedHandle,
    Simulation,
    VirtualClock,
)


@pytest.fixture
def sim() -> Simulation:
    return Simulation(SHOP)


def checked_out(sim: Simulation) -> SimulatedHandle[str]:
    run = sim.create(checkout, Order("A-1"), id="a-1")
    sim.deliver(run, Approved, Approval("eva"), at=MINUTE)
    sim.run_until_done(run)
    return run


def test_a_run_goes_to_its_end_in_no_time(sim: Simulation) -> None:
    run = checked_out(sim)
    assert "payment of A-1, approved by eva: parcel sent, mail sent" == run.result()
    assert timedelta(minutes=10) == sim.now - sim.clock.start


def test_until_idle_never_moves_time(sim: Simulation) -> None:
    run = sim.create(checkout, Order("A-1"))
    sim.run_until_idle()
    assert sim.clock.start == sim.now
    assert "waiting" == run.status()


def test_time_passes_from_one_thing_that_is_due_to_the_next(sim: Simulation) -> None:
    checked_out(sim)
    times = [row.at for row in sim.trace if row.who == "d1"]
    assert [timedelta(0), MINUTE, 10 * MINUTE] == list(dict.fromkeys(times))


def test_advance_ends_at_its_instant_and_handles_what_is_due_there(sim: Simulation) -> None:
    run = sim.create(impatient)
    sim.run_until_idle()
    sim.advance(HOUR - SECOND)
    assert "wait_for_event:word" == next(iter(run.steps()))
    sim.advance(SECOND)
    assert sim.clock.start + HOUR == sim.now
    assert ["wait_for_event:word", "sleep:sulk"] == list(run.steps())


def test_advance_handles_what_is_due_on_the_way_at_its_time(sim: Simulation) -> None:
    run = sim.create(impatient)
    sim.advance(3 * HOUR)
    assert "nobody spoke" == run.result()
    assert sim.clock.start + 2 * HOUR == run.get().completed_at


@pytest.mark.parametrize("back", [timedelta(seconds=-1), timedelta.min])
def test_time_never_goes_back(sim: Simulation, back: timedelta) -> None:
    with pytest.raises((ValueError, OverflowError)):
        sim.advance(back)


def test_a_naive_instant_is_refused(sim: Simulation) -> None:
    with pytest.raises(ValueError, match="naive"):
        sim.clock.advance_to(datetime(2027, 1, 1))


def test_the_clock_itself_never_goes_back(sim: Simulation) -> None:
    with pytest.raises(ValueError, match="never goes back"):
        sim.clock.advance_to(sim.now - SECOND)


def test_a_simulation_begins_when_it_is_told_to() -> None:
    start = datetime(2030, 5, 17, tzinfo=UTC)
    assert start == Simulation(SHOP, start=start).now


def test_a_handle_shows_the_records_in_the_order_in_which_they_settled(sim: Simulation) -> None:
    run = checked_out(sim)
    keys = ["do:charge", "sleep:settle", "wait_for_event:approval", "gather:fulfil[0]>do:send"]
    assert keys == list(run.steps())[:4]
    assert 1 == run.steps()["do:charge"].attempts


def test_a_handle_shows_the_failure(sim: Simulation) -> None:
    run = sim.create(counting, 1)
    sim.fail("one", error=DeclinedError("no money"))
    sim.run_until_done(run)
    failure = run.failure()
    assert failure is not None
    assert "errored" == run.status()
    with pytest.raises(InstanceFailedError, match="no money"):
        run.result()


def test_a_handle_that_waits_lets_simulated_time_pass(sim: Simulation) -> None:
    run = sim.create(impatient)
    with pytest.raises(NotFinishedError):
        run.result(timeout=HOUR)
    assert sim.clock.start + HOUR == sim.now
    assert "nobody spoke" == run.result(timeout=None)


def test_a_handle_that_waits_goes_no_further_than_the_end(sim: Simulation) -> None:
    run = sim.create(impatient)
    assert "nobody spoke" == run.result(timeout=100 * HOUR)
    assert sim.clock.start + 2 * HOUR == sim.now


def test_bodies_are_counted_by_key_and_by_bare_name(sim: Simulation) -> None:
    run = checked_out(sim)
    assert 1 == sim.body_runs("do:charge")
    assert 1 == sim.body_runs("gather:fulfil[0]>do:send")
    assert 2 == sim.body_runs("send")
    assert 2 == sim.body_runs("send", run)
    assert 0 == sim.body_runs("send", sim.handle(checkout, "another"))


def test_writes_are_those_that_were_committed(sim: Simulation) -> None:
    checked_out(sim)
    assert (("charged", "A-1"),) == sim.writes


def test_plans_are_those_that_were_committed_those_of_commands_too(sim: Simulation) -> None:
    sim.run_until_done(sim.create(counting, 2))
    assert ["Created", "Checkpointed", "Completed"] == [type(plan.outcome).__name__ for plan in sim.plans]


def test_every_tick_replays_from_the_rows(sim: Simulation) -> None:
    calls = []

    @workflow(name="watched")
    def watched(step: Step) -> None:
        calls.append("begin")
        for _ in range(3):
            step.do("one", lambda attempt: None)

    sim = Simulation([watched])
    sim.run_until_done(sim.create(watched))
    assert 3 + 1 == len(calls)  # three ticks, and the replay of the end


def test_with_continuations_a_checkpoint_is_followed_by_no_read() -> None:
    sim = Simulation(SHOP, continuations=True)
    run = sim.create(counting, 3)
    sim.run_until_done(run)
    checkpoints = [plan for plan in sim.plans if isinstance(plan.outcome, Checkpointed)]
    assert 2 == len(checkpoints)
    assert {"timer"} == {row.fired for row in sim.trace if row.who == "d1"}
    assert 3 == run.result()


def test_a_message_ends_a_continuation() -> None:
    sim = Simulation([patient, counting], continuations=True)
    run = sim.create(counting, 2)

    def sends(attempt: Attempt) -> int:
        run.send_event("word", "late")
        return 1

    sim.stub("do:one", sends)
    sim.run_until_done(run)
    assert 2 == run.result()


def test_an_at_most_once_body_is_run_by_the_tick_that_has_started_it(sim: Simulation) -> None:
    run = sim.create(careful)
    sim.run_until_done(run)
    assert sim.clock.start == sim.now
    assert 1 == run.result()


def test_an_at_most_once_body_whose_process_dies_is_not_run_again(sim: Simulation) -> None:
    run = sim.create(careful)
    sim.interrupt("one")
    sim.run_until_done(run)
    assert (1, "errored") == (sim.body_runs("one"), run.status())
    assert sim.clock.start + MINUTE == sim.now


# -- ends that never come


def test_a_run_that_can_never_finish_fails_and_says_what_would_wake_it(sim: Simulation) -> None:
    run = sim.create(patient, id="1")
    with pytest.raises(NeverFinishesError) as caught:
        sim.run_until_done(run)
    assert ("patient#1", "waiting", sim.now) == (caught.value.ref, caught.value.status, caught.value.at)
    assert "'wait_for_event:word' waits for event 'word'" in str(caught.value)


def test_a_run_whose_code_is_wrong_is_not_waited_for(sim: Simulation) -> None:
    keys = iter(["a", "b"])

    @workflow(name="fickle")
    def fickle(step: Step) -> None:
        step.do(next(keys), lambda attempt: None)
        step.sleep("nap", SECOND)

    sim = Simulation([fickle])
    with pytest.raises(NeverFinishesError, match="NonDeterminismError"):
        sim.run_until_done(sim.create(fickle))


def test_code_that_is_wrong_is_found_in_a_continuation_and_its_hook_is_put_off() -> None:
    keys = iter("abc")

    @workflow(name="fickle")
    def fickle(step: Step) -> None:
        step.do(next(keys), lambda attempt: None)
        step.do("more", lambda attempt: None)

    sim = Simulation([fickle], continuations=True)
    run = sim.create(fickle)
    with pytest.raises(NeverFinishesError, match="NonDeterminismError"):
        sim.run_until_done(run)
    assert ["Created", "Checkpointed", "Deferred until 0:00:10: NonDeterminismError"] == [
        row.outcome for row in sim.trace
    ]


def test_a_run_that_does_not_exist_is_not_waited_for(sim: Simulation) -> None:
    with pytest.raises(InstanceNotFoundError):
        sim.run_until_done(sim.handle(patient, "nobody"))


def test_a_loop_without_end_is_cut() -> None:
    sim = Simulation(SHOP, max_ticks=20)
    sim.create(restless, id="1")
    with pytest.raises(EndlessError) as caught:
        sim.run_until_idle()
    assert (20, sim.now, ("restless#1",)) == (caught.value.ticks, caught.value.at, caught.value.refs)


def test_a_loop_without_end_is_cut_in_the_middle_of_a_tick() -> None:
    sim = Simulation(SHOP, max_ticks=20, continuations=True)
    sim.create(restless, id="1")
    with pytest.raises(EndlessError):
        sim.run_until_idle()


def test_the_bound_is_for_one_call() -> None:
    sim = Simulation(SHOP, max_ticks=3)
    for number in range(4):
        sim.create(counting, 2, id=str(number))
        sim.run_until_idle()
    assert 8 == sim.body_runs("one")


# -- the replay of every end


def test_a_run_that_does_not_end_in_the_same_way_again_fails() -> None:
    numbers = iter(range(100))

    @workflow(name="chancy")
    def chancy(step: Step) -> int:
        step.do("one", lambda attempt: None)
        return next(numbers)

    sim = Simulation([chancy])
    run = sim.create(chancy, id="1")
    with pytest.raises(ReplayDiffersError, match="it returns 1; recorded: it returns 0") as caught:
        sim.run_until_done(run)
    assert "chancy#1" == caught.value.ref


@pytest.mark.parametrize("fault", [Simulation.lose_ack, Simulation.conflict, lambda sim: sim.crash("after")])
def test_an_end_is_replayed_even_if_nobody_hears_of_its_commit(fault: Callable[[Simulation], None]) -> None:
    numbers = iter(range(100))

    @workflow(name="chancy")
    def chancy(step: Step) -> int:
        step.do("one", lambda attempt: None)
        return next(numbers)

    sim = Simulation([chancy])
    fault(sim)
    run = sim.create(chancy, id="1")
    with pytest.raises(ReplayDiffersError):
        sim.run_until_done(run)


def test_a_run_whose_replay_would_do_something_else_fails() -> None:
    names = iter(["a", "b"])

    @workflow(name="fickle")
    def fickle(step: Step) -> None:
        step.do(next(names), lambda attempt: None)

    sim = Simulation([fickle])
    with pytest.raises(ReplayDiffersError, match="do:a"):
        sim.run_until_done(sim.create(fickle))


def test_the_end_of_a_run_that_is_continued_is_replayed_as_well() -> None:
    outcomes = iter([True, False])

    @workflow(name="looping")
    def looping(step: Step, number: int) -> object:
        step.do("one", lambda attempt: None)
        return step.continue_with(number + 1) if next(outcomes) else None

    sim = Simulation([looping])
    with pytest.raises(ReplayDiffersError, match="recorded: run 2 begins"):
        sim.run_until_done(sim.create(looping, 0))


def test_a_loop_of_runs_that_is_right_is_left_alone() -> None:
    @workflow(name="looping")
    def looping(step: Step, number: int) -> object:
        step.log("at", now=step.now())
        if number < 2:
            return step.continue_with(number + 1)
        return None

    sim = Simulation([looping])
    run = sim.create(looping, 0)
    sim.run_until_done(run)
    assert 3 == run.get().run_number


# -- bodies that are awaited


def test_awaitable_bodies_share_one_loop_of_the_simulations_own() -> None:
    loops = []

    async def body(attempt: Attempt) -> None:
        loops.append(asyncio.get_running_loop())
        await asyncio.sleep(0)

    @workflow(name="looped")
    async def looped(step: AsyncStep) -> None:
        await step.do("a", body)
        await step.do("b", body)

    with Simulation([looped]) as sim:
        sim.run_until_done(sim.create(looped))
        assert not loops[0].is_closed()
    assert loops[0] is loops[1]
    assert loops[0].is_closed()


def test_the_loop_is_closed_with_the_last_reference_to_the_simulation() -> None:
    loops = []

    async def body(attempt: Attempt) -> None:
        loops.append(asyncio.get_running_loop())

    @workflow(name="looped")
    async def looped(step: AsyncStep) -> None:
        await step.do("a", body)

    sim = Simulation([looped])
    sim.run_until_done(sim.create(looped))
    del sim
    gc.collect()
    assert loops[0].is_closed()


def test_a_test_may_itself_be_a_coroutine() -> None:
    async def test() -> str:
        with Simulation(SHOP) as sim:
            result = checked_out(sim).result()
        await asyncio.sleep(0)
        return result

    assert "payment of A-1" in asyncio.run(test())


def test_a_body_that_is_awaited_may_fail_and_is_tried_again() -> None:
    async def body(attempt: Attempt) -> int:
        if attempt.number == 1:
            raise DeclinedError
        return attempt.number

    @workflow(name="looped")
    async def looped(step: AsyncStep) -> int:
        return await step.do("a", body, retry=Retry(max_attempts=2, delay=SECOND))

    with Simulation([looped]) as sim:
        run = sim.create(looped)
        sim.run_until_done(run)
    assert 2 == run.result()


# -- stores, dispatchers, notices


def test_any_store_will_do_that_lives_by_the_same_clock(tmp_path: Path) -> None:
    clock = VirtualClock()
    with SqliteStore(tmp_path / "shop.sqlite", clock=clock, writers={tuple: lambda connection, value: None}) as store:
        sim = Simulation(SHOP, store=store, clock=clock, dispatchers=2)
        assert "eva" in checked_out(sim).result()
    assert (("charged", "A-1"),) == sim.writes


@pytest.mark.parametrize("clock", [None, VirtualClock(datetime(2027, 1, 1, tzinfo=UTC))])
def test_a_store_with_another_clock_is_refused(clock: VirtualClock | None) -> None:
    with pytest.raises(ClockMismatchError, match="clock = VirtualClock"):
        Simulation(SHOP, store=MemoryStore(), clock=clock)


@pytest.mark.parametrize("dispatchers", [1, 2, 3])
@pytest.mark.parametrize("continuations", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_the_result_does_not_depend_on_who_is_faster(dispatchers: int, continuations: bool, seed: int) -> None:
    sim = Simulation(SHOP, seed=seed, dispatchers=dispatchers, continuations=continuations)
    assert "payment of A-1, approved by eva: parcel sent, mail sent" == checked_out(sim).result()
    assert (("charged", "A-1"),) == sim.writes


def test_several_dispatchers_run_into_each_other() -> None:
    outcomes = set()
    for seed in range(20):
        sim = Simulation(SHOP, seed=seed, dispatchers=2)
        checked_out(sim)
        outcomes |= {row.outcome for row in sim.trace}
    assert "Conflict (Completed)" in outcomes


def test_ends_are_announced() -> None:
    @workflow(name="loud", notify=True)
    def loud(step: Step) -> str:
        return "done"

    notices: list[TerminalNotice] = []

    async def tell(notice: TerminalNotice) -> None:
        notices.append(notice)

    for on_terminal in (notices.append, tell):
        with Simulation([loud], on_terminal=on_terminal) as sim:
            sim.run_until_done(sim.create(loud))
            sim.run_until_idle()
    assert ["complete", "complete"] == [notice.instance.status for notice in notices]


def test_commands_through_the_client_are_at_the_simulated_time(sim: Simulation) -> None:
    sim.advance(HOUR)
    run = sim.client.create(patient, id="1")
    assert sim.now == run.get().created_at


def test_its_client_reads_the_catalog_of_its_store(sim: Simulation) -> None:
    made = sim.client.create_many(patient, [("1", None), ("2", None)])
    assert [handle.get() for handle in reversed(made)] == [*sim.client.list().items]
    assert sim.client.count_by_status()["active"] == 2
    sim.run_until_idle()
    assert sim.client.audit() == ()


def test_simulations_may_share_a_store_one_after_the_other(sim: Simulation) -> None:
    """Such as one with the old code, and one with the new."""
    run = sim.create(patient, id="1")
    sim.run_until_idle()
    other = Simulation(SHOP, store=sim.store, clock=sim.clock)
    other.handle(patient, "1").send_event("word", "hello")
    sim.run_until_idle()
    assert "hello" == run.result()
    ids = [plan.execution_id for plan in (*sim.plans, *other.plans)]
    assert sorted(set(ids)) == sorted(ids)


def test_ids_differ_if_the_clock_is_another_one_that_began_later() -> None:
    later = VirtualClock(VirtualClock().start + SECOND)
    assert VirtualClock().new_id() != later.new_id()


@pytest.mark.parametrize("settings", [{"dispatchers": 0}, {"concurrency": 0}, {"max_ticks": 0}])
def test_settings_out_of_range_are_refused(settings: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Simulation(SHOP, **settings)  # type: ignore[arg-type]


def test_what_a_body_raises_that_is_no_exception_reaches_the_test(sim: Simulation) -> None:
    def exits(attempt: Attempt) -> int:
        raise SystemExit(3)

    sim.stub("one", exits)
    sim.create(counting, 1)
    with pytest.raises(SystemExit):
        sim.run_until_idle()


def test_a_simulation_says_what_it_is(sim: Simulation) -> None:
    assert "seed=0" in repr(sim)
    assert "2026-01-01" in repr(sim.clock)


def test_the_last_plan_is_the_end(sim: Simulation) -> None:
    checked_out(sim)
    assert isinstance(sim.plans[-1].outcome, Completed)
    assert Payment("payment of A-1").id in sim.plans[-1].outcome.output


# -- commands


def test_a_run_is_paused_and_goes_on_where_it_was(sim: Simulation) -> None:
    run = sim.create(impatient)
    sim.run_until_idle()
    run.pause()
    sim.run_until_idle()
    assert "paused" == run.status()
    with pytest.raises(NeverFinishesError, match="resume"):
        sim.run_until_done(run)
    sim.advance(2 * HOUR)
    run.resume()
    sim.run_until_idle()
    assert ["errored", "waiting"] == [step.status for step in run.steps().values()]
    sim.run_until_done(run)
    assert "nobody spoke" == run.result()


def test_a_pause_that_comes_in_the_middle_of_a_tick_holds() -> None:
    sim = Simulation(SHOP)
    run = sim.create(counting, 3)

    def pauses(attempt: Attempt) -> int:
        run.pause()
        return 1

    sim.stub("do:one#1", pauses)
    sim.run_until_idle()
    assert ("paused", 2) == (run.status(), sim.body_runs("one"))
    run.resume()
    sim.run_until_done(run)
    assert 3 == run.result()


def test_a_run_that_has_failed_is_retried(sim: Simulation) -> None:
    sim.fail("one")
    run = sim.create(counting, 2)
    sim.run_until_done(run)
    assert "errored" == run.status()
    run.retry()
    sim.run_until_done(run)
    assert 2 == run.result()


def test_a_run_is_restarted_and_its_steps_are_those_of_the_new_run(sim: Simulation) -> None:
    run = sim.create(counting, 2)
    sim.run_until_done(run)
    run.restart(1)
    sim.run_until_done(run)
    assert (1, ["do:one"]) == (run.result(), list(run.steps()))


# -- several instances


def starts(attempt: Attempt) -> None:
    attempt.start(child, "parent", id="1")


def answers(attempt: Attempt) -> None:
    attempt.send_event(parent, "parent", "word", "from the child", required=True)


@workflow(name="parent")
def parent(step: Step) -> str:
    step.do("start", starts)
    return str(step.wait_for_event("word", "word", timeout=HOUR).payload)


@workflow(name="child")
def child(step: Step, of: str) -> str:
    step.sleep("nap", MINUTE)
    step.do("answer", answers)
    return of


@pytest.mark.parametrize("seed", range(10))
def test_instances_start_and_message_each_other(seed: int) -> None:
    sim = Simulation([parent, child], seed=seed, dispatchers=2)
    sim.conflict()
    sim.lose_ack()
    sim.interrupt("start")
    sim.interrupt("answer")
    run = sim.create(parent, id="parent")
    sim.run_until_done(run)
    assert "from the child" == run.result()
    assert "parent" == sim.handle(child, "1").result(timeout=None)
    assert sim.clock.start + MINUTE == sim.now


def test_a_child_of_a_parent_that_does_not_exist_fails() -> None:
    sim = Simulation([parent, child])
    run = sim.create(child, "nobody", id="1")
    sim.run_until_done(run)
    assert "errored" == run.status()
