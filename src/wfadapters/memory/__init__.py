"""A store in memory: for tests, simulations and trying things out."""

from wfadapters.memory.store import MemoryStore

__all__ = ["MemoryStore"]
