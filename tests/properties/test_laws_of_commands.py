"""Laws of every program under commands: rule O5, what has settled stays, and a retry goes on where nothing failed."""

import attrs
from hypothesis import assume, given, note
from hypothesis import strategies as st

from tests.properties.commanded import Commanded, failing_dramas, may_fail
from tests.properties.stage import Commit, Drama, dramas
from wfcore.errors import EventTimeoutError, StepFailedError
from wfcore.evolve import Rows
from wfcore.keys import timer_id
from wfcore.model import TERMINAL
from wfcore.outcome import Retried
from wfcore.planner.steps.decision import earliest_deadline, is_waiting, wanted_event


def keeps_o5(rows: Rows, ref: str) -> bool:
    """Whether an instance that can make progress has a hook that will say so, and no other has."""
    row = rows.instance
    assert row is not None
    timer = rows.hooks.get(timer_id(ref))
    live = [step for step in rows.steps.values() if is_waiting(step) and step.run_number == row.run_number]
    if row.status in TERMINAL:
        return timer is None and not live
    if row.status == "paused":
        return timer is None
    if row.status == "active":
        return timer is not None and timer.run_number == row.run_number
    pending = tuple(event for event in rows.events.values() if event.consumed_by is None)
    unseen = {hook.id for hook in rows.hooks.values()} - {timer_id(ref)}
    takes = any(wanted_event(step, pending) for step in live)
    return (timer and timer.due_at) == earliest_deadline(live) and bool(live) and (bool(unseen) or not takes)


def changed_history(commit: Commit) -> list[str]:
    """Keys of settled records that a plan has changed."""
    before, after = commit.before, commit.after
    if before.instance is None or after.instance is None or before.instance.created_by != after.instance.created_by:
        return []
    return [
        step.key
        for identity, step in before.steps.items()
        if not is_waiting(step) and step != after.steps.get(identity)
    ]


@given(dramas())
def test_o5_after_every_apply_with_commands_between(drama: Drama) -> None:
    """M3 to M8, M11."""
    stage = Commanded.of(drama).play()
    for commit in stage.commits:
        assert keeps_o5(commit.after, stage.lab.ref), commit.plan


@given(dramas())
def test_m7_only_a_retry_and_what_it_opens_change_what_has_settled(drama: Drama) -> None:
    """L5: a record that is cancelled may wait again."""
    stage = Commanded.of(drama).play()
    retried = False
    for commit in stage.commits:
        changed = changed_history(commit)
        if isinstance(commit.plan.outcome, Retried):
            retried = True
            assert set(changed) == {*commit.plan.outcome.reopened, *commit.plan.outcome.removed}
        elif changed:
            was = {step.key: step.status for step in commit.before.steps.values()}
            assert retried
            assert {"cancelled"} == {was[key] for key in changed}, commit.plan


@given(dramas())
def test_m4_an_instance_that_was_paused_ends_once_it_is_resumed(drama: Drama) -> None:
    """No command leaves an instance without a way forward."""
    stage = Commanded.of(drama).play()
    stage.restless = False
    stage.command("resume")
    stage.play()
    instance = stage.lab.instance
    waits = [step for step in stage.lab.snapshot().steps if is_waiting(step)]
    for_ever = instance.status == "waiting" and all(step.kind == "wait_for_event" for step in waits)
    assert instance.status in TERMINAL or for_ever, instance


@given(dramas().filter(may_fail), st.integers(1, 3))
def test_m7_the_code_fits_what_a_retry_leaves(drama: Drama, times: int) -> None:
    """D1: a tick that does not fit raises, and this test with it."""
    stage = Commanded.of(drama, id="1")
    stage.restless = False
    for _ in range(times):
        stage.play()
        assume(stage.lab.instance.status == "errored")
        if stage.command("retry") is None:
            failure = stage.lab.instance.failure
            assert failure is not None
            assert failure.is_a(StepFailedError) or failure.is_a(EventTimeoutError)
            return
    stage.play()
    assert stage.lab.instance.status in (*TERMINAL, "waiting")


@given(failing_dramas())
def test_m7_a_retried_program_ends_as_one_whose_steps_had_succeeded_at_first(drama: Drama) -> None:
    stage = Commanded.of(drama)
    stage.restless = False
    stage.play()
    while stage.lab.instance.status == "errored":
        plan = stage.command("retry")
        assert plan is not None
        assert isinstance(plan.outcome, Retried)
        note(plan.outcome)
        assert {*plan.outcome.reopened} - stage.mended  # one more is mended each time: there is an end
        stage.mended.update(plan.outcome.reopened)
        stage.play()
    assert stage.mended
    fresh = Commanded.of(attrs.evolve(drama, chances=b""))
    fresh.restless, fresh.mended = False, stage.mended
    fresh.play()
    left, found = fresh.lab.instance, stage.lab.instance
    assert (left.status, left.output) == (found.status, found.output)
