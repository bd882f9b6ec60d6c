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
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from types import TracebackType
from typing import Self, final

from wfcore.codec import JSON
from wfcore.errors import StoreError
from wfcore.model import FiredHook
from wfcore.outcome import Ignored
from wfcore.plan import Applied
from wfcore.planner import RECOVER_AFTER
from wfcore.ports import Codec, DueQuery, HookFeed, Listenable, Store
from wfcore.runner.backoff import Backoff
from wfcore.runner.observe import Observer
from wfcore.runner.runtime import REAL, Runtime
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
        runtime: Runtime = REAL,
    ) -> None:
        found = store if feed is None else feed
        if not isinstance(found, HookFeed):
            raise TypeError(f"{type(store).__name__} has no due() and next_due_at(); pass feed=")
        if concurrency < 1:
            raise ValueError(f"concurrency={concurrency}: must be at least 1")
        if min(poll_interval, recover_after) <= timedelta(0):
            raise ValueError("poll_interval and recover_after must be longer than zero")
        self._store = store
        registry.check_types(codec)
        self._feed: HookFeed = found
        self._registry = registry
        self._concurrency = concurrency
        self._poll_interval = poll_interval
        self._recover_after = recover_after
        self._codec = codec
        self._observer = observer
        self._runtime = runtime
        self._stop = StopSignal()
        self._changed = threading.Condition()
        self._news = False
        self._busy: set[str] = set()
        self._backoff = Backoff(runtime)
        self._fatal: BaseException | None = None
        self._thread: threading.Thread | None = None

    def __repr__(self) -> str:
        return f"Dispatcher({self._registry!r}, concurrency={self._concurrency})"

    def run(self) -> None:
        """Handle hooks as they become due, until :meth:`stop`.

        Failures of the store are logged and tried again for ever.

        Raises:
            BaseException: what a body raised that is not an ``Exception``, such as ``SystemExit`` (rule S14).
            RuntimeError: the dispatcher was stopped before.
        """
        self._work(until_idle=False)

    def run_until_idle(self) -> None:
        """Handle hooks until none is due, those that become due meanwhile included; time is not waited for.

        Raises:
            StoreError: the store is unavailable.
            BaseException: as :meth:`run`.
            RuntimeError: the dispatcher was stopped before.
        """
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
        self._stop.requested = True
        with self._changed:
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._busy, grace.total_seconds())
            self._stop.abandoned = True
            self._changed.notify_all()

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run_in_thread, name="wfcore-dispatcher", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if self._thread is not None:
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
        if self._stop.requested:
            raise RuntimeError("this dispatcher was stopped; make a new one")
        unlisten = self._store.listen(self.notify) if isinstance(self._store, Listenable) else None
        pool = ThreadPoolExecutor(self._concurrency, thread_name_prefix="wfcore-tick")
        try:
            while self._turn(pool, until_idle=until_idle):
                pass
            with self._changed:
                self._changed.wait_for(lambda: not self._busy or self._stop.abandoned or self._fatal is not None)
        except BaseException:
            self.stop(grace=timedelta(0))
            raise
        finally:
            pool.shutdown(wait=False)
            if unlisten is not None:
                unlisten()
        if self._fatal is not None:
            fatal, self._fatal = self._fatal, None
            self.stop(grace=timedelta(0))
            raise fatal

    def _turn(self, pool: ThreadPoolExecutor, *, until_idle: bool) -> bool:
        """Start what is due, or wait for something to happen; False: that was all."""
        if self._stop.requested or self._fatal is not None:
            return False
        with self._changed:
            self._news = False
            free = self._concurrency - len(self._busy)
            exclude = self._backoff.left_out() | self._busy
        query = DueQuery(limit=max(free, 1), workflow_names=self._registry.names, exclude=exclude)
        try:
            fired: Sequence[FiredHook] = self._feed.due(query) if free else ()
            for each in fired:
                self._start(pool, each)
            pause = 0.0 if fired else self._pause(query)
        except StoreError:
            if until_idle:
                raise
            _log.exception("cannot look for due hooks; trying again")
            fired, pause = (), self._poll_interval.total_seconds()
        with self._changed:
            if until_idle and not fired and not self._busy and not self._news:
                return False
            if not self._news and not self._stop.requested:
                self._changed.wait(pause if len(self._busy) < self._concurrency else None)
        return True

    def _pause(self, query: DueQuery) -> float:
        """Seconds until there may be something to do that nobody tells of."""
        next_due_at = self._feed.next_due_at(query)
        pauses = [self._poll_interval.total_seconds(), self._backoff.seconds_left()]
        if next_due_at is not None:
            pauses.append(max(0.0, (next_due_at - self._runtime.now()).total_seconds()))
        return min(pause for pause in pauses if pause is not None)

    def _start(self, pool: ThreadPoolExecutor, fired: FiredHook) -> None:
        with self._changed:
            self._busy.add(fired.hook.instance_ref)
        pool.submit(self._handle, fired)

    def _handle(self, fired: FiredHook) -> None:
        ref = fired.hook.instance_ref
        got_on = False
        try:
            report = run_tick(
                self._store,
                self._registry,
                fired,
                codec=self._codec,
                recover_after=self._recover_after,
                observer=self._observer,
                stop=self._stop,
                runtime=self._runtime,
            )
            got_on = isinstance(report.result, Applied) or not isinstance(report.plan and report.plan.outcome, Ignored)
        except StoreError:
            pass  # the report told
        except Exception:
            _log.exception("a tick of %s failed", ref)
        except BaseException as error:
            self._fatal = error
        finally:
            with self._changed:
                (self._backoff.forget if got_on else self._backoff.leave_out)(ref)
                self._busy.discard(ref)
                self._news = True
                self._changed.notify_all()
