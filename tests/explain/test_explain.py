"""``explain``: for every way to stand still, what is said, and the facts behind it (rule M10)."""

from datetime import timedelta
from typing import Any, get_args

import attrs
import pytest

from tests.explain.cases import CASES, CHARGED, LATER, SOON, active, ended, failed, parked, put_off, texts
from tests.lab import MINUTE, SECOND, T0
from tests.planner.rows import FAILURE, event, instance, listening, message, record, retrying, sleeping, snapshot
from wfcore import (
    JsonCodec,
    NearMiss,
    Problem,
    Registry,
    Situation,
    StepFailedError,
    Unsettled,
    WakeUp,
    errors,
    explain,
)
from wfcore.errors import UnawaitedStepError, WorkflowError
from wfcore.explain.wording import brief, counted, span, when
from wfcore.failure import failure_of
from wfcore.model import MANY_RECORDS

SITUATIONS: dict[str, Situation] = {
    "a sleep": "waiting",
    "a retry": "waiting",
    "an attempt more than the last policy granted": "waiting",
    "an event": "waiting",
    "an event of several types, with a deadline": "waiting",
    "an event, while others came": "waiting",
    "an event that came too late": "due",
    "an event that is there": "due",
    "at most once": "waiting",
    "at most once, again": "waiting",
    "a body that is to run again": "due",
    "a wait that a retry has opened": "due",
    "branches": "waiting",
    "many branches": "waiting",
    "new": "new",
    "new, made by another instance": "new",
    "continued": "new",
    "running": "running",
    "running, without a settled step": "running",
    "left by its runner": "due",
    "due": "due",
    "overdue": "overdue",
    "overdue before its first tick": "overdue",
    "overdue after it was put off": "overdue",
    "paused": "paused",
    "asked to pause": "pausing",
    "asked to pause while it runs": "pausing",
    "a mismatch": "stuck",
    "an unknown workflow": "stuck",
    "an error of the author": "stuck",
    "a payload that does not fit": "stuck",
    "contention": "stuck",
    "a store that failed": "stuck",
    "a bug": "stuck",
    "stuck after new work": "stuck",
    "a message that was put off while it runs": "running",
    "without a timer": "stranded",
    "waiting for nothing": "stranded",
    "complete": "complete",
    "complete, not announced yet": "complete",
    "terminated": "terminated",
    "failed by a step": "errored",
    "failed by a timeout": "errored",
    "failed by a write": "errored",
    "failed in workflow code": "errored",
    "failed, and not to be retried": "errored",
    "failed in two branches": "errored",
    "failed without a failed step": "errored",
}


@pytest.mark.parametrize("name", CASES)
def test_m10_an_explanation_is_a_short_text_that_a_person_understands(name: str) -> None:
    assert texts()[name] == str(explain(CASES[name]))


@pytest.mark.parametrize("name", CASES)
def test_m10_an_explanation_says_in_a_word_how_the_instance_stands(name: str) -> None:
    assert SITUATIONS[name] == explain(CASES[name]).situation


def test_m10_every_situation_has_a_case_and_every_text_too() -> None:
    assert (set(get_args(Situation)), set(CASES)) == (set(SITUATIONS.values()), set(texts()))


# ---- the facts


def the_step(*steps: Any, **more: Any) -> Unsettled:
    """What is said of the one step that has not settled."""
    (found,) = explain(parked(*steps, **more)).unsettled
    return found


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (sleeping(SOON), Unsettled(step_key="sleep:nap", branch="", waits_for="time", until=SOON)),
        (
            retrying(SOON),
            Unsettled(
                step_key="do:charge",
                branch="",
                waits_for="next attempt",
                until=SOON,
                attempts=1,
                max_attempts=3,
                failure=FAILURE,
            ),
        ),
        (
            listening("a", "b", until=SOON, key="scope:s>wait_for_event:w"),
            Unsettled(
                step_key="scope:s>wait_for_event:w",
                branch="scope:s",
                waits_for="event",
                until=SOON,
                event_types=("a", "b"),
            ),
        ),
        (
            record("do:letter", status="started", wake_at=SOON),
            Unsettled(step_key="do:letter", branch="", waits_for="result", until=SOON),
        ),
    ],
    ids=["sleep", "retry", "event", "at most once"],
)
def test_m10_of_each_live_branch_it_is_told_what_it_waits_for_and_until_when(step: Any, expected: Unsettled) -> None:
    assert expected == the_step(step)


