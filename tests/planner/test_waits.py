"""``sleep``, ``sleep_until``, ``wait_for_event``: rules W1 to W8, W11 to W13, in both colours."""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from typing import Any

import attrs
import pytest

from tests.lab import MINUTE, SECOND, T0, Lab
from tests.twins import BOTH, Colour, Program, Running, begin, deploy
from wfcore.errors import (
    CodecError,
    EventTimeoutError,
    NonDeterminismError,
    StepFailedError,
    StepNameError,
    StepUsageError,
    UnknownEventTypeError,
)
from wfcore.failure import class_name
from wfcore.model import Event
from wfcore.outcome import Completed, Rescheduled, Suspended
from wfcore.workflow import EventType, Received, Workflow

pytestmark = pytest.mark.parametrize("colour", BOTH)

MICROSECOND = timedelta(microseconds=1)
LATEST = datetime.max.replace(tzinfo=T0.tzinfo)


@attrs.frozen
class Approval:
    by: str


Approved = EventType("approved", Approval)
Rejected = EventType("rejected")


def sleeping(duration: timedelta) -> Program:
    def program(step: Any) -> Running:
        yield step.sleep("nap", duration)
        return "awake"

    return program


def sleeping_until(instant: datetime) -> Program:
    def program(step: Any) -> Running:
        yield step.sleep_until("nap", instant)
        return "awake"

    return program


def waiting_for(*events: EventType[Any] | str, timeout: timedelta | None = None) -> Program:
    """Gives what it received, or the name of the error."""

    def program(step: Any) -> Running:
        try:
            received = yield step.wait_for_event("answer", *events, timeout=timeout)
        except (EventTimeoutError, StepFailedError) as error:
            return type(error).__name__
        return [received.type, received.id]

    return program


def twice(*events: str, timeout: timedelta | None = None) -> Program:
    """Waits with a deadline, then without one; gives the ids of what it received."""

    def program(step: Any) -> Running:
        try:
            first = (yield step.wait_for_event("first", *events, timeout=timeout)).id
        except EventTimeoutError:
            first = None
        second = (yield step.wait_for_event("second", *events)).id
        return [first, second]

    return program


def output(lab: Lab) -> Any:
    return lab.codec.decode(lab.instance.output or "null", Any)


# -- W1


@pytest.mark.parametrize(
    ("program", "key", "wake_at"),
    [
        (sleeping(10 * MINUTE), "sleep:nap", T0 + 10 * MINUTE),
        (sleeping_until(T0 + 10 * MINUTE), "sleep:nap", T0 + 10 * MINUTE),
        (waiting_for("e", timeout=10 * MINUTE), "wait_for_event:answer", T0 + 10 * MINUTE),
        (waiting_for("e"), "wait_for_event:answer", None),
    ],
    ids=["sleep", "sleep_until", "wait", "wait without deadline"],
)
def test_w1_a_deadline_is_stored_once_and_absolute_at_the_first_visit(
    colour: Colour, program: Program, key: str, wake_at: datetime | None
) -> None:
    lab = begin(colour, program)
    lab.tick()
    assert ("waiting", wake_at, T0) == (
        lab.steps()[key].status,
        lab.steps()[key].wake_at,
        lab.steps()[key].created_at,
    )


@pytest.mark.parametrize(
    "program",
    [sleeping(10 * MINUTE), waiting_for("e", timeout=10 * MINUTE)],
    ids=["sleep", "wait"],
)
def test_w1_the_timer_stands_at_the_deadline(colour: Colour, program: Program) -> None:
    lab = begin(colour, program)
    outcome = lab.tick().outcome
    assert (T0 + 10 * MINUTE, T0 + 10 * MINUTE) == (
        lab.hooks()["timer"].due_at,
        outcome.until if isinstance(outcome, Suspended) else None,
    )


def test_w1_a_wait_without_deadline_has_no_timer(colour: Colour) -> None:
    lab = begin(colour, waiting_for("e"))
    lab.tick()
    assert {} == lab.hooks()


