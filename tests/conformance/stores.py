"""Stores that go wrong in ways that are no mere bend: in pieces, between threads, on faults."""

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import attrs

from tests.conformance.bent import BentStore, Doomed, away, check_writes, dawdle, of, unchecked, unreadable
from wfadapters.listeners import Listeners
from wfadapters.sqlite import SqliteStore
from wfadapters.writes import OneWrite, writes_of
from wfcore.errors import RunNotFoundError, StoreUnavailableError, WriteFailedError
from wfcore.evolve import NOTHING, Rows, applied, conflict, evolve, holds
from wfcore.keys import timer_id
from wfcore.model import FiredHook, Instance, InstanceStatus, Snapshot
from wfcore.plan import AddEvent, AddHook, Applied, AtVersion, Conflict, DeleteInstance, Exists, Plan, Write
from wfcore.ports import DueQuery, History, InstanceQuery, Page
from wfcore.ports.catalog import place
from wfcore.runner import to_async
from wfcore.testing.conformance import Adapter, Note

POOL = 15
"""Connections: as many as SQLAlchemy's has."""
A = TypeVar("A")
T = TypeVar("T")


def never() -> bool:
    return False


class Piecemeal(BentStore):
    """Commits each mutation on its own; the database is asked before each of them."""

    strikes: Callable[[], bool] = staticmethod(never)

    def apply(self, plan: Plan) -> Applied | Conflict:
        if self.strikes():
            raise away(plan.ref)
        if found := self.failing(plan):
            return found
        for mutation in plan.mutations:
            if self.strikes():
                raise away(plan.ref)
            if unreadable(mutation):
                raise TypeError("no database takes it")
            self.perform([mutation])
        if self.strikes():
            raise away(plan.ref)
        return applied(self._world, plan)

    def failing(self, plan: Plan) -> Conflict | None:
        """The conflict, if a precondition does not hold."""
        for each in plan.preconditions:
            instance = self.rows(each.ref).instance
            if not holds(each, instance):
                return conflict(each.ref, instance)
        return None


class KeepsConnectionsOfMistakes(BentStore):
    """A pool, which loses one with each plan that no database takes."""

    connections = POOL

    def apply(self, plan: Plan) -> Applied | Conflict:
        if not self.connections:
            raise away(plan.ref)
        if any(map(unreadable, plan.mutations)):
            self.connections -= 1
            raise TypeError("no database takes it")
        return super().apply(plan)


class Forgetful(Piecemeal):
    """Commits the version before the rest, and forgets who wrote it."""

    def perform(self, mutations: Any) -> None:
        changed = [
            attrs.evolve(each, instance=attrs.evolve(each.instance, execution_id="the store"))
            if type(each).__name__ == "PutInstance"
            else each
            for each in mutations
        ]
        super().perform(changed)


class Striking(BentStore):
    """Asks the database before and after the commit, and twice for each read.

    It does it as it has to be done; what else is made of a failure is for others to say.
    """

    strikes: Callable[[], bool] = staticmethod(never)

    def apply(self, plan: Plan) -> Applied | Conflict:
        for _ in range(4):
            if self.strikes():
                return self.failed(plan)
        return super().apply(plan)

    def failed(self, plan: Plan) -> Applied | Conflict:
        raise away(plan.ref)


def read(name: str) -> Any:
    """A method that reads, if nothing strikes."""

    def method(store: Striking, *arguments: Any) -> Any:
        if store.strikes() or store.strikes():
            raise away(name)
        return getattr(BentStore, name)(store, *arguments)

    return method


for _name in ("retrieve", "due", "next_due_at", "list_instances", "count_by_status", "history", "suspects"):
    setattr(Striking, _name, read(_name))


