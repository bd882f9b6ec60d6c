"""``plan_tick_async``: the planner's loop, driven on an event loop; and plans that are made in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from concurrent.futures import Future
from datetime import timedelta
from functools import partial
from typing import TypeAlias, final

import attrs

from wfcore.codec import JSON
from wfcore.model import FiredHook, Snapshot
from wfcore.plan import Plan
from wfcore.planner import RECOVER_AFTER, Bodies, Commit, Continue, Done, Known, Stop, tick_loop
from wfcore.planner.ends import Answer
from wfcore.ports import Codec
from wfcore.runner.aio.flights import Flights
from wfcore.runner.aio.threads import Threads
from wfcore.runner.errand import Abandoned
from wfcore.runner.guard import WORKFLOW_CODE
from wfcore.workflow import Registry

AsyncCommit: TypeAlias = Callable[[Plan], Awaitable[Continue | Stop]]


async def plan_tick_async(  # noqa: PLR0913 - as plan_tick
    snapshot: Snapshot,
    fired: FiredHook,
    registry: Registry,
    *,
    execution_id: str,
    flights: Flights,
    commit: AsyncCommit,
    mine: frozenset[str] = frozenset(),
    held: tuple[Done, ...] = (),
    absent: frozenset[str] = frozenset(),
    codec: Codec = JSON,
    recover_after: timedelta = RECOVER_AFTER,
) -> Plan:
    """:func:`wfcore.plan_tick` under asyncio, for ``async def`` workflows: awaitable bodies of branches run at once.

    Its arguments are those of :func:`wfcore.plan_tick`, but for two. ``commit`` is awaited, and must be given.
    ``flights`` runs the bodies, in place of ``perform``: those that are in flight since a tick before are taken over by
    key and attempt, and those that still are when this returns, after a ``Stop``, are the caller's to keep for the next
    tick or to end (rule O6).

    Returns:
        The plan to apply. If ``commit`` answered ``Stop``: an empty plan with outcome ``Checkpointed``.

    Raises:
        WorkflowError, CodecError: as :func:`wfcore.plan_tick`.
        BaseException: what a body raised that is not an ``Exception`` (rule S14).
    """
    known = Known(mine=mine, held=held, flights=flights.calls, absent=absent)
    loop = tick_loop(
        snapshot,
        fired,
        registry,
        execution_id=execution_id,
        known=known,
        codec=codec,
        recover_after=recover_after,
    )
    try:
        asked = _advance(partial(next, loop))
        while not isinstance(asked, _Made):
            asked = _advance(await _answered(loop, asked, flights, commit))
        return asked.plan
    finally:
        with WORKFLOW_CODE.around():
            loop.close()


_Loop: TypeAlias = Generator[Bodies | Plan, Answer, Plan]
_Step: TypeAlias = Callable[[], Bodies | Plan]


@final
@attrs.frozen
class _Made:
    """The last plan of the tick."""

    plan: Plan


def _advance(step: _Step) -> Bodies | Plan | _Made:
    """Let the loop run workflow code, which must not reach the event loop (rule D6)."""
    with WORKFLOW_CODE.around():
        try:
            return step()
        except StopIteration as end:
            return _Made(end.value)


async def _answered(loop: _Loop, asked: Bodies | Plan, flights: Flights, commit: AsyncCommit) -> _Step:
    if isinstance(asked, Plan):
        return partial(loop.send, await commit(asked))
    return partial(loop.send, await flights.next(asked))


# -- def workflows


@attrs.frozen
class _Question:
    plan: Plan
    answer: Future[Continue | Stop] = attrs.field(factory=Future)


class _Window:
    """Where a thread that plans asks its task to commit, until the task has left."""

    def __init__(self) -> None:
        self.questions: asyncio.Queue[_Question | None] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._closed = False

    def ask(self, plan: Plan) -> Continue | Stop:
        """Ask, from the thread."""
        question = _Question(plan)
        self._loop.call_soon_threadsafe(self._take, question)
        return question.answer.result()

    def _take(self, question: _Question) -> None:
        if self._closed:
            question.answer.set_exception(Abandoned())
        else:
            self.questions.put_nowait(question)

    def close(self, asked: _Question | None) -> None:
        """Answer nobody any more: what the thread still does counts for nothing."""
        self._closed = True
        left = [asked]
        while not self.questions.empty():
            left.append(self.questions.get_nowait())
        for question in left:
            if question is not None and not question.answer.done():
                question.answer.set_exception(Abandoned())


async def plan_in_thread(threads: Threads, plan: Callable[[Commit], Plan], commit: AsyncCommit) -> Plan:
    """Plan in a thread, with the bodies of a ``def`` workflow (rule R5), and commit on the event loop.

    A task that is cancelled leaves the thread behind, and the thread commits nothing any more.
    """
    window = _Window()
    work = threads.begin(partial(plan, window.ask))
    work.add_done_callback(lambda _: window.questions.put_nowait(None))
    question = None
    try:
        while (question := await window.questions.get()) is not None:
            question.answer.set_result(await commit(question.plan))
        return work.result()
    finally:
        window.close(question)
        work.cancel()
