"""Bodies that are still in flight when a race or a failure has closed their branch: rules P4, P5, S13, O6."""

from datetime import timedelta
from typing import Any

from tests.lab import MINUTE, Lab
from wfcore.define import workflow
from wfcore.plan import Plan, PutStep, Write
from wfcore.planner import (
    AsyncStep,
    Bodies,
    Continue,
    Done,
    Dropped,
    Known,
    Raised,
    Returned,
    Settled,
    StepCall,
    Stop,
    tick_loop,
)
from wfcore.planner.ends import Answer, Loop
from wfcore.retry import Retry


class Talk:
    """A tick as a conversation, told what to say; every plan is applied."""

    def __init__(self, lab: Lab, known: Known = Known()) -> None:  # noqa: B008 - a value
        self.lab = lab
        self.plan: Plan | None = None
        self._loop: Loop = tick_loop(  # type: ignore[assignment] # it returns a plan
            lab.snapshot(), lab.fired(), lab.registry, execution_id=lab.next_id("talk"), known=known
        )
        self.calls: dict[str, StepCall] = {}
        self.asked: Bodies | Plan | None = None
        self._say(None)

    def done(self, key: str, value: Any = None, *, elapsed: timedelta = timedelta(0)) -> None:
        """A body has settled; checkpoints on the way are committed."""
        result = Raised(value) if isinstance(value, Exception) else Returned(value)
        self._say(Done(self.calls[key], Settled(result, elapsed)))

    def dropped(self, key: str) -> None:
        self._say(Dropped(self.calls[key]))

    def stop(self, key: str) -> None:
        """A body has settled; the checkpoint that comes of it is committed, and the conversation ends."""
        asked = self._loop.send(Done(self.calls[key], Settled(Returned(None))))
        assert isinstance(asked, Plan)
        self.lab.apply(asked)
        self._say(Stop())

    def _say(self, answer: Answer | None) -> None:
        try:
            self.asked = next(self._loop) if answer is None else self._loop.send(answer)
            while isinstance(self.asked, Plan):
                self.lab.apply(self.asked)
                self.asked = self._loop.send(Continue(self.lab.next_id("continued")))
        except StopIteration as stop:
            self.asked, self.plan = None, stop.value
            if not stop.value.is_empty:
                self.lab.apply(stop.value)
            return
        assert self.asked is not None
        self.calls.update({call.key: call for call in self.asked.start})


def racing(**options: Any) -> Lab:
    """A body against another; then one more body."""

    @workflow(name="w")
    async def race(step: AsyncStep) -> None:
        await step.race(
            "r",
            lambda inner: inner.do("slow", lambda attempt: None, **options),
            lambda inner: inner.do("quick", lambda attempt: None),
        )
        await step.do("after", lambda attempt: None)
        await step.sleep("nap", MINUTE)

    lab = Lab.of(race)
    lab.create(race)
    return lab


SLOW, QUICK, AFTER = "race:r[0]>do:slow", "race:r[1]>do:quick", "do:after"
RETRY = Retry(max_attempts=3, delay=timedelta(0))


def statuses(lab: Lab, key: str) -> list[str]:
    """The statuses that a record had, one after the other."""
    puts = (each.step for plan in lab.plans for each in plan.mutations if isinstance(each, PutStep))
    return [step.status for step in puts if step.key == key]


def test_p5_the_record_of_a_retry_in_flight_stays_open_until_its_late_result() -> None:
    lab = racing(retry=RETRY)
    talk = Talk(lab)
    talk.done(SLOW, ValueError("again"))
    talk.done(QUICK)
    talk.done(SLOW)
    talk.done(AFTER)
    assert ["waiting", "completed"] == statuses(lab, SLOW)


def test_p5_the_record_of_a_retry_in_flight_is_cancelled_when_it_is_dropped() -> None:
    lab = racing(retry=RETRY)
    talk = Talk(lab)
    talk.done(SLOW, ValueError("again"))
    talk.done(QUICK)
    talk.dropped(SLOW)
    talk.done(AFTER)
    assert ["waiting", "cancelled"] == statuses(lab, SLOW)


def test_o6_a_late_at_most_once_body_is_carried_over_a_retrieve() -> None:
    lab = racing(at_most_once=MINUTE)
    first = Talk(lab)
    first.stop(QUICK)
    second = Talk(lab, Known(mine=frozenset(plan.execution_id for plan in lab.plans), flights=(first.calls[SLOW],)))
    second.calls.update(first.calls)
    second.done(SLOW)
    assert ["started", "completed"] == statuses(lab, SLOW)


def test_s13_a_held_result_of_a_closed_branch_is_recorded() -> None:
    """The plan that closed the branch is committed, the one with the body's result was not."""
    lab = racing(at_most_once=MINUTE)
    first = Talk(lab)
    first.stop(QUICK)
    mine = frozenset(plan.execution_id for plan in lab.plans)
    held = (Done(first.calls[SLOW], Settled(Returned(None))),)
    second = Talk(lab, Known(mine=mine, held=held))
    second.done(AFTER)
    assert ["started", "completed"] == statuses(lab, SLOW)


def test_s13_a_held_result_of_a_closed_branch_is_recorded_though_the_code_has_ended() -> None:
    @workflow(name="w")
    async def race(step: AsyncStep) -> None:
        await step.race(
            "r",
            lambda inner: inner.do("slow", lambda attempt: attempt.write("slow"), at_most_once=MINUTE),
            lambda inner: inner.do("quick", lambda attempt: None),
        )

    lab = Lab.of(race)
    lab.create(race)
    first = Talk(lab)
    call = first.calls[SLOW]
    held = Done(call, Settled(Returned(call.body(call.attempt))))
    first.stop(QUICK)
    Talk(lab, Known(mine=frozenset(plan.execution_id for plan in lab.plans), held=(held,)))
    assert (["started", "completed"], [Write("slow")]) == (
        statuses(lab, SLOW),
        [each for each in lab.plans[-1].mutations if isinstance(each, Write)],
    )
