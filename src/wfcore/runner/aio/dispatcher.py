"""``AsyncDispatcher``: due hooks -> ``run_tick_async``, in a task group (rule R3)."""

from __future__ import annotations

import asyncio
import inspect
import logging
from datetime import timedelta
from functools import partial
from types import TracebackType
from typing import Self, final

from wfcore.codec import JSON
from wfcore.keys import is_terminal_notice
from wfcore.model import FiredHook
from wfcore.planner import RECOVER_AFTER
from wfcore.ports import AsyncHookFeed, AsyncStore, Codec, DueQuery, Shard
from wfcore.runner.aio.doors import AsyncDoors
from wfcore.runner.aio.threads import Threads
from wfcore.runner.aio.tick import handle
from wfcore.runner.aio.waiting import LoopSignal, settled
from wfcore.runner.arguments import check_colour, check_registry, check_settings, check_shard, check_store
from wfcore.runner.doors import listen
from wfcore.runner.errand import Errand
from wfcore.runner.notices import OnTerminal, TerminalNotice, announced
from wfcore.runner.observe import Observer
from wfcore.runner.roster import Roster, has_got_on
from wfcore.runner.runtime import REAL, Runtime
from wfcore.runner.watch import Watch
from wfcore.workflow import Registry

_log = logging.getLogger("wfcore.runner")
GRACE = timedelta(seconds=10)


