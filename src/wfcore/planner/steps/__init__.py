"""The step kinds: pure decisions and settlements, one module each; no I/O, and no kind knows another."""

__all__ = []
