"""Creating many instances: each planned by itself, many plans applied in one go (rule M1)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Generic, TypeVar

import attrs

from wfcore.errors import InstanceExistsError, StoreUnavailableError
from wfcore.model import Snapshot
from wfcore.plan import Applied, Plan
from wfcore.runner.commander import Commander
from wfcore.runner.limits import tell_sizes
from wfcore.runner.orders import Lost, Order, creating
from wfcore.runner.requests import Address

A = TypeVar("A", bound=Address[Any])

AT_ONCE = 100
"""How many plans are applied in one go: so long do others that want to write wait, and so many are in memory."""


async def create_many(
    commander: Commander, instances: Iterable[tuple[A, object]], *, tags: Mapping[str, str] | None
) -> list[A]:
    """Create instances in their order; those that were created. Before it fails, what comes before is created."""
    batch: Batch[A] = Batch(commander)
    try:
        for address, params in instances:
            await batch.add(address, creating(address.workflow, address.id, params, tags=tags, codec=commander.codec))
    except Exception:
        await batch.apply()
        raise
    await batch.apply()
    return batch.created


@attrs.frozen
class _Planned(Generic[A]):
    address: A
    order: Order
    snapshot: Snapshot
    plan: Plan


@attrs.define
class Batch(Generic[A]):
    """Instances that are created together.

    Attributes:
        commander: applies their plans.
        created: those that were created so far.
    """

    commander: Commander
    created: list[A] = attrs.field(factory=list, init=False)
    _planned: list[_Planned[A]] = attrs.field(factory=list, init=False)

    async def add(self, address: A, order: Order) -> None:
        """Plan one more, unless it exists."""
        snapshot = await self.commander.doors.retrieve(order.ref)
        try:
            plan = order.make(snapshot, self.commander.runtime.new_id())
        except InstanceExistsError:
            return
        self._planned.append(_Planned(address, order, snapshot, plan))
        if len(self._planned) == AT_ONCE:
            await self.apply()

    async def apply(self) -> None:
        """Create what is planned; what has come to exist meanwhile is skipped."""
        planned, self._planned = self._planned, []
        if not planned:
            return
        try:
            answers = await self.commander.doors.apply_many([each.plan for each in planned])
        except StoreUnavailableError as error:
            for each in planned:
                await self._create(each, error)
            return
        for each, answer in zip(planned, answers, strict=True):
            if isinstance(answer, Applied):
                tell_sizes(each.plan, self.commander.codec)
                self.created.append(each.address)

    async def _create(self, planned: _Planned[A], error: StoreUnavailableError) -> None:
        """Find out whether one was created when the acknowledgement of all was lost; if not, create it (rule M12)."""
        try:
            await self.commander.execute(planned.order, lost=[Lost(planned.plan, planned.snapshot, error)])
        except InstanceExistsError:
            return
        self.created.append(planned.address)
