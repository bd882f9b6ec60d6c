"""Rows and an instant, and what the planner makes of them. It runs workflow code and step bodies; nothing is stored."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Self, final

import attrs

from wfcore.evolve import NOTHING, Rows, World, evolve
from wfcore.keys import build_ref, is_terminal_notice, parse_ref
from wfcore.model import FiredHook, Snapshot
from wfcore.plan import Conflict, Plan
from wfcore.planner import plan_tick
from wfcore.ports import Codec
from wfcore.runner.guard import WORKFLOW_CODE, Surroundings
from wfcore.testing.commands import Command, MakePlan, Occasion
from wfcore.testing.diff import show, tell
from wfcore.testing.expect import Found
from wfcore.testing.failures import PlanMismatchError
from wfcore.testing.judge import Expectation, error_text, misses, noises, unlike
from wfcore.testing.outcomes import Fails, Returns
from wfcore.testing.performing import Body, Performer, Refused
from wfcore.testing.rows import GivenHook, timer
from wfcore.testing.state import hook_row
from wfcore.workflow import Registry, Workflow


@final
@attrs.frozen
class Given:
    """Rows, and an instant. Made by :func:`given`.

    Attributes:
        world: the rows by ref, of other instances too once a plan has touched them.
        ref: the instance that the test is about.
        now: the instant.
        registry: the workflows that are known.
        codec: how values become payloads.
        bodies: what step bodies do; ``None``: the real ones run.
        planned: execution ids of the plans that were made so far, ``tick-1``, ``tick-2``, ...
    """

    world: World
    ref: str
    now: datetime
    registry: Registry
    codec: Codec
    bodies: Mapping[str, Body] | None = None
    planned: tuple[str, ...] = ()

    @property
    def workflow(self) -> Workflow[Any, Any] | None:
        """The instance's workflow, if it is known."""
        name = parse_ref(self.ref)[0]
        return self.registry.get(name) if name in self.registry.names else None

    @property
    def local_codec(self) -> Codec:
        """The codec, for classes that may be local to the function in which the workflow is defined."""
        return self.codec if self.workflow is None else self.workflow.local_codec(self.codec)

    @property
    def snapshot(self) -> Snapshot:
        """What a retrieve returns of these rows."""
        return self.world.get(self.ref, NOTHING).snapshot(self.now)

    def performing(self, bodies: Mapping[str, Body], /) -> Given:
        """Say what step bodies do; the real ones do not run then, and one that is not named fails the test.

        Args:
            bodies: by step key, or bare name of a ``do`` in any scope: ``returns(value)``, ``fails(error)``, or a
                function of the attempt. ``{}``: no body may run.
        """
        for name, body in bodies.items():
            if not (callable(body) or isinstance(body, Returns | Fails)):
                raise TypeError(f"performing: {name!r}: pass returns({body!r}), fails(error) or a function")
        return attrs.evolve(self, bodies=dict(bodies))

    def when(
        self,
        trigger: GivenHook | Command | MakePlan | None = None,
        /,
        *,
        at: datetime | timedelta | None = None,
        mine: Collection[str] | None = None,
    ) -> Planned:
        """Have the planner plan.

        Args:
            trigger: what fires: ``timer()``, ``message("e1")``; or a command: ``pause()``, ``send_event(...)``, any
                function of a snapshot and an execution id that returns a plan. Left out: the wake-up that is due
                first.
            at: when; a duration counts from the instant so far. Left out: at that instant.
            mine: execution ids of the plans that this runner has committed (rule S13); left out: those of this chain.

        Returns:
            What was planned, or the error that was raised instead.

        Raises:
            UnexpectedBodyError: a body is to run that the test does not expect.
            UnfitValueError: a body's result does not fit its step's type.
        """
        now = self.now + at if isinstance(at, timedelta) else aware(at or self.now)
        if now < self.now:
            raise ValueError(f"when: {show(now)} is before {show(self.now)}, and time never goes back")
        then = attrs.evolve(self, now=now)
        is_async = self.workflow is not None and self.workflow.is_async
        performer = Performer(self.bodies, self.local_codec, awaits=is_async)
        execution_id = f"tick-{len(self.planned) + 1}"
        try:
            if isinstance(trigger, GivenHook | None):
                known = frozenset(self.planned if mine is None else mine)
                result: Plan | Exception = then._tick(trigger, execution_id, known, performer)  # noqa: SLF001 - same class
            elif isinstance(trigger, Command):
                result = trigger.plan(then._occasion(execution_id))  # noqa: SLF001 - of the same class
            else:
                result = trigger(then.snapshot, execution_id)
        except Refused as refused:
            raise refused.error from None
        except Exception as error:
            result = error
        return Planned(then, result, execution_id, performer.types)

    def _tick(self, said: GivenHook | None, execution_id: str, mine: frozenset[str], performer: Performer) -> Plan:
        outside = Surroundings.found()
        with WORKFLOW_CODE.around():
            return plan_tick(
                self.snapshot,
                _fired(self, said),
                self.registry,
                execution_id=execution_id,
                mine=mine,
                perform=outside.of(performer),
                codec=self.codec,
            )

    def _occasion(self, execution_id: str) -> Occasion:
        return Occasion(
            snapshot=self.snapshot,
            ref=self.ref,
            workflow=self.registry.get(parse_ref(self.ref)[0]),
            execution_id=execution_id,
            codec=self.codec,
        )