class Pooled(Striking):
    """A pool, and some of the connections that it lends do not come back.

    Attributes:
        kept: what a call answers, or raises, when its connection is kept.
        calls: the methods that keep connections.
    """

    kept: type = StoreUnavailableError
    calls: Sequence[str] = ("apply",)
    idle = POOL

    def apply(self, plan: Plan) -> Applied | Conflict:
        return self.lent("apply", super().apply, plan)

    def retrieve(self, ref: str) -> Snapshot:
        return self.lent("retrieve", super().retrieve, ref)

    def due(self, query: DueQuery) -> Sequence[FiredHook]:
        return self.lent("due", super().due, query)

    def lent(self, call: str, method: Callable[[A], T], argument: A) -> T:
        """Call a method with a connection from the pool."""
        if not self.idle:
            raise StoreUnavailableError(call, "the pool has no connection left")
        came: object = None
        try:
            came = answer = method(argument)
        except Exception as error:
            came = error
            raise
        finally:
            self.idle -= call in self.calls and isinstance(came, self.kept)
        return answer


class KeepsConnectionsOfConflicts(Pooled):
    kept = Conflict


class KeepsConnectionsOfWriters(Pooled):
    kept = WriteFailedError


class KeepsConnectionsOfReaders(Pooled):
    calls = ("retrieve",)


class KeepsConnectionsOfFeeds(Pooled):
    calls = ("due",)


class HasNothingDue(Striking):
    def due(self, query: DueQuery) -> Sequence[FiredHook]:
        return [] if self.strikes() else super().due(query)


class TakesFailuresForConflicts(Striking):
    def failed(self, plan: Plan) -> Applied | Conflict:
        return conflict(plan.ref, self.rows(plan.ref).instance)


class BlamesWriters(Striking):
    """Whatever fails in a plan with writes is put down to the last of them."""

    def failed(self, plan: Plan) -> Applied | Conflict:
        writes = writes_of([plan])
        if writes:
            raise writes[-1].failed("the connection was lost")
        return super().failed(plan)


class RaisesWhatTheDriverRaises(Striking):
    def failed(self, plan: Plan) -> Applied | Conflict:
        raise OSError(f"connection reset by peer during {plan.ref}")


class RetriesBlindly(Striking):
    """The commit was done, and its acknowledgement lost; the second try conflicts with the first."""

    def failed(self, plan: Plan) -> Applied | Conflict:
        BentStore.apply(self, plan)
        return BentStore.apply(self, plan)


class WritesBefore(Striking):
    """A write is committed before the rest of its plan, as soon as it is known that the plan does not conflict."""

    def apply(self, plan: Plan) -> Applied | Conflict:
        if all(holds(each, self.rows(each.ref).instance) for each in plan.preconditions):
            self.perform(each for each in plan.mutations if isinstance(each, Write))
        rows = tuple(each for each in plan.mutations if not isinstance(each, Write))
        return super().apply(unchecked(plan, mutations=rows))


class BreaksForEver(Striking):
    def failed(self, plan: Plan) -> Applied | Conflict:
        self.strikes = lambda: True
        return super().failed(plan)


class RollsBackInVain(Striking):
    """If the rollback fails too, its transaction stays open, and nothing can be done on that connection any more."""

    def failed(self, plan: Plan) -> Applied | Conflict:
        if self.strikes():
            self.strikes = lambda: True
        return super().failed(plan)


class GivesHalfASnapshot(Striking):
    def retrieve(self, ref: str) -> Snapshot:
        found = BentStore.retrieve(self, ref)
        return attrs.evolve(found, events=()) if self.strikes() or self.strikes() else found


def striking(store: type[Striking] | type[Piecemeal], *, durable: bool = False) -> Callable[[Path], Adapter]:
    """An adapter whose stores share their rows, so that one of them can fail and another look."""

    def make(_folder: Path) -> Adapter:
        worlds: dict[str, Any] = {}

        def opened(clock: Callable[[], datetime], strikes: Callable[[], bool] = never) -> BentStore:
            made = store(clock)
            made.strikes = strikes
            for name in ("_world", "_agendas", "_writes", "_lock"):
                setattr(made, name, worlds.setdefault(name, getattr(made, name)))
            return made

        return of(BentStore, open=opened, faulty=opened, durable=durable)(_folder)

    return make