@pytest.mark.parametrize(
    "edited",
    [sleeping(MINUTE), sleeping(60 * MINUTE), sleeping_until(T0), sleeping_until(T0 + 60 * MINUTE)],
    ids=["shorter", "longer", "an instant that has passed", "a later instant"],
)
@pytest.mark.parametrize(
    ("at", "status"),
    [(T0 + 10 * MINUTE - MICROSECOND, "waiting"), (T0 + 10 * MINUTE, "complete")],
    ids=["before", "at"],
)
def test_w1_the_stored_deadline_counts_whatever_the_code_says(
    colour: Colour, edited: Program, at: datetime, status: str
) -> None:
    lab = begin(colour, sleeping(10 * MINUTE))
    lab.tick()
    deploy(lab, colour, edited)
    lab.tick(at=at)
    assert status == lab.instance.status


def test_w1_the_stored_deadline_of_a_wait_counts_whatever_the_code_says(colour: Colour) -> None:
    lab = begin(colour, waiting_for("e", timeout=10 * MINUTE))
    lab.tick()
    deploy(lab, colour, waiting_for("e"))
    lab.tick(at=T0 + 10 * MINUTE)
    assert "EventTimeoutError" == output(lab)


def test_w1_a_duration_counts_from_the_tick_that_first_visits(colour: Colour) -> None:
    def program(step: Any) -> Running:
        yield step.sleep("first", MINUTE)
        yield step.sleep("second", MINUTE)

    lab = begin(colour, program)
    lab.tick()
    lab.tick(at=T0 + 5 * MINUTE)
    assert T0 + 6 * MINUTE == lab.steps()["sleep:second"].wake_at


# -- W2


@pytest.mark.parametrize(
    "program",
    [
        sleeping(timedelta(0)),
        sleeping_until(T0),
        sleeping_until(T0 - 60 * MINUTE),
        sleeping_until(datetime.min.replace(tzinfo=T0.tzinfo)),
    ],
    ids=["no duration", "now", "an hour ago", "the first instant"],
)
def test_w2_a_deadline_that_has_passed_settles_in_the_same_tick(colour: Colour, program: Program) -> None:
    lab = begin(colour, program)
    assert Completed('"awake"') == lab.tick().outcome


def test_w2_an_instant_is_compared_in_utc(colour: Colour) -> None:
    lab = begin(colour, sleeping_until((T0 + MINUTE).astimezone(timezone(timedelta(hours=5)))))
    lab.tick()
    wake_at = lab.steps()["sleep:nap"].wake_at
    assert (T0 + MINUTE, timedelta(0)) == (wake_at, wake_at and wake_at.utcoffset())


@pytest.mark.parametrize(
    ("ask", "problem"),
    [
        (lambda step: step.sleep("nap", -MICROSECOND), "duration=datetime.timedelta(days=-1"),
        (lambda step: step.sleep("nap", 5), "duration=5"),
        (lambda step: step.sleep("nap", None), "duration=None"),
        (lambda step: step.sleep("nap", T0), "duration=datetime.datetime(2026"),
        (lambda step: step.sleep_until("nap", T0.replace(tzinfo=None)), "instant=datetime.datetime(2026"),
        (lambda step: step.sleep_until("nap", MINUTE), "instant=datetime.timedelta(seconds=60)"),
        (lambda step: step.sleep_until("nap", "noon"), "instant='noon'"),
        (
            lambda step: step.sleep_until("nap", datetime.max.replace(tzinfo=timezone(-MINUTE))),
            "instant=datetime.datetime(9999",
        ),
        (lambda step: step.wait_for_event("nap", "e", timeout=-MICROSECOND), "timeout=datetime.timedelta(days=-1"),
        (lambda step: step.wait_for_event("nap", "e", timeout=5), "timeout=5"),
        (lambda step: step.wait_for_event("nap", Approval), "event=<class"),
        (lambda step: step.wait_for_event("nap", "e", 7), "event=7"),
        (lambda step: step.wait_for_event("nap", "e", EventType("e", int)), "event=EventType('e'"),
    ],
)
def test_w2_what_is_no_duration_instant_or_event_is_refused(
    colour: Colour, ask: Callable[[Any], Any], problem: str
) -> None:
    def program(step: Any) -> Running:
        try:
            yield ask(step)
        except Exception:
            return "caught"

    lab = begin(colour, program)
    with pytest.raises(StepUsageError) as caught:
        lab.plan()
    assert ("nap", problem) == (caught.value.step, caught.value.problem[: len(problem)])


