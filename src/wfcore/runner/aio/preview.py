"""``AsyncPreview``: what commands would do to an instance, as plans to look at, to be awaited."""

from __future__ import annotations

from typing import Any, TypeVar, final, overload

import attrs

from wfcore.plan import Plan
from wfcore.runner.orders import adopting, deleting, resuming, retrying
from wfcore.runner.requests import Address
from wfcore.workflow import EventType

E = TypeVar("E")


@final
class AsyncPreview(Address[Any]):
    """The commands of a handle as plans: each reads the instance, and writes nothing.

    What a plan would do stands in it: ``plan.outcome`` in short, ``plan.mutations`` row by row. ``client.apply(plan)``
    does exactly that, or answers with a ``Conflict`` if the instance has moved on since. A plan that is empty has
    nothing to do. Each method raises what the command raises.
    """

    __slots__ = ()

    async def pause(self) -> Plan:
        """A request to pause is appended (rule M3)."""
        return await self._commander.plan(self._pausing())

    async def resume(self) -> Plan:
        """A paused instance goes on (rule M4)."""
        return await self._commander.plan(resuming(self.ref))

    async def terminate(self) -> Plan:
        """The instance is ended (rule M5)."""
        return await self._commander.plan(self._terminating())

    async def restart(self, params: object = attrs.NOTHING, /, *, keep_keys: bool = False) -> Plan:
        """A new run begins (rule M6)."""
        return await self._commander.plan(self._restarting(params, keep_keys=keep_keys))

    async def retry(self) -> Plan:
        """An instance that has failed goes on (rule M7); ``plan.outcome`` names the steps that are opened again."""
        return await self._commander.plan(retrying(self.ref))

    async def delete(self) -> Plan:
        """The instance and all its rows are deleted (rule M11)."""
        return await self._commander.plan(deleting(self.ref))

    async def adopt_bare_keys(self) -> Plan:
        """Records of an older engine get new keys (rule K5), those in ``plan.outcome.keys``."""
        return await self._commander.plan(adopting(self.ref))

    @overload
    async def send_event(self, event: EventType[None], /, *, id: str | None = None) -> Plan: ...
    @overload
    async def send_event(self, event: EventType[E], payload: E, /, *, id: str | None = None) -> Plan: ...
    @overload
    async def send_event(self, event: str, payload: object = None, /, *, id: str | None = None) -> Plan: ...
    async def send_event(self, event: EventType[Any] | str, payload: Any = None, /, *, id: str | None = None) -> Plan:
        """An event is appended (rule M2)."""
        order = self._sending(event, payload, id)
        return await self._commander.plan(order)
