"""How a check of the test kit fails: assertions with facts as fields, the text made of them. Values only: no I/O."""

from __future__ import annotations

import attrs


@attrs.define(eq=False)
class PlanMismatchError(AssertionError):
    """A tick or a command was not planned as the test expects.

    Attributes:
        problems: what differs, each in a text of its own.
        planned: what was planned instead, as text.
    """

    problems: tuple[str, ...]
    planned: str

    def __str__(self) -> str:
        return "\n".join([*self.problems, "", "planned:", _indented(self.planned)])


@attrs.define(eq=False)
class UnexpectedBodyError(AssertionError):
    """A tick asks for a body that the test does not expect.

    Attributes:
        key: of the step.
        expected: the steps whose bodies the test expects.
    """

    key: str
    expected: tuple[str, ...]

    def __str__(self) -> str:
        expected = ", ".join(map(repr, self.expected)) or "none"
        return (
            f"the body of {self.key!r} is to run, but the test expects {expected}; "
            f"say what it does: .performing({{{self.key!r}: returns(...)}})"
        )


@attrs.define(eq=False)
class UnfitValueError(AssertionError):
    """A value that the test has made up does not fit the type that the workflow's code gives it.

    Attributes:
        what: which value, such as ``the result of 'do:charge'``.
        path: where in it, ``$`` is the whole.
        expected: what the type wants there.
        found: what is there.
    """

    what: str
    path: str
    expected: str
    found: str

    def __str__(self) -> str:
        place = "" if self.path == "$" else f"at {self.path}: "
        return f"the test's value for {self.what} does not fit: {place}expected {self.expected}, found {self.found}"


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
