"""``AsyncHandle``: a handle whose methods are awaited."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, TypeVar, final, overload

import attrs

from wfcore.explain import Explanation
from wfcore.model import Instance, InstanceStatus
from wfcore.ports import History
from wfcore.runner.aio.preview import AsyncPreview
from wfcore.runner.orders import deleting, resuming, retrying
from wfcore.runner.reading import history
from wfcore.runner.requests import Address, explanation, result
from wfcore.workflow import EventType

E = TypeVar("E")
R_co = TypeVar("R_co", covariant=True)


class AsyncReading(Address[R_co]):
    """What can be asked of an instance: nothing is written."""

    __slots__ = ()

    async def get(self) -> Instance:
        """The instance's row; raises as :meth:`wfcore.Handle.get`."""
        return await self._commander.instance(self.ref)

    async def status(self) -> InstanceStatus:
        """Its status; raises as :meth:`wfcore.Handle.status`."""
        return (await self.get()).status

    async def result(self, *, timeout: timedelta | None = timedelta(0)) -> R_co:  # noqa: ASYNC109 - as the twin's
        """What the workflow returned, decoded to its type (rule M9); raises as :meth:`wfcore.Handle.result`.

        Args:
            timeout: how long to wait for the end: not at all by default; ``None``: without limit. Other tasks go on
                meanwhile; an ``asyncio.timeout`` around the call works too.
        """
        return await result(self._commander, self, timeout)

    async def history(self, *, run: int | None = None) -> History:
        """What is recorded of a run, in order (rule M9); raises as :meth:`wfcore.Handle.history`."""
        return await history(self._commander, self.ref, run)

    async def explain(self) -> Explanation:
        """What the instance is waiting for, as data and as text (rule M10); as :meth:`wfcore.Handle.explain`."""
        return await explanation(self._commander, self.ref)


@final
class AsyncHandle(AsyncReading[R_co]):
    """One instance. Making a handle reads nothing; it need not exist yet. As :class:`wfcore.Handle`, to be awaited.

    Attributes:
        workflow: its workflow.
        id: its id within the workflow.
        ref: its identity in the store.
    """

    __slots__ = ()

    @property
    def preview(self) -> AsyncPreview:
        """Its commands as plans to look at: ``client.apply(handle.preview.terminate())``."""
        return AsyncPreview(self._commander, self.workflow, self.id)

    @overload
    async def send_event(self, event: EventType[None], /, *, id: str | None = None) -> None: ...
    @overload
    async def send_event(self, event: EventType[E], payload: E, /, *, id: str | None = None) -> None: ...
    @overload
    async def send_event(self, event: str, payload: object = None, /, *, id: str | None = None) -> None: ...
    async def send_event(self, event: EventType[Any] | str, payload: Any = None, /, *, id: str | None = None) -> None:
        """Put an event into the instance's mailbox, durably, and wake it (rule M2).

        Arguments and errors are those of :meth:`wfcore.Handle.send_event`. A task that is cancelled while the event
        is stored may have sent it: with an ``id`` of your own it can be sent again.
        """
        await self._commander.execute(self._sending(event, payload, id))

    async def pause(self) -> None:
        """As :meth:`wfcore.Handle.pause` (rule M3)."""
        await self._commander.execute(self._pausing())

    async def resume(self) -> None:
        """As :meth:`wfcore.Handle.resume` (rule M4)."""
        await self._commander.execute(resuming(self.ref))

    async def terminate(self) -> None:
        """As :meth:`wfcore.Handle.terminate` (rule M5)."""
        await self._commander.execute(self._terminating())

    async def restart(self, params: object = attrs.NOTHING, /, *, keep_keys: bool = False) -> None:
        """As :meth:`wfcore.Handle.restart` (rule M6)."""
        await self._commander.execute(self._restarting(params, keep_keys=keep_keys))

    async def retry(self) -> None:
        """As :meth:`wfcore.Handle.retry` (rule M7)."""
        await self._commander.execute(retrying(self.ref))

    async def delete(self) -> None:
        """As :meth:`wfcore.Handle.delete` (rule M11)."""
        await self._commander.execute(deleting(self.ref))
