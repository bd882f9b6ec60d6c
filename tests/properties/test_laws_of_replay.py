"""What holds for every program, one tick at a time: the laws of planning and replay.

Programs of `async def` workflows have branches here; where both colours are compared there are none.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.lab import Lab
from tests.properties.play import Drawn, Elsewhere, Play, Script, play, printed, scripts, scripts_by_colour
from tests.properties.programs import seconds_of, settled_by_body
from tests.twins import BOTH, Colour, as_async_def, as_def
from wfcore.model import TERMINAL, StepRecord
from wfcore.outcome import Suspended
from wfcore.plan import PutEvent, PutStep, Write
from wfcore.planner import plan_tick
from wfcore.planner.steps.decision import deadline, is_waiting

both_colours = pytest.mark.parametrize("colour", BOTH)


def live_deadlines(lab: Lab) -> list[datetime]:
    """When the waiting records become due by themselves."""
    deadlines = [deadline(step) for step in lab.steps().values() if is_waiting(step)]
    return sorted(at for at in deadlines if at is not None)


# -- planning is a function


@both_colours
@given(scripts_by_colour(troubles=True))
def test_equal_inputs_give_equal_plans(colour: Colour, drawn: Drawn) -> None:
    script = drawn.of(colour)
    playing = Play.begin(script, colour)
    before, fired = playing.lab.snapshot(), playing.lab.fired()
    for plan in playing.events():
        twice = [plan_tick(before, fired, playing.lab.registry, execution_id="same") for _ in range(2)]
        assert repr(twice[0]) == repr(twice[1])
        assert twice[0] == twice[1], plan
        before, fired = playing.lab.snapshot(), playing.lab.fired()


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[list[Elsewhere]]:
    with Elsewhere("1") as one, Elsewhere("2") as another:
        yield [one, another]


@given(chosen=st.lists(scripts(troubles=True, branches=True), min_size=20, max_size=20))
@settings(max_examples=max(2, settings().max_examples // 50))
def test_equal_inputs_give_equal_plans_in_every_process(elsewhere: list[Elsewhere], chosen: list[Script]) -> None:
    expected = printed(chosen)
    for each in elsewhere:
        assert expected == each.printed(chosen)


@pytest.mark.parametrize("continued", [False, True])
@given(script=scripts(troubles=True))
def test_l2_both_colours_make_equal_plans_at_every_tick(continued: bool, script: Script) -> None:
    """L2, colour: branch-free twins give equal plans at every tick."""
    plain, awaited = (play(script, colour, continued=continued) for colour in (as_def, as_async_def))
    assert plain.lab.plans == awaited.lab.plans
    assert plain.sightings == awaited.sightings


# -- first run and replay are indistinguishable


@both_colours
@given(scripts_by_colour())
def test_a_replay_shows_the_code_what_it_saw_live(colour: Colour, drawn: Drawn) -> None:
    script = drawn.of(colour)
    sightings = play(script, colour).sightings
    for earlier, later in pairwise(sightings):
        assert earlier == later[: len(earlier)]


@given(scripts(troubles=True, branches=True))
def test_a_line_of_the_log_is_emitted_once(script: Script) -> None:
    played = play(script)
    lines = [line.message for plan in played.lab.plans for line in plan.logs]
    places = [str(place) for place, sight in enumerate(played.sightings[-1]) if sight == "log"]
    assert len({*lines}) == len(lines)
    # What a branch has logged at its end is emitted with what comes after the group.
    assert {*lines} == {*places} if played.lab.instance.status in TERMINAL else {*lines} <= {*places}


@given(scripts(troubles=True, branches=True))
def test_a_write_commits_once_for_each_step_that_ended(script: Script) -> None:
    played = play(script)
    writes = [each for plan in played.lab.plans for each in plan.mutations if isinstance(each, Write)]
    settled = [step for step in played.lab.steps().values() if step.status in ("completed", "errored")]
    assert len([step for step in settled if settled_by_body(step)]) == len(writes)


# -- replaying an unchanged world is a fixed point


@given(scripts(troubles=True, branches=True))
def test_a_tick_more_at_the_same_time_has_nothing_to_say(script: Script) -> None:
    playing = Play.begin(script)
    for plan in playing.events():
        if playing.lab.instance.status != "active":
            again = playing.lab.plan()
            assert again.is_empty, (plan, again)


@both_colours
@given(scripts_by_colour(troubles=True))
def test_a_replay_of_a_parked_instance_parks_it_again_and_makes_nothing(colour: Colour, drawn: Drawn) -> None:
    script = drawn.of(colour)
    playing = Play.begin(script, colour)
    for plan in playing.events():
        if isinstance(plan.outcome, Suspended):
            parked = playing.lab.snapshot()
            # Without a timer, the gate lets an active instance pass.
            snapshot = attrs.evolve(parked, instance=attrs.evolve(playing.lab.instance, status="active"), hooks=())
            again = plan_tick(snapshot, playing.lab.fired(), playing.lab.registry, execution_id="again")
            assert isinstance(again.outcome, Suspended)
            assert plan.outcome.until == again.outcome.until
            assert {*plan.outcome.waiting_on} == {*again.outcome.waiting_on}
            assert [] == [each for each in again.mutations if isinstance(each, PutStep | PutEvent | Write)]


# -- a hook may be early, late, repeated, reordered, lost


def ending(played: Play) -> Any:
    """All that a program without races on time determines."""
    lab = played.lab
    # Branches may come to the same in another order.
    ordered = not any("[" in key for key in lab.steps())
    records = {
        key: (
            step.status,
            step.attempts,
            step.sequence if ordered else None,
            step.failure,
            step.event_id,
            # What was received tells when it was sent.
            step.result if step.kind == "do" else None,
        )
        for key, step in lab.steps().items()
    }
    consumed = {event.id: event.consumed_by for event in lab.events().values() if event.consumed_by}
    return lab.instance.status, lab.instance.output, lab.instance.failure, records, consumed


@both_colours
@given(scripts_by_colour(timed=False, troubles=True))
def test_troubles_with_hooks_change_nothing_of_the_result(colour: Colour, drawn: Drawn) -> None:
    script = drawn.of(colour)
    assert ending(play(attrs.evolve(script, troubles=()), colour)) == ending(play(script, colour))


@given(scripts())
def test_continuing_after_a_checkpoint_is_the_same_as_a_new_tick(script: Script) -> None:
    instant = attrs.evolve(script, program=attrs.evolve(script.program, body_time=0))
    by_ticks, continued = play(instant), play(instant, continued=True)
    assert rows(by_ticks) == rows(continued)


def rows(played: Play) -> Any:
    """All rows, but for what says how many plans wrote them."""
    lab = played.lab
    return (
        attrs.evolve(lab.instance, version=0, execution_id=""),
        [attrs.evolve(step, execution_id="") for step in lab.steps().values()],
        lab.events(),
        {name: hook.due_at for name, hook in lab.hooks().items()},
        [line for plan in lab.plans for line in plan.logs],
    )


@given(scripts(troubles=True))
def test_a_checkpointed_program_reaches_what_an_unchecked_one_reaches(script: Script) -> None:
    calm = attrs.evolve(script, troubles=(), program=attrs.evolve(script.program, body_time=0))
    step, tick = (
        play(attrs.evolve(calm, program=attrs.evolve(calm.program, checkpoint=checkpoint)))
        for checkpoint in ("step", "tick")
    )
    assert rows(step) == rows(tick)


# -- time


@given(scripts(troubles=True, branches=True))
def test_a_deadline_is_stored_once(script: Script) -> None:
    deadlines: dict[str, set[datetime | None]] = {}
    for plan in play(script).lab.plans:
        for step in _put(plan.mutations):
            if step.kind != "do":
                deadlines.setdefault(step.key, set()).add(step.wake_at)
    assert {} == {key: found for key, found in deadlines.items() if len(found) > 1}


@given(scripts(troubles=True, branches=True))
def test_a_duration_counts_from_the_first_visit(script: Script) -> None:
    for step in play(script).lab.steps().values():
        seconds = seconds_of(step.name)
        if seconds is not None and step.wake_at is not None:
            assert step.created_at + timedelta(seconds=seconds) == step.wake_at


@given(scripts(troubles=True, branches=True))
def test_no_wait_ends_early(script: Script) -> None:
    lab = play(script).lab
    for step in lab.steps().values():
        if step.settled_at is None or step.wake_at is None or step.status == "cancelled":
            continue
        if step.event_id is None:
            assert step.wake_at <= step.settled_at or step.attempts  # a body may have refused an event before
        else:
            assert lab.events()[step.event_id].created_at <= step.wake_at


@given(scripts(troubles=True, branches=True))
def test_no_attempt_starts_before_its_time(script: Script) -> None:
    played = play(script)
    retry_at = {
        (step.key, step.attempts + 1): step.next_retry_at for plan in played.lab.plans for step in _put(plan.mutations)
    }
    for key, number, at in played.attempts:
        assert (retry_at.get((key, number)) or at) <= at


@given(scripts(troubles=True, branches=True))
def test_no_wait_is_extended(script: Script) -> None:
    """After a tick, nothing that waits is overdue."""
    playing = Play.begin(script)
    for plan in playing.events():
        if playing.lab.instance.status == "waiting":
            assert [] == [at for at in live_deadlines(playing.lab) if at <= playing.lab.instance.updated_at], plan


# -- nothing is lost


@given(scripts(troubles=True, branches=True))
def test_whatever_can_go_on_has_a_stored_hook(script: Script) -> None:
    """Rule O5: after every plan exactly one holds."""
    playing = Play.begin(script)
    for plan in playing.events():
        lab = playing.lab
        status, hooks, deadlines = lab.instance.status, lab.hooks(), live_deadlines(lab)
        waiting = [step for step in lab.steps().values() if is_waiting(step)]
        timer_at = hooks["timer"].due_at if "timer" in hooks else None
        states = {
            "terminal": status in TERMINAL and not hooks and not waiting,
            "active": status == "active" and timer_at is not None,
            "waiting for a time": status == "waiting" and deadlines[:1] == [timer_at],
            "waiting for an event": status == "waiting" and not deadlines and {} == hooks and bool(waiting),
        }
        assert [True] == [held for held in states.values() if held], plan
        assert [] == [
            (step.key, event.id)
            for step in waiting
            for event in lab.snapshot().events
            if status == "waiting" and event.type in step.event_types
            if step.wake_at is None or event.created_at <= step.wake_at
        ]


@given(scripts(troubles=True, branches=True))
def test_every_plan_writes_the_next_version(script: Script) -> None:
    playing = Play.begin(script)
    version = 1
    for plan in playing.events():
        version += not plan.is_empty
        assert version == playing.lab.instance.version


@given(scripts(troubles=True, branches=True))
def test_sequences_are_consecutive(script: Script) -> None:
    sequences = sorted(step.sequence for step in play(script).lab.steps().values() if step.sequence is not None)
    assert [*range(1, len(sequences) + 1)] == sequences


def _put(mutations: tuple[Any, ...]) -> list[StepRecord]:
    return [each.step for each in mutations if isinstance(each, PutStep)]
