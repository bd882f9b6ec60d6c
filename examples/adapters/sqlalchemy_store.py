"""A store for SQLAlchemy Core 2, on SQLite and on PostgreSQL (psycopg 3): see docs/howto/write-an-adapter.md.

It decides nothing: a mutation is the after-image of a row, and becomes one statement.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from datetime import UTC, datetime
from functools import cache
from typing import Any, Generic, Self, TypeAlias, TypeVar, get_args

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from wfadapters import rows
from wfadapters.changes import Change, appended, changes
from wfadapters.columns import Table, instant_column, maybe_instant_column, tag_texts
from wfadapters.writes import Faults, writes_of
from wfcore.errors import InstanceNotFoundError, StoreUnavailableError
from wfcore.evolve import conflict, holds
from wfcore.keys import is_terminal_notice, shard_hash
from wfcore.model import FiredHook, Instance, InstanceStatus, Snapshot
from wfcore.plan import Applied, AtVersion, Conflict, Plan
from wfcore.ports import DueQuery, History, InstanceQuery, Page, Shard

# ---- tables

metadata = sa.MetaData()
_TYPES: Mapping[str, sa.types.TypeEngine[Any]] = {
    "text": sa.Text().with_variant(sa.Text(collation="C"), "postgresql"),  # compared to the letter, as SQLite does
    "integer": sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
}
_Record = TypeVar("_Record")
_Read: TypeAlias = Callable[[Sequence[Any]], _Record]
_Condition: TypeAlias = sa.ColumnElement[bool]
_Options: TypeAlias = Mapping[str, Mapping[str, Any]]
_Clock: TypeAlias = Callable[[], datetime]
_Writers: TypeAlias = Mapping[type, Callable[[sa.Connection, Any], object]]


class _Records(Generic[_Record]):
    """The table of a kind of record: the record's columns, then those that only this store looks at."""

    def __init__(self, of: Table, read: _Read[_Record], *more: sa.Column[Any]) -> None:
        theirs = [sa.Column(name, _TYPES[kind.strip("?")], nullable="?" in kind) for name, kind in of.columns.items()]
        self.of, self._read, self._select = of, read, sa.select(*theirs)
        identity = sa.UniqueConstraint if any(each.primary_key for each in more) else sa.PrimaryKeyConstraint
        self.table = sa.Table(of.name, metadata, *theirs, *more, identity(*of.key), sqlite_autoincrement=True)
        self.c, self.ref, self.key = self.table.c, self.table.c[of.key[0]], [self.table.c[name] for name in of.key]

    def find(self, db: sa.Connection, *where: _Condition, order: Any = (), limit: int | None = None) -> list[_Record]:
        return list(map(self._read, db.execute(self._select.where(*where).order_by(*order).limit(limit))))

    def put(self, db: sa.Connection, row: Sequence[Any], *, replace: bool) -> None:
        values = dict(zip(self.c.keys(), row, strict=False))  # what is left over is given by the database
        db.execute(_insert(self, db.dialect.name, replace=replace), values)

    def delete(self, db: sa.Connection, key: Sequence[Any]) -> None:
        """All rows whose key begins so."""
        db.execute(
            sa.delete(self.table).where(*(column == value for column, value in zip(self.key, key, strict=False)))
        )


@cache
def _insert(into: _Records[Any], dialect: str, *, replace: bool) -> Any:
    insert = (postgresql if dialect == "postgresql" else sqlite).insert(into.table).inline()
    if not replace:
        return insert.on_conflict_do_nothing(index_elements=into.of.key)
    new = {each.name: each for each in insert.excluded if each.name not in {*into.of.key, "arrival"}}
    return insert.on_conflict_do_update(index_elements=into.of.key, set_=new)  # never a delete and an insert


_arrival = sa.Column("arrival", _TYPES["integer"], primary_key=True)  # no number comes twice
_own = sa.Column("shard_hash", _TYPES["integer"], nullable=False), sa.Column("is_notice", sa.Boolean, nullable=False)
_instances = _Records(rows.INSTANCES, rows.read_instance)
_steps = _Records(rows.STEPS, rows.read_step)
_events = _Records(rows.EVENTS, rows.read_event, _arrival)
_hooks = _Records(rows.HOOKS, rows.read_hook, *_own)
_OF: Mapping[str, _Records[Any]] = {each.of.name: each for each in (_instances, _steps, _events, _hooks)}
_newest = sa.Index("wfcore_instances_newest", _instances.c.created_at, _instances.c.ref)
_due = sa.Index("wfcore_hooks_due", _hooks.c.due_at, _hooks.c.id)

# ---- transactions

# To read is one cut; to write begins with a lock, and what is read after the lock is what is there by then.
_READING: _Options = {"sqlite": {"begin": "BEGIN"}, "postgresql": {"isolation_level": "REPEATABLE READ"}}
_WRITING: _Options = {"sqlite": {"begin": "BEGIN IMMEDIATE"}, "postgresql": {"isolation_level": "READ COMMITTED"}}
_LOCKS = 0x7766 << 32  # keys of advisory locks: this and the hash of a ref
_WHOLE = Shard(0, 1)
_PASSING = {"BUSY", "LOCKED", "IOERR", "FULL", "READONLY", "CANTOPEN", "PERM", "NOMEM", "INTERRUPT", "PROTOCOL"}