def test_m10_what_is_due_first_stands_first() -> None:
    steps = [listening(), sleeping(LATER), sleeping(SOON, "sleep:b"), sleeping(SOON, "sleep:a")]
    found = [step.step_key for step in explain(parked(*steps)).unsettled]
    assert ["sleep:a", "sleep:b", "sleep:nap", "wait_for_event:approval"] == found


def test_m10_steps_that_were_cancelled_or_have_settled_are_not_waited_for() -> None:
    steps = [sleeping(SOON, status="cancelled"), failed("do:ship", failure=FAILURE), listening()]
    found = explain(parked(*steps, due=None))
    assert (["wait_for_event:approval"], 2, 4) == (
        [step.step_key for step in found.unsettled],
        found.settled_count,
        found.record_count,
    )


def test_k3_patches_and_lists_of_maps_are_no_steps_that_have_settled() -> None:
    """M10."""
    found = explain(parked(record("patch:a", status="completed"), record("map:a", status="completed"), listening()))
    assert (1, "do:charge", 4) == (found.settled_count, found.last_settled, found.record_count)


def test_m10_the_last_step_that_has_settled_is_told() -> None:
    steps = [record("do:b", status="completed", sequence=7, settled_at=SOON), sleeping(LATER)]
    found = explain(parked(*steps, due=LATER))
    assert ("do:b", SOON) == (found.last_settled, found.last_settled_at)


@pytest.mark.parametrize(
    ("mail", "expected"),
    [
        ([event(created_at=T0)], "e1"),
        ([event(created_at=SOON)], "e1"),
        ([event(created_at=SOON + SECOND)], None),
        ([event(type="other")], None),
        ([event("e2", type="refused"), event("e1")], "e2"),
        ([event("e2"), event("e1", type="refused")], "e2"),
        ([event(actor="system")], None),
    ],
    ids=["before", "at the deadline", "late", "another type", "first of two", "first of two, again", "of the system"],
)
def test_m10_the_event_that_a_wait_may_take_is_told(mail: list[Any], expected: str | None) -> None:
    seen = snapshot(instance(), steps=[listening("approved", "refused", until=SOON)], events=mail)
    (found,) = explain(seen).unsettled
    assert expected == found.event_id


def test_m10_near_misses_are_events_that_came_too_late_or_are_for_no_open_wait() -> None:
    mail = [event(), event("e2", created_at=LATER), event("e3", type="aproved"), event("#pause:1", actor="system")]
    seen = snapshot(instance(), steps=[listening(until=SOON)], events=mail)
    assert (
        NearMiss(event_id="e2", type="approved", created_at=LATER, why="late"),
        NearMiss(event_id="e3", type="aproved", created_at=T0, why="type"),
    ) == explain(seen).near_misses


def test_m10_an_event_in_time_for_one_of_two_waits_is_no_near_miss() -> None:
    waits = [listening(until=T0, key="wait_for_event:a"), listening(until=LATER, key="wait_for_event:b")]
    for steps in (waits, waits[::-1]):
        assert () == explain(snapshot(instance(), steps=steps, events=[event(created_at=SOON)])).near_misses


def test_m10_an_event_that_came_after_the_time_out_that_has_ended_the_instance_is_a_near_miss() -> None:
    (found,) = explain(CASES["failed by a timeout"]).near_misses
    assert "late" == found.why


def test_m10_wake_ups_are_told_with_their_attempts_and_last_error() -> None:
    seen = parked(sleeping(SOON), hooks=[message(attempts=2, last_error="OSError: no")])
    assert (
        WakeUp(hook_id="w#1#msg:e1", about="event", event_id="e1", due_at=T0, attempts=2, last_error="OSError: no"),
        WakeUp(hook_id="w#1#timer", about="timer", event_id=None, due_at=SOON, attempts=0, last_error=None),
    ) == explain(seen).wake_ups


@pytest.mark.parametrize(
    ("case", "kind"),
    [
        ("a mismatch", "mismatch"),
        ("an unknown workflow", "unknown workflow"),
        ("an error of the author", "author error"),
        ("a payload that does not fit", "payload"),
        ("contention", "contention"),
        ("a store that failed", "store"),
        ("a bug", "other"),
    ],
)
def test_m10_a_problem_has_a_kind(case: str, kind: str) -> None:
    found = explain(CASES[case]).problem
    assert found is not None
    assert kind == found.kind


AUTHORS = [
    error
    for error in vars(errors).values()
    if isinstance(error, type) and issubclass(error, WorkflowError) and error is not WorkflowError
]


