"""The recorded history of a run, and what workflow code has asked for of it (rules D1, D2, D4, P6). Pure: no I/O."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Container, Mapping
from operator import attrgetter

from wfcore.errors import NonDeterminismError
from wfcore.keys import is_bare
from wfcore.model import StepRecord
from wfcore.planner.requests import Request

BARE = "an older engine wrote that bare name: plan_adopt_bare_keys gives it its key; the instance is unchanged"
"""What to do about a record whose key has no kind (rule K5)."""


class History:
    """Delivers recorded settlements in their order, and says so if the code does not fit.

    Args:
        ref: the instance.
        steps: all records of its current run.
    """

    def __init__(self, ref: str, steps: tuple[StepRecord, ...]) -> None:
        self._ref = ref
        self._unasked = {step.key: step for step in steps if step.kind != "patch"}
        self._patches = frozenset(step.name for step in steps if step.kind == "patch")
        self._settled = [step for step in steps if step.sequence is not None]
        self._settled.sort(key=attrgetter("sequence"), reverse=True)  # from the end
        self._steps = steps
        self._groups: frozenset[str] | None = None  # made when it is first needed
        self._ordered: list[str] | None = None  # so is this: the keys, those of a scope side by side

    def ask(self, key: str) -> StepRecord | None:
        """The record of a step that the code asks for now."""
        return self._unasked.pop(key, None)

    def has_patch(self, patch_id: str) -> bool:
        """Whether the run has recorded that it goes by the code behind a patch (rule D4)."""
        return patch_id in self._patches

    def has_unasked(self, path: str) -> bool:
        """Whether a scope, or one below it, still holds a record that the code has not asked for (rule D4)."""
        if not path:
            return bool(self._unasked)
        if self._ordered is None:
            self._ordered = sorted(self._unasked)
        below = f"{path}>"
        for place in range(bisect_left(self._ordered, below), len(self._ordered)):
            if not self._ordered[place].startswith(below):
                return False
            if self._ordered[place] in self._unasked:
                return True
        return False

    def has_group(self, key: str) -> bool:
        """Whether anything was recorded in a group."""
        if self._groups is None:
            paths = {step.key for step in self._steps}
            self._groups = frozenset(
                path[:end] for path in paths for end, character in enumerate(path) if character == "["
            )
        return key in self._groups

    def next_settled(self, requests: Mapping[str, Request], late: Container[str]) -> StepRecord | None:
        """The next recorded settlement: it answers an open request, or settles a late one. ``None``: there is none.

        Raises:
            NonDeterminismError: the code has not asked for the step whose turn it is, or not for all records.
        """
        if self._settled:
            record = self._settled[-1]
            if record.key not in requests and record.key not in late:
                raise self._mismatch(record, requests, "the code does not ask for the step whose turn it is")
            return self._settled.pop()
        if self._unasked:
            self._refuse_unasked(requests, "the code goes on to something new without asking for a recorded step")
        return None

    def require_used_up(self, late: Container[str]) -> None:
        """The workflow has ended: everything recorded must have been asked for and delivered, or come too late.

        Raises:
            NonDeterminismError: it was not.
        """
        record = next((record for record in reversed(self._settled) if record.key not in late), None)
        if record is not None:
            raise self._mismatch(record, {}, "the workflow ends before a recorded step")
        if self._unasked:
            self._refuse_unasked({}, "the workflow ends before a recorded step")

    def _refuse_unasked(self, requests: Mapping[str, Request], problem: str) -> None:
        raise self._mismatch(next(iter(self._unasked.values())), requests, problem)

    def _mismatch(self, record: StepRecord, requests: Mapping[str, Request], problem: str) -> NonDeterminismError:
        advice = (BARE,) if is_bare(record.key, record.kind) else ()
        return NonDeterminismError(
            self._ref, record.key, record.sequence, tuple(requests), record.parent_key or "", problem, *advice
        )
