"""Rule D6 at run time: workflow code cannot reach an event loop, and nothing of it leaks onto the host's."""

import asyncio
import gc
import inspect
import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from tests.runner.doubles import Desk
from wfcore.define import workflow
from wfcore.errors import ForeignAwaitError
from wfcore.planner import AsyncStep, Attempt, Step
from wfcore.retry import Retry
from wfcore.runner import StopSignal
from wfcore.workflow import Workflow

# ---- calls that need a loop


async def nap() -> None:
    await asyncio.sleep(1)


async def sleep() -> None:
    await asyncio.sleep(1)


async def yield_to_others() -> None:
    await asyncio.sleep(0)


async def gather() -> None:
    await asyncio.gather(nap(), nap())


async def create_task() -> None:
    await asyncio.create_task(nap())


async def named_task() -> None:
    await asyncio.create_task(nap(), name="a nap")


async def ensure_future() -> None:
    await asyncio.ensure_future(nap())


async def task_group() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(nap())


async def to_thread() -> None:
    await asyncio.to_thread(print)


async def wait_for() -> None:
    await asyncio.wait_for(nap(), 1)


async def shield() -> None:
    await asyncio.shield(nap())


async def as_completed() -> None:
    for each in asyncio.as_completed([nap(), nap()]):
        await each


async def timeout() -> None:
    async with asyncio.timeout(1):
        await nap()


async def event() -> None:
    await asyncio.Event().wait()


async def queue() -> None:
    await asyncio.Queue[int]().get()


async def future() -> None:
    await asyncio.Future[int]()


async def loop_time() -> None:
    asyncio.get_running_loop().time()


async def event_loop() -> None:
    asyncio.get_event_loop().call_soon(print)


async def current_task() -> None:
    asyncio.current_task()


async def streams() -> None:
    await asyncio.open_connection("localhost", 1)


# What the error names, besides the file and the line.
CALLS: dict[Callable[[], Coroutine[Any, Any, None]], str] = {
    sleep: "asyncio.sleep",
    yield_to_others: "asyncio.sleep",
    gather: "asyncio.gather",
    create_task: "asyncio.create_task",
    named_task: "asyncio.create_task",
    ensure_future: "asyncio.ensure_future",
    task_group: "asyncio.__aenter__",
    to_thread: "asyncio.to_thread",
    wait_for: "asyncio.wait_for",
    shield: "asyncio.shield",
    as_completed: "asyncio.as_completed",
    timeout: "asyncio.timeout",
    event: "asyncio.wait",
    queue: "asyncio.get",
    future: "asyncio's event loop (get_debug)",
    loop_time: "asyncio's event loop (time)",
    event_loop: "asyncio's event loop (call_soon)",
    current_task: "asyncio's event loop",
    streams: "asyncio.open_connection",
}
calls = pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)


@pytest.fixture(autouse=True, scope="module")
def frozen() -> None:
    """What lives already is not looked at again by each `gc.collect()`."""
    gc.freeze()


def awaiting(call: Callable[[], Awaitable[object]]) -> Workflow[None, None]:
    @workflow(name="w")
    async def w(step: AsyncStep) -> None:
        await step.do("a", lambda attempt: None)
        await call()

    return w


def refusal(desk: Desk, **options: Any) -> ForeignAwaitError:
    """The error of a tick that has nothing done before: the hook is deferred with it (rule D3)."""
    error = desk.tick(**options).error
    assert isinstance(error, ForeignAwaitError)
    return error


def done_a(desk: Desk) -> Desk:
    """Its first step is settled, so that the next tick has no new work before the call."""
    desk.tick(stop=StopSignal(requested=True))
    assert [step.key for step in desk.snapshot.steps] == ["do:a"]
    desk.machine.advance(10)
    return desk


