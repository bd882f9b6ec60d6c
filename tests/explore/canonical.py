"""Workflows of the kinds that people write, each to be explored to the end."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import attrs

from wfcore import AsyncStep, Attempt, EventTimeoutError, EventType, Retry, Step, StepFailedError, Workflow, workflow
from wfcore.testing import Body, Exploration, PerAttempt, explore, fails, per_attempt, returns

SECOND = timedelta(seconds=1)
Approved = EventType("approved", str)
Reminded = EventType("reminded", str)
RETRY = Retry(max_attempts=3, delay=5 * SECOND)


class BusyError(Exception):
    pass


def body(attempt: Attempt) -> str:
    raise AssertionError("no body runs while a workflow is explored")


USUAL = "conflict", "crash", "duplicate", "event", "time", "Completed"


@attrs.frozen(kw_only=True)
class Case:
    """A workflow to explore.

    Attributes:
        workflow: the workflow.
        bodies: what its bodies may do.
        events: what may arrive.
        commands: what may be asked for.
        workflows: of other instances.
        confluent: whether it ends in one way if its bodies do the same.
        witnesses: what has to be seen beside the usual.
        results: all ways in which it can end, as text.
    """

    workflow: Workflow[Any, Any]
    bodies: Mapping[str, Sequence[Body] | PerAttempt]
    events: Sequence[tuple[EventType[Any], object]] = ((Approved, "eva"), (Reminded, "ute"))
    commands: Sequence[str] = ()
    workflows: Sequence[Workflow[Any, Any]] = ()
    confluent: bool = True
    witnesses: Sequence[str] = ()
    results: Sequence[str] = ()

    @property
    def name(self) -> str:
        return self.workflow.name

    def missing(self, found: Exploration) -> list[str]:
        """What the exploration should have seen, and has not."""
        results = {str(each) for each in found.results}
        wanted = [each for each in (*USUAL, *self.witnesses) if each not in found.witnessed]
        return wanted + (sorted({*self.results} ^ results) if self.results else [])

    def commanded(self, commands: Sequence[str]) -> "Case":
        """The same, with commands that may be given at any moment, and one event; it may end in any way."""
        without = {*self.commands, "Paused", "unseen hook", "Rescheduled"}
        witnesses = [*(each for each in self.witnesses if each not in without), *commands]
        return attrs.evolve(
            self, events=self.events[:1], commands=commands, confluent=False, witnesses=witnesses, results=()
        )

    def explored(self, **bounds: Any) -> Exploration:
        settings: dict[str, Any] = {"events": self.events, "commands": self.commands, "confluent": self.confluent}
        settings |= {"workflows": self.workflows, "crashes": 2, "duplicates": 1} | bounds
        return explore(self.workflow, bodies=self.bodies, **settings)


@workflow(name="retry")
async def retrying(step: AsyncStep) -> str:
    order = await step.do("reserve", body)
    return order + await step.do("charge", body, retry=RETRY)


@workflow(name="sleeps")
def sleeping(step: Step) -> str:
    step.sleep("short", 5 * SECOND)
    first = step.do("wake", body)
    step.sleep("long", 60 * SECOND)
    return first + step.do("rise", body)


@workflow(name="approval")
async def approving(step: AsyncStep) -> str:
    request = await step.do("request", body)
    try:
        approval = await step.wait_for_event("approval", Approved, timeout=60 * SECOND)
    except EventTimeoutError:
        return request + await step.do("escalate", body)
    return request + approval.payload


@workflow(name="race")
async def racing(step: AsyncStep) -> str:
    async def approval(step: AsyncStep) -> str:
        return (await step.wait_for_event("approval", Approved)).payload

    async def patience(step: AsyncStep) -> str:
        await step.sleep("patience", 30 * SECOND)
        return "late"

    _first, value = await step.race("first", approval, patience)
    await step.sleep("rest", 60 * SECOND)
    return value + await step.do("tell", body)


@workflow(name="fan-out")
async def fanning(step: AsyncStep) -> str:
    async def left(step: AsyncStep) -> str:
        return await step.do("left", body, retry=RETRY)

    async def right(step: AsyncStep) -> str:
        return await step.do("right", body)

    async def nap(step: AsyncStep) -> str:
        await step.sleep("nap", 8 * SECOND)
        return "n"

    return "".join(await step.gather("parts", left, right, nap))


@workflow(name="child")
async def child(step: AsyncStep) -> str:
    note = await step.wait_for_event("note", Reminded)
    return note.payload + await step.do("read", body)


@workflow(name="parent")
async def parent(step: AsyncStep) -> str:
    await step.do("start", body)
    return await step.do("message", body)


def starts(attempt: Attempt) -> str:
    attempt.start(child, id="1")
    return "started"


def messages(attempt: Attempt) -> str:
    attempt.send_event(child, "1", Reminded, "hello", required=True)
    attempt.write("messaged")
    return "sent"


@workflow(name="saga")
async def saga(step: AsyncStep) -> str:
    undo: list[str] = []
    try:
        for name in ("flight", "hotel"):
            await step.do(name, body)
            undo.append(name)
        await step.do("pay", body, retry=Retry(max_attempts=2, delay=5 * SECOND))
    except StepFailedError:
        for name in reversed(undo):
            await step.do(f"cancel {name}", body)
        return "cancelled"
    return "booked"


@workflow(name="pausing")
async def pausing(step: AsyncStep) -> str:
    first = await step.do("begin", body)
    await step.sleep("settle", 5 * SECOND)
    approval = await step.wait_for_event("approval", Approved)
    return first + approval.payload


OUTCOMES: Callable[[str], list[Body]] = lambda value: [returns(value), fails(BusyError())]
CASES = [
    Case(
        workflow=retrying,
        bodies={"reserve": [returns("r")], "charge": OUTCOMES("c")},
        witnesses=["continuation", "unseen hook", "Suspended", "Errored"],
        results=["complete: 'rc'", "errored: StepFailedError: step 'do:charge' failed: BusyError"],
    ),
    Case(
        workflow=sleeping,
        bodies={"wake": [returns("w")], "rise": [returns("r")]},
        witnesses=["Suspended", "Rescheduled"],
        results=["complete: 'wr'"],
    ),
    Case(
        workflow=approving,
        bodies={"request": [returns("r")], "escalate": [returns("e")]},
        confluent=False,
        witnesses=["Suspended", "Rescheduled"],
        results=["complete: 'reva'", "complete: 're'"],
    ),
    Case(
        workflow=racing,
        bodies={"tell": [returns("t")]},
        confluent=False,
        witnesses=["Suspended", "Rescheduled"],
        results=["complete: 'evat'", "complete: 'latet'"],
    ),
    Case(
        workflow=fanning,
        bodies={"left": per_attempt(OUTCOMES("l"), [returns("l")]), "right": [returns("r")]},
        witnesses=["continuation", "unseen hook", "Suspended"],
        results=["complete: 'lrn'"],
    ),
    Case(
        workflow=parent,
        bodies={"start": [starts], "message": [messages], "read": [returns("r")]},
        workflows=[child],
        witnesses=["continuation", "unseen hook", "Suspended"],
        results=["complete: 'sent'"],
    ),
    Case(
        workflow=saga,
        bodies={
            "flight": [returns("f")],
            "hotel": OUTCOMES("h"),
            "pay": OUTCOMES("p"),
            "cancel flight": [returns("-f")],
            "cancel hotel": [returns("-h")],
        },
        witnesses=["continuation", "unseen hook", "Suspended"],
        results=["complete: 'booked'", "complete: 'cancelled'"],
    ),
    Case(
        workflow=pausing,
        bodies={"begin": [returns("b")]},
        commands=["pause", "resume"],
        witnesses=["pause", "resume", "Paused", "Suspended"],
        results=["complete: 'beva'"],
    ),
]
ORDERS: Mapping[str, Sequence[str]] = {
    "pause, resume": ("pause", "resume"),
    "terminate": ("terminate",),
    "restart": ("restart",),
    "retry": ("retry",),
    "terminate, delete, create": ("terminate", "delete", "create"),
}
"""Commands that are given at any moment, each once, by name of the case that they make of another."""


def ordered() -> dict[str, Case]:
    """Each case with each of the commands; a retry where something can fail."""
    return {
        f"{case.name}: {name}": case.commanded(commands)
        for case in CASES
        for name, commands in ORDERS.items()
        if name != "retry" or any(each.startswith("errored") for each in case.results)
    }
