"""``Dispatcher``: due hooks -> ``run_tick``, until idle or for ever (rule R3).

One thread looks for work, a pool of threads does it: one tick per instance at a time in a process, never more than
``concurrency`` at once. It wakes without delay when a plan is applied through the same store object, or on
``notify``; work of other processes is found by ``next_due_at`` and every ``poll_interval``. Nothing is claimed: two
dispatchers may take the same hook, and one of them commits.
"""

from __future__ import annotations

import logging
import threading
from datetime import timedelta
from functools import partial
from types import TracebackType
from typing import Self, final

from wfcore.codec import JSON
from wfcore.keys import is_terminal_notice
from wfcore.model import FiredHook
from wfcore.planner import RECOVER_AFTER
from wfcore.ports import Codec, DueQuery, HookFeed, Shard, Store
from wfcore.runner.arguments import check_registry, check_settings, check_shard, check_store
from wfcore.runner.doors import BlockingFeed, BlockingSignal, at_once, listen
from wfcore.runner.errand import Errand
from wfcore.runner.notices import OnTerminal, announce
from wfcore.runner.observe import Observer
from wfcore.runner.pool import Pool
from wfcore.runner.roster import Roster, has_got_on
from wfcore.runner.runtime import REAL, Runtime
from wfcore.runner.tick import handle
from wfcore.runner.watch import Watch
from wfcore.workflow import Registry

_log = logging.getLogger("wfcore.runner")


@final
class Dispatcher:
    """Runs the workflows of a registry on a store.

    Args:
        store: where instances live.
        registry: the workflows to run; hooks of others are left to other processes.
        feed: where due hooks come from; left out: the store itself.
        concurrency: how many ticks run at once, each in a thread.
        poll_interval: how often to look for work that nobody in this process told of.
        recover_after: when another dispatcher may take over from one that died, or whose body takes longer: both
            then run the body, and one result is kept (rules S12, O6).
        codec: how values become payloads; the same as the clients'.
        observer: gets a report of every tick.
        on_terminal: is told of the end of each instance whose workflow has ``notify=True``, at least once (rule O7).
        shard: which part of the instances is this one's, if several dispatchers share the store (rule R4); left out: it
            takes them all.
        runtime: time, ids and pauses.

    Use it as a context manager (it runs in a thread of its own until the block ends), call :meth:`run` (until
    :meth:`stop`), or :meth:`run_until_idle`.
    """

    def __init__(  # noqa: PLR0913 - two things and settings by keyword
        self,
        store: Store,
        registry: Registry,
        *,
        feed: HookFeed | None = None,
        concurrency: int = 8,
        poll_interval: timedelta = timedelta(seconds=1),
        recover_after: timedelta = RECOVER_AFTER,
        codec: Codec = JSON,
        observer: Observer | None = None,
        on_terminal: OnTerminal | None = None,
        shard: Shard | None = None,
        runtime: Runtime = REAL,
    ) -> None:
        check_store(store)
        found = store if feed is None else feed
        if not isinstance(found, HookFeed):
            raise TypeError(f"{type(store).__name__} has no due() and next_due_at(); pass feed=")
        check_registry(registry)
        check_settings(concurrency, poll_interval=poll_interval, recover_after=recover_after)
        check_shard(shard)
        registry.check_types(codec)
        self._store = store
        self._feed = BlockingFeed(found)
        self._registry = registry
        self._concurrency = concurrency
        self._errand = partial(Errand, registry=registry, codec=codec, recover_after=recover_after, observer=observer)
        self._on_terminal = on_terminal
        self._runtime = runtime
        wanted = DueQuery(workflow_names=registry.names, terminal_notices=on_terminal is not None, shard=shard)
        self._roster = Roster(wanted, concurrency, poll_interval, runtime, BlockingSignal())
        self._fatal: BaseException | None = None
        self._thread = threading.Thread(target=self._run_in_thread, name="wfcore-dispatcher", daemon=True)

    def __repr__(self) -> str:
        return f"Dispatcher({self._registry!r}, concurrency={self._concurrency})"

    @property
    def is_running(self) -> bool:
        """Whether it has begun and has not ended. False in its block: it has ended before its time, see the log.

        What has ended it is raised at the end of the block. A program that goes on meanwhile, as a web server does,
        tells by this that nobody runs its workflows any more.
        """
        return self._roster.is_running

    def run(self) -> None:
        """Handle hooks as they become due, until :meth:`stop`.

        Failures of the store are logged and tried again for ever.

        Raises:
            BaseException: what a body raised that is not an ``Exception``, such as ``SystemExit`` (rule S14).
            RuntimeError: the dispatcher is running already, or was stopped.
        """
        self._roster.begin()
        self._work(until_idle=False)

    def run_until_idle(self) -> None:
        """Handle hooks until none is due, those that become due meanwhile included; time is not waited for.

        An instance that another dispatcher is at work on is left to it.

        Raises:
            StoreError: the store was unavailable, or holds a row that cannot be read. What else was due is done; the
                hooks that failed are still there.
            BaseException, RuntimeError: as :meth:`run`.
        """
        self._roster.begin()
        self._work(until_idle=True)

    def notify(self, ref: str) -> None:
        """Something may be due for this instance: look now. Only a hint; a wrong or a lost one does no harm.

        With an empty ref, for any instance: a queue of yours that has lost a message says so.
        """
        self._roster.heard(ref)

    def stop(self, *, grace: timedelta = timedelta(seconds=10)) -> None:
        """Start nothing new, and let running ticks come to their next checkpoint.

        A body in a thread is not interrupted: what is still running after ``grace`` is left behind, and its result is
        thrown away; another dispatcher runs it again. A stopped dispatcher cannot be started again.
        """
        at_once(self._roster.request_stop(grace))

    def __enter__(self) -> Self:
        self._roster.begin()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._thread.join()
        if self._fatal is not None and error is None:
            raise self._fatal

    def _run_in_thread(self) -> None:
        try:
            self._work(until_idle=False)
        except BaseException as error:
            _log.exception("the dispatcher ended")
            self._fatal = error

    def _work(self, *, until_idle: bool) -> None:
        unlisten = listen(self._store, self.notify)
        pool = Pool("wfcore-tick", self._concurrency)
        try:
            at_once(self._roster.work(self._feed, partial(self._start, pool), until_idle=until_idle))
        except BaseException:
            self._roster.abandon()
            raise
        finally:
            pool.close()
            unlisten()
            self._roster.ended()
        self._roster.conclude(until_idle=until_idle)

    def _start(self, pool: Pool, fired: FiredHook, watch: Watch) -> None:
        pool.submit(partial(self._handle, fired, watch))

    def _handle(self, fired: FiredHook, watch: Watch) -> None:
        try:
            got_on = self._tend(fired, watch)
        except BaseException as error:
            self._roster.failed(fired, error)
        else:
            self._roster.done(fired, got_on=got_on)

    def _tend(self, fired: FiredHook, watch: Watch) -> bool:
        """Handle the hook; False: nothing came of it."""
        stop, runtime = self._roster.stop, self._runtime
        if is_terminal_notice(fired.hook.id):
            return announce(self._store, fired, self._on_terminal, stop=stop, runtime=runtime)
        return has_got_on(handle(self._store, self._errand(fired=fired, stop=stop, watch=watch), runtime))
