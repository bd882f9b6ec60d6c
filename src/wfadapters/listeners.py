"""Who wants to know that a plan was applied: the ``Listenable`` of stores, inside one process."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from threading import Lock

from wfcore.plan import Applied, Conflict, Plan, Write

_logger = logging.getLogger("wfcore.store")


class Listeners:
    """A set of callbacks; any thread may add, remove and notify."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._callbacks: dict[object, Callable[[str], None]] = {}

    def listen(self, callback: Callable[[str], None]) -> Callable[[], None]:
        """Add a callback; the function that is returned removes it."""
        token = object()
        with self._lock:
            self._callbacks = {**self._callbacks, token: callback}
        return partial(self._remove, token)

    def notify(self, plan: Plan) -> None:
        """Call every callback with every ref that a committed plan touches; what a callback raises is logged."""
        if not self._callbacks or plan.is_empty:
            return
        refs = {plan.ref, *(mutation.ref for mutation in plan.mutations if not isinstance(mutation, Write))}
        for ref in sorted(refs):
            self.tell(ref)

    def notify_all(self, plans: Sequence[Plan], answers: Sequence[Applied | Conflict]) -> None:
        """As :meth:`notify`, for those that were applied."""
        for plan, answer in zip(plans, answers, strict=True):
            if isinstance(answer, Applied):
                self.notify(plan)

    def tell(self, ref: str) -> None:
        """Call every callback with one ref; an empty one says that they may have missed some."""
        for callback in self._callbacks.values():
            try:
                callback(ref)
            except Exception:  # the plan is committed, whatever a listener makes of it
                _logger.exception("a listener failed for %r", ref)

    def _remove(self, token: object) -> None:
        with self._lock:
            self._callbacks = {key: each for key, each in self._callbacks.items() if key is not token}
