"""A1, A4, A5, A12: faults at every place, lost acknowledgements, stores that are opened again."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar

import attrs
import pytest

from wfcore.errors import StoreUnavailableError
from wfcore.model import Snapshot
from wfcore.plan import AddEvent, AddHook, Applied, Conflict, Plan, PutEvent, PutHook, PutStep, Write
from wfcore.ports import Catalog, DueQuery, HookFeed, InstanceQuery, Store
from wfcore.testing.conformance.adapter import Note
from wfcore.testing.conformance.build import (
    MANY,
    MINUTE,
    NOW,
    OTHER,
    REF,
    create,
    delete,
    event,
    hook,
    instance,
    message,
    must,
    send,
    step,
    tick,
)
from wfcore.testing.conformance.rig import Rig, cut

T = TypeVar("T")
BUSY = tick(
    1,
    PutStep(step("do:a", result='{"id": 7}')),
    PutStep(step("do:b", status="waiting")),
    PutHook(hook(due_at=NOW + MINUTE)),
    PutEvent(event("m1", consumed_by="do:a", consumed_run=1, delivered_at=NOW)),
    AddEvent(event("m2")),
    AddHook(message("m2")),
    *create(OTHER).mutations,
)


@attrs.define
class Strike:
    """Makes the n-th thing that the database does fail.

    Attributes:
        countdown: how many things are left until it strikes; less: it does not.
        lasting: whether everything fails from then on, until this is taken back.
    """

    countdown: int = 0
    lasting: bool = False

    def __call__(self) -> bool:
        """Whether it strikes now."""
        self.countdown -= 1
        return self.countdown == 0 or (self.lasting and self.countdown < 0)

    def everywhere(self, act: Callable[[int], T], least: int = 4, *, lasting: bool = False) -> Iterator[T | Exception]:
        """Act with a fault at every place in turn, and at last without: what came of it, or what was raised.

        Args:
            act: does something with a faulty store; it is given the number of the place, from 1 on.
            least: how many times, at least: a store that never asks would pass.
            lasting: whether everything fails from that place on, until the end of the act.
        """
        place, hit = 0, True
        while hit:
            place += 1
            answer, hit = self.at(place, act, lasting=lasting)
            yield answer
        assert place >= least, "the faulty store asked strikes() hardly ever: let it ask before every statement"

    def at(self, place: int, act: Callable[[int], T], *, lasting: bool = False) -> tuple[T | Exception, bool]:
        """Act with a fault at one place: what came of it, and whether that place was reached."""
        self.countdown, self.lasting = place, lasting
        answer: T | Exception
        try:
            answer = act(place)
        except Exception as error:
            answer = error
        hit, self.countdown, self.lasting = self.countdown <= 0, 0, False
        return answer, hit

    def places(self, act: Callable[[], object]) -> int:
        """Act without a fault: at how many places there could be one."""
        self.countdown = 0
        act()
        count, self.countdown = -self.countdown, 0
        return count


def each_time(call: Callable[[], T]) -> Callable[[int], T]:
    """The same at every place."""
    return lambda _place: call()


def answered(answer: T | Exception) -> T | None:
    """What a store answered, nothing if it said that its database failed; what else it raised, a mistake, is raised."""
    if isinstance(answer, StoreUnavailableError):
        return None
    if isinstance(answer, Exception):
        raise answer
    return answer


def reads(store: Any) -> list[Callable[[], Any]]:
    """A call of each method of a store, a feed and a catalog that reads, of both kinds of stores."""
    calls: list[Callable[[], Any]] = [partial(store.retrieve, REF)]
    if isinstance(store, HookFeed):
        calls += [partial(store.due, DueQuery()), partial(store.next_due_at, DueQuery())]
    if isinstance(store, Catalog):
        calls += [partial(store.list_instances, InstanceQuery()), partial(store.count_by_status, InstanceQuery())]
        calls += [partial(store.history, REF), partial(store.suspects, 10)]
    return calls


@attrs.frozen
class Struck:
    """A plan that was applied while one thing went wrong.

    Attributes:
        before: what the store held.
        after: what it holds, read without faults.
        answer: of apply, or the error that it raised.
        store: one without faults.
    """

    before: list[Snapshot]
    after: list[Snapshot]
    answer: Applied | Conflict | Exception
    store: Store


def struck(rig: Rig, plan: Plan) -> Iterator[Struck]:
    """Apply a plan with a fault at every place in turn, and at last without; it is made undone between."""
    strike = Strike()
    healthy, store = rig.open(), rig.open_faulty(strike)

    def prepare() -> list[Snapshot]:
        must(healthy.apply(create()))
        must(healthy.apply(send("m1")))
        return cut(healthy, REF, OTHER)

    before = prepare()
    for answer in strike.everywhere(lambda _place: store.apply(plan)):
        yield Struck(before, cut(healthy, REF, OTHER), answer, healthy)
        for ref in (REF, OTHER):
            found = healthy.retrieve(ref).instance
            if found is not None:
                must(healthy.apply(delete(found.version, ref)))
        before = prepare()


class Faults:
    """A fault leaves no trace, is told as what it is, and does no harm to what comes later."""

    def test_a1_a_fault_anywhere_in_an_apply_leaves_no_trace(self, breaking: Rig) -> None:
        tried = list(struck(breaking, BUSY))
        expected = tried[-1].after
        assert [each.instance for each in expected] == [instance(version=2), instance(OTHER)]
        for each in tried:
            if each.after != expected:
                assert each.after == each.before
                assert isinstance(each.answer, Exception)

    def test_a5_after_an_unknown_commit_a_retrieve_tells_what_happened(self, breaking: Rig) -> None:
        """The row has the plan's execution id, or the version and execution id as they were."""
        for each in struck(breaking, BUSY):
            found = each.after[0].instance
            assert found is not None
            committed = found.execution_id == BUSY.execution_id
            assert committed or (found.version, found.execution_id) == (1, "e1")
            assert committed or isinstance(each.answer, Exception)

    def test_a11_a_fault_anywhere_leaves_the_writes_of_a_plan_with_its_rows_or_neither(self, breaking: Rig) -> None:
        if breaking.adapter.written is None:
            pytest.skip("the adapter has no 'written'")
        written: list[str] = []
        for each in struck(breaking, tick(1, Write(Note("paid")), PutStep(step()), Write(Note("told")))):
            written += ["paid", "told"] if each.after != each.before else []
            assert breaking.written(each.store) == written
            assert isinstance(answered(each.answer), Applied | None)

    def test_a12_a_transient_failure_is_no_conflict(self, breaking: Rig) -> None:
        for each in struck(breaking, BUSY):
            assert isinstance(answered(each.answer), Applied | None)

    def test_a12_a_failure_while_reading_is_told_and_gives_no_half_snapshot(self, breaking: Rig) -> None:
        strike = Strike()
        store = breaking.open_faulty(strike)
        store.apply(create())
        store.apply(BUSY)
        expected = store.retrieve(REF)
        for found in strike.everywhere(lambda _place: store.retrieve(REF), least=2):
            assert answered(found) in (None, expected)

    def test_a12_a_failure_while_hooks_or_lists_are_read_is_told(self, breaking: Rig) -> None:
        strike = Strike()
        store = breaking.open_faulty(strike)
        must(store.apply(create()))
        for read in reads(store):
            expected = read()
            assert expected is not None
            for found in strike.everywhere(each_time(read), least=2):
                assert answered(found) in (None, expected)

    def test_a12_a_store_is_as_good_as_before_after_a_failure(self, breaking: Rig) -> None:
        strike = Strike()
        store = breaking.open_faulty(strike)
        store.apply(create())
        strike.countdown = 1
        with pytest.raises(StoreUnavailableError) as caught:
            store.apply(tick(1))
        assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # noqa: S301 - our own
        strike.countdown = 0
        found = store.retrieve(REF).instance
        assert found is not None
        assert isinstance(store.apply(tick(found.version)), Applied)

    def test_a12_a_store_is_as_good_as_before_after_many_failures(self, breaking: Rig) -> None:
        """A connection that is not given back is missed when all are gone: not after one failure."""
        strike = Strike()
        store = breaking.open_faulty(strike)
        must(store.apply(create()))
        calls: list[Callable[[], Any]] = [partial(store.apply, send()), *reads(store)[:2]]
        places = [(calls[0], 1), *((call, strike.places(call)) for call in calls)]
        for call, place in places:
            for _ in range(MANY):
                answer, was_struck = strike.at(place, each_time(call))
                assert was_struck or not isinstance(answer, Exception), f"nothing has struck, but it raises {answer!r}"
        must(store.apply(tick(1)))

    def test_a12_a_store_is_as_good_as_before_when_a_database_that_was_away_is_back(self, breaking: Rig) -> None:
        """From some place on everything fails until the call has ended: what it does to clean up, too."""
        strike, version = Strike(), 1
        store: Store = breaking.open_faulty(strike)

        def act(_place: int) -> Applied | Conflict:
            return store.apply(tick(version, PutStep(step())))

        must(store.apply(create()))
        for told in strike.everywhere(act, lasting=True):
            found = store.retrieve(REF).instance
            assert found is not None
            assert answered(told) is None or found.version == version + 1
            must(store.apply(tick(found.version)))
            version = found.version + 1
        for read in strike.everywhere(lambda _place: store.retrieve(REF), least=2, lasting=True):
            assert answered(read) in (None, store.retrieve(REF))


