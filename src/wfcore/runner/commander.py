"""Runs command plans: retrieve, plan, apply; again after a conflict, checked after a lost answer (M12)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

import attrs

from wfcore.errors import ContentionError, InstanceNotFoundError, StoreUnavailableError
from wfcore.evolve import holds
from wfcore.model import Instance, Snapshot
from wfcore.plan import AddEvent, Applied, Conflict, DeleteInstance, Plan
from wfcore.ports import Codec
from wfcore.runner.doors import ClientDoors, Signal
from wfcore.runner.limits import tell_sizes
from wfcore.runner.orders import Lost, Order
from wfcore.runner.runtime import Runtime, patience

MAX_TRIES = 10
"""How often a command is planned again after conflicts before ``ContentionError``."""
MAX_STORE_FAILURES = 3
"""How many failures of the store a command survives before the failure goes to the caller."""


@attrs.frozen
class Commander:
    """What a client and its handles share, in either colour.

    Attributes:
        doors: to the store where instances live.
        codec: how values become payloads.
        poll_interval: how often a result is looked for where nobody tells of it: another process ends the instance.
    """

    doors: ClientDoors
    codec: Codec
    poll_interval: timedelta

    @property
    def runtime(self) -> Runtime:
        """Time and ids."""
        return self.doors.runtime

    async def instance(self, ref: str) -> Instance:
        """The instance's row. Raises ``InstanceNotFoundError`` if there is none."""
        found = (await self.doors.retrieve(ref)).instance
        if found is None:
            raise InstanceNotFoundError(ref)
        return found

    async def plan(self, order: Order) -> Plan:
        """The plan of a command, not applied. Raises what the command would."""
        return order.make(await self.doors.retrieve(order.ref), self.runtime.new_id())

    async def execute(self, order: Order, *, lost: Sequence[Lost] = ()) -> Plan:
        """Apply a command's plan; the one that took effect.

        Args:
            order: the command.
            lost: plans of it whose acknowledgements were lost already.

        Raises:
            CommandError, CodecError: from ``order.make``: nothing was written.
            ContentionError: it lost too often, or it is not known whether it took effect.
            StoreUnavailableError: the store failed again and again.
        """
        lost = [*lost]
        for tried in range(MAX_TRIES):
            if tried:
                await self.doors.pause(0.001 * 2 ** min(tried, 7))
            snapshot = await self._retrieve(order.ref, tries=MAX_STORE_FAILURES if lost else 1)
            if lost:
                took_effect = order.was_applied(snapshot, lost)
                if took_effect is None:
                    raise ContentionError(order.ref, order.command, tried, unknown=True)
                if took_effect:
                    return lost[-1].plan
                if len(lost) == MAX_STORE_FAILURES:
                    raise lost[-1].error
            plan = order.make(snapshot, self.runtime.new_id())
            if plan.is_empty:
                return plan
            try:
                answer = await self.doors.apply(plan)
            except StoreUnavailableError as error:
                lost.append(Lost(plan, snapshot, error))
            else:
                if not isinstance(answer, Conflict):
                    tell_sizes(plan, self.codec)
                    return plan
        raise ContentionError(order.ref, order.command, MAX_TRIES)

    async def apply(self, plan: Plan) -> Applied | Conflict:
        """Apply a plan that somebody has looked at.

        Raises:
            ContentionError: the store's answer was lost, and it is not known whether the plan took effect.
            StoreUnavailableError: the store failed again and again; nothing was written.
        """
        tried = 0
        while True:
            tried += 1
            try:
                answer = await self.doors.apply(plan)
            except StoreUnavailableError:
                snapshot = await self._retrieve(plan.ref, tries=MAX_STORE_FAILURES)
                if _is_done(plan, snapshot):
                    return Applied(frozenset(hook.id for hook in snapshot.hooks))
                if not all(holds(each, snapshot.instance) for each in plan.preconditions if each.ref == plan.ref):
                    raise ContentionError(plan.ref, "apply", tried, unknown=True) from None
                if tried == MAX_STORE_FAILURES:
                    raise
            else:
                if isinstance(answer, Applied):
                    tell_sizes(plan, self.codec)
                return answer

    async def _retrieve(self, ref: str, *, tries: int) -> Snapshot:
        """Retrieve; more than one try where something is in doubt that only a retrieve can tell."""
        for tried in range(1, tries):
            try:
                return await self.doors.retrieve(ref)
            except StoreUnavailableError:
                await self.doors.pause(0.01 * 2**tried)
        return await self.doors.retrieve(ref)

    async def wait(self, ref: str, is_over: Callable[[Instance], bool], within: timedelta | None) -> Instance:
        """The instance once ``is_over`` says so, or as it is after ``within`` (``None``: wait without limit)."""
        began = self.runtime.monotonic()
        poll = patience(self.poll_interval)
        news = _News(ref, self.doors.signal())
        stop = self.doors.listen(news.heard)
        try:
            while True:
                news.unread = False
                asked_at = self.runtime.monotonic()
                instance = await self.instance(ref)
                cost = self.runtime.since(asked_at).total_seconds()
                left = None if within is None else (within - self.runtime.since(began)).total_seconds()
                if is_over(instance) or (left is not None and left <= 0):
                    return instance
                await news.signal.wait_for(lambda: news.unread, poll if left is None else min(left, poll))
                # Every checkpoint wakes: a long history is not read over and over again for it.
                await self.doors.pause(cost if left is None else min(left, cost))
        finally:
            stop()


def _is_done(plan: Plan, snapshot: Snapshot) -> bool:
    """Whether a snapshot shows that a plan was applied; if not, that may still be."""
    row = snapshot.instance
    if row is None:
        return any(isinstance(each, DeleteInstance) for each in plan.mutations)
    if plan.execution_id in (row.execution_id, row.created_by):
        return True
    added = {each.event.id for each in plan.mutations if isinstance(each, AddEvent) and each.ref == plan.ref}
    return bool(added) and added <= {event.id for event in snapshot.events}


@attrs.define
class _News:
    """Whether an instance was written since somebody looked."""

    ref: str
    signal: Signal
    unread: bool = False

    def heard(self, touched: str) -> None:
        if touched in (self.ref, ""):
            with self.signal:
                self.unread = True
                self.signal.notify_all()
