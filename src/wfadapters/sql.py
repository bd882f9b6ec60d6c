"""A ready ``Write`` for every SQL store; data only, no I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs


@attrs.frozen
class Sql:
    """One SQL statement that commits with a step: ``attempt.write(Sql("UPDATE ...", (1, "a")))`` (rule T7).

    A domain value with a writer of its own (``writers=``) says more, and works in a simulation too. This is for
    what is not worth a class.

    Attributes:
        statement: one statement, in the store's dialect; it may not begin or end a transaction.
        parameters: values by position or by name, in the database driver's parameter style.
    """

    statement: str
    parameters: Sequence[object] | Mapping[str, object] = ()
