"""The store port: two methods and the contract they keep. Protocols only, no I/O.

The contract of ``apply`` (each clause is a group of tests):

* A1 all or nothing.
* A2 succeeds if and only if every precondition holds in the same transaction; else :class:`Conflict`, and no trace.
* A3 exactly one winner per version under any concurrency, also across delete and re-create.
* A4 durable before it returns (a bound store: when the caller commits).
* A5 after an unknown commit a retrieve tells what happened, or that it is unknown.
* A6 identities are unique inside the transaction.
* A7 payloads round-trip byte for byte, instants to the microsecond.
* A8 an empty plan writes nothing.
* A9 read your writes; one retrieve is one consistent cut.
* A10 an event append is never refused because a tick is running.
* A11 an unsupported or failing ``Write`` raises ``WriteFailedError`` with its index in ``plan.mutations``; no trace.
* A12 a transient failure (busy, lost connection, disk full) raises ``StoreUnavailableError``, never ``Conflict``.
* A13 the answer holds the ids of the hooks now pending for the plan's ref, and what an ``Add*`` skipped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from wfcore.model import Snapshot
from wfcore.plan import Applied, Conflict, Plan


class Store(Protocol):
    """What an adapter author writes: one retrieve and one atomic conditional apply."""

    def retrieve(self, ref: str) -> Snapshot:
        """All rows of one instance: instance, records of the current run, pending events, hooks; one consistent cut.

        An instance that does not exist gives ``instance=None`` and whatever hooks are stored for it. Events come in
        the order in which they were appended. ``now`` is the store's clock.

        Raises:
            StoreUnavailableError: transient failure.
            CorruptRecordError: a row cannot be read.
        """

    def apply(self, plan: Plan) -> Applied | Conflict:
        """Perform the plan's mutations if all its preconditions hold, in one transaction (A1 to A13).

        Rows are put and deleted in the order given, and so are the ``Write`` among themselves.

        Raises:
            StoreUnavailableError: transient failure; whether the plan was committed may be unknown.
            WriteFailedError: a ``Write`` failed; nothing was written.
        """


class AsyncStore(Protocol):
    """A :class:`Store` for asyncio, with the same contract.

    It is used by one event loop; several tasks may call it at once, and none of them waits by holding up the loop.

    Each call may be cancelled at any ``await``. Runners see an ``apply`` that they have begun to its end, but may leave
    a ``retrieve``; a user's task may leave either. Whatever was left, the store is as good as before: no transaction
    stays open, nothing of the call happens once it has ended, a plan is applied whole or not at all, and the caller
    gets the ``CancelledError``.
    """

    async def retrieve(self, ref: str) -> Snapshot:
        """As :meth:`Store.retrieve`."""

    async def apply(self, plan: Plan) -> Applied | Conflict:
        """As :meth:`Store.apply`."""


@runtime_checkable
class Listenable(Protocol):
    """Optional capability of both kinds of store: tell of applied plans, so that nobody in this process has to poll."""

    def listen(self, callback: Callable[[str], None]) -> Callable[[], None]:
        """Call ``callback(ref)`` after every applied plan that touches ``ref``, until the returned function is called.

        It is called after the commit: what was applied can be retrieved by then. Any thread may call it, several at
        once, or the event loop; so it is quick, and does not wait for that loop. It is only a hint: it may come late,
        twice, in another order than the plans, or not at all. With an empty ref it says that some may have been missed:
        any instance may have changed. What it raises is logged; it fails no ``apply``, and the others are still called.

        Args:
            callback: called with a ref, or with an empty text.

        Returns:
            A function that ends it; a second call does nothing.
        """


@runtime_checkable
class BatchStore(Store, Protocol):
    """Optional capability: many plans at once, so that they cost one commit, or one round trip, and not as many."""

    def apply_many(self, plans: Sequence[Plan]) -> Sequence[Applied | Conflict]:
        """Apply plans in the order given, each atomic on its own: as :meth:`Store.apply` one after the other.

        Each plan sees those before it, and a conflict stops none of those after it. Whatever is applied is durable on
        return. If it raises, plans were applied up to one of them and none after it, each of them whole; so they may be
        applied again, one by one: those that were applied conflict with themselves (A5), or add nothing.

        Args:
            plans: as many as may keep other writers waiting; some hundreds.

        Returns:
            The answer to each plan, in their order.

        Raises:
            WriteFailedError: a ``Write`` failed: the plans before its plan are applied, its plan and those after it
                left no trace.
            StoreUnavailableError: transient failure; how many plans were committed may be unknown.
        """


@runtime_checkable
class AsyncBatchStore(AsyncStore, Protocol):
    """A :class:`BatchStore` for asyncio."""

    async def apply_many(self, plans: Sequence[Plan]) -> Sequence[Applied | Conflict]:
        """As :meth:`BatchStore.apply_many`."""
