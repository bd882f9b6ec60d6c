"""What an embedder brings: Protocols whose docstrings are the contract; no I/O of their own."""

from wfcore.ports.codec import Codec, checked
from wfcore.ports.feed import DueQuery, HookFeed
from wfcore.ports.store import Listenable, Store

__all__ = ["Codec", "DueQuery", "HookFeed", "Listenable", "Store", "checked"]