class Reopened:
    """What was applied is there, whoever opens the store again."""

    def test_a4_a_store_that_is_opened_again_finds_what_was_applied(self, durable: Rig) -> None:
        store = durable.open()
        store.apply(create())
        store.apply(send("m1"))
        store.apply(BUSY)
        expected = cut(store, REF, OTHER)
        assert cut(durable.open(), REF, OTHER) == expected

    def test_a4_a_store_that_is_closed_and_opened_again_finds_what_was_applied(self, durable: Rig) -> None:
        with Rig(durable.adapter, durable.clock, durable.loop and type(durable.loop)()) as first:
            store = first.open()
            store.apply(create())
            store.apply(send("b"))
            store.apply(send("a"))
            expected = store.retrieve(REF)
        store = durable.open()
        assert store.retrieve(REF) == expected
        store.apply(send("c"))
        assert [each.id for each in store.retrieve(REF).events] == ["b", "a", "c"]

    def test_a4_two_stores_on_the_same_data_see_each_others_plans(self, durable: Rig) -> None:
        first, second = durable.open(), durable.open()
        must(first.apply(create()))
        must(second.apply(tick(1)))
        assert first.apply(tick(1)) == Conflict(REF, 2, "e2")
        assert cut(first, REF) == cut(second, REF)

    def test_a5_a_plan_that_is_applied_again_conflicts_with_itself(self, store: Store) -> None:
        """So whoever lost the answer knows from the second that the first was committed."""
        must(store.apply(create()))
        mine = tick(1, PutStep(step()))
        must(store.apply(mine))
        assert store.apply(mine) == Conflict(REF, 2, mine.execution_id)
        assert store.apply(create()) == Conflict(REF, 2, "e2")
        found = store.retrieve(REF).instance
        assert found is not None
        assert found.created_by == create().execution_id
