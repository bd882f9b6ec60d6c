"""Runs command plans: retrieve, plan, apply; again after a conflict, checked after a lost answer (M12)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import TypeAlias

import attrs

from wfcore.errors import ContentionError, InstanceNotFoundError, StoreUnavailableError
from wfcore.model import Instance, Snapshot
from wfcore.plan import Conflict, Plan
from wfcore.ports import Codec, Listenable, Store
from wfcore.runner.observe import emit
from wfcore.runner.runtime import Runtime

MAX_TRIES = 10
"""How often a command is planned again after conflicts before ``ContentionError``."""
MAX_STORE_FAILURES = 3
"""How many failures of the store a command survives before the failure goes to the caller."""
POLL_SECONDS = 0.25
"""How often a result is looked for where nobody tells of it: another process ends the instance."""

MakePlan: TypeAlias = Callable[[Snapshot, str], Plan]
"""From a snapshot and a new execution id to the command's plan."""
WasApplied: TypeAlias = Callable[[Snapshot, str], bool | None]
"""Whether the plan of that execution id took effect, by a fresh snapshot; ``None``: that cannot be told."""


@attrs.frozen
class Commander:
    """What a client and its handles share.

    Attributes:
        store: where instances live.
        codec: how values become payloads.
        runtime: ids and pauses.
    """

    store: Store
    codec: Codec
    runtime: Runtime

    def instance(self, ref: str) -> Instance:
        """The instance's row. Raises ``InstanceNotFoundError`` if there is none."""
        found = self.store.retrieve(ref).instance
        if found is None:
            raise InstanceNotFoundError(ref)
        return found

    def execute(self, ref: str, command: str, make: MakePlan, was_applied: WasApplied) -> Plan:
        """Apply a command's plan; the plan that took effect.

        Raises:
            CommandError, CodecError: from ``make``: nothing was written.
            ContentionError: it lost too often, or it is not known whether it took effect.
            StoreUnavailableError: the store failed again and again.
        """
        failures = 0
        for tried in range(MAX_TRIES):
            snapshot = self.store.retrieve(ref)
            execution_id = self.runtime.new_id()
            plan = make(snapshot, execution_id)
            try:
                answer = self.store.apply(plan)
            except StoreUnavailableError:
                failures += 1
                if self._took_effect(ref, command, execution_id, was_applied, tried):
                    return plan
                if failures >= MAX_STORE_FAILURES:
                    raise
            else:
                if not isinstance(answer, Conflict):
                    emit(plan)
                    return plan
            self.runtime.pause(0.002 * 2 ** min(tried, 6))
        raise ContentionError(ref, command, MAX_TRIES)

    def _took_effect(self, ref: str, command: str, execution_id: str, was_applied: WasApplied, tried: int) -> bool:
        found = was_applied(self.store.retrieve(ref), execution_id)
        if found is None:
            raise ContentionError(ref, command, tried + 1, unknown=True)
        return found

    def wait(self, ref: str, is_over: Callable[[Instance], bool], timeout: timedelta | None) -> Instance:
        """The instance once ``is_over`` says so, or as it is after ``timeout`` (``None``: wait without limit)."""
        began = self.runtime.monotonic()
        changed = threading.Event()
        stop = _listen(self.store, ref, changed)
        try:
            while True:
                changed.clear()
                instance = self.instance(ref)
                left = None if timeout is None else (timeout - self.runtime.since(began)).total_seconds()
                if is_over(instance) or (left is not None and left <= 0):
                    return instance
                changed.wait(POLL_SECONDS if left is None else min(left, POLL_SECONDS))
        finally:
            stop()


def _listen(store: Store, ref: str, changed: threading.Event) -> Callable[[], None]:
    if not isinstance(store, Listenable):
        return lambda: None

    def heard(touched: str) -> None:
        if touched == ref:
            changed.set()

    return store.listen(heard)
