"""One of several dispatcher processes on one database, to be killed; and what the harness needs of a database.

Everything that counts is appended to one file, a line at a time, before the dispatcher knows of it.
"""

import logging
import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

import attrs

from tests.crash import shop
from tests.crash.lanes import prepare
from tests.crash.shop import RECORDS, RECOVER_AFTER, REGISTRY, WRITERS
from wfadapters.sqlite import SqliteStore
from wfcore import Applied, Conflict, Dispatcher, DueQuery, FiredHook, Plan, PutInstance, PutStep, Shard, Snapshot


class WholeStore(Protocol):
    """A store, its feed and what tells of its plans; its catalog is the client's business."""

    def retrieve(self, ref: str) -> Snapshot: ...
    def apply(self, plan: Plan) -> Applied | Conflict: ...
    def due(self, query: DueQuery) -> Sequence[FiredHook]: ...
    def next_due_at(self, query: DueQuery) -> datetime | None: ...
    def listen(self, callback: Callable[[str], None]) -> Callable[[], None]: ...


class Database(Protocol):
    """Where processes meet; a value that can be pickled."""

    def prepare(self) -> None:
        """Make the table of the user's rows."""

    def open(self) -> AbstractContextManager[WholeStore]:
        """A store of this process, with the writers of the shop."""

    def records(self) -> list[tuple[int, str]]:
        """The user's rows, in order."""


@attrs.frozen
class SqliteDatabase:
    """A file."""

    path: Path

    def prepare(self) -> None:
        with closing(sqlite3.connect(self.path)) as connection:
            connection.execute(RECORDS)

    def open(self) -> AbstractContextManager[WholeStore]:
        return SqliteStore(self.path, on_connect=prepare, writers=WRITERS)

    def records(self) -> list[tuple[int, str]]:
        with closing(sqlite3.connect(self.path)) as connection:
            return connection.execute("SELECT number, step FROM records ORDER BY number, step").fetchall()


def _postgres(folder: Path) -> Database:
    from tests.crash.on_postgres import PostgresDatabase  # who does not want it needs no driver

    return PostgresDatabase()


DATABASES: dict[str, Callable[[Path], Database]] = {
    "sqlite": lambda folder: SqliteDatabase(folder / "workflows.db"),
    "postgres": _postgres,
}
"""By the name that ``--store`` takes: a new, empty one, for the files of a folder."""


@attrs.frozen
class Log:
    """A file to which many processes append whole lines."""

    path: Path

    def say(self, line: str) -> None:
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            os.write(descriptor, f"{line}\n".encode())
        finally:
            os.close(descriptor)

    def lines(self) -> list[str]:
        return self.path.read_text().splitlines() if self.path.exists() else []


@attrs.frozen
class Telling:
    """A store that says what became of each plan before the dispatcher knows."""

    _inner: WholeStore
    _say: Callable[[str], None]

    def retrieve(self, ref: str) -> Snapshot:
        return self._inner.retrieve(ref)

    def due(self, query: DueQuery) -> Sequence[FiredHook]:
        return self._inner.due(query)

    def next_due_at(self, query: DueQuery) -> datetime | None:
        return self._inner.next_due_at(query)

    def listen(self, callback: Callable[[str], None]) -> Callable[[], None]:
        return self._inner.listen(callback)

    def apply(self, plan: Plan) -> Applied | Conflict:
        has_result = any(isinstance(each, PutStep) and each.step.kind == "do" for each in plan.mutations)
        try:
            result = self._inner.apply(plan)
        except BaseException:
            if has_result:
                self._say(f"unsure {plan.ref}")
            raise
        if isinstance(result, Applied):
            for each in plan.mutations:
                if isinstance(each, PutInstance):
                    self._say(f"version {each.instance.version} {each.ref}")
        elif has_result:
            self._say(f"lost {plan.ref}")
        return result


def serve(database: Database, log: Log, shard: Shard | None) -> None:
    """Be a dispatcher process, for ever. One tick at a time: a kill cuts off one body at most."""
    logging.getLogger("wfcore").addHandler(logging.NullHandler())  # a kill leaves much to warn of
    shop.on_body = lambda number, name: log.say(f"body {number} {name}")
    with database.open() as store:
        log.say(f"open {os.getpid()}")
        Dispatcher(
            Telling(store, log.say),
            REGISTRY,
            concurrency=1,
            recover_after=RECOVER_AFTER,
            poll_interval=timedelta(milliseconds=10),
            shard=shard,
        ).run()