@pytest.mark.parametrize("duration", [timedelta.max, LATEST - T0, LATEST - T0 + MICROSECOND])
def test_w2_a_sleep_beyond_the_calendar_ends_at_its_last_instant(colour: Colour, duration: timedelta) -> None:
    lab = begin(colour, sleeping(duration))
    lab.tick()
    assert LATEST == lab.steps()["sleep:nap"].wake_at


@pytest.mark.parametrize(
    ("timeout", "wake_at"),
    [(timedelta.max, None), (LATEST - T0 + MICROSECOND, None), (LATEST - T0, LATEST)],
)
def test_w2_a_timeout_beyond_the_calendar_is_none(colour: Colour, timeout: timedelta, wake_at: datetime | None) -> None:
    lab = begin(colour, waiting_for("e", timeout=timeout))
    lab.tick()
    assert wake_at == lab.steps()["wait_for_event:answer"].wake_at


# -- W3


@pytest.mark.parametrize(
    ("at", "status"),
    [
        (T0, "waiting"),
        (T0 + 10 * MINUTE - MICROSECOND, "waiting"),
        (T0 + 10 * MINUTE, "complete"),
        (T0 + 60 * MINUTE, "complete"),
    ],
    ids=["at once", "just before", "at", "late"],
)
def test_w3_a_sleep_is_over_at_its_own_deadline(colour: Colour, at: datetime, status: str) -> None:
    lab = begin(colour, sleeping(10 * MINUTE))
    lab.tick()
    lab.tick(at=at)
    assert status == lab.instance.status


def test_w3_a_sleep_is_not_over_because_another_hook_fired(colour: Colour) -> None:
    lab = begin(colour, sleeping(10 * MINUTE))
    lab.tick()
    lab.send("unwanted")
    assert (Rescheduled(T0 + 10 * MINUTE), {"timer"}) == (lab.tick(at=T0 + MINUTE).outcome, {*lab.hooks()})


@pytest.mark.parametrize("late", [timedelta(0), MICROSECOND, 7 * MINUTE])
def test_w3_a_sleep_settles_at_the_tick_that_finds_it_over(colour: Colour, late: timedelta) -> None:
    lab = begin(colour, sleeping(10 * MINUTE))
    lab.tick()
    lab.tick(at=T0 + 10 * MINUTE + late)
    nap = lab.steps()["sleep:nap"]
    assert (T0 + 10 * MINUTE, T0 + 10 * MINUTE + late) == (nap.wake_at, nap.settled_at)


# -- W4


@pytest.mark.parametrize(
    ("sent", "wanted", "taken"),
    [
        (["a"], ["a"], ["a", "0"]),
        (["a", "a"], ["a"], ["a", "0"]),
        (["b", "a", "a"], ["a"], ["a", "1"]),
        (["b", "a"], ["a", "b"], ["b", "0"]),
        (["c", "a", "b"], ["b", "a"], ["a", "1"]),
    ],
)
@pytest.mark.parametrize("before", [True, False], ids=["sent before the wait", "sent during the wait"])
def test_w4_the_first_event_of_a_wanted_type_in_order_of_arrival_is_taken(
    colour: Colour, sent: list[str], wanted: list[str], taken: list[str], *, before: bool
) -> None:
    lab = begin(colour, waiting_for(*wanted))
    if not before:
        lab.tick()
    for number, event in enumerate(sent):
        lab.send(event, id=str(number))
    lab.tick()
    assert taken == output(lab)


def test_w4_order_of_arrival_counts_and_not_the_time_of_sending(colour: Colour) -> None:
    lab = begin(colour, waiting_for("a"))
    lab.now = T0 + MINUTE
    lab.send("a", id="arrived first")
    lab.now = T0
    lab.send("a", id="sent first")
    lab.tick(at=T0 + 2 * MINUTE)
    assert ["a", "arrived first"] == output(lab)


