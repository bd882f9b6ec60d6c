"""A store in a PostgreSQL database, by psycopg 3: ``pip install 'wfcore[postgres]'``."""

from wfadapters.postgres.aio import AsyncPostgresStore
from wfadapters.postgres.bound import AsyncBoundStore, BoundStore
from wfadapters.postgres.store import PostgresStore
from wfadapters.postgres.writes import AsyncWriter, Writer
from wfadapters.sql import Sql

__all__ = ["AsyncBoundStore", "AsyncPostgresStore", "AsyncWriter", "BoundStore", "PostgresStore", "Sql", "Writer"]
