"""Announcing that an instance has ended: a notice is handed to a callback at least once, then deleted (rule O7).

A notice is a hook of its own kind, and no tick. It outlives a restart of its instance, and the instance is not deleted
before it: so every end is announced, whatever becomes of the instance. What can happen around the callback:

* it raises: the notice is put off, and it is called again later, without end;
* the worker dies, or the store fails, after it has returned: it is called again;
* another dispatcher takes the same notice at the same time: both call it.

So a callback has to tell by ``transition_id`` what it has done already.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import TypeAlias

import attrs

from wfcore.model import FiredHook, Hook, Instance, Snapshot
from wfcore.plan import Conflict, Plan
from wfcore.planner import plan_defer, plan_terminal_notified
from wfcore.ports import Store
from wfcore.runner.doors import BlockingDoors, Doors, at_once
from wfcore.runner.errand import StopSignal
from wfcore.runner.run import MAX_CONFLICTS
from wfcore.runner.runtime import Runtime

_log = logging.getLogger("wfcore.runner")


@attrs.frozen(kw_only=True)
class TerminalNotice:
    """An instance has ended.

    Attributes:
        transition_id: of this end, the same in every call for it.
        ended_at: when the instance ended.
        instance: its row as it is now. If it was restarted since, that is the row of a later run: its
            ``completed_at`` is not ``ended_at``.
    """

    transition_id: str
    ended_at: datetime
    instance: Instance


OnTerminal: TypeAlias = Callable[[TerminalNotice], object]
"""Called at least once for each end, in a worker thread; meanwhile the instance is not run by this dispatcher. Under an
``AsyncDispatcher`` it may be an ``async def``, which is awaited on the event loop."""


Tell: TypeAlias = Callable[[TerminalNotice], Awaitable[object]]
"""Calls somebody's ``on_terminal`` in the way of its colour."""


def announce(
    store: Store, fired: FiredHook, on_terminal: OnTerminal | None, *, stop: StopSignal, runtime: Runtime
) -> bool:
    """:func:`announced`, for a callback that blocks."""
    tell = None if on_terminal is None else partial(_called, on_terminal)
    return at_once(announced(BlockingDoors(store, runtime), fired, tell, stop=stop))


async def announced(doors: Doors, fired: FiredHook, tell: Tell | None, *, stop: StopSignal) -> bool:
    """Hand a notice that is due to the callback, and delete it; or put it off, if the callback raises (rule O7).

    Args:
        doors: to the store where the instance lives.
        fired: the notice, as a feed handed it out.
        tell: calls the callback; ``None``: nobody here wants notices.
        stop: once it is abandoned, nothing is written any more.

    Returns:
        Whether anything became of it. If not, the notice was gone, is not due, or stays because others were faster.

    Raises:
        StoreError: the store failed; the notice survives.
        BaseException: what the callback raised that is no ``Exception``.
    """
    snapshot = await doors.retrieve(fired.hook.instance_ref)
    hook = _stored(snapshot, fired)
    if hook is None or tell is None:
        return False
    error = None
    if snapshot.instance is not None:
        notice = TerminalNotice(transition_id=hook.id, ended_at=hook.created_at, instance=snapshot.instance)
        error = await _error_of(tell, notice)
    if error is None:
        answer = partial(plan_terminal_notified, ref=hook.instance_ref, transition_id=hook.id)
    else:
        answer = partial(plan_defer, fired=fired, error=error)
    return await _write(doors, snapshot, hook.instance_ref, answer, stop)


def _stored(snapshot: Snapshot, fired: FiredHook) -> Hook | None:
    """The notice as it is stored, if it still is and if nobody has put it off meanwhile."""
    now = max(snapshot.now, fired.timestamp)
    return next((hook for hook in snapshot.hooks if hook.id == fired.hook.id and hook.due_at <= now), None)


async def _error_of(tell: Tell, notice: TerminalNotice) -> Exception | None:
    try:
        await tell(notice)
    except Exception as error:
        _log.exception("on_terminal failed for %s; it is called again", notice.transition_id)
        return error
    return None


async def _called(on_terminal: OnTerminal, notice: TerminalNotice) -> None:
    _refuse_awaitable(on_terminal(notice))


def _refuse_awaitable(answer: object) -> None:
    if inspect.iscoroutine(answer):
        answer.close()
    if inspect.isawaitable(answer):
        raise TypeError("on_terminal gave an awaitable, and this dispatcher cannot await; pass a plain function")


async def _write(doors: Doors, snapshot: Snapshot, ref: str, answer: Callable[..., Plan], stop: StopSignal) -> bool:
    for tried in range(MAX_CONFLICTS + 1):
        if tried:
            await doors.pause(0.005 * 2**tried)
            snapshot = await doors.retrieve(ref)
        if stop.abandoned:
            return False
        plan = answer(snapshot, execution_id=doors.runtime.new_id())
        if plan.is_empty or not isinstance(await doors.apply(plan), Conflict):
            return True
    return False