# ---- between threads and processes


class ChecksFirst(Piecemeal):
    """Reads, decides, and writes later: others may have written between."""

    def apply(self, plan: Plan) -> Applied | Conflict:
        check_writes(plan)
        if found := self.failing(plan):
            return found
        dawdle()
        self.perform(plan.mutations)
        return applied(self._world, plan)


class ChecksFirstIfVersioned(ChecksFirst):
    """Takes care of versions; but whether an instance is there, it looks up in a transaction of its own."""

    def apply(self, plan: Plan) -> Applied | Conflict:
        if any(isinstance(each, AtVersion) for each in plan.preconditions):
            return BentStore.apply(self, plan)
        if found := self.failing(plan):
            return found
        missing = [each for each in plan.mutations if _is_append(each) and not self.rows(_ref(each)).instance]
        dawdle()
        for mutation in plan.mutations:
            if isinstance(mutation, AddEvent) and mutation not in missing:
                rows = self.rows(mutation.ref)
                events = {mutation.event.id: mutation.event, **rows.events}
                self.replace(mutation.ref, attrs.evolve(rows, events=events))
            elif mutation not in missing:
                self.perform([mutation])
        return applied(self._world, plan)


class LocksWhatItDeletesTooLate(BentStore):
    """A delete compares the version, and then waits for the row, and takes it whatever it has become."""

    def apply(self, plan: Plan) -> Applied | Conflict:
        if not any(isinstance(each, DeleteInstance) for each in plan.mutations):
            return super().apply(plan)
        for each in plan.preconditions:
            if not holds(each, found := self.rows(each.ref).instance):
                return conflict(each.ref, found)
        dawdle()
        return super().apply(unchecked(plan, preconditions=()))


class LosesMail(BentStore):
    """Keeps the mailbox in one value, which it reads, and puts back with one event more."""

    def apply(self, plan: Plan) -> Applied | Conflict:
        if not any(isinstance(each, AddEvent) for each in plan.mutations):
            return super().apply(plan)
        before = self.rows(plan.ref)
        dawdle()
        after = evolve({plan.ref: before}, plan)
        if isinstance(after, Conflict):
            return after
        self.replace(plan.ref, attrs.evolve(self.rows(plan.ref), events=after[plan.ref].events))
        return super().apply(unchecked(plan, preconditions=()))


class SwallowsClashes(BentStore):
    """A create that comes second finds the identity taken, and says nothing of it."""

    def apply(self, plan: Plan) -> Applied | Conflict:
        answer = super().apply(plan)
        if isinstance(answer, Conflict) and not any(
            isinstance(each, AtVersion | Exists) for each in plan.preconditions
        ):
            return applied(self._world, plan)
        return answer


class ReadsTwice(BentStore):
    """Reads the instance in one transaction, and its rows in the next."""

    def retrieve(self, ref: str) -> Snapshot:
        instance = super().retrieve(ref).instance
        dawdle()
        return attrs.evolve(super().retrieve(ref), instance=instance)