def open_engine(url: str | sa.URL, **options: Any) -> sa.Engine:
    """``create_engine``; on SQLite a transaction begins where SQLAlchemy says, and takes the lock at once."""
    engine = sa.create_engine(url, **options)
    if engine.dialect.name == "sqlite":

        @sa.event.listens_for(engine, "connect")
        def on_connect(connection: Any, _record: object) -> None:
            connection.isolation_level = None  # sqlite3 begins nothing by itself
            connection.execute("PRAGMA journal_mode = WAL")  # who reads and who writes do not wait for each other

        @sa.event.listens_for(engine, "begin")
        def on_begin(connection: sa.Connection) -> None:
            connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN IMMEDIATE"))

    return engine


def _is_transient(error: Exception) -> bool:
    name = getattr(getattr(error, "orig", None), "sqlite_errorname", None)
    if name is not None:  # to sqlite3 many a mistake is an OperationalError too
        return name.split("_")[1] in _PASSING
    passing = isinstance(error, sa.exc.OperationalError | sa.exc.TimeoutError)  # TimeoutError: of the pool
    return passing or (isinstance(error, sa.exc.DBAPIError) and error.connection_invalidated)


_FAULTS = Faults(Exception, sa.exc.IntegrityError, _is_transient, lambda error: f"{type(error).__name__}: {error}")


