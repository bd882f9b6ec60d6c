"""Bodies in flight under asyncio: begun, and not yet settled (rules P3, R5, O6, S13, S14, W10).

A plain body runs in a thread of its own, an awaitable one as a task on the event loop. What decides is what the body
returns: an ``async def`` body is called on the loop; anything else is called in a thread, and if it returns an
awaitable, that is awaited on the loop. A body on the loop can be cancelled, a thread cannot.
"""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from datetime import timedelta
from functools import partial
from types import TracebackType
from typing import Any, NoReturn, Self, TypeAlias, final

import attrs

from wfcore.errors import StepInterruptedError
from wfcore.planner import Attempt, Bodies, Done, Dropped, Elapsed, Raised, Returned, Settled, StepCall, Unwind
from wfcore.runner.aio.threads import Threads
from wfcore.runner.aio.waiting import LoopSignal, let_go
from wfcore.runner.runtime import REAL, Runtime

Noted: TypeAlias = Callable[[Done, timedelta], None]
"""Told of a body that has settled, and how long it took."""
Starts: TypeAlias = AbstractSet[tuple[str, str | None]]
"""Keys of at-most-once steps that are started, with the execution ids of their starts."""


@final
@attrs.frozen
class _Left:
    """Something that is no result left a body: ``SystemExit``, or a cancellation that nobody has asked for."""

    error: BaseException


_Outcome: TypeAlias = Returned[Any] | Raised | Dropped | _Left


class _UnwantedError(Exception):
    """Nobody waits for what a thread has begun."""


@attrs.define(eq=False)
class _Flight:
    call: StepCall
    began: float
    body: Callable[[Attempt], Any]
    in_thread: bool = True
    unwanted: bool = False
    task: asyncio.Task[_Outcome] | None = None

    def drop(self) -> None:
        """Nobody waits for it: cancel it if that can be done, now or when its thread has given an awaitable."""
        if not self.unwanted and self.task is not None:
            self.unwanted = True
            if not self.in_thread:
                self.task.cancel()


@final
class Flights:
    """The bodies of one instance. Leaving the block ends them all: what can be cancelled is, and is awaited.

    Args:
        runtime: time.
        noted: told of every body whose result is handed out.

    Attributes:
        threads: where plain bodies run.
    """

    def __init__(self, runtime: Runtime = REAL, noted: Noted | None = None) -> None:
        self.threads = Threads()
        self._runtime = runtime
        self._noted = noted
        self._retrieved_at = runtime.monotonic()
        self._flights: dict[StepCall, _Flight] = {}
        self._begun: set[tuple[str, str]] = set()
        self._landed: deque[_Flight] = deque()
        self._signal = LoopSignal(runtime)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.threads.close()
        try:
            await let_go(*(flight.task for flight in self._flights.values() if flight.task is not None))
        finally:
            self._flights.clear()
            self._landed.clear()

    @property
    def calls(self) -> tuple[StepCall, ...]:
        """Those in flight, the first that was begun first."""
        return tuple(self._flights)

    def retrieved(self) -> None:
        """A snapshot was retrieved just now: ``elapsed`` counts from here."""
        self._retrieved_at = self._runtime.monotonic()

    async def next(self, bodies: Bodies) -> Done | Dropped | Elapsed:
        """Start bodies, and wait for what comes first among all in flight; a result goes before a deadline (W10).

        Raises:
            BaseException: what left a body, and is no ``Exception`` (rule S14).
        """
        for call in bodies.start:
            self._start(call)
        for call, flight in self._flights.items():
            if call.key in bodies.unwanted:
                flight.drop()
        while (landed := self._first_landed(bodies.only)) is None:
            elapsed = self._runtime.since(self._retrieved_at)
            if bodies.until is not None and elapsed >= bodies.until:
                return Elapsed(elapsed)
            seconds = None if bodies.until is None else (bodies.until - elapsed).total_seconds()
            await self._signal.wait_for(lambda: self._first_landed(bodies.only) is not None, seconds)
        self._landed.remove(landed)
        return self._hand_out(landed)

    def _first_landed(self, only: frozenset[str] | None) -> _Flight | None:
        return next((flight for flight in self._landed if only is None or flight.call.key in only), None)

    async def discard(self, starts: Starts | None = None) -> None:
        """End all but at-most-once bodies; what comes of them counts for nothing (rules R2, O6).

        ``starts``: the starts that are stored; at-most-once bodies of others are ended too (rule S13).
        """
        calls = (call for call in self._flights if call.started_by is None or not _is_stored(call, starts))
        flights = [self._flights[call] for call in calls]
        for flight in flights:
            flight.drop()
        await self._land(flights)

    async def land(self) -> bool:
        """Wait for at-most-once bodies, discard the others; whether any gave a result (which is noted, S13)."""
        await self.discard()
        landed = await self._land([*self._flights.values()])
        return any(isinstance(each, Done) for each in landed)

    async def _land(self, flights: list[_Flight]) -> list[Done | Dropped]:
        if flights:
            await self._signal.wait_for(lambda: all(flight in self._landed for flight in flights))
        for flight in flights:
            self._landed.remove(flight)
        return [self._hand_out(flight) for flight in flights]

    def _start(self, call: StepCall) -> None:
        flight = self._flights[call] = _Flight(call, self._runtime.monotonic(), call.body)
        if call.started_by is not None:
            start = call.key, call.started_by
            if start in self._begun:  # it was cancelled, and the plan that said so was lost: it never runs twice (S13)
                flight.body = partial(_interrupted, StepInterruptedError(call.key, self._runtime.now()))
            self._begun.add(start)
        flight.task = asyncio.create_task(_fly(flight, self.threads), name=f"wfcore {call.key}")
        flight.task.add_done_callback(partial(self._has_landed, flight))

    def _has_landed(self, flight: _Flight, _task: object) -> None:
        with self._signal:
            self._landed.append(flight)
            self._signal.notify_all()

    def _hand_out(self, flight: _Flight) -> Done | Dropped:
        del self._flights[flight.call]
        if flight.task is None or flight.task.cancelled():
            return Dropped(flight.call)
        result = flight.task.result()
        if isinstance(result, Dropped):
            return result
        if isinstance(result, _Left) and isinstance(result.error, Unwind):  # it has used a step
            return Dropped(flight.call)
        if isinstance(result, _Left):
            raise result.error
        done = Done(flight.call, Settled(result, self._runtime.since(self._retrieved_at)))
        if self._noted is not None:
            self._noted(done, self._runtime.since(flight.began))
        return done


def _is_stored(call: StepCall, starts: Starts | None) -> bool:
    return starts is None or (call.key, call.started_by) in starts


async def _interrupted(error: StepInterruptedError, _attempt: Attempt) -> NoReturn:
    raise error


async def _fly(flight: _Flight, threads: Threads) -> _Outcome:
    try:
        return Returned(await _called(flight, threads))
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        return _Left(error)
    except _UnwantedError:
        return Dropped(flight.call)
    except Exception as error:
        return Raised(error)
    except BaseException as error:  # a task of asyncio's would throw SystemExit at the whole loop
        return _Left(error)


async def _called(flight: _Flight, threads: Threads) -> Any:
    value = await threads.call(flight.body, flight.call.attempt)
    flight.in_thread = False
    if not inspect.isawaitable(value):
        return value
    if flight.unwanted:
        if inspect.iscoroutine(value):
            value.close()
        raise _UnwantedError
    return await value
