"""A store is ``evolve``: after every plan its answer and all of its rows are those of the pure function.

Clause E1 of the conformance suite, and more than it can see: rows are read without the store, plans are applied inside
transactions of the caller, and commands of the planner are among them.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from unittest import TestCase

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.properties.stores import NOW, AsyncPostgresUnderTest, PostgresUnderTest, SqliteUnderTest, Subject
from tests.stores.dump import plainly
from wfadapters.memory import MemoryStore
from wfcore.define import workflow
from wfcore.errors import CommandError
from wfcore.evolve import NOTHING, World, applied, evolve
from wfcore.keys import is_terminal_notice, terminal_id
from wfcore.model import Hook, Snapshot
from wfcore.outcome import Checkpointed
from wfcore.plan import (
    Absent,
    AddEvent,
    AddHook,
    AddInstance,
    AtVersion,
    Conflict,
    DeleteInstance,
    Plan,
    PutInstance,
    Write,
)
from wfcore.planner import (
    Step,
    plan_adopt_bare_keys,
    plan_delete,
    plan_pause,
    plan_restart,
    plan_resume,
    plan_terminal_notified,
    plan_terminate,
)
from wfcore.ports import DueQuery
from wfcore.testing.conformance.strategies import changes, events, hooks, instances, plans

REFS = ("order#1", "order#✓ 2", "refund#1")
NUMBERS = st.integers(0, 2**40)


@cache
def exactly(version: int) -> st.SearchStrategy[int]:
    return st.just(version)


class StoreLaws(RuleBasedStateMachine):
    """The model is a world, changed by ``evolve`` and by nothing else."""

    subject: Callable[[], Subject]

    def __init__(self) -> None:
        super().__init__()
        self.world: World = {}
        self.writes: list[object] = []
        self.memory = MemoryStore(lambda: NOW)
        self.tested = type(self).subject()

    def teardown(self) -> None:
        self.tested.close()

    @rule(data=st.data(), bound=st.booleans())
    def any_plan(self, data: st.DataObject, bound: bool) -> None:
        self.apply(data.draw(plans(self.world, REFS, NUMBERS)), bound)

    @rule(data=st.data(), ref=st.sampled_from(REFS))
    def create(self, data: st.DataObject, ref: str) -> None:
        mutations = AddInstance(data.draw(instances(ref, exactly(1)))), AddHook(data.draw(hooks(ref)))
        self.apply(Plan(ref, "e1", (Absent(ref),), mutations, Checkpointed()))

    @rule(data=st.data(), ref=st.sampled_from(REFS))
    def send(self, data: st.DataObject, ref: str) -> None:
        mutations = AddEvent(data.draw(events(ref))), AddHook(data.draw(hooks(ref)))
        self.apply(Plan(ref, "e1", (), mutations, Checkpointed()))

    @rule(data=st.data(), ref=st.sampled_from(REFS))
    def tick(self, data: st.DataObject, ref: str) -> None:
        found = self.world.get(ref, NOTHING).instance
        if found:
            row = data.draw(instances(ref, exactly(found.version + 1)))
            mutations = data.draw(st.lists(changes(ref, NUMBERS), min_size=1, max_size=5))
            given = (AtVersion(ref, found.version, found.execution_id),)
            self.apply(Plan(ref, "e1", given, (PutInstance(row), *mutations), Checkpointed()))

    @rule(ref=st.sampled_from(REFS))
    def delete(self, ref: str) -> None:
        found = self.world.get(ref, NOTHING).instance
        if found:
            given = (AtVersion(ref, found.version, found.execution_id),)
            self.apply(Plan(ref, "e1", given, (DeleteInstance(ref),), Checkpointed()))

    @rule(ref=st.sampled_from(REFS), command=st.sampled_from(range(7)), notify=st.booleans(), bound=st.booleans())
    def command(self, ref: str, command: int, notify: bool, bound: bool) -> None:
        with suppress(CommandError):
            self.apply(commands(self.world.get(ref, NOTHING).snapshot(NOW), ref, notify)[command](), bound)

    def apply(self, plan: Plan, bound: bool = False) -> None:
        after = evolve(self.world, plan)
        expected = after if isinstance(after, Conflict) else applied(after, plan)
        assert self.memory.apply(plan) == expected
        assert (self.tested.apply_within(plan) if bound else self.tested.store.apply(plan)) == expected
        if not isinstance(after, Conflict):
            self.world = after
            self.writes += [each.value for each in plan.mutations if isinstance(each, Write)]

    @invariant()
    def a_retrieve_is_the_snapshot_of_the_rows(self) -> None:
        for ref in REFS:
            expected = self.world.get(ref, NOTHING).snapshot(NOW)
            assert self.memory.retrieve(ref) == expected
            assert self.tested.store.retrieve(ref) == expected

    @invariant()
    def all_rows_of_every_run_are_those_of_the_world(self) -> None:
        expected = {ref: plainly(found) for ref, found in self.world.items() if found != NOTHING}
        assert {ref: plainly(found) for ref, found in self.memory._world.items()} == expected
        assert {ref: plainly(found) for ref, found in self.tested.world().items()} == expected

    @invariant()
    def writes_are_kept_in_order(self) -> None:
        assert self.tested.numbers() == self.writes == list(self.memory.writes)

    @invariant()
    def the_feed_gives_the_first_hook_of_each_instance(self) -> None:
        for notices in (False, True):
            query = DueQuery(terminal_notices=notices)
            firsts: dict[str, Hook] = {}
            for hook in sorted(self.hooks(notices), key=lambda hook: (hook.due_at, hook.id)):
                firsts.setdefault(hook.instance_ref, hook)
            expected = list(firsts.values())
            for store in (self.memory, self.tested.store):
                assert [fired.hook for fired in store.due(query)] == [each for each in expected if each.due_at <= NOW]
                assert store.next_due_at(query) == (expected[0].due_at if expected else None)

    def hooks(self, notices: bool) -> list[Hook]:
        hooks = [hook for found in self.world.values() for hook in found.hooks.values()]
        return [hook for hook in hooks if notices or not is_terminal_notice(hook.id)]


def commands(seen: Snapshot, ref: str, notify: bool) -> list[Callable[[], Plan]]:
    """What the commands of the planner make of an instance."""
    notice = min((hook.id for hook in seen.hooks if is_terminal_notice(hook.id)), default=terminal_id(ref, 1))
    return [
        partial(plan_pause, seen, ref, request_id="r1", execution_id="e1"),
        partial(plan_resume, seen, ref, execution_id="e2"),
        partial(plan_terminate, seen, ref, notify=notify, execution_id="e1"),
        partial(plan_restart, seen, ref, idle, execution_id="e2"),
        partial(plan_delete, seen, ref, execution_id="e1"),
        partial(plan_terminal_notified, seen, ref, transition_id=notice, execution_id="e2"),
        partial(plan_adopt_bare_keys, seen, ref, execution_id="e1"),
    ]


@workflow(name="idle")
def idle(step: Step) -> None: ...


def laws_of(subject: Callable[[], Subject], share: int, most: int) -> type[TestCase]:
    """The laws of one store, tried on a share of the profile's examples, and no more than ``most``."""
    machine: type[StoreLaws] = type("StoreLaws", (StoreLaws,), {"subject": staticmethod(subject)})
    examples = min(max(settings().max_examples // share, 5), most)
    machine.TestCase.settings = settings(max_examples=examples, stateful_step_count=25)
    return machine.TestCase


TestSqlite = laws_of(SqliteUnderTest, 5, 10_000)
TestPostgres = pytest.mark.postgres(laws_of(PostgresUnderTest, 10, 20))
TestPostgresAsync = pytest.mark.postgres(laws_of(AsyncPostgresUnderTest, 20, 10))
