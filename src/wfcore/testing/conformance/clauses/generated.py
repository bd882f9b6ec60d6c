"""E1: after any plan, all rows and all answers are those of ``evolve``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import count, cycle, product
from typing import Any, ClassVar, TypeAlias

import attrs
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from wfcore.evolve import NOTHING, Rows, World, applied, evolve
from wfcore.keys import is_terminal_notice
from wfcore.model import Hook, Snapshot
from wfcore.outcome import Checkpointed
from wfcore.plan import (
    Absent,
    AddEvent,
    AddHook,
    AddInstance,
    Applied,
    AtVersion,
    Conflict,
    DeleteInstance,
    Plan,
    PutInstance,
    Write,
)
from wfcore.ports import BatchStore, Catalog, DueQuery, HookFeed, Shard, Store
from wfcore.testing.conformance import strategies
from wfcore.testing.conformance.adapter import Note
from wfcore.testing.conformance.build import NOW
from wfcore.testing.conformance.rig import Rig

PLACES = st.sampled_from([0, 0, 0, 1, 2])
"""Which instance of an example; one of them has a longer history."""

Asked: TypeAlias = tuple[bool, Shard | None, int, int]
"""Of a query: notices or not, the shard, the limit, how many instances are left out."""
_HOUR = timedelta(hours=1)
# The first of a pair is of all that there is.
ASKED: Sequence[tuple[Asked, Asked]] = [
    ((notices, None, 100, 0), (not notices, shard, limit, left_out))
    for notices, shard, limit, left_out in product(
        (False, True), (None, Shard(0, 2, _HOUR), Shard(1, 2, _HOUR)), (100, 1), (0, 1)
    )
]


@attrs.frozen(eq=False)
class Bed:
    """Where plans are tried: one store, in which each example has instances of its own.

    Attributes:
        rig: to read the notes.
        store: the store.
        examples: numbers the examples.
    """

    rig: Rig
    store: Store
    examples: count[int] = attrs.field(factory=count)


class Machine(RuleBasedStateMachine):
    """The model is a world, changed by ``evolve`` and by nothing else."""

    bed: ClassVar[Bed]

    def __init__(self) -> None:
        super().__init__()
        example = next(self.bed.examples)
        self.names = frozenset({f"order{example}", f"refund{example}"})
        self.refs = (f"order{example}#1", f"order{example}#✓ 2", f"refund{example}#1")
        self.writes = self.bed.rig.adapter.written is not None
        self.values: st.SearchStrategy[Any] = strategies.MARKS.map(Note) if self.writes else st.nothing()
        self.notes = self.bed.rig.written(self.bed.store) if self.writes else []
        self.world: World = {}
        self.asked = cycle(ASKED)

    def teardown(self) -> None:
        """Leave nothing behind."""
        for ref in self.refs:
            found = self.bed.store.retrieve(ref).instance
            if found:
                self.bed.store.apply(_plan(ref, (_held(found),), DeleteInstance(ref)))

    @rule(data=st.data())
    def any_plan(self, data: st.DataObject) -> None:
        """Several instances, with any preconditions."""
        self._apply(data.draw(strategies.plans(self.world, self.refs, self.values)))

    @rule(data=st.data())
    def several_plans(self, data: st.DataObject) -> None:
        """At once, if the store can."""
        self._apply(*data.draw(st.lists(strategies.plans(self.world, self.refs, self.values), max_size=3)))

    @rule(data=st.data(), place=PLACES)
    def create(self, data: st.DataObject, place: int) -> None:
        """An instance with a hook, unless there is one."""
        ref = self.refs[place]
        row, hook = data.draw(strategies.instances(ref, st.just(1))), data.draw(strategies.hooks(ref))
        self._apply(_plan(ref, (Absent(ref),), AddInstance(row), AddHook(hook)))

    @rule(data=st.data(), place=PLACES)
    def send(self, data: st.DataObject, place: int) -> None:
        """An event with its hook, whether or not there is an instance."""
        ref = self.refs[place]
        event, hook = data.draw(strategies.events(ref)), data.draw(strategies.hooks(ref))
        self._apply(_plan(ref, (), AddEvent(event), AddHook(hook)))

    @rule(data=st.data(), place=PLACES)
    def tick(self, data: st.DataObject, place: int) -> None:
        """The next version, with any changes."""
        ref = self.refs[place]
        found = self.world.get(ref, NOTHING).instance
        if found:
            row = data.draw(strategies.instances(ref, st.just(found.version + 1)))
            changes = data.draw(st.lists(strategies.changes(ref, self.values), min_size=1, max_size=5))
            self._apply(_plan(ref, (_held(found),), PutInstance(row), *changes))

    @rule(place=PLACES)
    def delete(self, place: int) -> None:
        """All rows of an instance."""
        ref = self.refs[place]
        found = self.world.get(ref, NOTHING).instance
        if found:
            self._apply(_plan(ref, (_held(found),), DeleteInstance(ref)))

    def _apply(self, *plans: Plan) -> None:
        store = self.bed.store
        if isinstance(store, BatchStore) and len(plans) != 1:
            answers = store.apply_many(plans)
        else:
            answers = [store.apply(plan) for plan in plans]
        assert [*answers] == [self._evolved(plan) for plan in plans]

    def _evolved(self, plan: Plan) -> Applied | Conflict:
        after = evolve(self.world, plan)
        if isinstance(after, Conflict):
            return after
        self.world = after
        self.notes = [*self.notes, *(each.value.text for each in _writes(plan))]
        return applied(after, plan)

    @invariant()
    def a_retrieve_is_the_snapshot_of_the_rows(self) -> None:
        """Field by field, those included that are no part of equality."""
        for ref in self.refs:
            found, expected = self.bed.store.retrieve(ref), self.world.get(ref, NOTHING).snapshot(NOW)
            assert found == expected
            assert _plainly(found) == _plainly(expected)

    @invariant()
    def a_history_is_that_of_the_rows(self) -> None:
        """Every run, and consumed events too."""
        store: Any = self.bed.store
        for ref, found in self.world.items() if isinstance(store, Catalog) else ():
            runs = range(1, found.instance.run_number + 1 if found.instance else 1)
            for run in runs:
                history = store.history(ref, run)
                assert {*_steps_of(found, run)} == {attrs.astuple(step) for step in history.steps}
                taken = [event for event in history.events if event.consumed_by]
                assert taken == [event for event in found.events.values() if event.consumed_run == run]

    @invariant()
    def writes_are_kept_in_order(self) -> None:
        """Of all plans that were applied, and of no other."""
        if self.writes:
            assert self.bed.rig.written(self.bed.store) == self.notes

    @invariant()
    def the_feed_gives_the_first_hook_of_each_instance(self) -> None:
        """Whatever is asked for: each time another pair of queries."""
        store: Any = self.bed.store
        for query in map(self._query, next(self.asked)) if isinstance(store, HookFeed) else ():
            firsts: dict[str, Hook] = {}
            taken_at = sorted((self._taken_at(query, hook), hook.due_at, hook.id, hook) for hook in self._hooks(query))
            for at, _due_at, _id, hook in taken_at:
                if at <= NOW:
                    firsts.setdefault(hook.instance_ref, hook)
            expected = sorted(firsts.values(), key=lambda hook: (hook.due_at, hook.id))
            assert [fired.hook for fired in store.due(query)] == expected[: query.limit]
            assert store.next_due_at(query) == (taken_at[0][0] if taken_at else None)

    def _query(self, asked: Asked) -> DueQuery:
        notices, shard, limit, left_out = asked
        return DueQuery(
            terminal_notices=notices,
            workflow_names=self.names,
            shard=shard,
            limit=limit,
            exclude=frozenset(self.refs[:left_out]),
        )

    def _hooks(self, query: DueQuery) -> list[Hook]:
        hooks = [hook for ref, found in self.world.items() if ref not in query.exclude for hook in found.hooks.values()]
        return [hook for hook in hooks if query.terminal_notices or not is_terminal_notice(hook.id)]

    def _taken_at(self, query: DueQuery, hook: Hook) -> datetime:
        return hook.due_at if query.shard is None else query.shard.takes_at(hook.instance_ref, hook.due_at)


class Generated:
    """Plans that nobody thought of."""

    examples: ClassVar[int]
    shrink: ClassVar[bool]

    def test_e1_after_any_plan_all_rows_and_answers_are_those_of_evolve(self, rig: Rig, store: Store) -> None:
        machine = type("Plans", (Machine,), {"bed": Bed(rig, store)})
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=self.examples,
                stateful_step_count=20,
                deadline=None,
                database=None,
                phases=[Phase.generate, Phase.shrink] if self.shrink else [Phase.generate],
                derandomize=True,  # so that only a change of the store changes the verdict
                suppress_health_check=list(HealthCheck),
            ),
        )


def _plan(ref: str, given: tuple[Any, ...], *mutations: Any) -> Plan:
    return Plan(ref, "e1", given, mutations, Checkpointed())


def _held(found: Any) -> AtVersion:
    return AtVersion(found.ref, found.version, found.execution_id)


def _writes(plan: Plan) -> list[Any]:
    return [each for each in plan.mutations if isinstance(each, Write)]


def _steps_of(found: Rows, run: int) -> list[tuple[Any, ...]]:
    return [attrs.astuple(step) for (number, _key), step in found.steps.items() if number == run]


def _plainly(found: Snapshot) -> Any:
    """All fields; steps and hooks in any order, events in theirs."""
    plain = attrs.asdict(found)
    rows = sorted(plain["steps"], key=lambda step: step["key"]), sorted(plain["hooks"], key=lambda hook: hook["id"])
    return plain["instance"], plain["events"], rows
