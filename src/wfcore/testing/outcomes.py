"""What a test lets a step's body do in place of the real one, and how a test names steps. Data only: no I/O."""

from __future__ import annotations

from typing import Any, final

import attrs

from wfcore.errors import StepNameError
from wfcore.keys import StepKey


@final
@attrs.frozen
class Returns:
    """The body returns this value; it has to fit the type of the step's result."""

    value: Any = None


@final
@attrs.frozen
class Fails:
    """The body raises this error."""

    error: Exception


def returns(value: Any = None) -> Returns:
    """A body that returns ``value``."""
    return Returns(value)


def fails(error: Exception) -> Fails:
    """A body that raises ``error``."""
    return Fails(error)


def names_step(pattern: str, key: str, kind: str = "do") -> bool:
    """Whether a test means this step: by its whole key, or by its bare name, in any scope and any repeat.

    Args:
        pattern: ``"do:charge"``, ``"scope:parcel#1>do:ship"``: exactly that key; ``"charge"``: every step of that name.
        key: of the step.
        kind: of the steps that a bare name stands for.
    """
    if pattern == key:
        return True
    try:
        step = StepKey.parse(key).path[-1]
    except StepNameError:  # of an older engine (rule K5)
        return False
    return (step.kind, step.name) == (kind, pattern)
