"""``explain`` of what the planner leaves behind, in both colours, and after every plan of any program (M10, R7)."""

from datetime import timedelta
from typing import Any

import attrs
import pytest
from hypothesis import given

from tests.lab import MINUTE, T0, Lab
from tests.properties.stage import Drama, Stage, dramas
from tests.twins import Colour, Running, begin, both_colours, deploy
from wfcore import (
    Explanation,
    NonRetryableError,
    Registry,
    Retry,
    WorkflowError,
    Write,
    WriteFailedError,
    breaks_o5,
    explain,
    plan_defer,
    plan_pause,
    plan_resume,
    plan_write_failure,
)
from wfcore.planner import Attempt

NO_TIME = timedelta(0)


def told(lab: Lab) -> Explanation:
    return explain(lab.snapshot())


def fails(attempt: Attempt) -> None:
    raise ValueError(f"no {attempt.number}")


def mails(step: Any) -> Running:
    yield step.do("mail", fails, retry=Retry(max_attempts=2, delay=MINUTE))


def defer(lab: Lab) -> None:
    """The tick fails, as a runner would see it, and the hook is put off."""
    fired = lab.fired()
    with pytest.raises(WorkflowError) as error:
        lab.plan(fired=fired)
    lab.apply(plan_defer(lab.snapshot(), fired, error.value, execution_id=lab.next_id("defer")))


@both_colours
def test_m10_a_step_on_its_way_to_its_last_attempt(colour: Colour) -> None:
    lab = begin(colour, mails)
    assert "new" == told(lab).situation
    lab.run()
    (step,) = told(lab).unsettled
    assert ("next attempt", T0 + MINUTE, 1, 2, "no 1") == (
        step.waits_for,
        step.until,
        step.attempts,
        step.max_attempts,
        step.failure and step.failure.message,
    )
    lab.run(until=T0 + MINUTE)
    found = told(lab)
    assert ("errored", "do:mail") == (found.situation, found.failed_step)
    assert "test_explain_live.py" in found.traceback


@both_colours
def test_m10_a_mismatch_is_told_with_the_text_of_its_error_until_code_that_fits_is_deployed(colour: Colour) -> None:
    def naps(step: Any) -> Running:
        yield step.sleep("nap", MINUTE)

    def dozes(step: Any) -> Running:
        yield step.sleep("doze", MINUTE)

    lab = begin(colour, naps)
    lab.run()
    deploy(lab, colour, dozes)
    lab.now = T0 + MINUTE
    defer(lab)
    found = told(lab)
    assert ("stuck", "mismatch") == (found.situation, found.problem and found.problem.kind)
    assert "history has 'sleep:nap' at the top of the workflow, the code asked for 'sleep:doze'" in str(found)
    deploy(lab, colour, naps)
    lab.run(until=T0 + 2 * MINUTE)
    assert ("complete", None) == (told(lab).situation, told(lab).problem)


@both_colours
def test_m10_an_unknown_workflow(colour: Colour) -> None:
    lab = begin(colour, mails)
    lab.registry = Registry([])
    defer(lab)
    assert ("stuck", "unknown workflow") == (told(lab).situation, getattr(told(lab).problem, "kind", None))


@both_colours
def test_m10_an_error_of_the_author_after_new_work(colour: Colour) -> None:
    def misuses(step: Any) -> Running:
        yield step.do("order", lambda attempt: None)
        yield step.sleep("nap", -MINUTE)

    lab = begin(colour, misuses, checkpoint="tick")
    lab.tick()
    found = told(lab)
    assert ("stuck", "author error", "do:order") == (
        found.situation,
        found.problem and found.problem.kind,
        found.last_settled,
    )


@both_colours
def test_m10_a_write_that_the_store_has_refused(colour: Colour) -> None:
    def writes(step: Any) -> Running:
        yield step.do("pay", lambda attempt: attempt.write("paid"))

    lab = begin(colour, writes, checkpoint="tick")
    plan = lab.plan()
    index = next(index for index, each in enumerate(plan.mutations) if isinstance(each, Write))
    refused = WriteFailedError(index, "builtins.str", "no writer")
    lab.apply(plan_write_failure(lab.snapshot(), plan, refused, notify=False, execution_id="x"))
    assert ("errored", "do:pay") == (told(lab).situation, told(lab).failed_step)
    assert "whose write the store has refused" in told(lab).summary


@both_colours
def test_m10_a_failure_that_workflow_code_has_caught_is_not_what_ended_it(colour: Colour) -> None:
    def gives_up(step: Any) -> Running:
        try:
            yield step.do("mail", fails)
        except Exception as error:
            raise NonRetryableError("enough") from error

    lab = begin(colour, gives_up)
    lab.run()
    assert ("errored", None) == (told(lab).situation, told(lab).failed_step)
    assert "in workflow code: NonRetryableError: enough" in told(lab).summary


@both_colours
def test_m10_a_run_that_was_continued(colour: Colour) -> None:
    def loops(step: Any) -> Running:
        yield step.sleep("nap", NO_TIME)
        return step.continue_with(None)

    lab = begin(colour, loops)
    lab.tick()
    assert ("new", 2) == (told(lab).situation, told(lab).run_number)


@both_colours
def test_m10_a_pause_from_the_request_to_the_resume(colour: Colour) -> None:
    def naps(step: Any) -> Running:
        yield step.sleep("nap", MINUTE)

    lab = begin(colour, naps)
    lab.run()
    situations = []
    lab.apply(plan_pause(lab.snapshot(), lab.ref, request_id="1", execution_id="p"))
    situations.append(told(lab).situation)
    lab.run()
    situations.append(told(lab).situation)
    lab.apply(plan_resume(lab.snapshot(), lab.ref, execution_id="r"))
    situations.append(told(lab).situation)
    lab.run()
    situations.append(told(lab).situation)
    assert ["pausing", "paused", "due", "waiting"] == situations


@both_colours
def test_m10_a_start_of_another_instance(colour: Colour) -> None:
    def starts(step: Any) -> Running:
        yield step.do("start", lambda attempt: attempt.start(other, None, id="2"))

    other = colour(mails, name="other")
    lab = begin(colour, starts)
    lab.run()
    lab.ref = "other#2"
    assert ("new", ["start"]) == (told(lab).situation, [each.about for each in told(lab).wake_ups])


# ---- of any program


@given(dramas())
def test_r7_no_plan_leaves_an_instance_that_breaks_o5(drama: Drama) -> None:
    """R7: an audit of a healthy store is empty."""
    for commit in Stage.of(drama).play().commits:
        assert None is breaks_o5(commit.after.snapshot(T0)), commit.plan


@given(dramas())
def test_m10_whatever_a_program_has_come_to_can_be_explained(drama: Drama) -> None:
    """M10: nothing is stranded, every open step is told, what is due first is what it is looked at for.

    And the order of steps and hooks in the snapshot does not count.
    """
    for commit in Stage.of(drama).play().commits:
        seen = commit.after.snapshot(T0)
        found = explain(seen)
        live = [step.key for step in seen.steps if step.status in ("waiting", "started")]
        assert sorted(live) == sorted(step.step_key for step in found.unsettled)
        assert "stranded" != found.situation
        if found.situation == "waiting" and found.wake_ups:
            assert found.unsettled[0].until == found.wake_ups[0].due_at
        turned = attrs.evolve(seen, steps=seen.steps[::-1], hooks=seen.hooks[::-1])
        assert (found, str(found)) == (explain(turned), str(explain(turned)))
