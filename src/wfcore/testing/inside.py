"""Stores with a store inside: what the inner one can do beside retrieve, apply and the feed, they can do too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from wfcore.errors import MissingCapabilityError
from wfcore.model import Instance, InstanceStatus
from wfcore.ports import Catalog, History, InstanceQuery, Page


class CatalogInside:
    """The catalog of the store inside. If it has none, every question raises ``MissingCapabilityError``."""

    _store: object

    def list_instances(self, query: InstanceQuery) -> Page[Instance]:
        """As :meth:`wfcore.ports.Catalog.list_instances`."""
        return self._catalog("list_instances").list_instances(query)

    def count_by_status(self, query: InstanceQuery) -> Mapping[InstanceStatus, int]:
        """As :meth:`wfcore.ports.Catalog.count_by_status`."""
        return self._catalog("count_by_status").count_by_status(query)

    def history(self, ref: str, run_number: int | None = None) -> History:
        """As :meth:`wfcore.ports.Catalog.history`."""
        return self._catalog("history").history(ref, run_number)

    def suspects(self, limit: int, after: str | None = None) -> Sequence[Instance]:
        """As :meth:`wfcore.ports.Catalog.suspects`."""
        return self._catalog("suspects").suspects(limit, after)

    def _catalog(self, operation: str) -> Catalog:
        """The catalog, to be asked once; a store that fails on purpose may raise here."""
        if not isinstance(self._store, Catalog):
            raise MissingCapabilityError(type(self._store).__name__, "Catalog", f"{operation}()")
        return self._store
