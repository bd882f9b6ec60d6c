"""All dispatchers of a simulation, and the scheduler that decides by a seed who does the next thing."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import final

from wfcore.testing.errors import EndlessError
from wfcore.testing.workers import Setting, Worker


@final
class Crew:
    """All dispatchers of a simulation.

    Args:
        count: how many there are.
        seed: decides who does the next thing.
        setting: what they share.
        outside: what else may happen now, if anything. With one dispatcher it happens first; with several, whenever
            it happens to: between a read and a write of somebody's, for one.

    Attributes:
        workers: the dispatchers.
    """

    def __init__(
        self, count: int, seed: int, setting: Setting, outside: Callable[[], Callable[[], None] | None]
    ) -> None:
        self.workers = [Worker(f"d{number}", setting) for number in range(1, count + 1)]
        self._begun = self._applied = 0
        self._setting = setting
        self._outside = outside
        self._random = random.Random(f"scheduler {seed}")

    def count_anew(self) -> None:
        """Begin to count ticks for the bound."""
        self._begun, self._applied = 0, self._plans()

    def hear(self, ref: str | None) -> None:
        """An instance was written, or (``None``) time has passed."""
        for worker in self.workers:
            worker.hear(ref)

    def until_idle(self) -> None:
        """Let the dispatchers go on until there is nothing due that anybody would handle.

        Raises:
            EndlessError: the bound was reached.
            SimulationError: a stub was wrong, or a replay differs.
            BaseException: what a body raised that is no ``Exception``; what a store raised that is not transient.
        """
        try:
            while choices := self._choices():
                choice = choices[0] if len(choices) == 1 else self._random.choice(choices)
                choice()
                self._check()
        except BaseException:
            for worker in self.workers:
                worker.drop()
            raise

    def left_out(self) -> frozenset[str]:
        """The instances that somebody leaves alone."""
        return frozenset[str]().union(*(worker.left_out for worker in self.workers))

    def _choices(self) -> list[Callable[[], None]]:
        outside = self._outside()
        if outside is not None and len(self.workers) == 1:
            return [outside]
        choices: list[Callable[[], None]] = [] if outside is None else [outside]
        for worker in self.workers:
            choices.extend(partial(worker.go_on, tick) for tick in worker.ticks)
            if worker.may_look:
                choices.append(partial(self._look, worker))
        return choices

    def _look(self, worker: Worker) -> None:
        self._begun += worker.look()

    def _plans(self) -> int:
        return sum(worker.applied for worker in self.workers)

    def _check(self) -> None:
        bodies = self._setting.bodies
        if bodies.fault is not None:
            fault, bodies.fault = bodies.fault, None
            raise fault
        # A tick that goes on from checkpoints counts for many.
        if max(self._begun, self._plans() - self._applied) > self._setting.max_ticks:
            refs = {tick.fired.hook.instance_ref for worker in self.workers for tick in worker.ticks}
            raise EndlessError(self._setting.max_ticks, self._setting.runtime.now(), tuple(sorted(refs)))
