"""What a test has asked for, and how often it has happened: so that what never happens does not pass unnoticed."""

from __future__ import annotations

from typing import final

import attrs


@final
@attrs.define(eq=False)
class Asked:
    """One thing that a test has asked for.

    Attributes:
        what: as it was written: ``fail('charge', times=2)``.
        wanted: how often it has to happen; at least once is always wanted.
        happened: how often it did.
    """

    what: str
    wanted: int = 1
    happened: int = 0

    @property
    def left(self) -> int:
        """How often it has still to happen."""
        return max(0, self.wanted - self.happened)

    def takes_place(self) -> bool:
        """Let it happen once more, unless it has happened often enough."""
        if not self.left:
            return False
        self.happened += 1
        return True

    def __str__(self) -> str:
        if self.wanted == 1:
            return f"{self.what}: never happened"
        return f"{self.what}: happened {self.happened} times of {self.wanted}"
