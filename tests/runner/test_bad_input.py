"""What a new user gets wrong: each gets an error that says what happened and what to do, and nothing is lost."""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.runner.doubles import Machine, world
from wfadapters.memory import MemoryStore
from wfadapters.sqlite import SqliteStore
from wfcore import (
    AsyncStep,
    Attempt,
    Client,
    CodecError,
    CorruptRecordError,
    Dispatcher,
    ForeignAwaitError,
    InstanceFailedError,
    Registry,
    SchemaVersionError,
    Step,
    StepBodyError,
    StepNameError,
    StoreUnavailableError,
    TickReport,
    UnknownWorkflowError,
    WfcoreError,
    Workflow,
    WorkflowDefinitionError,
    workflow,
)

NO_TIME = timedelta(0)


@attrs.frozen
class Order:
    id: str
    cents: int


class Gateway:
    """Not a class that can be stored."""

    def __repr__(self) -> str:
        return "<Gateway>"


# ---- refused before anything is stored


@workflow(name="pay")
async def pay(step: AsyncStep, order: Order) -> int:
    return await step.do("charge", lambda attempt: order.cents)


@workflow(name="other")
async def other(step: AsyncStep, order: Order) -> int:
    return 1


CREATED: dict[str, tuple[Callable[[Client], object], type[WfcoreError], str]] = {
    "unknown workflow": (
        lambda client: client.create(other, Order("a", 1)),
        UnknownWorkflowError,
        (
            "no workflow 'other' in this registry (it holds: 'pay'); add it to Registry([...]) here, or leave its "
            "instances to a process that has it: they are unchanged"
        ),
    ),
    "wrong params type": (
        lambda client: client.create(pay, {"id": "a", "cents": 1}),  # type: ignore[misc] # that is the point
        CodecError,
        "at $: expected ",
    ),
    "a wrong field": (
        lambda client: client.create(pay, Order("a", "1")),  # type: ignore[arg-type] # that is the point
        CodecError,
        "at $.cents: expected int, found ",
    ),
    "params forgotten": (
        lambda client: client.create(pay),  # type: ignore[arg-type] # that is the point
        CodecError,
        "at $: expected ",
    ),
    "an id with #": (
        lambda client: client.create(pay, Order("a", 1), id="order#1"),
        StepNameError,
        (
            "instance id 'order#1' cannot be used: that character is reserved ('#' at position 5); names are 1 to 128 "
            "characters without > # [ ] / and control characters, ids 1 to 256 without # and control characters"
        ),
    ),
}


@pytest.mark.parametrize("case", CREATED)
def test_what_cannot_be_created_is_refused_and_nothing_is_stored(case: str) -> None:
    command, error, text = CREATED[case]
    store = MemoryStore()
    with pytest.raises(error) as caught:
        command(Client(store, Registry([pay])))
    assert str(caught.value).startswith(text)
    assert store._world == {}


# ---- refused when the workflow is defined


def async_def_with_step() -> None:
    @workflow(name="w")
    async def w(step: Step) -> None: ...


def def_with_async_step() -> None:
    @workflow(name="w")  # type: ignore[arg-type] # that is the point
    def w(step: AsyncStep) -> None: ...


def too_many_parameters() -> None:
    @workflow(name="w")  # type: ignore[arg-type] # that is the point
    def w(step: Step, order: Order, amount: int) -> None: ...


def not_a_workflow() -> None:
    Registry([pay.fn])  # type: ignore[list-item] # that is the point


def twice() -> None:
    Registry([pay, pay])


DEFINED: dict[Callable[[], None], str] = {
    async_def_with_step: "workflow 'w': an 'async def' workflow takes AsyncStep as its first parameter, not Step; "
    "annotate it with wfcore.AsyncStep, or change 'def' and 'async def'",
    def_with_async_step: "workflow 'w': a 'def' workflow takes Step as its first parameter, not AsyncStep; "
    "annotate it with wfcore.Step, or change 'def' and 'async def'",
    too_many_parameters: "workflow 'w': too_many_parameters.<locals>.w",
    not_a_workflow: "workflow '<function pay at",
    twice: "workflow 'pay': two workflows of this name; give each a name of its own",
}


