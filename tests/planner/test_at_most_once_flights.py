"""At-most-once bodies (rule S13) that run at the same time as others, and on over a retrieve (rule O6)."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import suppress
from typing import Any

import attrs
import pytest

from tests.lab import MINUTE, T0, Lab
from tests.planner.rows import user_writes
from wfcore.define import workflow
from wfcore.errors import StepFailedError
from wfcore.plan import Plan
from wfcore.planner import (
    AsyncStep,
    Bodies,
    Continue,
    Done,
    Elapsed,
    Known,
    Raised,
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


def test_o6_a_body_in_flight_that_another_plan_has_started_is_another_attempt() -> None:
    lab = lab_of(racing)
    _, mine, _ = lost_race(lab)
    other = lab_of(racing)
    start = next(begin(other))
    assert isinstance(start, Plan)
    other.apply(start)
    rows = other.snapshot()
    other.put(attrs.evolve(rows, steps=tuple(attrs.evolve(step, execution_id="another") for step in rows.steps)))
    talk = begin(other, Known(mine=frozenset({start.execution_id}), flights=(mine,)))
    with pytest.raises(StopIteration) as stopped:
        next(talk)
    assert T0 + MINUTE == stopped.value.value.outcome.until


# ---- results that are held, of several branches


def both_held(code: Any, results: dict[str, Any]) -> Lab:
    """Both bodies have started and settled, and what they gave is held; then a tick records it."""
    lab = lab_of(code)
    talk = begin(lab)
    asked = committed(lab, next(talk), talk)
    talk.close()
    for call in asked.start:
        call.attempt.write(f"write of {call.name}")
    held = tuple(Done(call, Settled(results[call.name], elapsed=HOUR)) for call in asked.start)
    talk = begin(lab, Known(mine=frozenset({plan.execution_id for plan in lab.plans}), held=held))
    with pytest.raises(StopIteration) as stopped:
        committed(lab, next(talk), talk)
    lab.apply(stopped.value.value)
    return lab


async def race_of_two(step: AsyncStep) -> int:
    winner, _ = await step.race("first", once("a"), once("b"))
    return winner


async def gather_of_two(step: AsyncStep) -> None:
    await step.gather("both", once("a"), once("b"))


def written(lab: Lab) -> list[object]:
    return [value for plan in lab.plans for value in user_writes(plan)]


def test_p5_a_held_result_that_has_lost_a_race_is_recorded_too_with_its_writes() -> None:
    """Its body has run, and runs only once."""
    lab = both_held(race_of_two, {"a": Returned(None), "b": Returned(None)})
    assert ("0", ["completed", "completed"], ["write of a", "write of b"]) == (
        lab.instance.output,
        [step.status for step in lab.steps().values()],
        written(lab),
    )


def test_p4_a_held_result_is_recorded_before_the_failure_of_its_sibling_is_raised() -> None:
    lab = both_held(gather_of_two, {"a": Raised(LookupError()), "b": Returned(None)})
    assert ("errored", {"gather:both[0]>do:a": 1, "gather:both[1]>do:b": 2}, ["write of b"]) == (
        lab.instance.status,
        {key: step.sequence for key, step in lab.steps().items()},
        written(lab),
    )


def test_s13_held_results_of_branches_take_no_time() -> None:
    """It was counted from another retrieve."""
    lab = both_held(gather_of_two, {"a": Returned(None), "b": Returned(None)})
    assert {T0} == {step.settled_at for step in lab.steps().values()}


# ---- in a losing branch


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


def test_p4_s13_a_held_result_waits_until_the_bodies_of_a_failed_group_have_landed() -> None:
    """Nothing else settles before the group's failure is raised: a replay would find it in the same place."""

    def boom(attempt: Any) -> None:
        raise ValueError("boom")

    async def failing(step: AsyncStep) -> None:
        with suppress(StepFailedError):
            await step.gather("inner", lambda one: one.do("slow", nothing), lambda two: two.do("boom", boom))

    async def code(step: AsyncStep) -> None:
        await step.gather("all", failing, once("kept"))

    lab = lab_of(code)
    talk = begin(lab)
    asked = next(talk)
    calls = {call.name: call for call in committed(lab, asked, talk).start}
    plan = talk.send(Done(calls["boom"], Settled(Raised(ValueError("boom")))))
    assert isinstance(plan, Plan)
    lab.apply(plan)
    with suppress(StopIteration):
        talk.send(Stop())
    mine = frozenset({each.execution_id for each in lab.plans})
    held = (done(calls["kept"]),)
    talk = begin(lab, Known(mine=mine, held=held, flights=(calls["slow"],)))
    asked = committed(lab, next(talk), talk)
    assert frozenset({calls["slow"].key}) == asked.only
    with pytest.raises(StopIteration) as end:
        talk.send(done(calls["slow"]))
    lab.apply(end.value.value)
    order = sorted((step for step in lab.steps().values() if step.sequence), key=lambda step: step.sequence or 0)
    assert ["boom", "slow", "kept"] == [step.name for step in order]