class Lags(BentStore):
    """Reads from a replica, which is one plan behind."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        super().__init__(clock)
        self.replica: dict[str, Any] = {}

    def apply(self, plan: Plan) -> Applied | Conflict:
        self.replica = dict(self._world)
        return super().apply(plan)

    def retrieve(self, ref: str) -> Snapshot:
        rows: Rows = self.replica.get(ref, NOTHING)
        return rows.snapshot(self._clock())


class LooseSqlite(SqliteStore):
    """Compares versions in one transaction, and writes in the next under whatever it finds."""

    def apply(self, plan: Plan) -> Applied | Conflict:
        given = []
        for each in plan.preconditions:
            found = self.retrieve(each.ref).instance
            if not holds(each, found):
                return conflict(each.ref, found)
            given.append(each if found is None else Exists(each.ref))
        dawdle()
        return super().apply(unchecked(plan, preconditions=tuple(given)))


def open_loose(path: Path, clock: Callable[[], datetime]) -> LooseSqlite:
    return LooseSqlite(path, clock=clock, synchronous="OFF")


def loose_sqlite(folder: Path) -> Adapter:
    return Adapter(open=partial(open_loose, folder / "loose.db"))


# ---- writes, capabilities


class WritesElsewhere(BentStore):
    """A write goes to a connection of its own, which commits whatever comes of the plan."""

    def apply(self, plan: Plan) -> Applied | Conflict:
        notes = [each.value for each in plan.mutations if isinstance(each, Write) and isinstance(each.value, Note)]
        self._writes += [note for note in notes if note.text]
        check_writes(plan)
        rows = tuple(each for each in plan.mutations if not isinstance(each, Write))
        return super().apply(unchecked(plan, mutations=rows))


class LetsCommitsFail(BentStore):
    """Whatever the commit raises gets out."""

    def apply(self, plan: Plan) -> Applied | Conflict:
        writes = writes_of([plan])
        return self.failed(writes) if any(isinstance(each.value, Doomed) for each in writes) else super().apply(plan)

    def failed(self, writes: Sequence[OneWrite]) -> Applied:
        raise OSError(f"a foreign key is violated by one of {len(writes)} writes")


class TakesNoNoticeOfCommits(LetsCommitsFail):
    """Rolled back, and answered."""

    def failed(self, writes: Sequence[OneWrite]) -> Applied:  # noqa: ARG002 - that is what is wrong
        return Applied()


class BlamesTheFirstWrite(LetsCommitsFail):
    def failed(self, writes: Sequence[OneWrite]) -> Applied:
        raise writes[0].failed("a foreign key is violated")


class LeavesOutWhatFails(BentStore):
    """Goes on without the writes that fail."""

    def apply(self, plan: Plan) -> Applied | Conflict:
        good = [each for each in plan.mutations if not isinstance(each, Write) or bool(getattr(each.value, "text", ""))]
        return super().apply(unchecked(plan, mutations=tuple(good)))


def not_durable(_folder: Path) -> Adapter:
    return Adapter(open=BentStore, durable=True)


@contextmanager
def unbound(store: BentStore) -> Iterator[BentStore]:
    """No transaction at all."""
    yield store


def transactions(
    bound: type[BentStore], commits: Callable[[Any], bool] = lambda _bound: True
) -> Callable[[BentStore], AbstractContextManager[BentStore]]:
    """Transactions of a caller.

    Args:
        bound: what is bound to them.
        commits: whether what it has done is kept at the end.
    """

    @contextmanager
    def within(store: BentStore) -> Iterator[BentStore]:
        inner = bound(store._clock)
        inner._world = dict(store._world)
        yield inner
        for ref, rows in inner._world.items() if commits(inner) else ():
            store.replace(ref, rows)

    return within


class KeepsRowsOfFailingWrites(BentStore):
    def apply(self, plan: Plan) -> Applied | Conflict:
        try:
            return super().apply(plan)
        except WriteFailedError:
            self.perform(each for each in plan.mutations if not isinstance(each, Write))
            raise


class CountsConflicts(BentStore):
    conflicts = 0

    def apply(self, plan: Plan) -> Applied | Conflict:
        answer = super().apply(plan)
        self.conflicts += isinstance(answer, Conflict)
        return answer


class TellsOfNoHooks(BentStore):
    def apply(self, plan: Plan) -> Applied | Conflict:
        answer = super().apply(plan)
        return attrs.evolve(answer, pending_hooks=frozenset()) if isinstance(answer, Applied) else answer


class Batching(BentStore):
    """Does it as it has to be done."""

    def apply_many(self, plans: Sequence[Plan]) -> Sequence[Applied | Conflict]:
        return [self.apply(plan) for plan in plans]


class Good(Striking, Batching):
    """Nothing is wrong with it."""


class StopsAtAConflict(Batching):
    def apply_many(self, plans: Sequence[Plan]) -> Sequence[Applied | Conflict]:
        answers = map(self.apply, plans)
        return list(itertools.takewhile(lambda answer: isinstance(answer, Applied), answers))


class MakesOnePlanOfMany(Batching):
    """All or nothing: one transaction for all of them."""

    def apply_many(self, plans: Sequence[Plan]) -> Sequence[Applied | Conflict]:
        before = dict(self._world)
        answers = super().apply_many(plans)
        if any(isinstance(each, Conflict) for each in answers):
            self.roll_back(before)
        return answers


class UndoesWhatCameBefore(Batching):
    """One transaction, which a write that fails takes with it."""

    def apply_many(self, plans: Sequence[Plan]) -> Sequence[Applied | Conflict]:
        before = dict(self._world)
        try:
            return super().apply_many(plans)
        except WriteFailedError:
            self.roll_back(before)
            raise


class GoesOnAfterAFailure(Batching):
    """Tells of it at the end."""

    def apply_many(self, plans: Sequence[Plan]) -> Sequence[Applied | Conflict]:
        answers, failure = [], None
        for plan in plans:
            try:
                answers.append(self.apply(plan))
            except WriteFailedError as error:
                failure = error
        if failure is not None:
            raise failure
        return answers


class NeedsAPlan(Batching):
    def apply_many(self, plans: Sequence[Plan]) -> Sequence[Applied | Conflict]:
        first, *others = plans
        return [self.apply(first), *super().apply_many(others)]


class PiecemealBatches(Piecemeal, Batching):
    """Many plans are many mutations, and each commits on its own."""


class AcknowledgesWhatIsMissing(Striking, Batching):
    """Answers for all plans, also for those that a failure kept from being applied."""

    def apply_many(self, plans: Sequence[Plan]) -> Sequence[Applied | Conflict]:
        answers: list[Applied | Conflict] = []
        with suppress(StoreUnavailableError):
            answers.extend(map(self.apply, plans))
        return answers + [Applied()] * (len(plans) - len(answers))


class AppliesTheLastFirst(Striking, Batching):
    def apply_many(self, plans: Sequence[Plan]) -> Sequence[Applied | Conflict]:
        return super().apply_many(plans[::-1])[::-1]


class WritesBehind(Striking, Batching):
    """Answers at once; what has many plans is written out some time later."""

    def apply_many(self, plans: Sequence[Plan]) -> Sequence[Applied | Conflict]:
        self._world = dict(self._world)
        return super().apply_many(plans)


class TellsNobodyOfMany(Batching):
    def apply_many(self, plans: Sequence[Plan]) -> Sequence[Applied | Conflict]:
        listeners, self._listeners = self._listeners, Listeners()
        answers = super().apply_many(plans)
        self._listeners = listeners
        return answers


class TellsOfThePlansRefOnly(BentStore):
    plans_ref = ""

    def apply(self, plan: Plan) -> Applied | Conflict:
        self.plans_ref = plan.ref
        return super().apply(plan)

    def listen(self, callback: Callable[[str], None]) -> Callable[[], None]:
        return super().listen(lambda ref: callback(ref) if ref == self.plans_ref else None)


class TellsForEver(BentStore):
    def listen(self, callback: Callable[[str], None]) -> Callable[[], None]:
        super().listen(callback)
        return lambda: None


class TellsTooEarly(BentStore):
    callbacks: tuple[Callable[[str], None], ...] = ()

    def apply(self, plan: Plan) -> Applied | Conflict:
        for callback, ref in itertools.product(self.callbacks, {_ref(each) for each in plan.mutations}):
            callback(ref)
        return super().apply(plan)

    def listen(self, callback: Callable[[str], None]) -> Callable[[], None]:
        self.callbacks = (*self.callbacks, callback)
        return lambda: None


class TellsWithoutCare(BentStore):
    """What a listener raises, whoever applies is told."""

    callbacks: tuple[Callable[[str], None], ...] = ()

    def apply(self, plan: Plan) -> Applied | Conflict:
        answer = super().apply(plan)
        for callback in self.callbacks:
            callback(plan.ref)
        return answer

    def listen(self, callback: Callable[[str], None]) -> Callable[[], None]:
        self.callbacks = (*self.callbacks, callback)
        return lambda: None


class TellsTooEarlyForAsyncio:
    """Durable, and on an event loop."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = to_async(store)
        self._listeners = Listeners()
        self.retrieve, self.listen = self._store.retrieve, self._listeners.listen

    async def apply(self, plan: Plan) -> Applied | Conflict:
        self._listeners.notify(plan)
        return await self._store.apply(plan)


