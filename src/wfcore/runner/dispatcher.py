"""``Dispatcher``: due hooks -> ``run_tick``, until idle or for ever (rule R3).

One thread looks for work, a pool of threads does it: one tick per instance at a time in a process, never more than
``concurrency`` at once. It wakes without delay when a plan is applied through the same store object, or on
``notify``; work of other processes is found by ``next_due_at`` and every ``poll_interval``. Nothing is claimed: two
dispatchers may take the same hook, and one of them commits.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from types import TracebackType
from typing import Self, final

from wfcore.codec import JSON
from wfcore.errors import CorruptRecordError, StoreError
from wfcore.keys import is_terminal_notice
from wfcore.model import FiredHook
from wfcore.outcome import Ignored
from wfcore.plan import Applied
from wfcore.planner import RECOVER_AFTER
from wfcore.ports import Codec, DueQuery, HookFeed, Listenable, Store
from wfcore.runner.arguments import check_durations, check_parts, check_settings
from wfcore.runner.backoff import Backoff
from wfcore.runner.notices import OnTerminal, announce
from wfcore.runner.observe import Observer
from wfcore.runner.pool import Pool
from wfcore.runner.runtime import REAL, Runtime, patience
from wfcore.runner.tick import StopSignal, run_tick
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
        runtime: Runtime = REAL,
    ) -> None:
        check_parts(store, registry)
        found = store if feed is None else feed
        if not isinstance(found, HookFeed):
            raise TypeError(f"{type(store).__name__} has no due() and next_due_at(); pass feed=")
        check_settings(concurrency, poll_interval=poll_interval, recover_after=recover_after)
        self._store = store
        registry.check_types(codec)
        self._feed: HookFeed = found
        self._registry = registry
        self._concurrency = concurrency
        self._poll_interval = poll_interval
        self._tick = partial(run_tick, store, registry, codec=codec, recover_after=recover_after, observer=observer)
        self._on_terminal = on_terminal
        self._runtime = runtime
        self._stop = StopSignal()
        self._changed = threading.Condition()
        self._running = False
        self._news = False
        self._busy: set[str] = set()
        self._backoff = Backoff(runtime)
        self._fruitless = 0
        self._failure: BaseException | None = None
        self._fatal: BaseException | None = None
        self._thread = threading.Thread(target=self._run_in_thread, name="wfcore-dispatcher", daemon=True)

    def __repr__(self) -> str:
        return f"Dispatcher({self._registry!r}, concurrency={self._concurrency})"

    def run(self) -> None:
        """Handle hooks as they become due, until :meth:`stop`.

        Failures of the store are logged and tried again for ever.

        Raises:
            BaseException: what a body raised that is not an ``Exception``, such as ``SystemExit`` (rule S14).
            RuntimeError: the dispatcher is running already, or was stopped.
        """
        self._begin()
        self._work(until_idle=False)

    def run_until_idle(self) -> None:
        """Handle hooks until none is due, those that become due meanwhile included; time is not waited for.

        An instance that another dispatcher is at work on is left to it.

        Raises:
            StoreError: the store was unavailable, or holds a row that cannot be read. What else was due is done; the
                hooks that failed are still there.
            BaseException, RuntimeError: as :meth:`run`.
        """
        self._begin()
        self._work(until_idle=True)

    def notify(self, ref: str) -> None:
        """Something may be due for this instance: look now. Only a hint; a wrong or a lost one does no harm."""
        with self._changed:
            if ref not in self._busy:  # when its tick ends, the dispatcher looks anyway
                self._news = True
                self._changed.notify_all()

    def stop(self, *, grace: timedelta = timedelta(seconds=10)) -> None:
        """Start nothing new, and let running ticks come to their next checkpoint.

        A body in a thread is not interrupted: what is still running after ``grace`` is left behind, and its result is
        thrown away; another dispatcher runs it again. A stopped dispatcher cannot be started again.
        """
        check_durations(grace=grace)
        self._stop.requested = True
        with self._changed:
            self._changed.notify_all()
            if not self._changed.wait_for(lambda: not self._busy, patience(grace)) and grace:
                _log.warning("left behind, still at work: %s; what is not committed runs again", sorted(self._busy))
            self._stop.abandoned = True
            self._changed.notify_all()

    def __enter__(self) -> Self:
        self._begin()
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

    def _begin(self) -> None:
        with self._changed:
            if self._stop.requested:
                raise RuntimeError("this dispatcher was stopped; make a new one")
            if self._running:
                raise RuntimeError("this dispatcher is running already; make another one")
            self._running = True
            self._failure = None

    def _work(self, *, until_idle: bool) -> None:
        unlisten = self._store.listen(self.notify) if isinstance(self._store, Listenable) else None
        pool = Pool(self._concurrency)
        try:
            while self._turn(pool, until_idle=until_idle):
                pass
            with self._changed:
                self._changed.wait_for(lambda: not self._busy or self._stop.abandoned or self._fatal is not None)
        except BaseException:
            self.stop(grace=timedelta(0))
            raise
        finally:
            pool.close()
            self._running = False
            if unlisten is not None:
                unlisten()
        if self._fatal is not None:
            self.stop(grace=timedelta(0))
            raise self._fatal
        if until_idle and self._failure is not None:
            raise self._failure

    def _turn(self, pool: Pool, *, until_idle: bool) -> bool:
        """Start what is due, or wait for something to happen; False: that was all."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._busy) < self._concurrency or self._must_end())
            if self._must_end():
                return False
            self._news = False
            query = DueQuery(
                limit=self._concurrency - len(self._busy),
                workflow_names=self._registry.names,
                exclude=self._backoff.left_out() | self._busy,
                terminal_notices=self._on_terminal is not None,
            )
        fired, pause = self._look(query)
        for each in fired:
            self._start(pool, each)
        with self._changed:
            if not fired and until_idle and not self._busy and not self._news:
                return False
            if not fired:
                self._changed.wait_for(lambda: self._news or self._must_end(), pause)
        return True

    def _must_end(self) -> bool:
        return self._stop.requested or self._fatal is not None

    def _look(self, query: DueQuery) -> tuple[Sequence[FiredHook], float]:
        """What is due; if nothing is, how many seconds until there may be something that nobody tells of."""
        try:
            fired = self._feed.due(query)
            if fired:
                self._fruitless = 0
                return fired, 0.0
            next_due_at = self._feed.next_due_at(query)
        except StoreError as error:
            self._failed(error, query)
            return (), patience(self._poll_interval)
        with self._changed:
            pauses = [patience(self._poll_interval), self._backoff.seconds_left()]
        if next_due_at is not None:
            pauses.append(self._until(next_due_at))
        return (), min(pause for pause in pauses if pause is not None)

    def _until(self, next_due_at: datetime) -> float:
        """Seconds; if it has passed by this machine's clock, and not by the store's, a pause that doubles."""
        seconds = (next_due_at - self._runtime.now()).total_seconds()
        if seconds > 0:
            self._fruitless = 0
            return seconds
        self._fruitless = min(self._fruitless + 1, 20)
        return 0.0005 * 2.0**self._fruitless

    def _failed(self, error: StoreError, query: DueQuery) -> None:
        """Note that due hooks could not be read; leave out the instance of a row that cannot be."""
        _log.error("cannot look for due hooks, trying again: %s", error)
        with self._changed:
            self._failure = self._failure or error
            ref = error.ref if isinstance(error, CorruptRecordError) else None
            if ref is not None and ref not in query.exclude:
                self._backoff.leave_out(ref)
                self._news = True

    def _start(self, pool: Pool, fired: FiredHook) -> None:
        with self._changed:
            if self._must_end():  # meanwhile
                return
            self._busy.add(fired.hook.instance_ref)
        pool.submit(partial(self._handle, fired))

    def _tend(self, fired: FiredHook) -> bool:
        """Handle the hook; False: nothing came of it."""
        stop, runtime = self._stop, self._runtime
        if is_terminal_notice(fired.hook.id):
            return announce(self._store, fired, self._on_terminal, stop=stop, runtime=runtime)
        report = self._tick(fired, stop=stop, runtime=runtime)
        return isinstance(report.result, Applied) or not isinstance(report.plan and report.plan.outcome, Ignored)

    def _handle(self, fired: FiredHook) -> None:
        ref = fired.hook.instance_ref
        got_on = False
        failure: BaseException | None = None
        fatal: BaseException | None = None
        try:
            got_on = self._tend(fired)
        except StoreError as error:  # the report told
            failure = error
        except (KeyboardInterrupt, SystemExit) as error:
            _log.critical("%s ends the dispatcher: its code or a body raised %r, no Exception (rule S14)", ref, error)
            fatal = error
        except BaseException as error:  # such as a cancellation that leaves a body: the hook is left for later
            _log.exception("a tick of %s failed", ref)
            failure = error
        with self._changed:
            (self._backoff.forget if got_on else self._backoff.leave_out)(ref)
            self._failure = self._failure or failure
            self._fatal = self._fatal or fatal
            self._busy.discard(ref)
            self._news = True
            self._changed.notify_all()
