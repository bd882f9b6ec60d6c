"""Start a worker, kill it, look what is there; again and again, on the same file for a while."""

import random
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path

import attrs

from tests.crash.lanes import LANES, Lane, prepare
from tests.crash.shop import CHECKOUT, CONCURRENCY, DISPATCHERS, RECORDS, RECOVER_AFTER, REGISTRY, WRITERS, expected
from tests.stores.dump import plainly, world_in
from wfadapters.sqlite import SqliteStore
from wfcore import Client, Dispatcher

ROOT = Path(__file__).parent.parent.parent
LIVES = 20
"""How often a file is used before the next one; its first lives are killed while they make the tables."""


@attrs.define
class Summary:
    """What happened.

    Attributes:
        kills: processes that were killed.
        early: those that had not opened the store yet.
        acknowledged: what they were told is done.
        ahead: plans that were wholly there, and not acknowledged yet.
        bodies: step bodies that were begun.
        lost: bodies whose result lost against another dispatcher's.
        unsure: bodies with whose result the store failed.
        stolen: instances that ended, of a shard that nobody served.
        violations: what must not be.
    """

    kills: int = 0
    early: int = 0
    acknowledged: int = 0
    ahead: int = 0
    bodies: int = 0
    lost: int = 0
    unsure: int = 0
    stolen: int = 0
    violations: list[str] = attrs.field(factory=list)

    def __str__(self) -> str:
        counts = f"{self.kills} kills ({self.early} before the store was open), {self.acknowledged} acknowledgements"
        verdict = "\n".join(self.violations) or "nothing was lost, doubled or half-written"
        lost = f"{self.lost} of them in vain beside another dispatcher, {self.unsure} when the store failed"
        bodies = f"{self.bodies} bodies run, {lost}; {self.stolen} instances stolen of a dead shard"
        return f"{counts}, {self.ahead} plans done but not acknowledged, {bodies}\n{verdict}"


def kill_plans(cycles: int, seed: int, folder: Path, summary: Summary) -> None:
    """Workers apply plans; every lane must stand where it was told, or one plan further."""
    chance = random.Random(f"plans {seed}")
    for first in range(0, cycles, LIVES):
        path = folder / f"plans-{first}.db"
        lanes = [Lane(seed + first, number) for number in range(LANES)]
        for life in range(first, min(first + LIVES, cycles)):
            positions = [lane.position for lane in lanes]
            for line in killed("plans", path, seed + first, positions, chance, summary):
                number, position = map(int, line)
                while lanes[number].position < position:
                    lanes[number].advance()
            for lane in lanes:
                problem = _judge(lane, path, summary)
                if problem:
                    summary.violations.append(f"seed {seed}, cycle {life}, lane {lane.number}: {problem}")
                    return


def _judge(lane: Lane, path: Path, summary: Summary) -> str | None:
    """Compare all rows of a lane with what they must be; move it on if one more plan was committed."""
    with SqliteStore(path, on_connect=prepare), closing(sqlite3.connect(path)) as connection:
        world = world_in(connection)
        found = {ref: plainly(world[ref]) for ref in lane.refs if ref in world}
        marks = connection.execute("SELECT number FROM marks WHERE lane = ? ORDER BY number", (lane.number,)).fetchall()
        (intact,) = connection.execute("PRAGMA integrity_check").fetchone()
    if found != _rows(lane):
        acknowledged = lane.position
        lane.advance()
        summary.ahead += 1
        if found != _rows(lane):
            return f"its rows are neither those after plan {acknowledged}, acknowledged, nor those after the next"
    if marks != [(number + 1,) for number in range(lane.position)]:
        return f"its own writes are not those of {lane.position} plans: {marks}"
    return None if intact == "ok" else f"the file is damaged: {intact}"


def _rows(lane: Lane) -> dict[str, object]:
    return {ref: plainly(rows) for ref, rows in lane.world.items()}


def kill_workflows(cycles: int, seed: int, folder: Path, summary: Summary) -> None:
    """Workers run real workflows; what they create, send and commit must lead to its end, each step once."""
    chance = random.Random(f"workflows {seed}")
    for first in range(0, cycles, LIVES):
        path = folder / f"workflows-{first}.db"
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(RECORDS)
        done: Counter[tuple[str, ...]] = Counter([("sent", "-1")])
        attempts = 0
        for life in range(first, min(first + LIVES, cycles)):
            begin = max(int(number) for what, number, *_ in done if what == "sent") + 1
            said = Counter(killed("workflows", path, begin, [], chance, summary))
            done.update(said)
            problems = [*_broken(path, done), *_repeated(done)]
            before, attempts = attempts, _attempts(path)
            lost, unsure = _count(said, "lost"), _count(said, "unsure")
            problems += unexplained(_count(said, "body"), attempts - before, lost, unsure)
            summary.violations += [f"seed {seed}, cycle {life}: {problem}" for problem in problems]
        summary.violations += [f"seed {seed}, after cycle {first}: {problem}" for problem in _unfinished(path, done)]
        summary.bodies += _count(done, "body")
        summary.lost += _count(done, "lost")