class SqlAlchemyStore:
    """A ``Store`` that is a ``HookFeed`` and a ``Catalog`` too; threads may share it.

    Args:
        engine: of :func:`open_engine`, on a database that has the tables of :data:`metadata`.
        clock: gives the time, in UTC; by default the server does, or this machine if the database is a file.
        writers: for each class of values that bodies hand to ``attempt.write``, a function that writes one.
    """

    def __init__(self, engine: sa.Engine, *, clock: _Clock | None = None, writers: _Writers | None = None) -> None:
        self.engine, self._clock, self._writers = engine, clock, dict(writers or {})
        self._is_postgres = engine.dialect.name == "postgresql"
        self._bound: sa.Connection | None = None

    def within(self, connection: sa.Connection) -> Self:
        """This store in a transaction of the caller's, who commits it or rolls it back."""
        bound = copy(self)
        bound._bound = connection  # noqa: SLF001 - it is one of us
        return bound

    @contextmanager
    def _transaction(self, operation: str, options: _Options = _READING) -> Iterator[sa.Connection]:
        try:
            if self._bound is not None:
                with self._bound.begin_nested():
                    yield self._bound
            else:
                with self.engine.connect().execution_options(**options[self.engine.dialect.name]) as db, db.begin():
                    yield db
        except sa.exc.SQLAlchemyError as error:
            if _is_transient(error):
                raise StoreUnavailableError(operation, str(getattr(error, "orig", error))) from error
            raise

    def _now(self, db: sa.Connection) -> datetime:
        if self._clock is not None:
            return self._clock()
        time = sa.select(sa.func.clock_timestamp())
        return db.scalars(time).one().astimezone(UTC) if self._is_postgres else datetime.now(UTC)

    def retrieve(self, ref: str) -> Snapshot:
        with self._transaction("retrieve") as db:
            instance = next(iter(_instances.find(db, _instances.ref == ref)), None)
            run = instance.run_number if instance else None
            return Snapshot(
                instance=instance,
                steps=tuple(_steps.find(db, _steps.ref == ref, _steps.c.run_number == run)),
                events=tuple(_events.find(db, _events.ref == ref, _events.c.consumed_by.is_(None), order=[_arrival])),
                hooks=tuple(_hooks.find(db, _hooks.ref == ref)),
                now=self._now(db),
            )

    def apply(self, plan: Plan) -> Applied | Conflict:
        with _FAULTS.of_commit([plan]), self._transaction("apply", _WRITING) as db:
            found = self._lock(db, plan.refs)
            for each in plan.preconditions:
                if not holds(each, found.get(each.ref)):
                    return conflict(each.ref, found.get(each.ref))
            for write in writes_of([plan]):  # before the changes: a writer that commits must not commit half of them
                with _FAULTS.of_writer(write, self._writers) as writer:
                    writer(db, write.value)
                if not db.in_transaction():
                    raise write.failed("its writer ended the transaction")
            there = set(found)
            for change in changes(plan):
                _perform(db, change, there)
            pending = frozenset(hook.id for hook in _hooks.find(db, _hooks.ref == plan.ref))
            return Applied(pending, tuple(each for each in appended(plan) if each.ref not in there))

    def _lock(self, db: sa.Connection, refs: frozenset[str]) -> dict[str, AtVersion]:
        """Keep others from these instances until the end, and see what is there of them."""
        if self._is_postgres:  # a row cannot be locked before it is there
            keys = sorted({_LOCKS | shard_hash(ref) for ref in refs})  # in one order: nobody waits in a circle
            key = sa.func.unnest(sa.literal(keys, sa.ARRAY(sa.BigInteger))).column_valued("key")
            db.execute(sa.select(sa.func.pg_advisory_xact_lock(key)))
        c = _instances.c
        stored = sa.select(c.ref, c.version, c.execution_id).where(c.ref.in_(refs)).with_for_update(key_share=True)
        return {row.ref: AtVersion(*row) for row in db.execute(stored)}

    def due(self, query: DueQuery) -> Sequence[FiredHook]:
        shard, c, before = query.shard or _WHOLE, _hooks.c, _hooks.table.alias().c
        own = c.shard_hash % shard.count == shard.index
        sooner = sa.tuple_(before.due_at, before.id) < sa.tuple_(c.due_at, c.id)
        is_first = ~sa.exists().where(before.instance_ref == c.instance_ref, sooner, *_admitted(query, before))
        with self._transaction("due") as db:
            now = self._now(db)
            is_taken = own | (c.due_at <= instant_column(shard.steals_until(now)))
            where = c.due_at <= instant_column(now), is_taken, is_first, *_admitted(query, c)
            found = _hooks.find(db, *where, order=[c.due_at, c.id], limit=query.limit)
            return [FiredHook(hook=hook, timestamp=now) for hook in found]

    def next_due_at(self, query: DueQuery) -> datetime | None:
        shard, c = query.shard or _WHOLE, _hooks.c
        own = c.shard_hash % shard.count == shard.index
        parts = [own, ~own][: shard.count]
        with self._transaction("next_due_at") as db:
            firsts = [_hooks.find(db, part, *_admitted(query, c), order=[c.due_at], limit=1) for part in parts]
        return min((shard.takes_at(each.instance_ref, each.due_at) for [each] in filter(None, firsts)), default=None)

    def list_instances(self, query: InstanceQuery) -> Page[Instance]:
        place = _instances.c.created_at, _instances.ref
        where, position = self._filters(query), query.position()
        if position is not None:
            where.append(sa.tuple_(*place) < sa.tuple_(*map(sa.literal, (instant_column(position[0]), position[1]))))
        with self._transaction("list_instances") as db:
            order = [each.desc() for each in place]
            return query.page(_instances.find(db, *where, order=order, limit=query.limit + 1))

    def count_by_status(self, query: InstanceQuery) -> Mapping[InstanceStatus, int]:
        status = _instances.c.status
        counts = sa.select(status, sa.func.count()).where(*self._filters(query)).group_by(status)
        with self._transaction("count_by_status") as db:
            found = {row[0]: row[1] for row in db.execute(counts)}
        return {each: found.get(each, 0) for each in get_args(InstanceStatus)}

    def history(self, ref: str, run_number: int | None = None) -> History:
        with self._transaction("history") as db:
            for instance in _instances.find(db, _instances.ref == ref):
                events = _events.find(db, _events.ref == ref, order=[_arrival])
                return History.of(instance, run_number, _steps.find(db, _steps.ref == ref), events)
        raise InstanceNotFoundError(ref)

    def suspects(self, limit: int, after: str | None = None) -> Sequence[Instance]:
        """All that live, and those of the others that have a timer or a step that waits."""
        timer = sa.exists().where(_hooks.ref == _instances.ref, _hooks.c.id == _instances.ref + "#timer")
        waiting = sa.exists().where(_steps.ref == _instances.ref, _steps.c.status == "waiting")
        where = _instances.c.status.in_(["active", "waiting"]) | timer | waiting, _instances.ref > (after or "")
        with self._transaction("suspects") as db:
            return _instances.find(db, *where, order=[_instances.ref], limit=limit)

    def _filters(self, query: InstanceQuery) -> list[_Condition]:
        c = _instances.c
        created = map(maybe_instant_column, (query.created_since, query.created_before))
        asked = query.workflow_names, query.statuses, *created
        filters: list[Any] = [c.workflow_name.in_, c.status.in_, c.created_at.__ge__, c.created_at.__lt__]
        found = [passes(value) for passes, value in zip(filters, asked, strict=True) if value is not None]
        place_of = sa.func.strpos if self._is_postgres else sa.func.instr
        for name, value in query.tags.items():
            found.append(sa.or_(*(place_of(c.tags, text) > 0 for text in tag_texts(name, value))))
        return found


def _perform(db: sa.Connection, change: Change, there: set[str]) -> None:
    """Make the rows what the change says, and remember which instances are there."""
    verb, table, values = change
    records, ref = _OF[table.name], values[0]
    if verb in ("delete", "purge"):
        records.delete(db, values)
        there -= {ref} if verb == "purge" else set()
    elif verb != "append" or ref in there:
        own = (shard_hash(ref), is_terminal_notice(values[1])) if records is _hooks else ()
        records.put(db, (*values, *own), replace=verb == "put")
        there |= {ref} if records is _instances else set()


def _admitted(query: DueQuery, c: Any) -> list[_Condition]:
    known = sa.true() if query.workflow_names is None else c.workflow_name.in_(query.workflow_names)
    return [known, sa.true() if query.terminal_notices else ~c.is_notice, c.instance_ref.not_in(query.exclude)]
