"""Exploring: every interleaving of a workflow at the boundaries of retrieve, body and apply, exhausted."""

from wfcore.testing.exploring.engine import Engine
from wfcore.testing.exploring.exploration import Counterexample, Exploration, Played, Result
from wfcore.testing.exploring.explore import explore
from wfcore.testing.exploring.options import Bodies, PerAttempt, per_attempt
from wfcore.testing.exploring.view import WorldView

__all__ = [
    "Bodies",
    "Counterexample",
    "Engine",
    "Exploration",
    "PerAttempt",
    "Played",
    "Result",
    "WorldView",
    "explore",
    "per_attempt",
]
