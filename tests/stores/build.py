"""Rows and plans to test stores with: those of the conformance suite, and what our own stores write."""

import attrs

from wfcore.errors import StoreError
from wfcore.plan import AddEvent, AddHook, Plan, PutHook, PutStep, Write
from wfcore.ports import Store
from wfcore.testing.conformance.build import (
    MINUTE,
    NOW,
    OTHER,
    REF,
    create,
    delete,
    event,
    hook,
    instance,
    message,
    must,
    notice,
    plan,
    send,
    step,
    tick,
)

__all__ = [
    "MINUTE",
    "NOW",
    "OTHER",
    "REF",
    "Paid",
    "PaidTwice",
    "busy_tick",
    "create",
    "delete",
    "event",
    "hook",
    "instance",
    "message",
    "must",
    "notice",
    "plan",
    "refused",
    "send",
    "step",
    "tick",
]


def busy_tick(version: int = 1, ref: str = REF) -> Plan:
    """A tick with every kind of row in it."""
    return tick(
        version,
        PutStep(step("do:charge", ref, result='{"id": 7}')),
        PutHook(hook(ref, NOW + MINUTE)),
        Write(Paid("order-1", 100)),
        AddEvent(event("m2", ref)),
        AddHook(message("m2", ref)),
        ref=ref,
    )


def refused(store: Store, plan: Plan) -> StoreError:
    """The error that an apply raises."""
    try:
        store.apply(plan)
    except StoreError as error:
        return error
    raise AssertionError("the plan was applied")


@attrs.frozen
class Paid:
    """A domain value with a writer."""

    order: str
    cents: int


@attrs.frozen
class PaidTwice(Paid):
    """Its writer is found by its base."""