@pytest.mark.parametrize("define", DEFINED, ids=lambda define: define.__name__)
def test_what_cannot_be_a_workflow_is_refused_where_it_is_defined(define: Callable[[], None]) -> None:
    with pytest.raises(WorkflowDefinitionError) as caught:
        define()
    assert str(caught.value).startswith(DEFINED[define])


# ---- the author's errors: the instance waits for a better deploy


@workflow(name="w")
async def name_with_angle(step: AsyncStep) -> int:
    return await step.do("pay > ship", lambda attempt: 1)


@workflow(name="w")
async def zero_arguments(step: AsyncStep) -> int:
    return await step.do("charge", lambda: 1)  # type: ignore[arg-type, misc] # that is the point


@workflow(name="w")
async def called_body(step: AsyncStep) -> int:
    return await step.do("charge", 1)  # type: ignore[call-overload, no-any-return] # that is the point


@workflow(name="w")
async def foreign_sleep(step: AsyncStep) -> None:
    await asyncio.sleep(1)


@workflow(name="w")
async def async_body(step: AsyncStep) -> None:
    async def body(attempt: Attempt) -> None: ...

    await step.do("charge", body)


@workflow(name="w")
async def forgotten_await(step: AsyncStep) -> None:
    step.do("charge", lambda attempt: 1)  # type: ignore[unused-coroutine] # that is the point


AUTHORS: dict[str, tuple[Workflow[None, Any], type[WfcoreError], str]] = {
    "step name with >": (
        name_with_angle,
        StepNameError,
        (
            "step name 'pay > ship' cannot be used: that character is reserved ('>' at position 4); names are 1 to 128 "
            "characters without > # [ ] / and control characters, ids 1 to 256 without # and control characters"
        ),
    ),
    "zero-argument body": (
        zero_arguments,
        StepBodyError,
        (
            "step 'do:charge': a body is called with exactly one argument, the attempt; this one takes (); write "
            "'lambda attempt: ...' or 'def body(attempt): ...'; bind other arguments with functools.partial"
        ),
    ),
    "body that was called already": (
        called_body,
        StepBodyError,
        "step 'do:charge': the body 1 is not callable; pass a function that takes the attempt",
    ),
    "awaiting asyncio.sleep": (
        foreign_sleep,
        ForeignAwaitError,
        (
            f"{__file__}:{foreign_sleep.fn.__code__.co_firstlineno + 2}: workflow code may await steps and coroutines "
            "made of steps, not asyncio.sleep; do it in a step body (step.do), or use step.sleep for a pause"
        ),
    ),
    "async body": (
        async_body,
        StepBodyError,
        (
            "step 'do:charge': its body gave an awaitable (coroutine), and this runner cannot await; use a plain "
            "function as the body; one that is awaited needs an 'async def' workflow and an AsyncDispatcher"
        ),
    ),
    "forgotten await": (
        forgotten_await,
        WfcoreError,
        "the workflow ended, but 'do:charge' was made and never awaited; write 'await' before the step",
    ),
}


@workflow(name="w")
async def corrected(step: AsyncStep) -> str:
    return "done"


@pytest.mark.parametrize("case", AUTHORS)
def test_an_authors_error_is_logged_and_kept_and_a_corrected_deploy_goes_on(
    case: str, caplog: pytest.LogCaptureFixture
) -> None:
    wrong, error, text = AUTHORS[case]
    machine = Machine()
    store = MemoryStore(machine.clock)
    handle = Client(store, Registry([wrong])).create(wrong, id="1")
    before = world(store, handle.ref)[handle.ref]
    reports: list[TickReport] = []
    Dispatcher(store, Registry([wrong]), observer=reports.append).run_until_idle()
    (report,) = reports
    assert isinstance(report.error, error)
    assert str(report.error) == text
    assert f"tick of w#1 failed: {type(report.error).__name__}: {text}" in caplog.messages
    after = world(store, handle.ref)[handle.ref]
    (hook,) = after.hooks.values()
    assert (after.instance, after.steps, after.events) == (before.instance, {}, {})
    assert hook.last_error == f"{type(report.error).__name__}: {text}"
    machine.advance(1)
    Dispatcher(store, Registry([corrected])).run_until_idle()
    assert Client(store, Registry([corrected])).handle(corrected, "1").result() == "done"


