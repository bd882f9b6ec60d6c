"""The recorded history of a run, and what workflow code has asked for of it (rules D1, D2, P6). Pure: no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter

from wfcore.errors import NonDeterminismError
from wfcore.model import StepRecord
from wfcore.planner.requests import Request


class History:
    """Delivers recorded settlements in their order, and says so if the code does not fit.

    Args:
        ref: the instance.
        steps: all records of its current run.
    """

    def __init__(self, ref: str, steps: tuple[StepRecord, ...]) -> None:
        self._ref = ref
        self._unasked = {step.key: step for step in steps}
        self._settled = [step for step in steps if step.sequence is not None]
        self._settled.sort(key=attrgetter("sequence"), reverse=True)  # from the end

    def ask(self, key: str) -> StepRecord | None:
        """The record of a step that the code asks for now."""
        return self._unasked.pop(key, None)

    def next_settled(self, requests: Mapping[str, Request]) -> StepRecord | None:
        """The next recorded settlement: it answers one of the open requests. ``None``: history is used up.

        Raises:
            NonDeterminismError: the code has not asked for the step whose turn it is, or not for all records.
        """
        if self._settled:
            record = self._settled[-1]
            if record.key not in requests:
                raise self._mismatch(record, requests, "the code does not ask for the step whose turn it is")
            return self._settled.pop()
        if self._unasked:
            self._refuse_unasked(requests, "the code goes on to something new without asking for a recorded step")
        return None

    def require_used_up(self) -> None:
        """The workflow has ended: everything recorded must have been asked for and delivered.

        Raises:
            NonDeterminismError: it was not.
        """
        if self._settled:
            raise self._mismatch(self._settled[-1], {}, "the workflow ends before a recorded step")
        if self._unasked:
            self._refuse_unasked({}, "the workflow ends before a recorded step")

    def _refuse_unasked(self, requests: Mapping[str, Request], problem: str) -> None:
        raise self._mismatch(next(iter(self._unasked.values())), requests, problem)

    def _mismatch(self, record: StepRecord, requests: Mapping[str, Request], problem: str) -> NonDeterminismError:
        return NonDeterminismError(
            self._ref, record.key, record.sequence, tuple(requests), record.parent_key or "", problem
        )
