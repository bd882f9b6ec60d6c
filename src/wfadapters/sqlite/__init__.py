"""A store in an SQLite file, by the standard library's ``sqlite3``."""

from wfadapters.sql import Sql
from wfadapters.sqlite.bound import BoundStore
from wfadapters.sqlite.store import SqliteStore
from wfadapters.sqlite.transaction import Writer

__all__ = ["BoundStore", "Sql", "SqliteStore", "Writer"]