@contextmanager
def open_early(path: Path, clock: Callable[[], datetime]) -> Iterator[TellsTooEarlyForAsyncio]:
    with SqliteStore(path, clock=clock, synchronous="OFF") as store:
        yield TellsTooEarlyForAsyncio(store)


def early_for_asyncio(folder: Path) -> Adapter:
    return Adapter(open=partial(open_early, folder / "early.db"))


# ---- the catalog


def newest_first(found: Iterable[Instance], query: InstanceQuery) -> Page[Instance]:
    """The page that begins with them."""
    return query.page(sorted(found, key=place, reverse=True)[: query.limit + 1])


class AnyLabel(BentStore):
    def list_instances(self, query: InstanceQuery) -> Page[Instance]:
        rest = attrs.evolve(query, tags={}, cursor=None)
        found = [each for each in self.all_instances() if rest.admits(each)]
        found = [each for each in found if not query.tags or query.tags.items() & each.tags.items()]
        return newest_first(found, query)


class FoldsLabels(BentStore):
    def list_instances(self, query: InstanceQuery) -> Page[Instance]:
        found = [each for each in self.all_instances() if attrs.evolve(query, tags={}, cursor=None).admits(each)]
        folded = [{name.lower(): value.lower() for name, value in each.tags.items()} for each in found]
        wanted = {(name.lower(), value.lower()) for name, value in query.tags.items()}
        rest = [each for each, tags in zip(found, folded, strict=True) if wanted <= tags.items()]
        return newest_first(rest, query)


