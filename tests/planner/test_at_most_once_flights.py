"""At-most-once bodies (rule S13) that run at the same time as others, and on over a retrieve (rule O6)."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import suppress
from typing import Any

from tests.lab import MINUTE, Lab
from wfcore.define import workflow
from wfcore.plan import Plan
from wfcore.planner import (
    AsyncStep,
    Bodies,
    Continue,
    Done,
    Elapsed,
    Known,
    Returned,
    Settled,
    StepCall,
    Stop,
    tick_loop,
)

HOUR = 60 * MINUTE
Talk = Generator[Bodies | Plan, Any, Plan]


def nothing(attempt: Any) -> None:
    pass


def once(name: str) -> Any:
    return lambda step: step.do(name, nothing, at_most_once=HOUR)


def lab_of(code: Any) -> Lab:
    made = workflow(name="w")(code)
    lab = Lab.of(made)
    lab.create(made)
    return lab


async def together(step: AsyncStep) -> None:
    await step.gather("all", once("a"), once("b"), lambda inner: inner.do("c", nothing))


async def racing(step: AsyncStep) -> int:
    winner, _ = await step.race("first", once("a"), lambda inner: inner.sleep("late", MINUTE))
    await step.do("next", nothing)
    await step.do("last", nothing)
    return winner


def begin(lab: Lab, known: Known | None = None) -> Talk:
    return tick_loop(
        lab.snapshot(), lab.fired(), lab.registry, execution_id=lab.next_id("tick"), known=known or Known()
    )


def committed(lab: Lab, asked: Bodies | Plan, talk: Talk) -> Bodies:
    """Commit checkpoints until bodies are asked for."""
    while isinstance(asked, Plan):
        lab.apply(asked)
        asked = talk.send(Continue(lab.next_id("tick")))
    return asked


def done(call: StepCall) -> Done:
    return Done(call, Settled(Returned(None)))


def test_s13_bodies_that_start_together_have_their_starts_in_one_commit() -> None:
    lab = lab_of(together)
    plan = next(begin(lab))
    assert isinstance(plan, Plan)
    lab.apply(plan)
    assert {"gather:all[0]>do:a": "started", "gather:all[1]>do:b": "started"} == {
        key: step.status for key, step in lab.steps().items()
    }


def test_s13_each_call_names_the_plan_that_has_started_it() -> None:
    lab = lab_of(together)
    talk = begin(lab)
    asked = committed(lab, next(talk), talk)
    start = lab.plans[-1].execution_id
    assert [("a", start), ("b", start), ("c", None)] == [(call.name, call.started_by) for call in asked.start]


def test_s13_the_deadline_of_a_body_in_flight_is_not_looked_at_by_the_one_who_runs_it() -> None:
    lab = lab_of(together)
    talk = begin(lab)
    assert None is committed(lab, next(talk), talk).until


def lost_race(lab: Lab) -> tuple[Talk, StepCall, StepCall]:
    """The race is decided by its sleep while the body is in flight; then the next body is under way."""
    talk = begin(lab)
    asked = committed(lab, next(talk), talk)
    [loser] = asked.start
    lab.now += MINUTE
    asked = committed(lab, talk.send(Elapsed(MINUTE)), talk)
    [following] = asked.start
    return talk, loser, following


def test_p5_what_comes_of_it_in_a_losing_branch_is_recorded() -> None:
    lab = lab_of(racing)
    talk, loser, following = lost_race(lab)
    committed(lab, talk.send(done(loser)), talk)
    checkpoint = talk.send(done(following))
    assert isinstance(checkpoint, Plan)
    lab.apply(checkpoint)
    assert "completed" == lab.steps()["race:first[0]>do:a"].status


def test_o6_also_if_the_runner_has_read_again_meanwhile() -> None:
    """Its record stays open until the body lands."""
    lab = lab_of(racing)
    talk, loser, following = lost_race(lab)
    checkpoint = talk.send(done(following))
    assert isinstance(checkpoint, Plan)
    lab.apply(checkpoint)
    with suppress(StopIteration):
        talk.send(Stop())
    assert "started" == lab.steps()["race:first[0]>do:a"].status

    known = Known(mine=frozenset({plan.execution_id for plan in lab.plans}), flights=(loser,))
    again = begin(lab, known)
    asked = committed(lab, next(again), again)
    assert {loser.key} == asked.unwanted
    committed(lab, again.send(done(loser)), again)
    found = lab.steps()["race:first[0]>do:a"]
    assert ("completed", 1) == (found.status, found.attempts)
