"""What a dispatcher of either colour decides: what to ask for, whom to leave alone, how long to wait, when to end.

A :class:`Roster` looks for work and is told what became of it; who does the work, and in which threads or tasks, is
its dispatcher's business. Any thread may call its methods.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import final

import attrs

from wfcore.errors import CorruptRecordError, StoreError
from wfcore.model import FiredHook
from wfcore.outcome import Ignored
from wfcore.plan import Applied
from wfcore.ports import AsyncHookFeed, DueQuery
from wfcore.runner.arguments import check_durations
from wfcore.runner.backoff import NO_PAUSE_YET, Backoff, longer
from wfcore.runner.doors import Signal
from wfcore.runner.errand import StopSignal
from wfcore.runner.observe import TickReport
from wfcore.runner.runtime import Runtime, patience
from wfcore.runner.watch import Overtime, Watch

_log = logging.getLogger("wfcore.runner")
_FATAL = (KeyboardInterrupt, SystemExit)


@final
class Roster:
    """The work of one dispatcher.

    Args:
        wanted: which hooks, if there were room for all: of which workflows and shard, and whether notices of ends.
        concurrency: how many ticks may run at once.
        poll_interval: how often to look for work that nobody told of.
        runtime: time.
        signal: guards what the roster knows, and tells when it changes.

    Attributes:
        stop: what the ticks are told.
    """

    def __init__(
        self,
        wanted: DueQuery,
        concurrency: int,
        poll_interval: timedelta,
        runtime: Runtime,
        signal: Signal,
    ) -> None:
        self.stop = StopSignal()
        self._wanted = wanted
        self._concurrency = concurrency
        # Nobody tells of hooks that are to be stolen.
        self._poll_interval = patience(min(poll_interval, wanted.shard.steal_after) if wanted.shard else poll_interval)
        self._runtime = runtime
        self._changed = signal
        self._running = False
        self._news = False
        self._busy: set[str] = set()
        self._backoff = Backoff(runtime)
        self._overtime = Overtime(wanted.shard.steal_after if wanted.shard else None, runtime)
        self._fruitless = 0
        self._look_pause = NO_PAUSE_YET
        self._failure: BaseException | None = None
        self._fatal: BaseException | None = None

    @property
    def is_running(self) -> bool:
        """Whether its dispatcher has begun and has not ended."""
        return self._running

    def begin(self) -> None:
        """Raises ``RuntimeError`` if the dispatcher runs already, or was stopped."""
        with self._changed:
            if self.stop.requested:
                raise RuntimeError("this dispatcher was stopped; make a new one")
            if self._running:
                raise RuntimeError("this dispatcher is running already; make another one")
            self._running = True
            self._failure = None

    def heard(self, ref: str) -> None:
        """Something may be due for this instance. If it is another shard's, it is not due here for long.

        Without a ref: for any of them.
        """
        if ref and self._wanted.shard is not None and not self._wanted.shard.owns(ref):
            return
        with self._changed:
            if ref not in self._busy:  # when its tick ends, the dispatcher looks anyway
                self._news = True
                self._changed.notify_all()

    # -- looking for work

    async def work(self, feed: AsyncHookFeed, start: Callable[[FiredHook, Watch], None], *, until_idle: bool) -> None:
        """Start what is due until there is nothing left, or it must end; then wait for what was started."""
        while await self._turn(feed, start, until_idle=until_idle):
            pass
        await self._changed.wait_for(lambda: not self._busy or self.stop.abandoned or self._fatal is not None)

    def ended(self) -> None:
        """The dispatcher does not run any more."""
        self._running = False

    def conclude(self, *, until_idle: bool) -> None:
        """Raise what the work is to end with, if anything."""
        if self._fatal is not None:
            self.abandon()
            raise self._fatal
        if until_idle and self._failure is not None:
            raise self._failure

    async def _turn(self, feed: AsyncHookFeed, start: Callable[[FiredHook, Watch], None], *, until_idle: bool) -> bool:
        """Start what is due, or wait for something to happen; False: that was all."""
        await self._wait_for(lambda: len(self._busy) < self._concurrency or self._must_end())
        with self._changed:
            if self._must_end():
                return False
            self._news = False
            query = attrs.evolve(
                self._wanted,
                limit=self._concurrency - len(self._busy),
                exclude=self._backoff.left_out() | self._busy,
            )
        fired, pause = await self._look(feed, query)
        for each in fired:
            watch = self._take(each)
            if watch is not None:
                start(each, watch)
        if fired:
            return True
        with self._changed:
            if until_idle and not self._busy and not self._news:
                return False
        await self._wait_for(lambda: self._news or self._must_end(), pause)
        return True

    async def _wait_for(self, ready: Callable[[], bool], seconds: float | None = None) -> None:
        """Wait, and warn meanwhile of ticks that take too long."""
        while True:
            with self._changed:
                self._overtime.tell()
                overtime = self._overtime.seconds_left()
            if overtime is None or (seconds is not None and seconds <= overtime):
                await self._changed.wait_for(ready, seconds)
                return
            if await self._changed.wait_for(ready, overtime):
                return
            seconds = None if seconds is None else seconds - overtime

    def _must_end(self) -> bool:
        return self.stop.requested or self._fatal is not None

    async def _look(self, feed: AsyncHookFeed, query: DueQuery) -> tuple[Sequence[FiredHook], float]:
        """What is due; if nothing is, how many seconds until there may be something that nobody tells of."""
        try:
            fired = await feed.due(query)
            next_due_at = None if fired else await feed.next_due_at(query)
        except StoreError as error:
            self._failed(error, query)
            # Not poll_interval, if that is longer: what this look was for is still due, and nobody tells of it again.
            self._look_pause = longer(self._look_pause)
            return (), min(self._look_pause, self._poll_interval)
        self._look_pause = NO_PAUSE_YET
        if fired:
            self._fruitless = 0
            return fired, 0.0
        with self._changed:
            pauses = [self._poll_interval, self._backoff.seconds_left()]
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

    # -- what becomes of it

    def _take(self, fired: FiredHook) -> Watch | None:
        with self._changed:
            if self._must_end():  # meanwhile
                return None
            self._busy.add(fired.hook.instance_ref)
            return self._overtime.begins(fired.hook.instance_ref)

    def done(self, fired: FiredHook, *, got_on: bool) -> None:
        """A hook was handled; whether anything came of it."""
        self._ended(fired, got_on=got_on)

    def failed(self, fired: FiredHook, error: BaseException) -> None:
        """A tick has raised this, and its hook is left for later; or it ends the dispatcher (rule S14)."""
        ref = fired.hook.instance_ref
        if isinstance(error, _FATAL):
            _log.critical("%s ends the dispatcher: its code or a body raised %r, no Exception (rule S14)", ref, error)
        elif not isinstance(error, StoreError):  # of those the report told
            _log.error("a tick of %s failed", ref, exc_info=error)
        self._ended(fired, got_on=False, error=error)

    def _ended(self, fired: FiredHook, *, got_on: bool, error: BaseException | None = None) -> None:
        ref = fired.hook.instance_ref
        with self._changed:
            if isinstance(error, _FATAL):
                self._fatal = self._fatal or error
            self._failure = self._failure or error
            (self._backoff.forget if got_on else self._backoff.leave_out)(ref)
            self._busy.discard(ref)
            self._overtime.ends(ref)
            self._news = True
            self._changed.notify_all()

    # -- stopping

    async def request_stop(self, grace: timedelta) -> None:
        """Start nothing new, and wait for so long until the ticks have come to their next checkpoints."""
        check_durations(grace=grace)
        self.stop.requested = True
        with self._changed:
            self._changed.notify_all()
        at_rest = await self._changed.wait_for(lambda: not self._busy, patience(grace))
        if not at_rest and grace:
            _log.warning("left behind, still at work: %s; what is not committed runs again", sorted(self._busy))
        self.abandon()

    def abandon(self) -> None:
        """Start nothing new, and let the ticks commit nothing any more."""
        self.stop.requested = True
        with self._changed:
            self.stop.abandoned = True
            self._changed.notify_all()


def has_got_on(report: TickReport) -> bool:
    """Whether anything came of a tick; if not, its hook is still there, and due (rules G4, R1)."""
    return isinstance(report.result, Applied) or not isinstance(report.plan and report.plan.outcome, Ignored)
