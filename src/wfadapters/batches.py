"""Many plans by one commit, in stores that roll back all of them if a write fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from wfcore.errors import WriteFailedError
from wfcore.plan import Applied, Conflict, Plan

Answers: TypeAlias = Sequence[Applied | Conflict]


def together(plans: Sequence[Plan], commit: Callable[[Sequence[Plan]], Answers]) -> Answers:
    """Commit plans in one transaction, or none; see :class:`wfcore.ports.BatchStore`.

    Args:
        plans: the plans.
        commit: applies some in a transaction of their own, of which nothing is left if a ``Write`` fails.
    """
    try:
        return commit(plans) if plans else []
    except WriteFailedError:
        # In transactions of their own, the plans before the one that fails are kept.
        return [answer for plan in plans for answer in commit([plan])]
