"""How the frozen ticks were made. ``python -m tests.corpus --write`` adds files for new scenarios, and changes none."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import repeat
from typing import Any

import attrs

from tests.corpus import workflows
from tests.corpus.frozen import FORMAT_VERSION, Command, Earlier, File, Reply, Tick, commanded, planned
from tests.corpus.workflows import MINUTE, SECOND, Approval, Approved, Order, Rejected
from tests.lab import T0, Lab
from tests.planner.rows import hook, instance, message, notice, pause_request, record, snapshot, timer
from wfcore import EventType
from wfcore.errors import CodecError, WorkflowError
from wfcore.keys import is_terminal_notice
from wfcore.model import FiredHook, Hook, Snapshot
from wfcore.planner import RECOVER_AFTER, plan_defer
from wfcore.workflow import Registry


@attrs.define
class Recorder:
    """A lab whose ticks and commands are kept.

    Attributes:
        deployed: names of the workflows that run now.
        lab: the rows.
        continued: whether checkpoints are committed while the tick goes on.
        ticks, commands: what was recorded.
        earlier: what the ticks have left to the runner.
    """

    deployed: tuple[str, ...]
    lab: Lab
    continued: bool = False
    ticks: list[Tick] = attrs.field(factory=list)
    commands: list[Command] = attrs.field(factory=list)
    earlier: Earlier = attrs.field(factory=Earlier)

    @classmethod
    def of(cls, *deployed: str, params: object = None, continued: bool = False) -> Recorder:
        recorder = cls(deployed, Lab(_registry(deployed)), continued)
        recorder.lab.create(next(iter(recorder.lab.registry)), params)
        return recorder

    @property
    def file(self) -> File:
        """What is to stand in the file."""
        return File(FORMAT_VERSION, tuple(self.ticks), tuple(self.commands))

    def deploy(self, *deployed: str) -> None:
        self.deployed = deployed
        self.lab.registry = _registry(deployed)

    def send(self, event: EventType[Any] | str, payload: object, at: datetime | None = None) -> None:
        self.lab.now = at or self.lab.now
        self.lab.send(event, payload)

    def tick(
        self,
        at: datetime | None = None,
        *,
        took: timedelta = timedelta(0),
        fired: Hook | None = None,
        stops: bool = False,
        loses: bool = False,
        **known: Any,
    ) -> Tick:
        """Plan a tick, keep it, apply what it planned; an author's error defers the hook.

        ``stops``: it goes on after no checkpoint. ``loses``: another writer was faster than its last plan.
        """
        lab = self.lab
        lab.now = lab.now if at is None else at
        seen = lab.snapshot()
        firing = lab.fired(fired)
        commits = tuple(lab.next_id("go on") for _ in range(20)) if self.continued else None
        blank = Tick(
            workflows=self.deployed,
            snapshot=seen,
            fired=firing,
            execution_id=lab.next_id("tick"),
            recover_after=RECOVER_AFTER,
            commits=(None,) if stops else commits,
            after=seen,
            **{"mine": frozenset(), **known},
        )
        tick = planned(blank, repeat(took), self.earlier)
        self.ticks.append(tick)
        for plan in tick.plans[:-1] if loses else tick.plans:
            lab.apply(plan)
        if tick.error is not None:
            self._defer(seen, firing)
        return tick

    def command(self, name: str, *, code: str | None = None, at: datetime | None = None, **more: Any) -> Command:
        """Plan a command, keep it, apply what it planned."""
        lab = self.lab
        lab.now = lab.now if at is None else at
        seen = lab.snapshot()
        blank = Command(name=name, workflow=code, snapshot=seen, execution_id=lab.next_id(name), more=more, after=seen)
        command = commanded(blank)
        self.commands.append(command)
        if command.plan is not None:
            lab.apply(command.plan)
        return command

    def run(self, until: datetime, *, took: timedelta = timedelta(0)) -> None:
        """Handle hooks at their times."""
        while due := [each for each in self.lab.snapshot().hooks if each.due_at <= until and not _is_notice(each)]:
            self.tick(max(self.lab.now, min(each.due_at for each in due)), took=took)

    def _defer(self, seen: Snapshot, firing: FiredHook) -> None:
        lab = self.lab
        try:
            lab.plan(fired=firing)
        except (WorkflowError, CodecError) as error:
            lab.apply(plan_defer(seen, firing, error, execution_id=lab.next_id("defer")))


def _is_notice(hook: Hook) -> bool:
    return is_terminal_notice(hook.id)  # no tick handles it


def _registry(names: tuple[str, ...]) -> Registry:
    return Registry([getattr(workflows, name) for name in names])


ORDER = Order("o1", 700)
HOUR = timedelta(hours=1)


def order(code: str, *, continued: bool) -> Recorder:
    recorder = Recorder.of(code, params=ORDER, continued=continued)
    recorder.run(T0, took=SECOND / 3)
    recorder.send(Rejected, "no", T0 + MINUTE)
    recorder.run(T0 + HOUR)
    return recorder


def order_late(code: str, *, continued: bool) -> Recorder:
    recorder = Recorder.of(code, params=ORDER, continued=continued)
    recorder.run(T0 + HOUR, took=SECOND)
    recorder.tick(T0 + HOUR)  # a firing too many
    recorder.send(Approved, Approval("ada"), T0 + 2 * HOUR)
    recorder.tick(T0 + timedelta(days=3))
    recorder.tick()
    return recorder


def order_timed_out() -> Recorder:
    recorder = Recorder.of("orders", params=ORDER)
    recorder.run(T0 + HOUR)
    recorder.send(Approved, Approval("late"), T0 + timedelta(days=2))
    recorder.tick()
    return recorder


def order_changed(*edits: str) -> Recorder:
    """Deployed edits do not fit, each at its own time; the right code goes on."""
    recorder = Recorder.of("orders", params=ORDER)
    recorder.run(T0)
    recorder.send(Approved, Approval("ada"))
    for number, edit in enumerate(edits, start=1):
        recorder.deploy(edit)
        recorder.tick(T0 + HOUR * number)
    recorder.deploy("orders")
    recorder.run(T0 + timedelta(days=1))
    return recorder


def order_stopped() -> Recorder:
    recorder = Recorder.of("orders", params=ORDER, continued=True)
    recorder.tick(took=SECOND, stops=True)
    recorder.tick()  # left to its runner
    recorder.run(T0 + MINUTE)
    return recorder


def retried(policy: str) -> Recorder:
    recorder = Recorder.of("retries", params=policy)
    recorder.tick(took=SECOND / 7)
    recorder.tick(T0 + SECOND)  # too early
    recorder.run(T0 + HOUR, took=SECOND / 7)
    return recorder


def ran(code: str, until: timedelta = HOUR, *, params: object = None, continued: bool = False) -> Recorder:
    recorder = Recorder.of(code, params=params, continued=continued)
    recorder.run(T0 + until, took=SECOND / 3)
    return recorder


def slept() -> Recorder:
    recorder = Recorder.of("sleeps")
    recorder.tick()
    recorder.tick(T0 + HOUR)
    recorder.run(T0 + timedelta(days=1))
    return recorder


def waited() -> Recorder:
    recorder = Recorder.of("waits")
    recorder.send("anything", None)
    recorder.send(EventType("approved", int), 7)  # does not fit: W12
    recorder.tick()
    recorder.send(Approved, Approval("in time"), T0 + 9 * MINUTE)
    recorder.send(Rejected, "late", T0 + 11 * MINUTE)
    recorder.tick(T0 + 30 * MINUTE)
    recorder.run(T0 + HOUR)
    return recorder


def waited_for_others() -> Recorder:
    recorder = Recorder.of("waits")
    recorder.tick()
    recorder.send(Approved, Approval("ada"))
    recorder.deploy("waits_for_others")
    recorder.tick()
    return recorder


def in_flight(code: str, replies: tuple[Reply, ...]) -> Recorder:
    """Bodies of several branches at once, and what came of them in that order."""
    recorder = Recorder.of(code, continued=True)
    recorder.tick(replies=replies)
    recorder.run(T0 + HOUR)
    return recorder


def done(key: str, seconds: int = 0) -> Reply:
    return Reply(what="done", key=key, elapsed=seconds * SECOND)


def mapped_others() -> Recorder:
    recorder = Recorder.of("maps", params=[2, 3])
    recorder.tick()
    recorder.deploy("maps_of_others")
    recorder.tick(T0 + MINUTE)
    return recorder


def started(code: str) -> Recorder:
    """Started by one runner, found by others, then without a result at its deadline."""
    recorder = Recorder.of(code)
    recorder.run(T0)
    recorder.run(T0 + 2 * HOUR)
    return recorder


def started_and_run(code: str) -> Recorder:
    recorder = Recorder.of(code)
    first = recorder.tick()
    recorder.tick(mine=frozenset({first.execution_id}), took=SECOND)
    recorder.run(T0 + HOUR)
    return recorder


def decided() -> Recorder:
    recorder = Recorder.of("deciding")
    recorder.tick()
    recorder.send(Rejected, "no")
    recorder.send(Rejected, "yes")
    recorder.run(T0 + MINUTE)
    return recorder


def patched_late() -> Recorder:
    recorder = Recorder.of("unpatched")
    recorder.run(T0)
    recorder.deploy("patched")
    recorder.run(T0 + HOUR)
    return recorder


def ran_on() -> Recorder:
    recorder = Recorder.of("endless", params=1)
    recorder.tick()
    for _ in range(2):
        recorder.send("anything", None)
        recorder.run(recorder.lab.now)
    return recorder


def started_and_lost(*, paused: bool = False, pauses: bool = False) -> Recorder:
    """Started and run, and the plan with the result is lost: the runner holds it."""
    recorder = Recorder.of("once_alone", continued=True)
    first = recorder.tick(took=SECOND, loses=True)
    mine = frozenset(plan.execution_id for plan in first.plans)
    if pauses or paused:
        recorder.command("pause", request_id="1", at=T0 + SECOND)
    if paused:
        recorder.tick(T0 + 15 * SECOND)  # before, its runner may be at work
    recorder.tick(T0 + 20 * SECOND, mine=mine, held=("do:pay",))
    if pauses or paused:
        recorder.command("resume", at=T0 + MINUTE)
        recorder.run(T0 + MINUTE)
    return recorder


def demanded(*, found: bool) -> Recorder:
    """An event to an instance that must be there: the runner learns from the conflict whether it is."""
    recorder = Recorder.of("demanding")
    recorder.tick(loses=True)
    if not found:
        for number in range(4):
            recorder.tick(T0 + number * 3 * SECOND, absent=frozenset({"waits#other"}))
        recorder.run(T0 + HOUR)
    return recorder


def carried_over(*, lost: bool = False) -> Recorder:
    """A hook that nobody has seen ends the continuation; a body goes on flying into the next tick."""
    recorder = Recorder.of("parallel", continued=True)
    left, right = (f"gather:both[{index}]>do:work" for index in range(2))
    first = recorder.tick(replies=(done(left, 1),), stops=True)
    mine = frozenset({first.execution_id})
    if lost:
        recorder.tick(T0 + HOUR, replies=(done(right, 1),))
    else:
        recorder.tick(T0 + SECOND, mine=mine, flights=(right,), replies=(done(right, 1),))
    return recorder


def paused(*, withdrawn: bool = False) -> Recorder:
    recorder = Recorder.of("orders", params=ORDER)
    recorder.run(T0)
    recorder.command("pause", request_id="1", at=T0 + MINUTE)
    recorder.command("pause", request_id="2")
    if not withdrawn:
        recorder.run(T0 + MINUTE)
        recorder.command("pause", request_id="3")
        recorder.send(Rejected, "no", T0 + 2 * MINUTE)
        recorder.run(T0 + 2 * MINUTE)
    recorder.command("resume", at=T0 + HOUR)
    recorder.command("resume")
    recorder.run(T0 + HOUR)
    return recorder


def restarted(*, at: timedelta, **more: Any) -> Recorder:
    recorder = Recorder.of("retries", params="constant")
    recorder.run(T0 + at)
    if "params" not in more:
        recorder.send("approved", None)  # taken out of the mailbox
    recorder.command("restart", code="retries", at=T0 + HOUR, **more)
    recorder.run(T0 + 2 * HOUR)
    return recorder


def terminated(code: str, *, notify: bool) -> Recorder:
    recorder = Recorder.of(code)
    recorder.tick()
    recorder.command("delete")  # refused: it has not ended
    ended = recorder.command("terminate", notify=notify, at=T0 + SECOND)
    recorder.command("terminate", notify=notify)
    recorder.tick()
    if notify:
        recorder.command("delete")  # refused: its end is still to be announced
        (announced,) = (each.id for each in ended.after.hooks)
        recorder.command("terminal_notified", transition_id=announced)
    recorder.command("delete", at=T0 + MINUTE)
    return recorder


def tried_again(code: str, **more: Any) -> Recorder:
    """It fails, is retried, and fails again."""
    recorder = Recorder.of(code, **more)
    recorder.command("retry")  # refused: it has not failed
    recorder.run(T0 + HOUR)
    recorder.command("retry", at=T0 + 2 * HOUR)
    recorder.run(T0 + 3 * HOUR)
    return recorder


def adopted() -> Recorder:
    """Rows of an engine whose keys were bare names, and which did not number what settled."""
    recorder = Recorder.of("unpatched")
    lab = recorder.lab
    work = attrs.evolve(DONE, instance_ref=lab.ref, key="work", name="work", sequence=None)
    nap = attrs.evolve(NAP, instance_ref=lab.ref, key="nap")
    lab.put(attrs.evolve(lab.snapshot(), steps=(work, nap)))
    recorder.tick()  # a mismatch
    recorder.command("adopt_bare_keys", at=T0 + SECOND)
    recorder.command("adopt_bare_keys")
    recorder.run(T0 + MINUTE)
    return recorder


def gate(seen: Snapshot, trigger: Hook | None = None) -> Recorder:
    recorder = Recorder(("ends",), Lab(_registry(("ends",))))
    recorder.lab.ref = "w#1"
    recorder.lab.put(seen)
    recorder.tick(seen.now, fired=trigger or message("trigger"))
    return recorder


LATER = T0 + MINUTE
DONE = record("do:a", status="completed", result="1", attempts=1, sequence=1, settled_at=T0)
NAP = record("sleep:nap", wake_at=LATER)
LISTENS = record("wait_for_event:a", event_types=("approved",))

SCENARIOS: dict[str, Callable[[], Recorder]] = {
    "orders, checkpoints": lambda: order("orders", continued=False),
    "orders, continued": lambda: order("orders", continued=True),
    "orders, by tick": lambda: order("orders_by_tick", continued=True),
    "orders, async, checkpoints": lambda: order("orders_async", continued=False),
    "orders, async, continued": lambda: order("orders_async", continued=True),
    "orders, late": lambda: order_late("orders", continued=False),
    "orders, async, late": lambda: order_late("orders_async", continued=True),
    "orders, timed out": order_timed_out,
    "orders, changed code": lambda: order_changed("orders_renamed", "orders_cut"),
    "orders, stopped": order_stopped,
    "retries, constant": lambda: retried("constant"),
    "retries, linear": lambda: retried("linear"),
    "retries, exponential": lambda: retried("exponential"),
    "retries, jitter": lambda: retried("jitter"),
    "failures": lambda: ran("failures", 2 * HOUR),
    "failures, async": lambda: ran("failures_async", continued=True),
    "sleeps": slept,
    "waits": waited,
    "waits, other types": waited_for_others,
    "scopes": lambda: ran("scopes"),
    "ends, raise": lambda: ran("ends", params="raise"),
    "ends, final": lambda: ran("ends", params="final"),
    "ends, no JSON": lambda: ran("ends", params="no JSON"),
    "ends, bad name": lambda: ran("ends", 4 * SECOND, params="bad name", continued=True),
    "ends, swallow": lambda: ran("ends", 4 * SECOND, params="swallow"),
    "forgetful": lambda: ran("forgetful", 4 * SECOND, continued=True),
    "branches, by tick": lambda: ran("branches"),
    "branches, continued": lambda: ran("branches_by_step", continued=True),
    "branches, in flight": lambda: in_flight(
        "branches_by_step",
        (
            done("gather:all[2]>do:flaky", 1),
            done("gather:all[0]>do:label", 2),
        ),
    ),
    "races, in flight": lambda: in_flight(
        "racing",
        (
            Reply(what="elapsed", elapsed=MINUTE),
            done("race:first[0]>do:work", 61),
            done("race:first[1]>do:struggle", 62),
            done("race:second[1]>do:work", 63),
            Reply(what="dropped", key="race:second[2]>do:work"),
        ),
    ),
    "failing branches": lambda: ran("failing_branches"),
    "maps": lambda: ran("maps", params=[2, 3, 5]),
    "maps, another list": mapped_others,
    "once, nobody runs it": lambda: started("once"),
    "once, alone": lambda: started("once_alone"),
    "once, run": lambda: started_and_run("once"),
    "once, alone, run": lambda: started_and_run("once_alone"),
    "once, held": started_and_lost,
    "once, held, pause": lambda: started_and_lost(pauses=True),
    "once, held, paused": lambda: started_and_lost(paused=True),
    "demanding, nobody there": lambda: demanded(found=False),
    "demanding, somebody there": lambda: demanded(found=True),
    "parallel, carried over": carried_over,
    "parallel, not carried over": lambda: carried_over(lost=True),
    "commands, pause, resume": paused,
    "commands, pause, withdrawn": lambda: paused(withdrawn=True),
    "commands, restart": lambda: restarted(at=timedelta(0)),
    "commands, restart, same keys": lambda: restarted(at=timedelta(0), keep_keys=True),
    "commands, restart, ended": lambda: restarted(at=HOUR, params="linear"),
    "commands, terminate": lambda: terminated("sleeps", notify=False),
    "commands, terminate, notify": lambda: terminated("once", notify=True),
    "commands, retry": lambda: tried_again("ends", params="final"),
    "commands, retry, code": lambda: tried_again("ends", params="raise"),
    "commands, retry, branches": lambda: tried_again("escaping"),
    "commands, bare keys": adopted,
    "deciding": decided,
    "patched, new run": lambda: ran("patched"),
    "patched, old run": patched_late,
    "telling": lambda: ran("telling"),
    "endless": ran_on,
    "gate, no instance": lambda: gate(snapshot(None, hooks=[timer(), message()])),
    "gate, nothing at all": lambda: gate(snapshot(None)),
    "gate, other run": lambda: gate(
        snapshot(instance(run_number=2), hooks=[timer(run=2), hook("w#1#old", run=1), message()]), timer(run=1)
    ),
    "gate, ended": lambda: gate(
        snapshot(instance(status="complete"), events=[pause_request()], hooks=[timer(), notice(), message("#pause-1")])
    ),
    "gate, at work": lambda: gate(snapshot(instance(status="active"), hooks=[timer(LATER), message()])),
    "gate, pause": lambda: gate(
        snapshot(instance(), steps=[DONE, NAP], events=[pause_request(), pause_request("#2")], hooks=[timer(LATER)])
    ),
    "gate, paused": lambda: gate(
        snapshot(instance(status="paused"), steps=[NAP], events=[pause_request()], hooks=[timer(), message()])
    ),
    "gate, nothing due": lambda: gate(snapshot(instance(), steps=[DONE, NAP], hooks=[timer(T0), message()])),
    "gate, nothing due at all": lambda: gate(snapshot(instance(), steps=[LISTENS], hooks=[timer(T0), message()])),
    "gate, all is well": lambda: gate(snapshot(instance(), steps=[NAP], hooks=[timer(LATER)])),
    "gate, unknown workflow": lambda: gate(snapshot(instance(status="active"), hooks=[timer()])),
}
