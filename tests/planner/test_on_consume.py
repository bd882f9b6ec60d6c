"""``on_consume``: a body that runs when an event is taken, and decides whether it is (rules W9, W10, S16)."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any

import pytest

from tests.lab import MINUTE, SECOND, T0, Lab
from tests.planner.rows import user_writes, written_events, written_steps
from tests.planner.worker import Worker
from tests.twins import Colour, Running, begin, both_colours
from wfcore.define import workflow
from wfcore.errors import EventTimeoutError, StepBodyError, StepFailedError
from wfcore.outcome import Completed
from wfcore.plan import Plan
from wfcore.planner import (
    AsyncStep,
    Attempt,
    Bodies,
    Continue,
    Done,
    Dropped,
    Elapsed,
    Known,
    Raised,
    Returned,
    Settled,
    call_body,
    tick_loop,
)
from wfcore.workflow import Checkpoint, EventType, Received

HOUR = 60 * MINUTE
Go = EventType("go", int)
Taking = Callable[[Attempt, Received[Any]], Any]


def noted(attempt: Attempt, received: Received[Any]) -> None:
    attempt.write(f"took {received.payload}")
    attempt.on_terminal_error("refused")


def refuses(attempt: Attempt, received: Received[Any]) -> None:
    attempt.write("never")
    attempt.on_terminal_error(f"refused {received.payload}")
    raise LookupError(f"not {received.payload}")


def waiting(on_consume: Taking = noted, **options: Any) -> Callable[[Any], Running]:
    def program(step: Any) -> Running:
        received = yield step.wait_for_event("go", Go, on_consume=on_consume, **options)
        return received.payload

    return program


def sent(colour: Colour, program: Callable[[Any], Running], *payloads: int, **options: Any) -> Lab:
    """The instance waits, and these events have come."""
    lab = begin(colour, program, **options)
    lab.tick()
    for number, payload in enumerate(payloads, start=1):
        lab.send(Go, payload, id=f"e{number}")
    return lab


# ---- taken


@both_colours
def test_w9_the_body_runs_when_the_event_is_taken_and_its_writes_commit_with_the_consumption(colour: Colour) -> None:
    plan = sent(colour, waiting(), 7).plan()
    assert (["took 7"], "wait_for_event:go", "completed", Completed("7")) == (
        user_writes(plan),
        written_events(plan)["e1"].consumed_by,
        written_steps(plan)["wait_for_event:go"].status,
        plan.outcome,
    )


@both_colours
def test_w9_the_body_is_given_the_attempt_and_what_workflow_code_receives(colour: Colour) -> None:
    seen: list[Any] = []

    def take(attempt: Attempt, received: Received[int]) -> None:
        seen.append((attempt.number, attempt.last_failure, received))

    lab = sent(colour, waiting(take), 7)
    lab.tick()
    assert [(1, None, Received(type="go", payload=7, id="e1", created_at=T0))] == seen


@both_colours
def test_w9_it_does_not_run_again_on_replay(colour: Colour) -> None:
    seen: list[int] = []

    def program(step: Any) -> Running:
        received = yield step.wait_for_event("go", Go, on_consume=lambda attempt, each: seen.append(each.payload))
        yield step.sleep("nap", HOUR)
        return received.payload

    lab = sent(colour, program, 7)
    lab.run(until=T0 + HOUR)
    assert ([7], "7") == (seen, lab.instance.output)


@both_colours
def test_w9_what_it_returns_goes_nowhere(colour: Colour) -> None:
    lab = sent(colour, waiting(lambda attempt, received: object()), 7)
    assert Completed("7") == lab.tick().outcome


@both_colours
def test_w9_it_does_not_run_without_an_event(colour: Colour) -> None:
    lab = sent(colour, waiting(timeout=HOUR))
    plan = lab.tick(at=T0 + HOUR)
    assert (["errored"], []) == ([each.status for each in written_steps(plan).values()], user_writes(plan))


@both_colours
def test_w9_the_idempotency_key_is_that_of_the_step(colour: Colour) -> None:
    keys: list[str] = []

    def take(attempt: Attempt, _received: Received[int]) -> None:
        keys.append(attempt.idempotency_key)

    lab = sent(colour, waiting(take), 7)
    lab.plan()
    lab.plan()
    assert (2, 1) == (len(keys), len({*keys}))


@both_colours
def test_o6_what_it_has_taken_is_committed_before_the_next_body_starts(colour: Colour) -> None:
    def program(step: Any) -> Running:
        yield step.wait_for_event("go", Go, on_consume=noted)
        yield step.do("next", lambda attempt: None)

    worker = Worker(sent(colour, program, 7))
    worker.tick()
    assert ["run wait_for_event:go", "completed wait_for_event:go", "run do:next", "completed do:next"] == worker.trace


@both_colours
def test_w12_an_event_that_cannot_be_decoded_is_consumed_and_the_body_does_not_run(colour: Colour) -> None:
    lab = sent(colour, waiting())
    lab.send(EventType("go", str), "seven", id="e1")
    plan = lab.tick()
    assert ("errored", "e1", []) == (
        written_steps(plan)["wait_for_event:go"].status,
        written_steps(plan)["wait_for_event:go"].event_id,
        user_writes(plan),
    )


@both_colours
def test_w6_an_event_in_time_is_taken_though_the_deadline_has_passed(colour: Colour) -> None:
    lab = sent(colour, waiting(timeout=MINUTE), 7)
    assert Completed("7") == lab.tick(at=T0 + HOUR).outcome


# ---- refused


@both_colours
def test_w9_if_it_raises_the_step_fails_and_the_event_is_not_consumed(colour: Colour) -> None:
    plan = sent(colour, waiting(refuses), 7).plan()
    step = written_steps(plan)["wait_for_event:go"]
    assert ("errored", None, {}) == (step.status, step.event_id, written_events(plan))


@both_colours
def test_w9_if_it_raises_only_its_writes_for_that_case_are_kept(colour: Colour) -> None:
    assert ["refused 7"] == user_writes(sent(colour, waiting(refuses), 7).plan())


@both_colours
def test_w9_workflow_code_gets_the_failure_and_the_next_wait_the_event(colour: Colour) -> None:
    def program(step: Any) -> Running:
        try:
            yield step.wait_for_event("go", Go, on_consume=refuses)
        except StepFailedError as error:
            received = yield step.wait_for_event("again", Go)
            return [error.step_key, str(error.failure), received.payload]
        return None

    lab = sent(colour, program, 7)
    assert Completed('["wait_for_event:go","LookupError: not 7",7]') == lab.tick().outcome


@both_colours
def test_w9_the_failure_is_the_same_on_replay(colour: Colour) -> None:
    seen: list[str] = []

    def program(step: Any) -> Running:
        try:
            yield step.wait_for_event("go", Go, on_consume=refuses)
        except StepFailedError as error:
            seen.append(str(error))
        yield step.sleep("nap", HOUR)

    sent(colour, program, 7).run(until=T0 + HOUR)
    assert (2, 1) == (len(seen), len({*seen}))


@both_colours
def test_w9_a_wait_that_refused_is_no_timeout(colour: Colour) -> None:
    def program(step: Any) -> Running:
        try:
            yield step.wait_for_event("go", Go, timeout=HOUR, on_consume=refuses)
        except EventTimeoutError:
            return "late"
        except StepFailedError:
            return "refused"

    assert Completed('"refused"') == sent(colour, program, 7).tick().outcome


def branches(**waits: Callable[[AsyncStep], Any]) -> Lab:
    """Each branch gives its payload, or the name of the error."""

    async def guarded(branch: Callable[[AsyncStep], Any], step: AsyncStep) -> Any:
        try:
            received = await branch(step)
        except StepFailedError as error:
            return error.failure.type
        return received and received.payload

    @workflow(name="w")
    async def w(step: AsyncStep) -> Any:
        def made(branch: Callable[[AsyncStep], Any]) -> Callable[[AsyncStep], Any]:
            return lambda inner: guarded(branch, inner)

        return await step.gather("all", {name: made(branch) for name, branch in waits.items()})

    lab = Lab.of(w)
    lab.create(w)
    lab.tick()
    return lab


def listen(on_consume: Taking | None = None, **options: Any) -> Callable[[AsyncStep], Any]:
    return lambda step: step.wait_for_event("go", Go, on_consume=on_consume, **options)


def test_w9_a_refused_event_is_offered_to_another_open_wait_in_the_same_tick() -> None:
    lab = branches(first=listen(refuses), second=listen(noted))
    lab.send(Go, 7)
    lab.run()
    assert '{"first":"builtins.LookupError","second":7}' == lab.instance.output


def test_w9_the_refusal_and_the_consumption_by_the_other_commit_in_one_tick() -> None:
    lab = branches(first=listen(refuses), second=listen())
    lab.send(Go, 7, id="e1")
    plan = lab.tick()
    assert ("gather:all[second]>wait_for_event:go", ["refused 7"]) == (
        written_events(plan)["e1"].consumed_by,
        user_writes(plan),
    )


def test_w9_an_event_that_all_refuse_stays_in_the_mailbox() -> None:
    lab = branches(first=listen(refuses), second=listen(refuses))
    lab.send(Go, 7, id="e1")
    lab.run()
    assert None is lab.events()["e1"].consumed_by


def test_w9_a_refused_event_keeps_its_place_in_the_order_of_arrival() -> None:
    lab = branches(first=listen(refuses), second=listen(), third=listen())
    for payload in (7, 8):
        lab.send(Go, payload)
    lab.run()
    assert '{"first":"builtins.LookupError","second":7,"third":8}' == lab.instance.output


@pytest.mark.parametrize("work", [Lab.run, lambda lab: Worker(lab).tick()], ids=["by ticks", "continued"])
def test_w9_bodies_that_take_events_in_turns_are_offered_the_first_in_the_order_of_arrival(
    work: Callable[[Lab], Any],
) -> None:
    """The second body begins after the first has refused; O6: going on is the same as a new tick."""
    lab = branches(first=listen(refuses), second=listen(noted))
    for payload in (7, 8):
        lab.send(Go, payload)
    work(lab)
    assert '{"first":"builtins.LookupError","second":7}' == lab.instance.output


def test_w5_each_event_is_given_to_one_body() -> None:
    lab = branches(first=listen(noted), second=listen(noted))
    for payload in (7, 8):
        lab.send(Go, payload)
    lab.run()
    assert ('{"first":7,"second":8}', ["took 7", "took 8"]) == (
        lab.instance.output,
        [write for plan in lab.plans for write in user_writes(plan)],
    )


# ---- order


def ticked(lab: Lab) -> list[str]:
    """The keys of what settles in one tick, in the order of settlement."""
    worker = Worker(lab)
    worker.tick()
    settled = [step for step in lab.steps().values() if step.sequence]
    settled.sort(key=lambda step: step.sequence or 0)
    return [step.key.rpartition("[")[2].partition("]")[0] for step in settled]


def test_w10_bodies_that_take_events_run_in_the_order_in_which_their_waits_were_due() -> None:
    lab = branches(c=listen(noted), b=listen(noted), a=listen(noted))
    for payload in (7, 8, 9):
        lab.send(Go, payload)
    assert ["c", "b", "a"] == ticked(lab)


def test_w10_a_body_that_takes_an_event_runs_before_what_became_due_later() -> None:
    """As the wait would have settled before without the body."""
    lab = branches(sleep=lambda step: step.sleep("nap", 2 * MINUTE), wait=listen(noted))
    lab.now += MINUTE
    lab.send(Go, 7)
    lab.now += HOUR
    assert ["wait", "sleep"] == ticked(lab)


def test_w10_what_became_due_before_settles_before_the_body_runs() -> None:
    lab = branches(wait=listen(noted), sleep=lambda step: step.sleep("nap", MINUTE))
    lab.now += 2 * MINUTE
    lab.send(Go, 7)
    assert ["sleep", "wait"] == ticked(lab)


def racing(
    *branches: Callable[[AsyncStep], Any],
    after: Callable[[AsyncStep], Any] | None = None,
    waits: bool = True,
    checkpoint: Checkpoint = "step",
) -> Lab:
    """``waits``: the branches have begun, and the instance waits."""

    @workflow(name="w", checkpoint=checkpoint)
    async def w(step: AsyncStep) -> Any:
        winner, _ = await step.race("first", *branches)
        if after is not None:
            await after(step)
        return winner

    lab = Lab.of(w)
    lab.create(w)
    if waits:
        lab.tick()
    return lab


def test_w10_an_event_that_came_before_the_deadline_wins_a_race_with_it() -> None:
    lab = racing(lambda step: step.sleep("late", 2 * MINUTE), listen(noted))
    lab.now += MINUTE
    lab.send(Go, 7)
    assert Completed("1") == lab.tick(at=T0 + HOUR).outcome


checkpoints = pytest.mark.parametrize("checkpoint", ["step", "tick"])


@checkpoints
def test_p5_a_body_that_was_to_take_an_event_is_not_started_once_the_race_is_decided(checkpoint: Checkpoint) -> None:
    lab = racing(listen(noted), listen(noted), checkpoint=checkpoint)
    for payload in (7, 8):
        lab.send(Go, payload)
    worker = Worker(lab)
    worker.tick()
    assert ["run race:first[0]>wait_for_event:go"] == [each for each in worker.trace if each.startswith("run")]


@checkpoints
def test_w9_an_event_that_a_losing_branch_was_to_take_is_offered_again(checkpoint: Checkpoint) -> None:
    """O5: else the wait after the race would be parked with an event that it may take."""
    lab = racing(listen(noted), listen(noted), after=listen(), checkpoint=checkpoint)
    for payload in (7, 8):
        lab.send(Go, payload, id=f"e{payload}")
    lab.run()
    assert ("wait_for_event:go", "complete") == (lab.events()["e8"].consumed_by, lab.instance.status)


# ---- bodies at the same time


Talk = Generator[Bodies | Plan, Any, Plan]


def conversation(lab: Lab) -> tuple[Talk, list[Bodies]]:
    """A tick of bodies that run at the same time, up to its first question, and the questions."""
    talk = tick_loop(lab.snapshot(), lab.fired(), lab.registry, execution_id=lab.next_id("tick"))
    return talk, [_asked(next(talk), lab, talk)]


def _asked(asked: Bodies | Plan, lab: Lab, talk: Talk) -> Bodies:
    while isinstance(asked, Plan):
        lab.apply(asked)
        asked = talk.send(Continue(lab.next_id("tick")))
    return asked


def finish(lab: Lab, talk: Talk, answer: Any) -> Plan:
    """Answer, and run whatever is asked for then, to the end."""
    try:
        while True:
            asked = _asked(talk.send(answer), lab, talk)
            (call,) = asked.start
            answer = Done(call, call_body(call))
    except StopIteration as stop:
        plan: Plan = stop.value
        return lab.apply(plan)


def test_w9_bodies_that_take_events_start_together() -> None:
    lab = branches(first=listen(noted), second=listen(noted))
    for payload in (7, 8):
        lab.send(Go, payload)
    _, [asked] = conversation(lab)
    assert ["gather:all[first]>wait_for_event:go", "gather:all[second]>wait_for_event:go"] == [
        call.key for call in asked.start
    ]


@pytest.mark.parametrize(
    ("answer", "winner"),
    [(Returned(None), "1"), (Raised(ValueError("no")), "0")],
    ids=["taken", "not taken"],
)
def test_w10_what_was_due_after_the_event_waits_until_a_body_has_decided_about_it(answer: Any, winner: str) -> None:
    """W6: the tick is late, the event was not; if it is not taken, the deadline decides the race after all."""

    async def listens(step: AsyncStep) -> None:
        with suppress(StepFailedError):
            await step.wait_for_event("go", Go, on_consume=noted)
            return
        await step.sleep("long", HOUR)

    lab = racing(lambda step: step.sleep("late", 2 * MINUTE), listens)
    lab.now += MINUTE
    lab.send(Go, 7)
    lab.now = T0 + HOUR
    talk, [asked] = conversation(lab)
    [taking] = asked.start
    assert asked.until is None
    finish(lab, talk, Done(taking, Settled(answer, SECOND)))
    assert winner == lab.instance.output


def test_w10_an_event_that_came_later_waits_too() -> None:
    lab = racing(listen(noted), lambda step: step.wait_for_event("stop", "stop"))
    lab.send(Go, 7)
    lab.now += SECOND
    lab.send("stop")
    talk, [asked] = conversation(lab)
    [taking] = asked.start
    finish(lab, talk, Done(taking, call_body(taking)))
    assert "0" == lab.instance.output


def test_w10_an_event_that_came_later_waits_until_every_body_has_decided() -> None:
    lab = branches(first=listen(noted), second=listen(noted), third=lambda step: step.wait_for_event("stop", "stop"))
    for payload in (7, 8):
        lab.send(Go, payload)
    lab.now += SECOND
    lab.send("stop")
    talk, [asked] = conversation(lab)
    first, second = asked.start
    _asked(talk.send(Done(first, call_body(first))), lab, talk)
    assert [first.key] == [step.key for step in lab.snapshot().steps if step.status == "completed"]
    finish(lab, talk, Done(second, call_body(second)))
    assert "complete" == lab.instance.status


def test_w10_a_deadline_that_passes_while_the_body_runs_does_not_wait() -> None:
    """A race with a sleep times the body out; nothing is held up that was not due before."""
    lab = racing(lambda step: step.sleep("late", 2 * MINUTE), listen(noted))
    lab.send(Go, 7)
    talk, [asked] = conversation(lab)
    [taking] = asked.start
    asked = _asked(talk.send(Elapsed(2 * MINUTE)), lab, talk)
    assert asked.unwanted == {taking.key}
    finish(lab, talk, Dropped(taking))
    assert "0" == lab.instance.output


def test_w10_a_body_that_is_carried_over_a_retrieve_holds_up_what_was_due_before_it() -> None:
    lab = racing(lambda step: step.sleep("late", 2 * MINUTE), listen(noted))
    lab.send(Go, 7)
    lab.now = T0 + HOUR
    _, [asked] = conversation(lab)
    again = tick_loop(lab.snapshot(), lab.fired(), lab.registry, execution_id="again", known=Known(flights=asked.start))
    kept = _asked(next(again), lab, again)
    finish(lab, again, Done(asked.start[0], call_body(asked.start[0])))
    assert ((), "1") == (kept.start, lab.instance.output)


def test_w9_a_body_that_is_cancelled_releases_the_event() -> None:
    lab = racing(listen(noted), lambda step: step.do("quick", lambda attempt: None), after=listen(), waits=False)
    lab.send(Go, 7, id="e1")
    talk, [asked] = conversation(lab)
    taking, quick = sorted(asked.start, key=lambda call: call.event is None)
    asked = _asked(talk.send(Done(quick, call_body(quick))), lab, talk)
    assert asked.unwanted == {taking.key}
    finish(lab, talk, Dropped(taking))
    assert "wait_for_event:go" == lab.events()["e1"].consumed_by


def test_p5_a_body_that_has_taken_an_event_too_late_has_taken_it() -> None:
    """W5: an event that a branch takes which has lost a race stays consumed."""
    lab = racing(listen(noted), lambda step: step.do("quick", lambda attempt: None), waits=False)
    lab.send(Go, 7, id="e1")
    talk, [asked] = conversation(lab)
    taking, quick = sorted(asked.start, key=lambda call: call.event is None)
    _asked(talk.send(Done(quick, call_body(quick))), lab, talk)
    finish(lab, talk, Done(taking, call_body(taking)))
    assert ("race:first[0]>wait_for_event:go", "1") == (lab.events()["e1"].consumed_by, lab.instance.output)


# ---- S16


@both_colours
@pytest.mark.parametrize(
    "body",
    [lambda: None, lambda attempt: None, lambda attempt, received, more: None],
    ids=["no argument", "one argument", "three arguments"],
)
def test_s16_a_body_that_does_not_take_exactly_two_arguments_is_an_error_of_the_author(
    colour: Colour, body: Any
) -> None:
    lab = sent(colour, waiting(body), 7)
    with pytest.raises(StepBodyError, match=r"attempt.*received"):
        lab.plan()


async def awaitable(attempt: Attempt, received: Received[int]) -> None:
    pass


@both_colours
def test_s16_a_body_that_gives_an_awaitable_is_an_error_of_the_author(colour: Colour) -> None:
    lab = sent(colour, waiting(awaitable), 7)
    with pytest.raises(StepBodyError, match="cannot await"):
        lab.plan()


@both_colours
def test_s16_the_event_is_kept_for_the_mended_code(colour: Colour) -> None:
    lab = sent(colour, waiting(awaitable), 7)
    with pytest.raises(StepBodyError):
        lab.plan()
    assert None is lab.events()["e1"].consumed_by


@both_colours
def test_s14_what_is_no_exception_leaves_the_planner(colour: Colour) -> None:
    def interrupted(attempt: Attempt, received: Received[int]) -> None:
        raise KeyboardInterrupt

    lab = sent(colour, waiting(interrupted), 7)
    with pytest.raises(KeyboardInterrupt):
        lab.plan()
