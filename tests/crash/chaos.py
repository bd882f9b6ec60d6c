"""Several dispatcher processes on one database, killed at random; a client that lives gives commands meanwhile (R4).

What must hold: every acknowledged command took effect, every instance ended, every row of the user's exists once, no
version has two commits, no body ran that neither a commit, nor a lost race, nor a kill explains, and an audit is empty.
"""

import multiprocessing
import random
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import attrs

from tests.crash.fleet import DATABASES, Database, Log, WholeStore, serve
from tests.crash.harness import Summary, unexplained
from tests.crash.shop import CHECKOUT, EVENT_ID, REGISTRY, Approved, expected
from wfcore import Catalog, Client, Handle, InstanceFailedError, NotFinishedError, Shard, StepRecord

Scene: TypeAlias = Literal["shards", "dead shard", "overlapping"]
"""Each process has a shard; one of these is never served, so all its work is stolen; or all processes take all."""
SCENES: tuple[Scene, ...] = get_args(Scene)
STEAL_AFTER = timedelta(milliseconds=300)
CUSTOMERS = 12
"""How many instances there are before the first kill: some of them belong to the shard that is dead."""
KILLS = 100
"""How many there are on one database before the next."""
PATIENCE = timedelta(seconds=60)
# Processes of their own, each forked from one that has imported all this, and has opened nothing.
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.crash.fleet", "tests.crash.on_postgres"])


@attrs.define
class Fleet:
    """The processes, one at each post; a post whose process was killed gets the next one."""

    database: Database
    log: Log
    shards: list[Shard | None]
    dead: Shard | None
    _crew: dict[int, ForkServerProcess] = attrs.field(factory=dict)

    def begin(self) -> None:
        for post in range(len(self.shards)):
            self._man(post)

    def _man(self, post: int) -> None:
        process = _CONTEXT.Process(target=serve, args=(self.database, self.log, self.shards[post]), daemon=True)
        process.start()
        self._crew[post] = process

    def kill(self, post: int) -> int:
        """Kill the process of a post; its id."""
        process = self._crew.pop(post)
        assert process.exitcode is None, f"a dispatcher ended by itself: {process.exitcode}"
        process.kill()
        process.join()
        assert process.pid is not None
        return process.pid

    def replace(self, post: int) -> int:
        killed = self.kill(post)
        self._man(post)
        return killed

    def wait(self, post: int, seconds: float) -> None:
        """For a while, or until that process ends, which it never does by itself."""
        self._crew[post].join(seconds)

    def end(self) -> None:
        for post in list(self._crew):
            self.kill(post)


@attrs.define
class Customers:
    """Gives commands, and remembers what was acknowledged: how each instance has to end."""

    client: Client
    _begun: list[Handle[str]] = attrs.field(factory=list)
    ends: dict[int, Literal["complete", "terminated"]] = attrs.field(factory=dict)
    acknowledged: int = 0

    def act(self) -> None:
        """Begin an instance; decide about an older one, which has waited for that meanwhile."""
        number = len(self.ends) + len(self._begun)
        self._begun.append(self.client.create(CHECKOUT, number, id=str(number)))
        self.acknowledged += 1
        if len(self._begun) > 4:
            self._decide()

    def finish(self) -> None:
        while self._begun:
            self._decide()

    def _decide(self) -> None:
        number, handle = len(self.ends), self._begun.pop(0)
        if number % 5 == 0:
            handle.pause()
            handle.resume()
            self.acknowledged += 2
        if number % 7 == 3:
            handle.terminate()
            self.ends[number] = "terminated"
        else:
            handle.send_event(Approved, f"approval {number}", id=EVENT_ID)
            self.ends[number] = "complete"
        self.acknowledged += 1