@calls
@pytest.mark.usefixtures("both_runners")
def test_d6_a_call_that_needs_a_loop_is_refused_where_it_stands(call: Callable[[], Coroutine[Any, Any, None]]) -> None:
    desk = done_a(Desk.of(awaiting(call)))
    before = desk.rows()
    error = refusal(desk)
    lines, first = inspect.getsourcelines(call)
    assert error.file == __file__
    assert error.line in range(first, first + len(lines))
    assert desk.rows().instance == before.instance
    assert desk.rows().steps == before.steps
    gc.collect()  # a coroutine that nobody awaits would warn now


@calls
@pytest.mark.usefixtures("both_runners")
def test_d6_the_error_names_what_was_called(call: Callable[[], Coroutine[Any, Any, None]]) -> None:
    what = refusal(done_a(Desk.of(awaiting(call)))).what
    if call in {wait_for, as_completed} or "event loop" in CALLS[call]:
        assert what.startswith("asyncio")  # the inner call differs between versions of Python
    else:
        assert what == CALLS[call]
    gc.collect()


def test_d6_the_text_says_what_to_do() -> None:
    desk = done_a(Desk.of(awaiting(sleep)))
    error = refusal(desk)
    assert str(error) == (
        f"{__file__}:{error.line}: workflow code may await steps and coroutines made of steps, not asyncio.sleep; "
        "do it in a step body (step.do), or use step.sleep for a pause"
    )


@pytest.mark.usefixtures("both_runners")
def test_d6_after_new_work_the_work_is_kept_and_the_error_is_in_the_hook() -> None:
    """Rule D9."""
    desk = Desk.of(awaiting(sleep))
    desk.tick()
    (hook,) = desk.snapshot.hooks
    assert desk.instance.status == "active"
    assert [step.status for step in desk.snapshot.steps] == ["completed"]
    assert "asyncio.sleep" in (hook.last_error or "")


@pytest.mark.usefixtures("both_runners")
def test_d6_a_def_workflow_is_refused_too() -> None:
    @workflow(name="w")
    def w(step: Step) -> None:
        asyncio.get_running_loop().call_soon(print)

    assert refusal(Desk.of(w)).line == w.fn.__code__.co_firstlineno + 2


@pytest.mark.usefixtures("both_runners")
def test_d6_a_def_workflow_cannot_make_a_task() -> None:
    @workflow(name="w")
    def w(step: Step) -> None:
        asyncio.create_task(nap())  # noqa: RUF006 # it is refused

    assert refusal(Desk.of(w)).what == "asyncio.create_task"


@pytest.mark.usefixtures("both_runners")
def test_d6_user_code_cannot_swallow_it() -> None:
    @workflow(name="w")
    async def w(step: AsyncStep) -> None:
        with suppress(Exception):
            await asyncio.sleep(1)

    assert refusal(Desk.of(w)).what == "asyncio.sleep"


def test_d6_the_line_is_the_one_of_the_innermost_workflow_code() -> None:
    async def helper() -> None:
        await asyncio.sleep(1)

    assert refusal(done_a(Desk.of(awaiting(helper)))).line == helper.__code__.co_firstlineno + 1


# ---- bodies and commits are outside


@pytest.mark.parametrize("asyncio_calls", ["asyncio.current_task()", "logging.getLogger('shop').warning('here')"])
def test_a_log_record_may_ask_for_the_current_task(asyncio_calls: str) -> None:
    """Python does so for each record since 3.12; logging in workflow code is a matter of taste, not an error."""

    @workflow(name="w")
    async def w(step: AsyncStep) -> None:
        exec(asyncio_calls, {"__name__": "logging", "asyncio": asyncio, "logging": logging})

    desk = Desk.of(w)
    in_a_loop(desk.tick)
    assert "complete" == desk.instance.status


def test_bodies_may_run_a_loop_of_their_own() -> None:
    async def work() -> int:
        await asyncio.sleep(0)
        return 7

    @workflow(name="w")
    async def w(step: AsyncStep) -> int:
        return await step.do("a", lambda attempt: asyncio.run(work()))

    desk = Desk.of(w)
    desk.tick()
    assert desk.handle.result() == 7


