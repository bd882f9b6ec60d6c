"""The workflow that runs while its process is killed: retries, a wait, a sleep, and a row of the user per step."""

import sqlite3
from collections.abc import Callable
from datetime import timedelta
from functools import partial

import attrs

from wfcore import Attempt, EventType, Registry, Retry, Step, workflow

Approved = EventType("approved", str)
EVENT_ID = "approval"
RECOVER_AFTER = timedelta(milliseconds=100)
CONCURRENCY = 3
"""Ticks at once of each of the two dispatchers in a process."""
DISPATCHERS = 2
RECORDS = "CREATE TABLE IF NOT EXISTS records (number INTEGER, step TEXT, PRIMARY KEY (number, step))"


@attrs.frozen
class Record:
    """A row of the user's own, which commits with a step; a second one of the same key would be refused."""

    number: int
    step: str


def write_record(connection: sqlite3.Connection, record: Record) -> None:
    connection.execute("INSERT INTO records VALUES (?, ?)", (record.number, record.step))


WRITERS: dict[type, Callable[[sqlite3.Connection, Record], None]] = {Record: write_record}


def on_body(number: int, name: str) -> None:
    """Called at the beginning of each body; a worker puts something of its own here."""


def record(number: int, name: str, attempt: Attempt) -> str:
    on_body(number, name)
    attempt.write(Record(number, name))
    if number % 3 == 0 and attempt.number == 1:
        raise ConnectionError("the gateway is away")
    return f"{name} {number}"


@workflow(name="crash")
def CHECKOUT(step: Step, number: int) -> str:  # noqa: N802 # a constant, as it is used
    retry = Retry(max_attempts=2, delay=timedelta(milliseconds=1))
    charged = step.do("charge", partial(record, number, "charge"), retry=retry)
    step.sleep("settle", timedelta(milliseconds=number % 4))
    approval = step.wait_for_event("approval", Approved)
    shipped = step.do("ship", partial(record, number, "ship"), retry=retry)
    return f"{charged}, {approval.payload}, {shipped}"


def expected(number: int) -> str:
    return f"charge {number}, approval {number}, ship {number}"


REGISTRY = Registry([CHECKOUT])
