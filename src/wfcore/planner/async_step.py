"""``AsyncStep``: the steps of an ``async def`` workflow. They make requests: no I/O, no clock, no event loop."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from functools import partial
from typing import Any, Literal, TypeAlias, TypeVar, final, overload

from wfcore.keys import SegmentKind
from wfcore.planner.awaiting import Awaiting
from wfcore.planner.calls import Raised, Returned
from wfcore.planner.groups import Fan, OnError
from wfcore.planner.replay import Replay
from wfcore.planner.requests import Branch, Request, Scope

T = TypeVar("T")
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")
T4 = TypeVar("T4")
T5 = TypeVar("T5")
T6 = TypeVar("T6")
A = TypeVar("A")
K = TypeVar("K", bound=str)

_Branch: TypeAlias = "Callable[[AsyncStep], Awaitable[T]]"


@final
class AsyncStep(Awaiting):
    """The steps of an ``async def`` workflow. Calls return what is to be awaited; no event loop is needed."""

    __slots__ = ()

    def scope(self, name: str) -> AsyncStep:
        """A handle whose step names are counted on their own (rule K2)."""
        return AsyncStep(self._replay, self._branch, self._child(name))

    # -- branches (rules P1 to P7)

    @overload
    def gather(self, name: str, branches: Mapping[K, _Branch[T]], /) -> Coroutine[Any, Any, dict[K, T]]: ...
    @overload
    def gather(self, name: str, /) -> Coroutine[Any, Any, tuple[()]]: ...
    @overload
    def gather(self, name: str, b0: _Branch[T1], /) -> Coroutine[Any, Any, tuple[T1]]: ...
    @overload
    def gather(self, name: str, b0: _Branch[T1], b1: _Branch[T2], /) -> Coroutine[Any, Any, tuple[T1, T2]]: ...
    @overload
    def gather(
        self, name: str, b0: _Branch[T1], b1: _Branch[T2], b2: _Branch[T3], /
    ) -> Coroutine[Any, Any, tuple[T1, T2, T3]]: ...
    @overload
    def gather(
        self, name: str, b0: _Branch[T1], b1: _Branch[T2], b2: _Branch[T3], b3: _Branch[T4], /
    ) -> Coroutine[Any, Any, tuple[T1, T2, T3, T4]]: ...
    @overload
    def gather(
        self, name: str, b0: _Branch[T1], b1: _Branch[T2], b2: _Branch[T3], b3: _Branch[T4], b4: _Branch[T5], /
    ) -> Coroutine[Any, Any, tuple[T1, T2, T3, T4, T5]]: ...
    @overload
    def gather(
        self,
        name: str,
        b0: _Branch[T1],
        b1: _Branch[T2],
        b2: _Branch[T3],
        b3: _Branch[T4],
        b4: _Branch[T5],
        b5: _Branch[T6],
        /,
    ) -> Coroutine[Any, Any, tuple[T1, T2, T3, T4, T5, T6]]: ...
    @overload
    def gather(
        self,
        name: str,
        b0: _Branch[T],
        b1: _Branch[T],
        b2: _Branch[T],
        b3: _Branch[T],
        b4: _Branch[T],
        b5: _Branch[T],
        b6: _Branch[T],
        /,
        *more: _Branch[T],
    ) -> Coroutine[Any, Any, tuple[T, ...]]: ...
    def gather(self, name: str, /, *branches: Any) -> Coroutine[Any, Any, Any]:
        """Run branches side by side and give all their results (rules P1, P4).

        The first failure, in recorded order, is raised once the bodies of the other branches that are in flight have
        been recorded; those branches go on no further. Each branch has keys of its own, so that steps of one name
        cannot be taken for each other. Bodies run at the same time under an ``AsyncDispatcher``, else in turns.

        Args:
            name: the group's name.
            branches: functions of a step of their own, ``async def branch(step)``; other arguments are bound with
                ``functools.partial``. Or one mapping of names to such functions.

        Returns:
            A tuple in the order of the branches; of a mapping a ``dict`` with its keys.
        """
        labels, functions = self._branches(name, branches)
        shape: Callable[[list[Any]], Any] = tuple if labels is None else partial(_keyed, labels)
        return self._group("gather", name, functions, labels or (*range(len(functions)),), join=shape)

    @overload
    def race(self, name: str, branches: Mapping[K, _Branch[T]], /) -> Coroutine[Any, Any, tuple[K, T]]: ...
    @overload
    def race(self, name: str, b0: _Branch[T1], /) -> Coroutine[Any, Any, tuple[Literal[0], T1]]: ...
    @overload
    def race(
        self, name: str, b0: _Branch[T1], b1: _Branch[T2], /
    ) -> Coroutine[Any, Any, tuple[Literal[0], T1] | tuple[Literal[1], T2]]: ...
    @overload
    def race(
        self, name: str, b0: _Branch[T1], b1: _Branch[T2], b2: _Branch[T3], /
    ) -> Coroutine[Any, Any, tuple[Literal[0], T1] | tuple[Literal[1], T2] | tuple[Literal[2], T3]]: ...
    @overload
    def race(
        self, name: str, b0: _Branch[T1], b1: _Branch[T2], b2: _Branch[T3], b3: _Branch[T4], /
    ) -> Coroutine[
        Any, Any, tuple[Literal[0], T1] | tuple[Literal[1], T2] | tuple[Literal[2], T3] | tuple[Literal[3], T4]
    ]: ...
    @overload
    def race(
        self, name: str, b0: _Branch[T1], b1: _Branch[T2], b2: _Branch[T3], b3: _Branch[T4], b4: _Branch[T5], /
    ) -> Coroutine[
        Any,
        Any,
        tuple[Literal[0], T1]
        | tuple[Literal[1], T2]
        | tuple[Literal[2], T3]
        | tuple[Literal[3], T4]
        | tuple[Literal[4], T5],
    ]: ...
    @overload
    def race(
        self,
        name: str,
        b0: _Branch[T1],
        b1: _Branch[T2],
        b2: _Branch[T3],
        b3: _Branch[T4],
        b4: _Branch[T5],
        b5: _Branch[T6],
        /,
    ) -> Coroutine[
        Any,
        Any,
        tuple[Literal[0], T1]
        | tuple[Literal[1], T2]
        | tuple[Literal[2], T3]
        | tuple[Literal[3], T4]
        | tuple[Literal[4], T5]
        | tuple[Literal[5], T6],
    ]: ...
    @overload
    def race(
        self,
        name: str,
        b0: _Branch[T],
        b1: _Branch[T],
        b2: _Branch[T],
        b3: _Branch[T],
        b4: _Branch[T],
        b5: _Branch[T],
        b6: _Branch[T],
        /,
        *more: _Branch[T],
    ) -> Coroutine[Any, Any, tuple[int, T]]: ...
    def race(self, name: str, /, *branches: Any) -> Coroutine[Any, Any, Any]:
        """Run branches side by side; the first that ends, in recorded order, decides at once and for good (rule P5).

        If it raises, the race raises. What the others wait for is cancelled; of their bodies in flight, awaitable ones
        are cancelled, and what comes of the rest is recorded and not delivered.

        A sleep in a race ends a body that takes too long only under an ``AsyncDispatcher``: the blocking runner has
        one body at a time, and looks at deadlines after it (rule W10).

        Args:
            name: the group's name.
            branches: as for :meth:`gather`.

        Returns:
            ``(index, value)``, or ``(key, value)`` of a mapping; ``match`` tells the cases apart.
        """
        labels, functions = self._branches(name, branches)
        if not functions:
            raise self._refused(name, "a race without branches", "give it one branch at least")
        return self._group("race", name, functions, labels or (*range(len(functions)),), races=True)

    @overload
    def map(
        self,
        name: str,
        items: Iterable[A],
        fn: Callable[[AsyncStep, A], Awaitable[T]],
        /,
        *,
        key: Callable[[A], str] | None = None,
        max_concurrency: int = 16,
        on_error: Literal["raise"] = "raise",
    ) -> Coroutine[Any, Any, list[T]]: ...
    @overload
    def map(
        self,
        name: str,
        items: Iterable[A],
        fn: Callable[[AsyncStep, A], Awaitable[T]],
        /,
        *,
        key: Callable[[A], str] | None = None,
        max_concurrency: int = 16,
        on_error: Literal["collect"],
    ) -> Coroutine[Any, Any, list[Returned[T] | Raised]]: ...
    def map(
        self,
        name: str,
        items: Iterable[Any],
        fn: Callable[[AsyncStep, Any], Awaitable[Any]],
        /,
        *,
        key: Callable[[Any], str] | None = None,
        max_concurrency: int = 16,
        on_error: OnError = "raise",
    ) -> Coroutine[Any, Any, Any]:
        """Run one branch for each item and give their results in the order of the items (rules P1, P4).

        Args:
            name: the group's name.
            items: read once. Without ``key`` their number and a digest are recorded, and another list is a mismatch;
                they are encoded by the type that ``fn`` annotates, else as plain JSON.
            fn: the branch, ``async def branch(step, item)``.
            key: names an item, uniquely; with it the list may change its order while a run is under way.
            max_concurrency: how many branches may be at work at once; one that is parked does not count.
            on_error: ``"raise"`` as :meth:`gather` does, or ``"collect"``: wait for all, and give for each item
                ``Returned(value)`` or ``Raised(error)``.
        """
        found = self._items(name, items)
        self._require_branch(name, fn, ("step", "item"))
        if key is not None and not callable(key):
            raise self._refused(name, f"key={key!r}", "pass a function that names an item")
        if not _is_count(max_concurrency):
            raise self._refused(name, f"max_concurrency={max_concurrency!r}", "pass an int of at least 1")
        if on_error not in ("raise", "collect"):
            raise self._refused(name, f"on_error={on_error!r}", "use 'raise' or 'collect'")
        functions = tuple(partial(_with_item, fn, item) for item in found)
        return self._group(
            "map",
            name,
            functions,
            (*range(len(found)),) if key is None else self._labels(name, [key(item) for item in found]),
            on_error=on_error,
            max_concurrency=max_concurrency,
            items=self._digest(name, found, fn) if key is None else None,
        )

    def _group(
        self, kind: SegmentKind, name: str, functions: tuple[Any, ...], labels: tuple[int | str, ...], **how: Any
    ) -> Request:
        fan = Fan(
            labels,
            tuple(partial(_begin, self._replay, self._scope.depth + 1, function) for function in functions),
            **how,
        )
        return self._replay.request(self._branch, self._scope, kind, name, fan)


def _begin(replay: Replay, depth: int, function: Callable[[AsyncStep], Any], branch: Branch) -> Any:
    """Call the function of a branch with a step of its own."""
    try:
        return function(AsyncStep(replay, branch, Scope(branch.path, depth)))
    except StopIteration as error:  # it would end the branch as if it had returned
        raise RuntimeError(f"the function of branch {branch.path!r} raised StopIteration") from error


def _with_item(fn: Callable[[AsyncStep, Any], Any], item: Any, step: AsyncStep) -> Any:
    return fn(step, item)


def _keyed(labels: tuple[str, ...], values: list[Any]) -> dict[str, Any]:
    return dict(zip(labels, values, strict=True))


def _is_count(number: object) -> bool:
    return isinstance(number, int) and number >= 1
