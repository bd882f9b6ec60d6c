"""Plans without end, drawn from a seed: the worker applies them, the oracle knows what they do.

A lane is the plans of one thread, over instances that no other lane touches, so that its state is known from the
number of its plans that were applied.
"""

import random
from collections.abc import Iterator, Mapping
from sqlite3 import Connection

import attrs

from tests.stores.build import NOW, create, event, hook, instance, message, step
from wfadapters.sqlite import Sql
from wfcore.evolve import NOTHING, Rows, applied, evolve
from wfcore.outcome import Checkpointed
from wfcore.plan import (
    AddEvent,
    AddHook,
    Applied,
    AtVersion,
    Conflict,
    DeleteHook,
    DeleteInstance,
    Mutation,
    Plan,
    PutEvent,
    PutHook,
    PutInstance,
    PutStep,
    Write,
)

LANES = 3
MARKS = "CREATE TABLE IF NOT EXISTS marks (lane INTEGER, number INTEGER, PRIMARY KEY (lane, number))"


@attrs.define
class Lane:
    """What a lane has come to: the rows of its instances, and the number of plans that brought it there."""

    seed: int
    number: int
    position: int = 0
    world: Mapping[str, Rows] = attrs.field(factory=dict)
    _chance: random.Random = attrs.field(init=False)
    _plan: Plan | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self._chance = random.Random(f"{self.seed}/{self.number}")

    @property
    def refs(self) -> tuple[str, str]:
        return f"lane-{self.number}#a", f"lane-{self.number}#b"

    def peek(self) -> Plan:
        """The next plan."""
        if self._plan is None:
            self._plan = self._draw()
        return self._plan

    def advance(self) -> Applied:
        """Perform the next plan; what a store has to answer to it."""
        plan = self.peek()
        after = evolve(self.world, plan)
        assert not isinstance(after, Conflict)
        self.world = {ref: rows for ref, rows in after.items() if rows != NOTHING}
        self.position += 1
        self._plan = None
        return applied(after, plan)

    def _draw(self) -> Plan:
        ref = self._chance.choice(self.refs)
        mark = Write(Sql("INSERT INTO marks VALUES (?, ?)", (self.number, self.position + 1)))
        execution_id = f"{self.number}/{self.position + 1}"
        found = self.world.get(ref, NOTHING)
        if found.instance is None:
            first = create(ref, execution_id=execution_id)
            return attrs.evolve(first, execution_id=execution_id, mutations=(*first.mutations, mark))
        row = instance(
            ref,
            found.instance.version + 1,
            run_number=found.instance.run_number + (self._chance.random() < 0.1),
            execution_id=execution_id,
            params=execution_id * self._chance.choice([1, 10, 2_000]),
        )
        changes: list[Mutation] = (
            list(self._changes(ref, execution_id)) if self._chance.random() < 0.95 else [DeleteInstance(ref)]
        )
        changes.insert(self._chance.randrange(len(changes) + 1), mark)
        given = (AtVersion(ref, found.instance.version, found.instance.execution_id),)
        return Plan(ref, execution_id, given, (PutInstance(row), *changes), Checkpointed())

    def _changes(self, ref: str, text: str) -> Iterator[Mutation]:
        key = f"do:{self._chance.randrange(20)}"
        name = f"m{self._chance.randrange(5)}"
        yield PutStep(step(key, ref, result=text, run_number=self._chance.randrange(1, 3)))
        mail: list[Mutation] = [
            AddEvent(event(name, ref, payload=text)),
            PutEvent(event(name, ref, payload=text, consumed_by=key)),
            AddHook(message(name, ref)),
            DeleteHook(message(name, ref).id),
        ]
        yield self._chance.choice(mail)
        yield PutHook(hook(ref, NOW, last_error=text))


def prepare(connection: Connection) -> None:
    """Every connection moves the log into the file often, so that this is hit too."""
    connection.execute("PRAGMA wal_autocheckpoint = 20")
    connection.execute(MARKS)
