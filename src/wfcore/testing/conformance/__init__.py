"""The conformance suite, which the author of a store runs on it; it needs ``wfcore[conformance]``."""

from wfcore.testing.conformance.adapter import Adapter, Clock, Note
from wfcore.testing.conformance.contents import CLAUSES
from wfcore.testing.conformance.suite import AsyncStoreSuite, StoreSuite

__all__ = ["CLAUSES", "Adapter", "AsyncStoreSuite", "Clock", "Note", "StoreSuite"]
