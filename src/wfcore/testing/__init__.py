"""Tests of users' own workflows: simulate them in virtual time, explore every interleaving, check single ticks."""

from wfcore.testing.outcomes import Fails, Returns, fails, returns

__all__ = ["Fails", "Returns", "fails", "returns"]