# ---- values that cannot be stored: the step, or the workflow, fails


@workflow(name="w")
async def untyped_lambda(step: AsyncStep) -> int:
    order = await step.do("load", lambda attempt: Order("a", 1))
    return order.cents


@workflow(name="w")
async def unencodable_step(step: AsyncStep) -> None:
    await step.do("connect", lambda attempt: Gateway())


@workflow(name="w")
async def untyped_tuple(step: AsyncStep) -> None:
    await step.do("pair", lambda attempt: (1, 2))


@workflow(name="w")
async def unencodable_result(step: AsyncStep) -> Any:
    return Gateway()


@workflow(name="w")
async def wrong_result(step: AsyncStep) -> int:
    return await step.do("text", lambda attempt: "7")  # type: ignore[arg-type, return-value] # that is the point


VALUES: dict[str, tuple[Workflow[None, Any], str | None, list[str]]] = {
    "untyped lambda that returns a class": (untyped_lambda, "do:load", ["Order", "returns="]),
    "step result that cannot be encoded": (unencodable_step, "do:connect", ["Gateway"]),
    "untyped lambda that returns a tuple": (untyped_tuple, "do:pair", ["tuple"]),
    "result that cannot be encoded": (unencodable_result, None, ["Gateway"]),
    "result of another type": (wrong_result, None, ["expected int", "'7'"]),
}


@pytest.mark.parametrize("case", VALUES)
def test_a_value_that_cannot_be_stored_is_a_failure_that_says_what_to_do(case: str) -> None:
    wrong, step_key, words = VALUES[case]
    store = MemoryStore()
    handle = Client(store, Registry([wrong])).create(wrong, id="1")
    Dispatcher(store, Registry([wrong])).run_until_idle()
    with pytest.raises(InstanceFailedError) as caught:
        handle.result()
    text = str(caught.value)
    assert [word for word in words if word not in text] == []
    assert text.endswith("handle.restart() begins again")
    failure = handle.get().failure
    steps = {step.key: step for step in handle.history().steps}
    if step_key is None:
        assert failure is not None
        assert failure.is_a(CodecError)
    else:
        assert (steps[step_key].status, steps[step_key].attempts) == ("errored", 1)
        failure = steps[step_key].failure
        assert failure is not None
        assert failure.is_a(CodecError)


# ---- a database that is not as it should be


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "workflows.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    with SqliteStore(path, synchronous="OFF") as opened:
        yield opened


