"""One question on one connection, and plans; blocking, and for asyncio."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from wfadapters.postgres.driver import psycopg
from wfadapters.postgres.faults import FAULTS
from wfadapters.postgres.question import Question
from wfadapters.postgres.statements import Statements
from wfadapters.postgres.writes import AsyncWriter, Writer, explained_write
from wfadapters.writes import writes_of
from wfcore.plan import Applied, Conflict, Plan

T = TypeVar("T")


def ask(connection: psycopg.Connection[Any], question: Question[T]) -> T:
    """Ask, whatever kinds of cursors and rows the connection's owner prefers."""
    with psycopg.Cursor(connection, row_factory=psycopg.rows.tuple_row) as cursor:
        return question.read(cursor.execute(question.sql, question.parameters, prepare=question.prepare).fetchall())


def perform(
    connection: psycopg.Connection[Any], statements: Statements, plans: Sequence[Plan], writers: Mapping[type, Writer]
) -> Sequence[Applied | Conflict]:
    """Perform plans: in one statement, or, with writes, in a transaction or a savepoint, after their rows."""
    question, writes = statements.apply(plans), writes_of(plans)
    if not writes:
        return ask(connection, question)
    with FAULTS.of_commit(plans), connection.transaction():
        answers = ask(connection, question)
        for each in writes:
            if isinstance(answers[each.place], Applied):
                with explained_write(connection, each, writers) as writer:
                    writer(connection, each.value)
    return answers


async def ask_async(connection: psycopg.AsyncConnection[Any], question: Question[T]) -> T:
    """As :func:`ask`."""
    async with psycopg.AsyncCursor(connection, row_factory=psycopg.rows.tuple_row) as cursor:
        await cursor.execute(question.sql, question.parameters, prepare=question.prepare)
        return question.read(await cursor.fetchall())


async def perform_async(
    connection: psycopg.AsyncConnection[Any],
    statements: Statements,
    plans: Sequence[Plan],
    writers: Mapping[type, AsyncWriter],
) -> Sequence[Applied | Conflict]:
    """As :func:`perform`."""
    question, writes = statements.apply(plans), writes_of(plans)
    if not writes:
        return await ask_async(connection, question)
    with FAULTS.of_commit(plans):
        async with connection.transaction():
            answers = await ask_async(connection, question)
            for each in writes:
                if isinstance(answers[each.place], Applied):
                    with explained_write(connection, each, writers) as writer:
                        await writer(connection, each.value)
    return answers
