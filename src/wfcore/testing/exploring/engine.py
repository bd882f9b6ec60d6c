"""What is explored: a planner and the meaning of its plans, replaceable by those of somebody else. No I/O."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import attrs

from wfcore.evolve import Rows, World, evolve
from wfcore.model import Instance
from wfcore.outcome import Deleted
from wfcore.plan import AtVersion, Conflict, Plan, PutInstance
from wfcore.planner import plan_tick
from wfcore.testing.clock import START

AfterConflict: TypeAlias = Callable[[World, Plan], World]


def unchanged(world: World, plan: Plan) -> World:  # noqa: ARG001 - what replaces it may look at the plan
    """What a runner does to the rows after a conflict: nothing."""
    return world


@attrs.frozen(kw_only=True)
class Engine:
    """A planner, a store and a runner's manners, for people who write their own. The defaults are wfcore's.

    Attributes:
        plan_tick: called as :func:`wfcore.plan_tick` is, with ``commit``. A checkpoint is answered with ``Stop``, and
            planning goes on by a new call from the rows that the plan leaves: with the same ``mine`` as a runner has.
        evolve: what a store does with a plan: the rows after it, or a ``Conflict``.
        after_conflict: what a runner does to the rows when a plan of it was lost.
    """

    plan_tick: Callable[..., Plan] = plan_tick
    evolve: Callable[[World, Plan], World | Conflict] = evolve
    after_conflict: AfterConflict = unchanged

    @property
    def tells_incarnations_apart(self) -> bool:
        """Whether a plan for an instance that was deleted and created again since conflicts."""
        row = Instance(
            ref="a#1",
            workflow_name="a",
            instance_id="1",
            status="active",
            params="null",
            created_at=START,
            updated_at=START,
            execution_id="new",
            created_by="new",
        )
        plan = Plan("a#1", "x", (AtVersion("a#1", 1, "old"),), (PutInstance(row),), Deleted("a#1"))
        return isinstance(self.evolve({"a#1": Rows(instance=row)}, plan), Conflict)

    @property
    def is_own(self) -> bool:
        """Whether planner and store are wfcore's own."""
        return self.plan_tick is plan_tick and self.evolve is evolve

    @property
    def is_altered_by_conflicts(self) -> bool:
        """Whether a lost plan changes anything."""
        return self.after_conflict is not unchanged