@pytest.mark.parametrize("error", AUTHORS, ids=lambda error: error.__name__)
def test_d3_no_error_of_an_author_is_an_unexpected_one(error: type[WorkflowError]) -> None:
    """M10: a new class has to be given its kind."""
    hook = attrs.evolve(put_off(ValueError("x")).hooks[0], last_error=f"{error.__name__}: text")
    found = explain(attrs.evolve(put_off(ValueError("x")), hooks=(hook,))).problem
    assert found is not None
    assert found.kind in ("mismatch", "unknown workflow", "author error")


def test_m10_a_problem_has_the_whole_text_of_the_error_and_when_it_is_tried_again() -> None:
    error = UnawaitedStepError(("do:mail",))
    assert (
        Problem(
            kind="author error",
            error=str(failure_of(error)),
            hook_id="w#1#timer",
            attempts=3,
            next_try_at=T0 + 4 * SECOND,
        )
        == explain(put_off(error)).problem
    )


def test_m10_of_several_wake_ups_that_were_put_off_the_one_that_was_most_often_tells_the_problem() -> None:
    seen = put_off(UnawaitedStepError(("do:mail",)))
    seen = attrs.evolve(seen, hooks=(message(attempts=1, last_error="OSError: no"), *seen.hooks))
    found = explain(seen).problem
    assert found is not None
    assert ("author error", 3) == (found.kind, found.attempts)


def test_m10_a_hook_that_was_put_off_without_a_reason_is_told_too() -> None:
    seen = attrs.evolve(put_off(ValueError()), hooks=(attrs.evolve(put_off(ValueError()).hooks[0], last_error=None),))
    found = explain(seen).problem
    assert found is not None
    assert ("other", "no reason was stored") == (found.kind, found.error)


@pytest.mark.parametrize("name", [name for name, kind in SITUATIONS.items() if kind not in ("stuck", "overdue")])
def test_m10_an_instance_that_is_well_or_has_ended_has_no_problem(name: str) -> None:
    if name != "a message that was put off while it runs":
        assert None is explain(CASES[name]).problem


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("failed by a step", "do:ship"),
        ("failed by a timeout", "wait_for_event:approval"),
        ("failed by a write", "do:pay"),
        ("failed in workflow code", None),
        ("complete", None),
    ],
)
def test_m10_the_step_that_has_ended_an_instance_is_named(name: str, key: str | None) -> None:
    assert key == explain(CASES[name]).failed_step


def test_m10_of_two_steps_with_one_failure_the_one_that_was_raised_is_named() -> None:
    of_a = failure_of(StepFailedError("do:a", FAILURE))
    steps = [failed("do:a", failure=FAILURE), attrs.evolve(failed("do:b", failure=FAILURE), sequence=3)]
    assert "do:a" == explain(ended("errored", *steps, failure=of_a)).failed_step


# ---- the instant


def test_m10_without_now_the_time_of_the_snapshot_counts_and_never_one_before_the_last_write() -> None:
    seen = parked(sleeping(SOON), now=T0 + SECOND)
    late = attrs.evolve(seen, instance=attrs.evolve(instance(), updated_at=T0 + 2 * SECOND))
    assert (T0 + SECOND, T0 + 2 * SECOND) == (explain(seen).now, explain(late).now)


@pytest.mark.parametrize(
    ("at", "situation"),
    [
        (SOON - SECOND, "waiting"),
        (SOON, "due"),
        (SOON + MINUTE - SECOND, "due"),
        (SOON + MINUTE, "overdue"),
    ],
)
def test_m10_an_instance_is_overdue_after_it_has_been_due_for_a_minute(at: Any, situation: Situation) -> None:
    """G8: a deadline is inclusive."""
    assert situation == explain(parked(sleeping(SOON)), now=at).situation


def test_g4_an_active_instance_is_looked_at_by_its_timer_and_by_no_message_before() -> None:
    """M10."""
    seen = active(SOON, CHARGED, hooks=(message(),))
    assert ("running", "overdue") == (
        explain(seen, now=SOON - SECOND).situation,
        explain(seen, now=SOON + MINUTE).situation,
    )


# ---- what comes near a limit


def test_o8_a_run_of_more_than_5_000_records_is_noted() -> None:
    steps = [record(f"do:a#{number}", status="completed", sequence=number) for number in range(1, MANY_RECORDS)]
    at_the_limit = [*steps, sleeping(SOON)]
    beyond = explain(parked(*at_the_limit)).notes  # with the one that is always there
    assert ((), True) == (
        explain(attrs.evolve(parked(), steps=tuple(at_the_limit))).notes,
        beyond[0].startswith("the run has 5,001 records"),
    )


SMALL = JsonCodec(max_payload_bytes=100)


