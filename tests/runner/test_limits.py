"""Limits that warn: one line in the log for each crossing, numbers in the report, and no payload in either (R6, O8)."""

import logging
from datetime import timedelta
from typing import Any

import attrs
import pytest

from tests.planner.rows import record
from tests.runner.doubles import Desk
from tests.twins import Running, as_async_def
from wfadapters.memory import MemoryStore
from wfcore.codec import JsonCodec
from wfcore.define import workflow
from wfcore.model import MANY_RECORDS
from wfcore.outcome import Checkpointed
from wfcore.plan import PutStep
from wfcore.planner import AsyncStep, Attempt
from wfcore.planner.changes import change
from wfcore.runner import Client
from wfcore.workflow import Registry

pytestmark = pytest.mark.usefixtures("both_runners")
SMALL = JsonCodec(max_payload_bytes=100)
HOUR = timedelta(hours=1)
TEXT = "x" * 90
NEAR = "has 92 bytes, of 100 that a payload may have; store it elsewhere and pass a reference"


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [line.getMessage() for line in caplog.records if line.levelno >= logging.WARNING]


def desk_with(count: int, program: Any) -> Desk:
    """An instance with so many records, none of which its code has to ask for."""
    desk = Desk.of(as_async_def(program))
    steps = (record(f"patch:{number}", instance_ref=desk.ref, status="completed") for number in range(count))
    found = desk.instance
    plan = change(found, map(PutStep, steps), Checkpointed(), execution_id="many", now=found.updated_at)
    desk.store.inner.apply(plan)
    return desk


def three_steps(step: Any) -> Running:
    for name in "abc":
        yield step.do(name, lambda attempt: None)
    yield step.sleep("nap", HOUR)


@pytest.mark.parametrize(
    ("count", "told"),
    [(MANY_RECORDS - 4, 0), (MANY_RECORDS - 3, 1), (MANY_RECORDS - 1, 1), (MANY_RECORDS, 1), (MANY_RECORDS + 1, 0)],
)
def test_o8_a_run_that_gets_more_than_5_000_records_is_warned_of_by_the_tick_that_writes_them(
    count: int, told: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Three bodies and a sleep are four records: O8."""
    desk = desk_with(count, three_steps)
    report = desk.tick()
    assert (count, told) == (report.records, len(warnings(caplog)))
    assert told == caplog.text.count("w#1 has more than 5000 records in one run")


def test_o8_it_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    desk = desk_with(MANY_RECORDS - 1, three_steps)
    for _ in range(2):
        desk.tick()
        desk.machine.advance(3_600)
    assert ("complete", 1) == (desk.instance.status, len(warnings(caplog)))


def test_o8_a_record_that_is_written_again_is_not_counted_again(caplog: pytest.LogCaptureFixture) -> None:
    def naps(step: Any) -> Running:
        yield step.sleep("nap", HOUR)

    desk = desk_with(MANY_RECORDS - 1, naps)
    desk.tick()
    desk.machine.advance(3_600)
    desk.tick()
    assert ("complete", []) == (desk.instance.status, warnings(caplog))


def returns_text(length: int) -> Any:
    def program(step: Any) -> Running:
        yield step.do("text", lambda attempt: "x" * length)

    return program


@pytest.mark.parametrize(("length", "told"), [(77, 0), (78, 1), (98, 1)], ids=["79 bytes", "80 bytes", "100 bytes"])
def test_r6_a_payload_of_four_fifths_of_what_is_allowed_is_warned_of(
    length: int, told: int, caplog: pytest.LogCaptureFixture
) -> None:
    desk = Desk.of(as_async_def(returns_text(length)))
    report = desk.tick(codec=SMALL)
    line = f"w#1: the result of 'do:text' has {length + 2} bytes, of 100 that a payload may have; "
    assert (length + 2, told) == (report.largest_payload, len(warnings(caplog)))
    assert told == caplog.text.count(line + "store it elsewhere and pass a reference")


def test_r6_bytes_are_counted_and_not_characters(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk.of(as_async_def(lambda step: (yield step.do("text", lambda attempt: "ä" * 40))))
    assert 82 == desk.tick(codec=SMALL).largest_payload


def test_r6_what_is_stored_already_is_not_warned_of_again(caplog: pytest.LogCaptureFixture) -> None:
    def program(step: Any) -> Running:
        yield step.do("text", lambda attempt: TEXT)
        yield step.do("other", lambda attempt: None)
        yield step.sleep("nap", HOUR)

    desk = Desk.of(as_async_def(program))
    desk.tick(codec=SMALL)
    desk.machine.advance(3_600)
    report = desk.tick(codec=SMALL)
    assert (4, 1) == (report.largest_payload, len(warnings(caplog)))


@workflow(name="other")
async def other(step: AsyncStep, text: str) -> str:
    return step.continue_with(text)


@workflow(name="w")
async def talks(step: AsyncStep) -> str:
    def body(attempt: Attempt) -> None:
        attempt.start(other, TEXT, id="1")
        attempt.send_event(other, "1", "news", TEXT)

    await step.do("talk", body)
    return TEXT


def test_r6_whatever_a_tick_stores_is_warned_of_by_what_it_is_and_whose_and_its_text_is_not_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    desk = Desk.of(talks)
    desk.tick(codec=SMALL)
    assert [
        f"w#1: its result {NEAR}",
        f"other#1: the value of its parameters {NEAR}",
        f"other#1: the payload of event 'news' {NEAR}",
    ] == warnings(caplog)
    assert TEXT not in caplog.text


def test_o8_parameters_of_the_next_run_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk.of(other, TEXT)
    desk.tick(codec=SMALL)
    assert (2, [f"other#1: the value of its parameters {NEAR}"]) == (desk.instance.run_number, warnings(caplog))


def test_r6_commands_warn_too(caplog: pytest.LogCaptureFixture) -> None:
    handle = Client(MemoryStore(), Registry([other]), codec=SMALL).create(other, TEXT, id="1")
    handle.send_event("news", TEXT)
    assert [
        f"other#1: the value of its parameters {NEAR}",
        f"other#1: the payload of event 'news' {NEAR}",
    ] == warnings(caplog)


@attrs.frozen
class Boundless:
    """A codec that does not say how long a payload may be."""

    check_type: Any = SMALL.check_type
    encode: Any = SMALL.encode
    decode: Any = SMALL.decode


def test_r6_a_codec_without_a_limit_warns_of_nothing(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk.of(as_async_def(returns_text(90)))
    report = desk.tick(codec=Boundless())
    assert (92, []) == (report.largest_payload, warnings(caplog))


def test_r6_what_was_not_committed_is_not_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk.of(as_async_def(returns_text(90)))
    desk.store.when("before", "apply", 1, desk.rival)
    desk.tick(codec=SMALL)
    assert 1 == len(warnings(caplog))