@contextmanager
def connected(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def create(store: SqliteStore) -> Any:
    return Client(store, Registry([corrected])).create(corrected, id="1")


def test_a_corrupt_row_is_named_and_its_hook_survives(store: SqliteStore, path: Path) -> None:
    handle = create(store)
    with connected(path) as connection:
        connection.execute("UPDATE wfcore_instances SET params = 'null', status = 'running'")
    with pytest.raises(CorruptRecordError) as caught:
        Dispatcher(store, Registry([corrected])).run_until_idle()
    assert str(caught.value) == (
        "corrupt row in wfcore_instances (ref 'w#1'): status 'running' is none of active, waiting, paused, complete, "
        "errored, terminated; the row was changed or damaged outside wfcore; nothing was written; mend or restore it"
    )
    with pytest.raises(CorruptRecordError):
        handle.status()
    with connected(path) as connection:
        connection.execute("UPDATE wfcore_instances SET status = 'active'")
    Dispatcher(store, Registry([corrected])).run_until_idle()
    assert handle.result() == "done"


def test_a_corrupt_payload_defers_the_hook(store: SqliteStore, path: Path) -> None:
    """The row is whole; what is in it does not fit the workflow (rule D3)."""
    client = Client(store, Registry([pay]))
    handle = client.create(pay, Order("a", 7), id="1")
    with connected(path) as connection:
        connection.execute("UPDATE wfcore_instances SET params = '{'")
    reports: list[TickReport] = []
    Dispatcher(store, Registry([pay]), observer=reports.append).run_until_idle()
    assert isinstance(reports[0].error, CodecError)
    assert handle.status() == "active"
    (hook,) = store.retrieve(handle.ref).hooks
    assert (hook.attempts, hook.last_error) == (1, f"CodecError: {reports[0].error}")


def test_a_locked_database_says_who_holds_it(path: Path) -> None:
    with connected(path) as holder, SqliteStore(path, timeout=NO_TIME, synchronous="OFF") as store:
        handle = create(store)
        before = world(store, handle.ref)
        holder.execute("BEGIN IMMEDIATE")
        for command in (
            lambda: Client(store, Registry([corrected])).create(corrected, id="2"),
            lambda: handle.send_event("go"),
            Dispatcher(store, Registry([corrected])).run_until_idle,
        ):
            with pytest.raises(StoreUnavailableError) as caught:
                command()
            assert str(caught.value) == (
                "store unavailable during apply: database is locked (SQLITE_BUSY); another connection holds the "
                "database: end its transaction, or set a longer timeout"
            )
        holder.execute("ROLLBACK")
        assert world(store, handle.ref, "w#2") == before
        Dispatcher(store, Registry([corrected])).run_until_idle()
        assert handle.result() == "done"


def test_a_read_only_database_says_what_to_make_writable(path: Path) -> None:
    def read_only(connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA query_only = 1")

    with SqliteStore(path) as store:
        handle = create(store)
        before = world(store, handle.ref)
    with SqliteStore(path, on_connect=read_only) as store:
        assert Client(store, Registry([corrected])).handle(corrected, "1").status() == "active"
        with pytest.raises(StoreUnavailableError) as caught:
            Dispatcher(store, Registry([corrected])).run_until_idle()
        assert str(caught.value) == (
            "store unavailable during apply: attempt to write a readonly database (SQLITE_READONLY); make the file and "
            "its directory writable for this user, then it goes on"
        )
    with SqliteStore(path) as store:
        assert world(store, handle.ref) == before


def test_a_full_database_goes_on_when_there_is_room(path: Path) -> None:
    room = [1_000_000]

    def limited(connection: sqlite3.Connection) -> None:
        connection.execute(f"PRAGMA max_page_count = {room[0]}")

    @workflow(name="w")
    async def big(step: AsyncStep) -> int:
        return len(await step.do("big", lambda attempt: "x" * 500_000))

    with SqliteStore(path) as store:
        handle = Client(store, Registry([big])).create(big)
        before = world(store, handle.ref)
    room[0] = 1  # not one page more than there are
    with SqliteStore(path, on_connect=limited) as store:
        with pytest.raises(StoreUnavailableError) as caught:
            Dispatcher(store, Registry([big])).run_until_idle()
        assert str(caught.value) == (
            "store unavailable during apply: database or disk is full (SQLITE_FULL); the disk or the database's page "
            "limit is full: make room, then it goes on"
        )
        assert world(store, handle.ref) == before
    with SqliteStore(path) as store:
        Dispatcher(store, Registry([big])).run_until_idle()
        assert Client(store, Registry([big])).handle(big, handle.id).result() == 500_000


def test_a_newer_schema_is_not_touched(store: SqliteStore, path: Path) -> None:
    create(store)
    store.close()
    with connected(path) as connection:
        connection.execute("UPDATE wfcore_meta SET value = 99")
    before = path.read_bytes()
    with pytest.raises(SchemaVersionError) as caught:
        SqliteStore(path)
    assert str(caught.value) == (
        "the database has wfcore schema version 99, this adapter writes 2; a newer wfcore has written it: install that "
        "version here, or open another file"
    )
    assert path.read_bytes() == before


def test_nothing_of_all_this_is_logged_as_a_payload(caplog: pytest.LogCaptureFixture) -> None:
    store = MemoryStore()
    registry = Registry([pay])
    with caplog.at_level(logging.DEBUG):
        Client(store, registry).create(pay, Order("secret", 1))
        Dispatcher(store, registry).run_until_idle()
    assert "secret" not in caplog.text
