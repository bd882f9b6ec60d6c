"""What one tick's runner knows, and the rows do not tell: what it wrote, saw and holds (rules O6, S13, T4)."""

from __future__ import annotations

from typing import final

from wfcore.keys import timer_id
from wfcore.model import Snapshot
from wfcore.plan import Applied, Conflict, Plan, PutInstance, PutStep
from wfcore.planner import Done


def starts_body(plan: Plan) -> bool:
    """Whether a plan commits the start of an at-most-once body (rule S13)."""
    return any(isinstance(each, PutStep) and each.step.status == "started" for each in plan.mutations)


@final
class Memory:
    """The knowledge of a runner about one instance, from the first retrieve of a tick to its end.

    Attributes:
        mine: execution ids of the plans that it has committed, or tried to.
        absent: refs of other instances that a required event did not find.
    """

    def __init__(self, ref: str) -> None:
        self.mine: frozenset[str] = frozenset()
        self.absent: frozenset[str] = frozenset()
        self._ref = ref
        self._held: dict[str, Done] = {}
        self._seen: frozenset[str] = frozenset()
        self._written: tuple[int, str] | None = None

    def saw(self, snapshot: Snapshot) -> None:
        """This was retrieved."""
        self._seen = frozenset(hook.id for hook in snapshot.hooks) | {timer_id(self._ref)}

    def tries(self, plan: Plan) -> None:
        """This is going to be applied."""
        self.mine |= {plan.execution_id}

    def wrote(self, plan: Plan) -> None:
        """This was applied."""
        for mutation in plan.mutations:
            if isinstance(mutation, PutInstance) and mutation.instance.ref == self._ref:
                self._written = mutation.instance.version, plan.execution_id
            elif isinstance(mutation, PutStep) and mutation.step.status != "started":
                self._held.pop(mutation.step.key, None)

    def wrote_last(self, snapshot: Snapshot) -> bool:
        """Whether the instance is as this runner has left it."""
        found = snapshot.instance
        return found is not None and self._written == (found.version, found.execution_id)

    def has_not_seen(self, applied: Applied) -> bool:
        """Whether hooks are pending that came after the retrieve."""
        return bool(applied.pending_hooks - self._seen)

    def lacks(self, conflict: Conflict) -> bool:
        """Whether a plan was lost because another instance, one that was believed in, does not exist (rule T4)."""
        if conflict.version is not None or conflict.ref == self._ref or conflict.ref in self.absent:
            return False
        self.absent |= {conflict.ref}
        return True

    def hold(self, done: Done) -> None:
        """An at-most-once body has settled; its result is kept until it is recorded (rule S13)."""
        if done.call.started_by is not None:
            self._held[done.call.key] = done

    @property
    def held(self) -> tuple[Done, ...]:
        """Results of at-most-once bodies that are not recorded."""
        return tuple(self._held.values())
