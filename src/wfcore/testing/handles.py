"""The handle of a simulated instance: like a client's, and it shows what is recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, TypeVar, final

from wfcore.failure import Failure
from wfcore.model import StepRecord
from wfcore.runner import Handle
from wfcore.runner.commander import Commander
from wfcore.workflow import Workflow

R_co = TypeVar("R_co", covariant=True)


@final
class SimulatedHandle(Handle[R_co]):
    """One instance of a simulation. Everything that a client's handle can do is done to it, at the simulated time."""

    __slots__ = ("_passes",)

    def __init__(
        self,
        commander: Commander,
        workflow: Workflow[Any, R_co],
        id: str,
        passes: Callable[[SimulatedHandle[Any], timedelta | None], None],
    ) -> None:
        super().__init__(commander, workflow, id)
        self._passes = passes

    def steps(self) -> Mapping[str, StepRecord]:
        """The records of the current run by step key: those that have settled in their order, then those that wait.

        Raises:
            InstanceNotFoundError: there is no such instance.
        """
        return {step.key: step for step in self.history().steps}

    def failure(self) -> Failure | None:
        """Why the instance has failed, if it has.

        Raises:
            InstanceNotFoundError: there is no such instance.
        """
        return self.get().failure

    def result(self, *, timeout: timedelta | None = timedelta(0)) -> R_co:
        """As :meth:`wfcore.Handle.result`; ``timeout`` is simulated time, in which hooks are handled."""
        if timeout is None or timeout > timedelta(0):
            self._passes(self, timeout)
        return super().result()