@pytest.mark.parametrize(
    ("sent_at", "result"),
    [
        (T0 + 10 * MINUTE - MICROSECOND, ["a", "0"]),
        (T0 + 10 * MINUTE, ["a", "0"]),
        (T0 + 10 * MINUTE + MICROSECOND, "EventTimeoutError"),
    ],
    ids=["just in time", "at the deadline", "too late"],
)
def test_w4_an_event_counts_until_the_deadline_inclusive(colour: Colour, sent_at: datetime, result: object) -> None:
    lab = begin(colour, waiting_for("a", timeout=10 * MINUTE))
    lab.tick()
    lab.now = sent_at
    lab.send("a", id="0")
    lab.tick(at=T0 + 20 * MINUTE)
    assert result == output(lab)


@pytest.mark.parametrize(
    ("sent", "result"), [(["a"], ["a", "0"]), ([], "EventTimeoutError"), (["b"], "EventTimeoutError")]
)
def test_w4_a_timeout_of_zero_takes_only_what_is_there(colour: Colour, sent: list[str], result: object) -> None:
    lab = begin(colour, waiting_for("a", timeout=timedelta(0)))
    for event in sent:
        lab.send(event, id="0")
    lab.tick()
    assert result == output(lab)


def test_w4_a_system_event_is_no_users_event(colour: Colour) -> None:
    lab = begin(colour, waiting_for("a"))
    system = Event(instance_ref=lab.ref, id="#a", type="a", payload="null", actor="system", created_at=T0)
    lab.world = {lab.ref: attrs.evolve(lab.world[lab.ref], events={"#a": system})}
    outcomes = [type(lab.tick().outcome) for _ in range(2)]
    assert [Suspended, Rescheduled] == outcomes


# -- W5


def test_w5_one_event_satisfies_one_wait(colour: Colour) -> None:
    lab = begin(colour, twice("a"))
    lab.send("a", id="0")
    lab.tick()
    assert {"wait_for_event:first": "completed", "wait_for_event:second": "waiting"} == {
        key: step.status for key, step in lab.steps().items()
    }


def test_w5_two_events_satisfy_two_waits_in_program_order(colour: Colour) -> None:
    lab = begin(colour, twice("a"))
    lab.send("a", id="0")
    lab.send("a", id="1")
    lab.tick()
    assert ["0", "1"] == output(lab)


def test_w5_the_event_and_the_record_name_each_other(colour: Colour) -> None:
    lab = begin(colour, waiting_for("a"))
    lab.send("a", id="0")
    lab.tick(at=T0 + MINUTE)
    event = lab.events()["0"]
    assert ("wait_for_event:answer", 1, T0 + MINUTE, "0") == (
        event.consumed_by,
        event.consumed_run,
        event.delivered_at,
        lab.steps()["wait_for_event:answer"].event_id,
    )


# -- W6


def test_w6_an_event_in_time_wins_even_if_the_tick_is_late(colour: Colour) -> None:
    lab = begin(colour, twice("a", timeout=10 * MINUTE))
    lab.tick()
    lab.now = T0 + 9 * MINUTE
    lab.send("a", id="in time")
    lab.now = T0 + 11 * MINUTE
    lab.send("a", id="late")
    lab.tick(at=T0 + 60 * MINUTE)
    assert ["in time", "late"] == output(lab)


def test_w6_a_later_event_stays_for_the_next_wait(colour: Colour) -> None:
    lab = begin(colour, twice("a", timeout=10 * MINUTE))
    lab.tick()
    lab.now = T0 + 11 * MINUTE
    lab.send("a", id="late")
    lab.tick(at=T0 + 60 * MINUTE)
    assert [None, "late"] == output(lab)


# -- W7


def test_w7_a_wait_that_nothing_answers_raises_a_timeout(colour: Colour) -> None:
    seen: list[Any] = []

    def program(step: Any) -> Running:
        try:
            yield step.scope("s").wait_for_event("answer", "a", "b", timeout=MINUTE)
        except TimeoutError as error:
            seen.append(error)
            yield step.wait_for_event("for ever", "c")

    lab = begin(colour, program)
    lab.tick()
    lab.tick(at=T0 + 5 * MINUTE)
    lab.send("c")
    lab.tick()
    live, replayed = seen
    expected = ("scope:s>wait_for_event:answer", ("a", "b"), T0 + MINUTE)
    assert [expected, expected] == [(each.step_key, each.event_types, each.deadline) for each in (live, replayed)]