def test_the_store_may_run_a_loop_of_its_own() -> None:
    @workflow(name="w")
    async def w(step: AsyncStep) -> int:
        await step.do("a", lambda attempt: 1)
        return await step.do("b", lambda attempt: 2)

    desk = Desk.of(w)
    desk.store.always["before", "apply"] = lambda: asyncio.run(asyncio.sleep(0))
    desk.tick()
    assert desk.handle.result() == 2


# ---- inside of a host's loop


def in_a_loop(function: Callable[[], Any]) -> Any:
    """Call a function in the thread of a running loop; nothing may be left there."""

    async def host() -> Any:
        tasks, loop, hooks = asyncio.all_tasks(), asyncio.get_running_loop(), sys.get_asyncgen_hooks()
        try:
            return function()
        finally:
            gc.collect()
            assert asyncio.all_tasks() == tasks
            assert asyncio.get_running_loop() is loop
            assert sys.get_asyncgen_hooks() == hooks

    return asyncio.run(host(), debug=True)


@calls
def test_d6_nothing_leaks_onto_the_hosts_loop(call: Callable[[], Coroutine[Any, Any, None]]) -> None:
    desk = done_a(Desk.of(awaiting(call)))
    assert isinstance(in_a_loop(lambda: refusal(desk)), ForeignAwaitError)


def give(value: int, attempt: Attempt) -> int:
    return value


def test_an_async_generator_of_workflow_code_leaves_no_task_on_the_hosts_loop() -> None:
    closed = []

    async def numbers(step: AsyncStep) -> AsyncIterator[int]:
        try:
            for number in range(10):
                yield await step.do("number", partial(give, number))
        finally:
            closed.append("closed")

    @workflow(name="w")
    async def w(step: AsyncStep) -> int:
        found = 0
        async for number in numbers(step):
            found = number
            if number == 3:
                break
        await step.sleep("nap", timedelta(seconds=1))
        return found

    desk = Desk.of(w)
    in_a_loop(desk.tick)
    desk.machine.advance(1)
    in_a_loop(desk.tick)
    assert desk.handle.result() == 3


def test_a_body_in_the_hosts_thread_sees_the_hosts_loop() -> None:
    seen: list[object] = []

    def look(attempt: Attempt) -> None:
        seen.extend((asyncio.get_running_loop(), *sys.get_asyncgen_hooks()))

    @workflow(name="w")
    async def w(step: AsyncStep) -> None:
        await step.do("a", look)

    desk = Desk.of(w)

    def run() -> list[object]:
        desk.tick()
        return [asyncio.get_running_loop(), *sys.get_asyncgen_hooks()]

    assert in_a_loop(run) == seen


def fail(attempt: Attempt) -> None:
    raise ValueError("no")


def interrupt(attempt: Attempt) -> None:
    raise KeyboardInterrupt


@workflow(name="w")
async def retries(step: AsyncStep) -> None:
    await step.do("a", fail, retry=Retry(max_attempts=2))


@workflow(name="w")
async def interrupted(step: AsyncStep) -> None:
    await step.do("a", interrupt)


@pytest.mark.parametrize("broken", [retries, interrupted], ids=["a failed body", "an interrupted body"])
def test_the_hosts_loop_is_restored_after_errors(broken: Workflow[None, None]) -> None:
    desk = Desk.of(broken)

    def run() -> None:
        with suppress(KeyboardInterrupt):
            desk.tick()

    in_a_loop(run)
    assert asyncio._get_running_loop() is None


def test_without_a_loop_there_is_none_afterwards() -> None:
    hooks = sys.get_asyncgen_hooks()
    refusal(done_a(Desk.of(awaiting(sleep))))
    assert asyncio._get_running_loop() is None
    assert sys.get_asyncgen_hooks() == hooks