@pytest.mark.parametrize(
    ("seen", "what"),
    [
        (parked(record("do:a", status="completed", sequence=2, result="x" * 80)), "the result of 'do:a'"),
        (parked(listening(), mail=(event("e7", payload="x" * 80),)), "the payload of event 'e7'"),
        (ended("complete", output="ä" * 40), "its result"),
        (ended("complete", params="x" * 80), "the value of its parameters"),
    ],
    ids=["result of a step", "event", "output", "parameters"],
)
def test_m10_a_payload_near_the_limit_of_the_codec_is_noted_and_not_shown(seen: Any, what: str) -> None:
    found = explain(seen, codec=SMALL)
    assert (
        f"{what} has 80 bytes, of 100 that a payload may have: store it elsewhere and pass a reference",
    ) == found.notes
    assert "xx" not in str(found)


def test_m10_a_payload_that_is_far_from_the_limit_is_not_noted() -> None:
    assert () == explain(ended("complete", output="x" * 79), codec=SMALL).notes


@attrs.frozen
class Boundless:
    """A codec that does not say how long a payload may be."""

    check_type: Any = SMALL.check_type
    encode: Any = SMALL.encode
    decode: Any = SMALL.decode


def test_m10_without_a_limit_no_payload_is_noted() -> None:
    assert () == explain(ended("complete", output="x" * 2_000_000), codec=Boundless()).notes


def test_m10_many_notes_of_one_sort_are_counted() -> None:
    mail = tuple(event(f"e{number}", payload="x" * 80) for number in range(20))
    found = explain(parked(listening(), mail=mail), codec=SMALL).notes
    assert (11, "and 10 more") == (len(found), found[-1])


def test_g10_a_registry_that_does_not_know_the_workflow_is_noted() -> None:
    """M10."""
    (found,) = explain(CASES["a sleep"], registry=Registry([])).notes
    assert "no workflow 'w' in this registry" in found


# ---- tracebacks


def test_m10_tracebacks_are_for_operators_and_stand_not_in_the_text() -> None:
    of_body = attrs.evolve(FAILURE, traceback="in ship")
    of_code = attrs.evolve(failure_of(StepFailedError("do:ship", FAILURE)), traceback="in checkout")
    step = record("do:mail", next_retry_at=SOON, attempts=1, failure=attrs.evolve(FAILURE, traceback="in mail"))
    found = explain(ended("errored", failed("do:ship", failure=of_body), step, failure=of_code))
    assert (
        "w#1: StepFailedError: step 'do:ship' failed: ValueError: no\nin checkout\n\n"
        "do:ship: ValueError: no\nin ship\n\n"
        "do:mail: ValueError: no\nin mail"
    ) == found.traceback
    assert "in ship" not in str(found)


def test_m10_without_failures_there_is_no_traceback() -> None:
    assert "" == explain(CASES["a sleep"]).traceback


# ---- wording


@pytest.mark.parametrize(
    ("duration", "expected"),
    [
        (timedelta(microseconds=1), "1 ms"),
        (timedelta(milliseconds=250), "250 ms"),
        (timedelta(seconds=1), "1 s"),
        (timedelta(seconds=59, microseconds=999_999), "59 s"),
        (timedelta(seconds=61), "1 min 1 s"),
        (timedelta(hours=1), "1 h"),
        (timedelta(hours=1, seconds=5), "1 h"),
        (timedelta(hours=25, minutes=5), "1 d 1 h"),
        (timedelta(days=400), "400 d"),
    ],
)
def test_m10_a_duration_is_told_in_its_two_largest_units(duration: timedelta, expected: str) -> None:
    assert expected == span(duration)


def test_m10_an_instant_is_told_in_utc_with_its_distance() -> None:
    assert ("2026-01-01 00:01:00 UTC (in 1 min)", "2026-01-01 00:00:00 UTC (1 min ago)") == (
        when(SOON, T0),
        when(T0, SOON),
    )
    assert "2026-01-01 00:00:00 UTC (now)" == when(T0, T0)


def test_m10_texts_of_others_are_put_into_one_line_and_cut() -> None:
    assert ("a b", "x" * 1_000 + " ...") == (brief("a\n\n  b"), brief("x" * 1_001))


def test_m10_one_is_not_many() -> None:
    assert ("0 steps", "1 step", "2,000 steps") == (counted(0, "step"), counted(1, "step"), counted(2_000, "step"))


def test_m10_what_does_not_exist_is_not_explained() -> None:
    with pytest.raises(ValueError, match="no instance in this snapshot"):
        explain(snapshot(None))
