"""A store is ``evolve``: after every plan its answer and all of its rows are those of the pure function.

Clause E1 of the conformance suite, and more than it can see: rows are read without the store, plans are applied inside
transactions of the caller, and commands of the planner are among them.
"""

import sqlite3
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.stores.dump import plainly, world_in
from wfadapters.memory import MemoryStore
from wfadapters.sqlite import SqliteStore
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
from wfcore.testing.conformance.build import NOW
from wfcore.testing.conformance.strategies import changes, events, hooks, instances, plans

REFS = ("order#1", "order#✓ 2", "refund#1")
NUMBERS = st.integers(0, 2**40)


class StoreLaws(RuleBasedStateMachine):
    """The model is a world, changed by ``evolve`` and by nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.world: World = {}
        self.writes: list[object] = []
        self.cleanup = ExitStack()
        path = Path(self.cleanup.enter_context(TemporaryDirectory())) / "laws.db"
        self.memory = MemoryStore(lambda: NOW)
        self.sqlite = self.cleanup.enter_context(
            SqliteStore(path, clock=lambda: NOW, synchronous="OFF", writers={int: write_number})
        )
        self.connection = self.cleanup.enter_context(closing(sqlite3.connect(path, isolation_level=None)))
        self.connection.execute("CREATE TABLE numbers (number INTEGER)")

    def teardown(self) -> None:
        self.cleanup.close()

    @rule(data=st.data(), bound=st.booleans())
    def any_plan(self, data: st.DataObject, bound: bool) -> None:
        self.apply(data.draw(plans(self.world, REFS, NUMBERS)), bound)

    @rule(data=st.data(), ref=st.sampled_from(REFS))
    def create(self, data: st.DataObject, ref: str) -> None:
        mutations = AddInstance(data.draw(instances(ref, st.just(1)))), AddHook(data.draw(hooks(ref)))
        self.apply(Plan(ref, "e1", (Absent(ref),), mutations, Checkpointed()))

    @rule(data=st.data(), ref=st.sampled_from(REFS))
    def send(self, data: st.DataObject, ref: str) -> None:
        mutations = AddEvent(data.draw(events(ref))), AddHook(data.draw(hooks(ref)))
        self.apply(Plan(ref, "e1", (), mutations, Checkpointed()))

    @rule(data=st.data(), ref=st.sampled_from(REFS))
    def tick(self, data: st.DataObject, ref: str) -> None:
        found = self.world.get(ref, NOTHING).instance
        if found:
            row = data.draw(instances(ref, st.just(found.version + 1)))
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
        if bound:
            self.connection.execute("BEGIN IMMEDIATE")
            assert self.sqlite.within(self.connection).apply(plan) == expected
            self.connection.execute("COMMIT")
        else:
            assert self.sqlite.apply(plan) == expected
        if not isinstance(after, Conflict):
            self.world = after
            self.writes += [each.value for each in plan.mutations if isinstance(each, Write)]

    @invariant()
    def a_retrieve_is_the_snapshot_of_the_rows(self) -> None:
        for ref in REFS:
            expected = self.world.get(ref, NOTHING).snapshot(NOW)
            assert self.memory.retrieve(ref) == expected
            assert self.sqlite.retrieve(ref) == expected

    @invariant()
    def all_rows_of_every_run_are_those_of_the_world(self) -> None:
        expected = {ref: plainly(found) for ref, found in self.world.items() if found != NOTHING}
        assert {ref: plainly(found) for ref, found in self.memory._world.items()} == expected
        assert {ref: plainly(found) for ref, found in world_in(self.connection).items()} == expected

    @invariant()
    def writes_are_kept_in_order(self) -> None:
        numbers = [number for (number,) in self.connection.execute("SELECT number FROM numbers ORDER BY rowid")]
        assert numbers == self.writes == list(self.memory.writes)

    @invariant()
    def the_feed_gives_the_first_hook_of_each_instance(self) -> None:
        for notices in (False, True):
            query = DueQuery(terminal_notices=notices)
            firsts: dict[str, Hook] = {}
            for hook in sorted(self.hooks(notices), key=lambda hook: (hook.due_at, hook.id)):
                firsts.setdefault(hook.instance_ref, hook)
            expected = list(firsts.values())
            for store in (self.memory, self.sqlite):
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


def write_number(connection: sqlite3.Connection, number: int) -> None:
    connection.execute("INSERT INTO numbers VALUES (?)", (number,))


TestStoreLaws = StoreLaws.TestCase
TestStoreLaws.settings = settings(max_examples=max(settings().max_examples // 5, 5), stateful_step_count=25)