class ForgetsParams(BentStore):
    def list_instances(self, query: InstanceQuery) -> Page[Instance]:
        page = super().list_instances(query)
        return attrs.evolve(page, items=tuple(attrs.evolve(each, params="{}") for each in page.items))


class ListsTheOldestFirst(BentStore):
    """Of each page."""

    def list_instances(self, query: InstanceQuery) -> Page[Instance]:
        page = super().list_instances(query)
        return attrs.evolve(page, items=page.items[::-1])


class KeepsLabels(BentStore):
    """Keeps labels in a table beside, and never takes one out."""

    def apply(self, plan: Plan) -> Applied | Conflict:
        answer = super().apply(plan)
        kept: dict[str, dict[str, str]] = self.__dict__.setdefault("labels", {})
        for row in self.all_instances():
            kept[row.ref] = {**row.tags, **kept.get(row.ref, {})}
        return answer

    def list_instances(self, query: InstanceQuery) -> Page[Instance]:
        rest = attrs.evolve(query, tags={})
        found = [each for each in self.all_instances() if rest.admits(each)]
        found = [each for each in found if query.tags.items() <= self.__dict__["labels"][each.ref].items()]
        return newest_first(found, query)


class IncludesTheEnd(BentStore):
    def list_instances(self, query: InstanceQuery) -> Page[Instance]:
        end = query.created_before and query.created_before + query.created_before.resolution
        return super().list_instances(attrs.evolve(query, created_before=end, cursor=None))