def _repeated(done: Counter[tuple[str, ...]]) -> Iterator[str]:
    """Versions with two commits."""
    yield from (f"two commits of {line}" for line, count in done.items() if line[0] == "version" and count > 1)


def unexplained(
    bodies: int, attempts: int, lost: int, unsure: int, *, cut: int = CONCURRENCY * DISPATCHERS
) -> list[str]:
    """What is wrong with the numbers of one life, if anything is.

    A body is said before it begins, a plan carries the result of one, and a tick begins another only after the store
    has said what became of that plan. So each body has its attempt in the rows, or has lost, or the store failed and
    nobody knows; the kill adds no more than one for each tick that runs then.

    Args:
        bodies: those that were begun.
        attempts: those whose result came into the rows.
        lost: those whose plan conflicted.
        unsure: those whose plan the store failed to apply, or to say that it has.
        cut: how many the kill, or the kills, may have cut off.
    """
    least = attempts + lost
    most = least + unsure + cut
    if least <= bodies <= most:
        return []
    return [f"{bodies} bodies were run; {attempts} attempts and {lost} lost races explain {least} to {most}"]


def _attempts(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        (attempts,) = connection.execute("SELECT coalesce(sum(attempts), 0) FROM wfcore_steps").fetchone()
    return int(attempts)


def _count(done: Counter[tuple[str, ...]], what: str) -> int:
    return sum(count for (word, *_), count in done.items() if word == what)


def _broken(path: Path, done: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """What was acknowledged and is not there; users' rows without their step, or steps without their row."""
    with SqliteStore(path, on_connect=prepare), closing(sqlite3.connect(path)) as connection:
        world = world_in(connection)
        records = connection.execute("SELECT number, step FROM records ORDER BY 1, 2").fetchall()
    for what, number, *ref in done:
        instance = world[f"crash#{number}"].instance if f"crash#{number}" in world else None
        if what == "version":
            row = world[ref[0]].instance if ref[0] in world else None
            if row is None or row.version < int(number):
                yield f"version {number} of {ref[0]} is lost"
        elif what == "created" and instance is None:
            yield f"instance {number} is lost"
        elif what == "done" and (instance is None or instance.status != "complete"):
            yield f"the end of instance {number} is lost"
        elif what == "sent" and number != "-1" and not world[f"crash#{number}"].events:
            yield f"the event of instance {number} is lost"
    steps = [
        (int(ref.partition("#")[2]), step.name)
        for ref, rows in world.items()
        for step in rows.steps.values()
        if step.kind == "do" and step.status == "completed"
    ]
    if sorted(steps) != records:
        yield f"steps and the users' rows differ: {set(steps) ^ set(records)}"


def _unfinished(path: Path, done: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """Let everything come to its end, undisturbed."""
    numbers = sorted(int(number) for what, number, *_ in done if what == "sent" and number != "-1")
    with SqliteStore(path, writers=WRITERS) as store:
        client = Client(store, REGISTRY)
        with Dispatcher(store, REGISTRY, recover_after=RECOVER_AFTER):
            for number in numbers:
                result = client.handle(CHECKOUT, str(number)).result(timeout=timedelta(seconds=60))
                if result != expected(number):
                    yield f"instance {number} came to {result!r}"
        with closing(sqlite3.connect(path)) as connection:
            count = "SELECT count(*) FROM records WHERE number = ?"
            wrong = [number for number in numbers if connection.execute(count, (number,)).fetchone() != (2,)]
    if wrong:
        yield f"instances {wrong} have not written each of their rows once"


def killed(
    kind: str, path: Path, begin: int, positions: list[int], chance: random.Random, summary: Summary
) -> list[tuple[str, ...]]:
    """Run a worker, kill it at a random moment; the acknowledgements that it has written."""
    command = [sys.executable, "-m", "tests.crash.worker", kind, path, begin, *positions]
    wanted = chance.choice([0, 0, 1, chance.randrange(2, 150), chance.randrange(2, 150)])
    lines: list[str] = []
    with subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, text=True, cwd=ROOT) as worker:
        assert worker.stdout is not None
        for line in worker.stdout:
            lines.append(line)
            if len(lines) == 1 + wanted:  # "ready" is the first
                break
        with suppress(subprocess.TimeoutExpired):
            worker.wait(timeout=chance.choice([0, 0.001, 0.01]) * chance.random())
        worker.send_signal(signal.SIGKILL)
        lines += worker.stdout.readlines()
    if worker.returncode != -signal.SIGKILL:
        raise RuntimeError(f"the worker ended by itself: {command}")
    summary.kills += 1
    summary.early += "open\n" not in lines
    words = [tuple(line.split()) for line in lines if line not in ("ready\n", "open\n")]
    summary.acknowledged += len(words)
    return words
