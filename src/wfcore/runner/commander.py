"""Runs command plans: retrieve, plan, apply; again after a conflict, checked after a lost answer (M12)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Container
from datetime import timedelta
from typing import TypeAlias

import attrs

from wfcore.errors import ContentionError, InstanceNotFoundError, StoreUnavailableError
from wfcore.model import Instance, Snapshot
from wfcore.plan import Conflict, Plan
from wfcore.ports import Codec, Listenable, Store
from wfcore.runner.runtime import Runtime, patience

MAX_TRIES = 10
"""How often a command is planned again after conflicts before ``ContentionError``."""
MAX_STORE_FAILURES = 3
"""How many failures of the store a command survives before the failure goes to the caller."""

MakePlan: TypeAlias = Callable[[Snapshot, str], Plan]
"""From a snapshot and a new execution id to the command's plan."""
WasApplied: TypeAlias = Callable[[Snapshot, Container[str]], bool | None]
"""Whether a plan of one of those execution ids took effect, by a fresh snapshot; ``None``: that cannot be told."""


@attrs.frozen
class Commander:
    """What a client and its handles share.

    Attributes:
        store: where instances live.
        codec: how values become payloads.
        runtime: ids and pauses.
        poll_interval: how often a result is looked for where nobody tells of it: another process ends the instance.
    """

    store: Store
    codec: Codec
    runtime: Runtime
    poll_interval: timedelta

    def instance(self, ref: str) -> Instance:
        """The instance's row. Raises ``InstanceNotFoundError`` if there is none."""
        found = self.store.retrieve(ref).instance
        if found is None:
            raise InstanceNotFoundError(ref)
        return found

    def execute(self, ref: str, command: str, make: MakePlan, was_applied: WasApplied) -> None:
        """Apply a command's plan.

        Raises:
            CommandError, CodecError: from ``make``: nothing was written.
            ContentionError: it lost too often, or it is not known whether it took effect.
            StoreUnavailableError: the store failed again and again.
        """
        lost: dict[str, StoreUnavailableError] = {}
        for tried in range(MAX_TRIES):
            if tried:
                self.runtime.pause(0.001 * 2 ** min(tried, 7))
            snapshot = self._retrieve(ref, tries=MAX_STORE_FAILURES if lost else 1)
            if lost:
                took_effect = was_applied(snapshot, lost)
                if took_effect is None:
                    raise ContentionError(ref, command, tried, unknown=True)
                if took_effect:
                    return
                if len(lost) == MAX_STORE_FAILURES:
                    raise lost.popitem()[1]
            execution_id = self.runtime.new_id()
            plan = make(snapshot, execution_id)
            try:
                answer = self.store.apply(plan)
            except StoreUnavailableError as error:
                lost[execution_id] = error
            else:
                if not isinstance(answer, Conflict):
                    return
        raise ContentionError(ref, command, MAX_TRIES)

    def _retrieve(self, ref: str, *, tries: int) -> Snapshot:
        """Retrieve; more than one try where something is in doubt that only a retrieve can tell."""
        for tried in range(1, tries):
            try:
                return self.store.retrieve(ref)
            except StoreUnavailableError:
                self.runtime.pause(0.01 * 2**tried)
        return self.store.retrieve(ref)

    def wait(self, ref: str, is_over: Callable[[Instance], bool], timeout: timedelta | None) -> Instance:
        """The instance once ``is_over`` says so, or as it is after ``timeout`` (``None``: wait without limit)."""
        began = self.runtime.monotonic()
        poll = patience(self.poll_interval)
        changed = threading.Event()
        stop = _listen(self.store, ref, changed)
        try:
            while True:
                changed.clear()
                asked_at = self.runtime.monotonic()
                instance = self.instance(ref)
                cost = self.runtime.since(asked_at).total_seconds()
                left = None if timeout is None else (timeout - self.runtime.since(began)).total_seconds()
                if is_over(instance) or (left is not None and left <= 0):
                    return instance
                changed.wait(poll if left is None else min(left, poll))
                # Every checkpoint wakes: a long history is not read over and over again for it.
                self.runtime.pause(cost if left is None else min(left, cost))
        finally:
            stop()


def _listen(store: Store, ref: str, changed: threading.Event) -> Callable[[], None]:
    if not isinstance(store, Listenable):
        return lambda: None

    def heard(touched: str) -> None:
        if touched == ref:
            changed.set()

    return store.listen(heard)
