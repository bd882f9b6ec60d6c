"""What an instance is waiting for, until when, and what would wake it (rule M10). Pure: no I/O, no clock."""

from wfcore.explain.explanation import Explanation, Problem, Situation
from wfcore.explain.parts import NearMiss, Unsettled, WakeUp
from wfcore.explain.reading import explain

__all__ = ["Explanation", "NearMiss", "Problem", "Situation", "Unsettled", "WakeUp", "explain"]