@final
@attrs.frozen
class Planned:
    """What came of :meth:`Given.when`: a plan, or the error that was raised in place of one.

    Attributes:
        given: the rows, and the instant, that it was planned from.
        result: the plan, or the error.
    """

    given: Given
    result: Plan | Exception
    _execution_id: str
    _types: Mapping[str, Any]

    @property
    def plan(self) -> Plan:
        """The plan. Raises the error, if there is none."""
        if isinstance(self.result, Exception):
            raise self.result
        return self.result

    def then(self, *expected: Expectation) -> Self:
        """Compare the plan.

        Args:
            expected: a whole :class:`Plan`; or what is expected of it, the rest being anything: an outcome or its
                class, a mutation, a log line, ``put_step("do:charge", status="completed")`` and its neighbours.

        Raises:
            PlanMismatchError: something is not as expected; the text says what, and tells the plan.
        """
        __tracebackhide__ = True
        if not expected:
            raise TypeError("then: say what is expected, or stays_quiet()")
        if isinstance(self.result, Exception):
            return self._judged([f"expected a plan, found {error_text(self.result)}"])
        found = Found(
            plan=self.result,
            after=self._after(self.result),
            workflow=self.given.workflow,
            types=self._types,
            codec=self.given.local_codec,
        )
        return self._judged(problem for each in expected for problem in misses(found, each))

    def stays_quiet(self) -> Self:
        """Nothing comes of it: no body ran, and the plan, if it is not empty, only tidies up.

        That is: it deletes wake-ups, puts the timer right, withdraws requests to pause, and raises the version of
        the instance's row, which is otherwise the same (rules G1 to G4, G6, G7, and commands that find it done).

        Raises:
            PlanMismatchError: something comes of it; the text says what, and tells the plan.
        """
        __tracebackhide__ = True
        if isinstance(self.result, Exception):
            return self._judged([f"expected a plan, found {error_text(self.result)}"])
        return self._judged(noises(self.result, self.given.snapshot, self._types))

    def refuses(self, error: type[Exception] | Exception, /, **facts: object) -> Self:
        """There is no plan: an error was raised before anything new had run.

        Args:
            error: its class, or one that is equal to it: of the same class with the same facts.
            facts: attributes of the error, by name: ``refuses(NonDeterminismError, expected="do:charge")``.

        Raises:
            PlanMismatchError: there is a plan, or another error.
        """
        __tracebackhide__ = True
        if not isinstance(self.result, Exception):
            return self._judged([f"expected {error_text(error)}, found a plan"])
        return self._judged(unlike(self.result, error, facts))

    def and_then(self) -> Given:
        """The rows once the plan is applied, at the same instant, for the next ``when``.

        Step bodies do what they did, unless ``performing`` says anew. Other instances that the plan relies on are
        taken to exist.
        """
        planned = (*self.given.planned, self._execution_id)
        return attrs.evolve(self.given, world=self._after(self.plan), planned=planned)

    def _after(self, plan: Plan) -> World:
        own = tuple(each for each in plan.preconditions if each.ref == plan.ref)
        after = evolve(self.given.world, attrs.evolve(plan, preconditions=own))
        if isinstance(after, Conflict):
            raise PlanMismatchError((f"the plan does not hold for the rows that are given: {after}",), str(plan))
        return after

    def _judged(self, problems: Iterable[str]) -> Self:
        __tracebackhide__ = True
        if found := tuple(problems):
            if isinstance(self.result, Exception):
                raise PlanMismatchError(found, "nothing") from self.result
            raise PlanMismatchError(found, tell(self.result, self.given.snapshot))
        return self


def begin(snapshot: Snapshot, registry: Registry, codec: Codec) -> Given:
    """The beginning of a test: the rows of one instance, or of none."""
    ref = _ref(snapshot, registry)
    rows = Rows(
        instance=snapshot.instance,
        steps={(step.run_number, step.key): step for step in snapshot.steps},
        events={event.id: event for event in snapshot.events},
        hooks={hook.id: hook for hook in snapshot.hooks},
    )
    return Given({ref: rows}, ref, aware(snapshot.now), registry, codec)


def aware(instant: datetime) -> datetime:
    """The instant. Raises ``ValueError`` if it has no time zone."""
    if instant.tzinfo is None:
        raise ValueError(f"{instant!r} is naive: give it a time zone, such as datetime.UTC")
    return instant


def _ref(snapshot: Snapshot, registry: Registry) -> str:
    if snapshot.instance is not None:
        return snapshot.instance.ref
    if snapshot.hooks:
        return snapshot.hooks[0].instance_ref
    return build_ref(next((each.name for each in registry), "workflow"), "1")


def _fired(given: Given, said: GivenHook | None) -> FiredHook:
    """The hook that fires: as it is stored, or made up where the test says otherwise."""
    snapshot = given.snapshot
    stored = {hook.id: hook for hook in snapshot.hooks}
    if said is None:
        wake_ups = [hook for hook in snapshot.hooks if not is_terminal_notice(hook.id)]
        first = min(wake_ups, key=lambda hook: (hook.due_at, hook.id), default=None)
    else:
        is_plain = said.due_at is None and said.run in (None, "current")
        first = stored.get(f"{given.ref}#{said.name}") if is_plain else None
    run_number = 1 if snapshot.instance is None else snapshot.instance.run_number
    hook = first or hook_row(said or timer(), given.ref, run_number, given.now)
    return FiredHook(hook=hook, timestamp=given.now)