@final
class AsyncDispatcher:
    """Runs the workflows of a registry on a store, on the event loop that it is started on.

    Args:
        store: where instances live; ``to_async(store)`` for one that blocks.
        registry: the workflows to run; hooks of others are left to other processes.
        feed: where due hooks come from; left out: the store itself.
        concurrency: how many ticks run at once, each in a task. No more hooks than that are asked for.
        poll_interval: how often to look for work that nobody in this process told of.
        on_terminal: is told of the end of each instance whose workflow has ``notify=True``, at least once (rule O7): an
            ``async def`` on the event loop, any other function in a thread.
        recover_after, codec, observer, shard, runtime: as :class:`wfcore.Dispatcher`.

    Use it as an asynchronous context manager (it runs in a task of its own until the block ends), await :meth:`run`
    (until :meth:`stop`), or :meth:`run_until_idle`. Its tasks form a group: none outlives it. Cancelling whoever awaits
    it cancels them; the bodies of steps are cancelled too, nothing more is written, and the hooks are still stored.
    """

    def __init__(  # noqa: PLR0913 - as Dispatcher
        self,
        store: AsyncStore,
        registry: Registry,
        *,
        feed: AsyncHookFeed | None = None,
        concurrency: int = 8,
        poll_interval: timedelta = timedelta(seconds=1),
        recover_after: timedelta = RECOVER_AFTER,
        codec: Codec = JSON,
        observer: Observer | None = None,
        on_terminal: OnTerminal | None = None,
        shard: Shard | None = None,
        runtime: Runtime = REAL,
    ) -> None:
        check_store(store, awaited=True)
        found = store if feed is None else feed
        if not isinstance(found, AsyncHookFeed):
            raise TypeError(f"{type(store).__name__} has no due() and next_due_at(); pass feed=")
        check_colour(found, found.due, awaited=True)
        check_registry(registry)
        check_settings(concurrency, poll_interval=poll_interval, recover_after=recover_after)
        check_shard(shard)
        registry.check_types(codec)
        self._store = store
        self._feed: AsyncHookFeed = found
        self._registry = registry
        self._concurrency = concurrency
        self._errand = partial(Errand, registry=registry, codec=codec, recover_after=recover_after, observer=observer)
        self._tell = None if on_terminal is None else partial(_called, on_terminal)
        self._runtime = runtime
        wanted = DueQuery(workflow_names=registry.names, terminal_notices=on_terminal is not None, shard=shard)
        self._roster = Roster(wanted, concurrency, poll_interval, runtime, LoopSignal(runtime))
        self._ticks: set[asyncio.Task[None]] = set()
        self._background: asyncio.Task[None] | None = None
        self._fatal: BaseException | None = None

    def __repr__(self) -> str:
        return f"AsyncDispatcher({self._registry!r}, concurrency={self._concurrency})"

    @property
    def is_running(self) -> bool:
        """Whether it has begun and has not ended; as :attr:`wfcore.Dispatcher.is_running`."""
        return self._roster.is_running

    async def run(self) -> None:
        """Handle hooks as they become due, until :meth:`stop`; raises as :meth:`wfcore.Dispatcher.run`."""
        self._roster.begin()
        await self._work(until_idle=False)

    async def run_until_idle(self) -> None:
        """Handle hooks until none is due; as :meth:`wfcore.Dispatcher.run_until_idle`."""
        self._roster.begin()
        await self._work(until_idle=True)

    def notify(self, ref: str) -> None:
        """Something may be due for this instance: look now. Only a hint; any thread may give it."""
        self._roster.heard(ref)

    async def stop(self, *, grace: timedelta = GRACE) -> None:
        """Start nothing new, and let running ticks come to their next checkpoint.

        What still runs after ``grace`` is cancelled, and another dispatcher runs it again; only a body in a thread
        cannot be: it is left behind, and its result is thrown away. A stopped dispatcher cannot be started again.
        """
        await self._roster.request_stop(grace)

    async def __aenter__(self) -> Self:
        self._roster.begin()
        self._background = asyncio.create_task(self._run_in_task(), name="wfcore-dispatcher")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        cancelled = kind is not None and issubclass(kind, asyncio.CancelledError)
        try:
            await self.stop(grace=timedelta(0) if cancelled else GRACE)
        finally:
            self._roster.abandon()
            left = None if self._background is None else await settled(self._background)
        if left is not None:
            raise left
        if self._fatal is not None and error is None:
            raise self._fatal

    async def _run_in_task(self) -> None:
        try:
            await self._work(until_idle=False)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            _log.exception("the dispatcher ended")
            self._fatal = error

    async def _work(self, *, until_idle: bool) -> None:
        unlisten = listen(self._store, self.notify)
        failure = None
        try:
            async with asyncio.TaskGroup() as group:
                try:
                    await self._roster.work(self._feed, partial(self._start, group), until_idle=until_idle)
                except Exception as error:  # the group would wrap it
                    failure = error
                finally:
                    self._cancel_ticks()
        except BaseException:
            self._roster.abandon()
            raise
        finally:
            unlisten()
            self._roster.ended()
        if failure is not None:
            self._roster.abandon()
            raise failure
        self._roster.conclude(until_idle=until_idle)

    def _start(self, group: asyncio.TaskGroup, fired: FiredHook, watch: Watch) -> None:
        tick = group.create_task(self._handle(fired, watch), name=f"wfcore {fired.hook.instance_ref}")
        self._ticks.add(tick)
        tick.add_done_callback(self._ticks.discard)

    def _cancel_ticks(self) -> None:
        for tick in self._ticks:
            tick.cancel()

    async def _handle(self, fired: FiredHook, watch: Watch) -> None:
        try:
            got_on = await self._tend(fired, watch)
        except BaseException as error:
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
                raise
            self._roster.failed(fired, error)
        else:
            self._roster.done(fired, got_on=got_on)

    async def _tend(self, fired: FiredHook, watch: Watch) -> bool:
        """Handle the hook; False: nothing came of it."""
        stop, runtime = self._roster.stop, self._runtime
        if is_terminal_notice(fired.hook.id):
            return await announced(AsyncDoors(self._store, runtime), fired, self._tell, stop=stop)
        return has_got_on(await handle(self._store, self._errand(fired=fired, stop=stop, watch=watch), runtime))


async def _called(on_terminal: OnTerminal, notice: TerminalNotice) -> None:
    threads = Threads()
    try:
        answer = await threads.call(on_terminal, notice)
        if inspect.isawaitable(answer):
            await answer
    finally:
        threads.close()