class CountsPlaces(BentStore):
    """Goes on at the place where it was, by number: OFFSET."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        super().__init__(clock)
        self.places: dict[str | None, int] = {None: 0}

    def list_instances(self, query: InstanceQuery) -> Page[Instance]:
        found = sorted(filter(query.admits, self.all_instances()), key=place, reverse=True)
        begin = self.places[query.cursor]
        page = query.page(found[begin : begin + query.limit + 1])
        self.places[page.next_cursor] = begin + query.limit
        return page


class GoesOnAfterNothing(BentStore):
    def list_instances(self, query: InstanceQuery) -> Page[Instance]:
        page = super().list_instances(query)
        return page if page.items else attrs.evolve(page, next_cursor="and so on")


class SkipsTheRestOfAnInstant(BentStore):
    def list_instances(self, query: InstanceQuery) -> Page[Instance]:
        position = query.position()
        found = sorted(filter(query.admits, self.all_instances()), key=place, reverse=True)
        rest = [each for each in found if position is None or each.created_at < position[0]]
        return query.page(rest[: query.limit + 1])


class CountsThePage(BentStore):
    def count_by_status(self, query: InstanceQuery) -> Mapping[InstanceStatus, int]:
        counts = super().count_by_status(query)
        shown = Counter(each.status for each in self.list_instances(query).items)
        return {status: shown[status] for status in counts}


class CountsWhatThereIs(BentStore):
    def count_by_status(self, query: InstanceQuery) -> Mapping[InstanceStatus, int]:
        return {status: count for status, count in super().count_by_status(query).items() if count}


class TellsOfTheCurrentRunOnly(BentStore):
    def history(self, ref: str, run_number: int | None = None) -> History:  # noqa: ARG002 - that is what is wrong
        return super().history(ref)


class TellsOfWhatIsDeleted(BentStore):
    """Its histories are of a table of their own."""

    def apply(self, plan: Plan) -> Applied | Conflict:
        for each in plan.mutations:
            if isinstance(each, DeleteInstance):
                self._kept()[each.ref] = super().history(each.ref)
        return super().apply(plan)

    def history(self, ref: str, run_number: int | None = None) -> History:
        return self._kept().get(ref) or super().history(ref, run_number)

    def _kept(self) -> dict[str, History]:
        kept: dict[str, History] = self.__dict__.setdefault("kept", {})
        return kept


class TellsOfRunsThatNeverWere(BentStore):
    def history(self, ref: str, run_number: int | None = None) -> History:
        try:
            return super().history(ref, run_number)
        except RunNotFoundError:
            return attrs.evolve(super().history(ref), steps=(), events=())


class ForgetsWhenEventsWereTaken(BentStore):
    def history(self, ref: str, run_number: int | None = None) -> History:
        found = super().history(ref, run_number)
        return attrs.evolve(found, events=tuple(attrs.evolve(each, delivered_at=None) for each in found.events))


class TellsInTheOrderOfKeys(BentStore):
    def history(self, ref: str, run_number: int | None = None) -> History:
        found = super().history(ref, run_number)
        return attrs.evolve(found, steps=tuple(sorted(found.steps, key=lambda step: step.key)))


class SuspectsNobody(BentStore):
    def suspects(self, limit: int, after: str | None = None) -> Sequence[Instance]:
        return super().suspects(limit, after)[:0]


class TakesAnyTimer(BentStore):
    """Looks whether there is a timer, and not of which run it is."""

    def suspects(self, limit: int, after: str | None = None) -> Sequence[Instance]:
        found = super().suspects(limit, after)
        return [each for each in found if timer_id(each.ref) not in self.rows(each.ref).hooks]


class SuspectsInAnyOrder(BentStore):
    def suspects(self, limit: int, after: str | None = None) -> Sequence[Instance]:
        return super().suspects(limit, after)[::-1]


def _is_append(mutation: Any) -> bool:
    return isinstance(mutation, AddEvent | AddHook)


def _ref(mutation: Any) -> str:
    ref: str = mutation.ref
    return ref
