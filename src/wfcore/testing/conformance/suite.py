"""The suite: all clauses, for blocking stores and for asyncio's."""

from __future__ import annotations

from typing import ClassVar

from wfcore.testing.conformance.clauses.atomic import Atomic, Preconditions
from wfcore.testing.conformance.clauses.batches import Batches
from wfcore.testing.conformance.clauses.feed import Due, Notices
from wfcore.testing.conformance.clauses.generated import Generated
from wfcore.testing.conformance.clauses.identities import Answers, Deletes, Identities
from wfcore.testing.conformance.clauses.lists import Counts, Lists, Pages
from wfcore.testing.conformance.clauses.optional import Bound, Listeners
from wfcore.testing.conformance.clauses.records import Histories, Suspects
from wfcore.testing.conformance.clauses.rivals import Appends, Cuts, Winners
from wfcore.testing.conformance.clauses.shards import Shards
from wfcore.testing.conformance.clauses.tasks import Tasks
from wfcore.testing.conformance.clauses.trouble import Faults, Reopened
from wfcore.testing.conformance.clauses.values import Retrieves, Values
from wfcore.testing.conformance.clauses.writes import Writes
from wfcore.testing.conformance.fixtures import Capabilities, Fixtures


class StoreSuite(
    Fixtures,
    Capabilities,
    Atomic,
    Preconditions,
    Winners,
    Reopened,
    Identities,
    Deletes,
    Values,
    Retrieves,
    Cuts,
    Appends,
    Writes,
    Faults,
    Answers,
    Bound,
    Batches,
    Listeners,
    Tasks,
    Due,
    Notices,
    Shards,
    Lists,
    Pages,
    Counts,
    Histories,
    Suspects,
    Generated,
):
    """Tests of a blocking store: derive a class whose name begins with ``Test``, and fill the fixture ``adapter``.

    Each test is named by its clause (``wfcore.testing.conformance.CLAUSES``) and gets a new adapter.
    """


class AsyncStoreSuite(StoreSuite):
    """The same tests of a store for asyncio: its calls run on one event loop, in a thread of its own."""

    asynchronous: ClassVar[bool] = True