def kill_fleets(kills: int, seed: int, folder: Path, summary: Summary, *, store: str, processes: int) -> None:
    """Every scene in its turn, each time on a database of its own.

    Args:
        kills: how many processes to kill, in all.
        seed: for what is left to chance here; what the machine does is not.
        folder: an empty one.
        summary: is told.
        store: the database's name in ``DATABASES``.
        processes: how many there are at once.
    """
    rounds = max(len(SCENES), -(-kills // KILLS))
    for number in range(rounds):
        place = folder / f"round-{number}"
        place.mkdir()
        scene = SCENES[number % len(SCENES)]
        posts: list[Shard | None] = [Shard(index, processes, STEAL_AFTER) for index in range(processes)]
        if scene == "overlapping":
            posts = [None] * processes
        elif scene == "dead shard":
            del posts[0]
        dead = Shard(0, processes) if scene == "dead shard" else None
        fleet = Fleet(DATABASES[store](place), Log(place / "said"), posts, dead)
        share = kills // rounds + (number < kills % rounds)
        problems = _attack(fleet, share, random.Random(f"{seed}/{number}"), summary)
        summary.violations += [f"seed {seed}, round {number}, {scene}: {problem}" for problem in problems]


def _attack(fleet: Fleet, kills: int, chance: random.Random, summary: Summary) -> list[str]:
    fleet.database.prepare()
    with fleet.database.open() as store:
        assert isinstance(store, Catalog)
        customers = Customers(Client(store, REGISTRY))
        killed = set()
        try:
            for _ in range(CUSTOMERS):
                customers.act()
            fleet.begin()
            for _ in range(kills):
                for _ in range(chance.randrange(4)):
                    customers.act()
                post = chance.randrange(len(fleet.shards))
                fleet.wait(post, chance.choice([0, 0.02, 0.2]) * chance.random())
                killed.add(fleet.replace(post))
            customers.finish()
            problems = [*_unended(customers)]
        finally:
            fleet.end()
        problems += _wrong(customers, store, fleet.database)
        attempts = sum(step.attempts for step in _steps(customers, store))
    summary.kills += kills
    summary.acknowledged += customers.acknowledged
    summary.stolen += sum(fleet.dead is not None and fleet.dead.owns(ref) for ref in _refs(customers))
    return problems + _miscounted(fleet.log, kills, attempts, killed, summary)


def _unended(customers: Customers) -> Iterator[str]:
    """Let everything come to its end, with the processes that live."""
    for number, end in customers.ends.items():
        handle = customers.client.handle(CHECKOUT, str(number))
        if end == "terminated":
            if handle.status() != end:
                yield f"the termination of instance {number} is lost: it is {handle.status()}"
            continue
        try:
            result = handle.result(timeout=PATIENCE)
        except NotFinishedError as error:
            yield f"instance {number} is stranded: {error}"
            return  # more of them would cost a minute each
        except InstanceFailedError as error:
            yield f"instance {number} has failed: {error}"
        else:
            if result != expected(number):
                yield f"instance {number} came to {result!r}"


def _refs(customers: Customers) -> list[str]:
    return [customers.client.handle(CHECKOUT, str(number)).ref for number in customers.ends]


def _steps(customers: Customers, store: WholeStore) -> list[StepRecord]:
    return [step for ref in _refs(customers) for step in store.retrieve(ref).steps if step.kind == "do"]


def _wrong(customers: Customers, store: WholeStore, database: Database) -> Iterator[str]:
    done = [
        (int(step.instance_ref.partition("#")[2]), step.name)
        for step in _steps(customers, store)
        if step.status == "completed"
    ]
    if sorted(done) != database.records():
        yield f"steps and the users' rows differ: {set(done) ^ set(database.records())}"
    short = [number for number, end in customers.ends.items() if end == "complete" and len(_names(done, number)) != 2]
    if short:
        yield f"instances {short} have not done each of their steps"
    yield from (f"audit: {finding.instance.ref}: {finding.problem}" for finding in customers.client.audit())


def _names(done: list[tuple[int, str]], number: int) -> list[str]:
    return [name for each, name in done if each == number]


def _miscounted(log: Log, kills: int, attempts: int, killed: set[int], summary: Summary) -> list[str]:
    said = Counter(log.lines())
    words = Counter(line.partition(" ")[0] for line in said.elements())
    opened = {int(line.split()[1]) for line in said if line.startswith("open ")}
    summary.early += len(killed - opened)
    summary.bodies += words["body"]
    summary.lost += words["lost"]
    summary.unsure += words["unsure"]
    twice = [f"two commits of {line}" for line, count in said.items() if line.startswith("version ") and count > 1]
    return twice + unexplained(words["body"], attempts, words["lost"], words["unsure"], cut=kills)
