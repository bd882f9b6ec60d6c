"""What an embedder brings: Protocols whose docstrings are the contract; no I/O of their own."""

from wfcore.ports.catalog import AsyncCatalog, Catalog, History, InstanceQuery, Page
from wfcore.ports.codec import Codec, checked, payload_limit
from wfcore.ports.feed import AsyncHookFeed, DueQuery, HookFeed, Shard
from wfcore.ports.store import AsyncBatchStore, AsyncStore, BatchStore, Listenable, Store

__all__ = [
    "AsyncBatchStore",
    "AsyncCatalog",
    "AsyncHookFeed",
    "AsyncStore",
    "BatchStore",
    "Catalog",
    "Codec",
    "DueQuery",
    "History",
    "HookFeed",
    "InstanceQuery",
    "Listenable",
    "Page",
    "Shard",
    "Store",
    "checked",
    "payload_limit",
]
