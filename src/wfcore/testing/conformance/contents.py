"""The clauses of the suite, by id: what a store promises. Each test is named by its clause: ``test_a1_...``."""

from __future__ import annotations

import re
from collections.abc import Mapping

CLAUSES: Mapping[str, str] = {
    "A1": "a plan is applied whole, in the order given, or not at all, wherever a fault strikes",
    "A2": "a plan is applied if and only if every precondition holds; a conflict says what was found",
    "A3": "exactly one winner per version: threads, processes, delete and create",
    "A4": "what was applied is found by a store that is opened again",
    "A5": "after an unknown commit a retrieve tells what happened",
    "A6": "identities are unique; a put replaces, an add does not, a delete takes all rows",
    "A7": "payloads come back byte for byte, instants to the microsecond, every field as it was",
    "A8": "an empty plan writes nothing",
    "A9": "a retrieve is one consistent cut, whole, with the store's clock",
    "A10": "an append is never refused, and belongs to no instance that is gone",
    "A11": "a write commits with its plan; a failing one is named, and leaves no trace",
    "A12": "a transient failure is StoreUnavailableError, never a conflict",
    "A13": "the answer names the pending hooks, and the appends without an instance",
    "B1": "a bound store is a store, in the caller's transaction",
    "B2": "of many plans each is atomic on its own",
    "B3": "listeners are told of every instance that a plan touches",
    "B4": "a task may be cancelled wherever it waits, and keeps no other waiting",
    "C1": "a list holds whole rows that pass every filter, the newest first",
    "C2": "pages skip nothing and show nothing twice",
    "C3": "counts are those of the filters, by status",
    "C4": "a history is of one run, in order",
    "C5": "whatever breaks rule O5 is among the suspects",
    "E1": "after any plan all rows and answers are those of evolve",
    "F1": "a hook is due at its instant, not before",
    "F2": "due hooks come by instant and id, of each instance its first",
    "F3": "limit, workflow names and exclusion of instances",
    "F4": "next_due_at is the earliest that the query admits",
    "F5": "notices of terminal transitions are given to those who want them only",
    "F6": "the feed follows what is put and deleted",
    "F7": "a shard is given its own hooks when they are due, and those of others when they are overdue",
}
"""Title of each clause. A: apply and retrieve. B: optional capabilities. C: catalog. E: evolve. F: feed."""

_CLAUSE = re.compile(r"test_([a-f]\d+)_")


def clause_of(test: str) -> str | None:
    """The clause that a test belongs to; ``None``: it is no test of the suite."""
    found = _CLAUSE.match(test)
    clause = found.group(1).upper() if found else ""
    return clause if clause in CLAUSES else None