def test_w7_the_record_of_a_timeout_is_errored(colour: Colour) -> None:
    lab = begin(colour, waiting_for("a", timeout=MINUTE))
    lab.tick()
    lab.tick(at=T0 + MINUTE)
    record = lab.steps()["wait_for_event:answer"]
    assert ("errored", 1, class_name(EventTimeoutError), True) == (
        record.status,
        record.sequence,
        record.failure and record.failure.type,
        record.failure and record.failure.is_a(TimeoutError),
    )


# -- W8


@pytest.mark.parametrize(
    ("event", "payload"),
    [
        (Approved, Approval("ada")),
        (Rejected, None),
        (EventType(',"payload":', str), "x"),
        (EventType('","payload":"', str), ',"payload":'),
        (EventType("\\", str), '\\",'),
        (EventType("a}b{c", list[str]), ["}", "{", ',"payload":', '"']),
        (EventType("ünï 🜚", str), "\x00 🜚 \u2028"),
        (EventType("big", int), 10**40),
        ("plain", {"payload": [1, 2.5, None, True, {"": ""}]}),
    ],
    ids=["class", "none", "comma", "quotes", "backslash", "brackets", "unicode", "big", "plain"],
)
def test_w8_what_is_received_is_equal_live_and_on_replay(
    colour: Colour, event: EventType[Any] | str, payload: object
) -> None:
    seen: list[Received[Any]] = []

    def program(step: Any) -> Running:
        seen.append((yield step.wait_for_event("answer", event)))
        yield step.wait_for_event("end", "end")

    lab = begin(colour, program)
    lab.send(event, payload, id=',"payload":')
    lab.tick(at=T0 + MINUTE)
    lab.send("end")
    lab.tick()
    name = event if isinstance(event, str) else event.name
    expected = Received(type=name, payload=payload, id=',"payload":', created_at=T0)
    assert [expected, expected] == seen


def test_w8_a_result_that_was_tampered_with_is_refused(colour: Colour) -> None:
    def program(step: Any) -> Running:
        yield step.wait_for_event("answer", "a")
        yield step.sleep("nap", MINUTE)

    lab = begin(colour, program)
    lab.send("a")
    lab.tick()
    rows = lab.world[lab.ref]
    broken = attrs.evolve(lab.steps()["wait_for_event:answer"], result="{}")
    lab.world = {lab.ref: attrs.evolve(rows, steps={**rows.steps, (1, broken.key): broken})}
    lab.now = T0 + MINUTE
    with pytest.raises(CodecError) as caught:
        lab.plan()
    assert ("$", "a received event") == (caught.value.path, caught.value.expected)


# -- W11


def test_w11_a_wrong_payload_is_the_senders_error(colour: Colour) -> None:
    lab = begin(colour, waiting_for(Approved))
    with pytest.raises(CodecError):
        lab.send(Approved, Approval(by=7))  # type: ignore[arg-type]  # the point of the test
    assert {} == lab.events()


@pytest.mark.parametrize("payload", [(1,), Approval("ada"), {1: 2}, float("nan")], ids=repr)
def test_w11_a_plain_str_means_plain_json(colour: Colour, payload: object) -> None:
    lab = begin(colour, waiting_for("a"))
    with pytest.raises(CodecError):
        lab.send("a", payload)
    assert {} == lab.events()


@pytest.mark.parametrize("event", ["other", EventType("other", int)], ids=["str", "EventType"])
def test_w11_a_workflow_that_lists_its_events_takes_no_others(colour: Colour, event: EventType[Any] | str) -> None:
    lab = begin(colour, waiting_for(Approved), events=[Approved, Rejected])
    with pytest.raises(UnknownEventTypeError) as caught:
        lab.send(event, 1)
    assert ("w", "other", ("approved", "rejected")) == (
        caught.value.workflow_name,
        caught.value.event_type,
        caught.value.known,
    )


def test_w11_a_listed_event_that_is_sent_by_name_has_its_listed_type(colour: Colour) -> None:
    lab = begin(colour, waiting_for(Approved), events=[Approved])
    lab.send("approved", Approval("ada"), id="0")
    lab.tick()
    assert ["approved", "0"] == output(lab)


