"""Everything that a store holds, read without the store."""

import sqlite3
from collections.abc import Mapping
from functools import partial
from typing import Any

import attrs

from tests.postgres.database import Database
from wfadapters import rows
from wfadapters.columns import Table
from wfcore.evolve import NOTHING, Rows


def plainly(found: Rows) -> Any:
    """All fields, those included that are no part of equality; steps and hooks in any order, events in theirs."""
    plain = attrs.asdict(found)
    return plain["instance"], plain["steps"], list(plain["events"].items()), plain["hooks"]


def world_in(database: sqlite3.Connection | Database) -> Mapping[str, Rows]:
    """Every row of the database, read without the store."""
    table = database.table if isinstance(database, Database) else partial(_table, database)
    world: dict[str, Rows] = {}
    for instance in map(rows.read_instance, table(rows.INSTANCES)):
        world[instance.ref] = attrs.evolve(world.get(instance.ref, NOTHING), instance=instance)
    for step in map(rows.read_step, table(rows.STEPS)):
        found = world.get(step.instance_ref, NOTHING)
        world[step.instance_ref] = attrs.evolve(found, steps={**found.steps, (step.run_number, step.key): step})
    for event in map(rows.read_event, table(rows.EVENTS, "ORDER BY arrival")):
        found = world.get(event.instance_ref, NOTHING)
        world[event.instance_ref] = attrs.evolve(found, events={**found.events, event.id: event})
    for hook in map(rows.read_hook, table(rows.HOOKS)):
        found = world.get(hook.instance_ref, NOTHING)
        world[hook.instance_ref] = attrs.evolve(found, hooks={**found.hooks, hook.id: hook})
    return world


def _table(connection: sqlite3.Connection, of: Table, order: str = "") -> list[Any]:
    return connection.execute(f"SELECT {', '.join(of.columns)} FROM {of.name} {order}").fetchall()
