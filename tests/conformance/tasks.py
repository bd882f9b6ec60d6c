"""Stores for asyncio that go wrong between tasks: in memory, and every statement of theirs takes turns of the loop."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from threading import Lock
from typing import Any, TypeVar

from tests.conformance.bent import BentStore, Make, of
from tests.conformance.stores import POOL
from wfcore.errors import StoreUnavailableError
from wfcore.model import Snapshot
from wfcore.plan import Applied, Conflict, Plan
from wfcore.testing.conformance import Note

T = TypeVar("T")


class TaskStore:
    """Does it as it has to be done: one task at a time, and what is cancelled lets the next one in."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self.inside = BentStore(clock)
        self.turn = asyncio.Lock()
        self.callers = Lock()

    async def retrieve(self, ref: str) -> Snapshot:
        async with self.turn:
            await statement()
            return self.inside.retrieve(ref)

    async def apply(self, plan: Plan) -> Applied | Conflict:
        async with self.turn:
            await statement()
            answer = self.inside.apply(plan)
            await statement()
            return answer


async def statement() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


class KeepsTheLock(TaskStore):
    async def retrieve(self, ref: str) -> Snapshot:
        await self.turn.acquire()
        await statement()
        self.turn.release()
        return self.inside.retrieve(ref)


class Pooled(TaskStore):
    """A connection for each call; what is cancelled does not give it back.

    Attributes:
        calls: of which methods.
    """

    calls: Sequence[str] = ("retrieve", "apply")
    idle = POOL

    async def retrieve(self, ref: str) -> Snapshot:
        return await self.lent("retrieve", super().retrieve(ref))

    async def apply(self, plan: Plan) -> Applied | Conflict:
        return await self.lent("apply", super().apply(plan))

    async def lent(self, call: str, work: Coroutine[Any, Any, T]) -> T:
        if not self.idle:
            work.close()
            raise StoreUnavailableError(call, "the pool has no connection left")
        try:
            return await work
        except asyncio.CancelledError:
            self.idle -= call in self.calls
            raise


class LosesReaders(Pooled):
    calls = ("retrieve",)


class LosesWriters(Pooled):
    calls = ("apply",)


class GoesOnWhenCancelled(TaskStore):
    """The apply is a task of its own, of which nobody waits for the end."""

    async def retrieve(self, ref: str) -> Snapshot:
        return self.inside.retrieve(ref)

    async def apply(self, plan: Plan) -> Applied | Conflict:
        return await asyncio.shield(asyncio.ensure_future(self.slowly(plan)))

    async def slowly(self, plan: Plan) -> Applied | Conflict:
        async with self.turn:
            await asyncio.sleep(0.01)
            return self.inside.apply(plan)


class AnswersWhenCancelled(TaskStore):
    async def apply(self, plan: Plan) -> Applied | Conflict:
        try:
            return await super().apply(plan)
        except asyncio.CancelledError:
            return await super().apply(plan)


class StopsHalfway(TaskStore):
    """Each mutation is a statement, and what is cancelled is not rolled back."""

    async def apply(self, plan: Plan) -> Applied | Conflict:
        async with self.turn:
            for mutation in plan.mutations:
                await statement()
                self.inside.perform([mutation])
            return Applied()


class KeepsTheLoopWaiting(TaskStore):
    """Waits for other transactions in a way that does not let them go on."""

    async def apply(self, plan: Plan) -> Applied | Conflict:
        if not self.callers.acquire(timeout=0.2):
            raise StoreUnavailableError("apply", "database is locked")
        self.callers.release()
        return await super().apply(plan)


class BoundTasks(TaskStore):
    """In the caller's transaction. Its savepoint is how things were when the apply began, whoever else came since."""

    def __init__(self, inside: BentStore) -> None:
        self.inside = inside
        self.turn = asyncio.Lock()

    async def apply(self, plan: Plan) -> Applied | Conflict:
        before = dict(self.inside._world)
        try:
            await statement()
            answer = self.inside.apply(plan)
            await statement()
        except BaseException:
            await statement()
            self.inside.roll_back(before)
            raise
        return answer


@asynccontextmanager
async def within(store: TaskStore) -> AsyncIterator[BoundTasks]:
    with store.callers:
        yield BoundTasks(store.inside)


def written(store: TaskStore) -> list[str]:
    return [note.text for note in store.inside.writes if isinstance(note, Note)]


def of_tasks(store: type[TaskStore], **declared: Any) -> Make:
    """An adapter of a class of stores for asyncio."""
    return of(BentStore, **{"open": store, "written": written, "within": within, **declared})