def test_w11_a_payload_type_is_looked_up_by_the_events_name(colour: Colour) -> None:
    workflow: Workflow[Any, Any] = colour(waiting_for(Approved), events=[Approved])
    assert [("approved", Approval), ("approved", Approval)] == [
        workflow.payload_type("approved"),
        workflow.payload_type(Approved),
    ]


# -- W12


def test_w12_a_payload_that_cannot_be_decoded_at_the_wait_ends_it(colour: Colour) -> None:
    lab = begin(colour, waiting_for(Approved))
    lab.send(EventType("approved", int), 7, id="0")
    lab.tick()
    record = lab.steps()["wait_for_event:answer"]
    assert ("StepFailedError", "errored", class_name(CodecError), "0", "wait_for_event:answer") == (
        output(lab),
        record.status,
        record.failure and record.failure.type,
        record.event_id,
        lab.events()["0"].consumed_by,
    )


def test_w12_it_fails_on_replay_as_it_did_live(colour: Colour) -> None:
    seen: list[StepFailedError] = []

    def program(step: Any) -> Running:
        try:
            yield step.wait_for_event("answer", Approved)
        except StepFailedError as error:
            seen.append(error)
            yield step.sleep("nap", MINUTE)

    lab = begin(colour, program)
    lab.send(EventType("approved", int), 7)
    lab.run(until=T0 + MINUTE)
    live, replayed = seen
    assert (live.step_key, live.failure, "complete") == (replayed.step_key, replayed.failure, lab.instance.status)


# -- W13


def test_w13_an_open_wait_for_other_types_is_a_mismatch(colour: Colour) -> None:
    lab = begin(colour, waiting_for("a", "b"))
    lab.tick()
    deploy(lab, colour, waiting_for("a", "c"))
    lab.send("a")
    with pytest.raises(NonDeterminismError) as caught:
        lab.plan()
    assert (lab.ref, "wait_for_event:answer", None, ("wait_for_event:answer",), "") == (
        caught.value.ref,
        caught.value.expected,
        caught.value.sequence,
        caught.value.asked,
        caught.value.scope,
    )


def test_w13_the_mismatch_names_the_types(colour: Colour) -> None:
    lab = begin(colour, waiting_for("b", "a"))
    lab.tick()
    deploy(lab, colour, waiting_for("c"))
    lab.send("a")
    with pytest.raises(NonDeterminismError) as caught:
        lab.plan()
    assert "an open wait for ['a', 'b'] would now wait for ['c']" == caught.value.problem


def test_w13_the_order_of_the_types_is_no_part_of_its_identity(colour: Colour) -> None:
    lab = begin(colour, waiting_for("a", "b"))
    lab.tick()
    deploy(lab, colour, waiting_for("b", "a"))
    lab.send("b", id="0")
    lab.tick()
    assert ["b", "0"] == output(lab)


def after_a_wait_for(*events: str) -> Program:
    def program(step: Any) -> Running:
        received = yield step.wait_for_event("answer", *events)
        yield step.sleep("nap", SECOND)
        return received.type

    return program


def test_w13_a_settled_wait_may_gain_types(colour: Colour) -> None:
    lab = begin(colour, after_a_wait_for("a"))
    lab.send("a")
    lab.tick()
    deploy(lab, colour, after_a_wait_for("a", "b"))
    lab.tick(at=T0 + SECOND)
    assert "a" == output(lab)


def test_w13_a_settled_wait_may_not_lose_the_type_that_it_took(colour: Colour) -> None:
    lab = begin(colour, after_a_wait_for("a", "b"))
    lab.send("a")
    lab.tick()
    deploy(lab, colour, after_a_wait_for("b"))
    lab.now = T0 + SECOND
    with pytest.raises(CodecError) as caught:
        lab.plan()
    assert ("$.type", "one of ['b']", "'a'") == (caught.value.path, caught.value.expected, caught.value.found)


def test_k4_a_type_given_as_text_is_a_name_like_any_other(colour: Colour) -> None:
    def program(step: Any) -> Running:
        with suppress(Exception):
            yield step.wait_for_event("w", "a#b")

    lab = begin(colour, program)
    with pytest.raises(StepNameError, match="event type 'a#b'"):
        lab.plan()
    with pytest.raises(StepNameError, match="event type 'a#b'"):
        lab.send("a#b")
