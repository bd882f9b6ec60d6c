"""The table of docs/reference/payloads.md, row by row: what a value of each type is in JSON, and that it comes back."""

import collections
import dataclasses
import enum
import math
import sys
import typing
from collections.abc import Mapping, MutableMapping, MutableSequence, MutableSet, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import (
    Annotated,
    Any,
    ClassVar,
    Final,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    Optional,
    Protocol,
    TypedDict,
    TypeVar,
    Union,
)
from uuid import UUID
from zoneinfo import ZoneInfo

import attrs
import pytest
import typing_extensions

from wfcore.codec import JSON
from wfcore.failure import Failure
from wfcore.keys import timer_id
from wfcore.model import Event, Hook, Instance, StepRecord
from wfcore.outcome import Checkpointed, Suspended
from wfcore.plan import (
    Absent,
    AddEvent,
    AtVersion,
    DeleteHook,
    LogLine,
    Plan,
    PutHook,
    PutInstance,
    PutStep,
    Write,
)

T = TypeVar("T")
S = TypeVar("S")
B = TypeVar("B", bound=int)


@attrs.frozen
class Line:
    sku: str
    cents: int
    quantity: int = 1


@attrs.frozen
class Order:
    id: str
    lines: list[Line]
    note: str | None = None


@attrs.define
class Odd:
    """Private names, fields that are no arguments, constants."""

    kind: ClassVar[str] = "odd"
    _secret: int
    cached: int = attrs.field(init=False, default=7)
    nothing: None = None
    fixed: Final[int] = 3
    bare: Final = 4


@attrs.define
class Untyped:
    x = attrs.field()  # type: ignore[var-annotated]


@dataclasses.dataclass
class Point:
    x: int
    y: float = 0.0
    tags: list[str] = dataclasses.field(default_factory=list)
    norm: float = dataclasses.field(init=False, default=0.0)
    scale: dataclasses.InitVar[int] = 1

    def __post_init__(self, scale: int) -> None:
        self.norm = math.hypot(self.x, self.y) * scale


@dataclasses.dataclass(frozen=True, kw_only=True)
class Node:
    name: str
    next: "Node | None" = None


class Pair(NamedTuple):
    left: int
    right: str = "r"


Loose = collections.namedtuple("Loose", ["a", "b"])  # noqa: PYI024 - the row without annotations


class Movie(TypedDict):
    title: str
    year: typing.NotRequired[int]


class Sequel(Movie, total=False):
    number: typing.Required[int]
    studio: "typing_extensions.ReadOnly[str]"


class Shelf(TypedDict, Generic[T]):
    items: list[T]


class Color(enum.Enum):
    RED = "red"
    GREEN = 2
    NONE = None


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Word(enum.StrEnum):
    YES = "yes"


class Permission(enum.Flag):
    READ = 1
    WRITE = 2


@attrs.frozen
class Page(Generic[T]):
    items: list[T]
    next: "Page[T] | None" = None


@attrs.frozen
class Both(Page[S], Generic[S, T]):
    """The type variable of its base stands for something else than its own of the same name."""

    other: T = attrs.field(kw_only=True)


@attrs.frozen
class Numbers(Page[int]):
    total: int = 0


class Named(Protocol[T]):
    name: T = None  # type: ignore[assignment]


@dataclasses.dataclass(frozen=True)
class Bounded(Named[str], Generic[B]):
    value: B


@attrs.frozen
class Card:
    number: str


@dataclasses.dataclass(frozen=True)
class Cash:
    cents: int


class Voucher(NamedTuple):
    code: str


UserId = NewType("UserId", int)
Payment = Card | Cash
Alias = typing_extensions.TypeAliasType("Alias", list[int])
PairOf = typing_extensions.TypeAliasType("PairOf", tuple[T, T], type_params=(T,))
MADE = attrs.make_class("MADE", {"x": attrs.field(type=int), "y": attrs.field(default=None)})

CHOICES: Any = Literal["a", 1, True, None]  # noqa: PYI061
UUID_TEXT = "12345678-1234-5678-1234-567812345678"
PARIS = timezone(timedelta(hours=2))

ROWS: list[tuple[Any, Any, str]] = [
    # JSON's own
    (None, None, "null"),
    (type(None), None, "null"),
    (bool, True, "true"),
    (int, -3, "-3"),
    (int, 10**40, "1" + "0" * 40),
    (float, 1.5, "1.5"),
    (float, 2.0, "2.0"),
    (float, -0.0, "-0.0"),
    (str, "", '""'),
    (str, 'é\x00"\u2028', '"é\\u0000\\"\u2028"'),
    (str, "\ud800é", '"\\ud800\\u00e9"'),
    # without a type
    (Any, [None, True, 1, 1.5, "x", {"k": []}], '[null,true,1,1.5,"x",{"k":[]}]'),
    (object, {"b": 1, "a": 2}, '{"b":1,"a":2}'),
    (dict[str, Any], {"k": [1]}, '{"k":[1]}'),
    # text
    (datetime, datetime(2026, 1, 31, 12, 0, 0, 5, UTC), '"2026-01-31T12:00:00.000005+00:00"'),
    (datetime, datetime(2026, 1, 31, 12, tzinfo=PARIS), '"2026-01-31T12:00:00+02:00"'),
    (date, date(2026, 1, 31), '"2026-01-31"'),
    (time, time(10, 30), '"10:30:00"'),
    (time, time(10, 30, tzinfo=PARIS), '"10:30:00+02:00"'),
    (timedelta, timedelta(days=1, hours=1, microseconds=5), '"P1DT3600.000005S"'),
    (timedelta, timedelta(0), '"P0DT0S"'),
    (timedelta, -timedelta(minutes=1), '"-P0DT60S"'),
    (timedelta, timedelta.min, '"-P999999999DT0S"'),
    (timedelta, timedelta.max, '"P999999999DT86399.999999S"'),
    (Decimal, Decimal("12.50"), '"12.50"'),
    (UUID, UUID(UUID_TEXT), f'"{UUID_TEXT}"'),
    (bytes, b"\x00\xff", '"AP8="'),
    (bytes, b"", '""'),
    # choices
    (Color, Color.RED, '"red"'),
    (Color, Color.GREEN, "2"),
    (Color, Color.NONE, "null"),
    (Level, Level.HIGH, "2"),
    (Word, Word.YES, '"yes"'),
    (Permission, Permission.READ | Permission.WRITE, "3"),
    (CHOICES, True, "true"),
    (CHOICES, 1, "1"),
    (Literal[Color.RED], Color.RED, '"red"'),
    # containers
    (list[int], [1, 2], "[1,2]"),
    (list, [1, "x"], '[1,"x"]'),
    (typing.List[int], [1], "[1]"),  # noqa: UP006
    (MutableSequence[int], [1], "[1]"),
    (Sequence[int], (1, 2), "[1,2]"),
    (tuple[int, ...], (1, 2), "[1,2]"),
    (tuple[int, str], (1, "x"), '[1,"x"]'),
    (tuple[()], (), "[]"),
    (tuple, (1, "x"), '[1,"x"]'),
    (set[int], {10, 9}, "[9,10]"),
    (set[str], {"b", "a"}, '["a","b"]'),
    (set[Any], {"b", 1}, '["b",1]'),
    (frozenset[Pair], frozenset({Pair(2), Pair(1)}), '[{"left":1,"right":"r"},{"left":2,"right":"r"}]'),
    (MutableSet[int], {1}, "[1]"),
    (AbstractSet[int], frozenset({1}), "[1]"),
    (dict[str, int], {"b": 1, "a": 2}, '{"b":1,"a":2}'),
    (dict, {"a": [1]}, '{"a":[1]}'),
    (dict[Any, int], {"a": 1}, '{"a":1}'),
    (Mapping[str, object], {"a": None}, '{"a":null}'),
    (MutableMapping[str, int], {}, "{}"),
    (dict[int, int], {-1: 1, 0: 2}, '{"-1":1,"0":2}'),
    (dict[Level, int], {Level.HIGH: 1}, '{"2":1}'),
    (dict[Word, int], {Word.YES: 1}, '{"yes":1}'),
    (dict[UUID, int], {UUID(UUID_TEXT): 1}, f'{{"{UUID_TEXT}":1}}'),
    (dict[UserId, list[Point]], {UserId(1): [Point(1)]}, '{"1":[{"x":1,"y":0.0,"tags":[]}]}'),
    # classes
    (Order, Order("o", [Line("s", 5)]), '{"id":"o","lines":[{"sku":"s","cents":5,"quantity":1}],"note":null}'),
    (Odd, Odd(1), '{"_secret":1,"nothing":null,"fixed":3,"bare":4}'),
    (Untyped, Untyped([2]), '{"x":[2]}'),
    (MADE, MADE(1, "y"), '{"x":1,"y":"y"}'),
    (Point, Point(3, 4.0, ["t"]), '{"x":3,"y":4.0,"tags":["t"]}'),
    (Node, Node(name="a", next=Node(name="b")), '{"name":"a","next":{"name":"b","next":null}}'),
    (Pair, Pair(1), '{"left":1,"right":"r"}'),
    (Loose, Loose(1, [2]), '{"a":1,"b":[2]}'),
    (Movie, {"title": "t"}, '{"title":"t"}'),
    (Sequel, {"title": "t", "year": 1, "number": 2, "studio": "s"}, '{"title":"t","year":1,"number":2,"studio":"s"}'),
    (Shelf[int], {"items": [1]}, '{"items":[1]}'),
    (Page[int], Page([1], Page([2])), '{"items":[1],"next":{"items":[2],"next":null}}'),
    (Page, Page([1, "x"]), '{"items":[1,"x"],"next":null}'),
    (Both[int, str], Both([1], None, other="o"), '{"items":[1],"next":null,"other":"o"}'),
    (Numbers, Numbers([1]), '{"items":[1],"next":null,"total":0}'),
    (Bounded, Bounded(1), '{"value":1}'),
    (Path, Path("a/b"), '"a/b"'),
    # unions
    (int | None, None, "null"),
    (Optional[Line], Line("s", 1), '{"sku":"s","cents":1,"quantity":1}'),  # noqa: UP045
    (Any | None, {"a": 1}, '{"a":1}'),
    (Union[bool, int, float, str, None], 1.0, "1.0"),  # noqa: UP007
    (Union[bool, int, float, str, None], 1, "1"),  # noqa: UP007
    (Union[bool, int, float, str, None], True, "true"),  # noqa: UP007
    (int | list[int] | dict[str, int], [1], "[1]"),
    (datetime | int, datetime(2026, 1, 31, tzinfo=UTC), '"2026-01-31T00:00:00+00:00"'),
    (Payment, Card("4"), '{"$type":"Card","number":"4"}'),
    (Payment, Cash(5), '{"$type":"Cash","cents":5}'),
    (list[Voucher | str | None], [Voucher("v"), "x", None], '[{"$type":"Voucher","code":"v"},"x",null]'),
    (Annotated[Payment, "x"] | Voucher, Cash(1), '{"$type":"Cash","cents":1}'),
    (Page[int] | Card, Page([1]), '{"$type":"Page","items":[1],"next":null}'),
    # names for types
    (UserId, UserId(1), "1"),
    (Annotated[int, "positive"], 1, "1"),
    (Annotated[int, []], 1, "1"),
    (list[Annotated[str, {}]], ["x"], '["x"]'),
    (Alias, [1], "[1]"),
    (PairOf[int], (1, 2), "[1,2]"),
]


@pytest.mark.parametrize(("type_", "value", "payload"), ROWS, ids=[f"{row[0]}-{row[2][:30]}" for row in ROWS])
def test_a_value_of_the_table_is_that_json_and_comes_back(type_: Any, value: Any, payload: str) -> None:
    assert JSON.encode(value, type_) == payload
    decoded = JSON.decode(payload, type_)
    assert (type(decoded), decoded) == (type(value), value)


READ: list[tuple[Any, str, Any]] = [
    (float, "1", 1.0),
    (float | str, "1", 1.0),
    (int, " 5\n", 5),
    (timedelta, '"P1D"', timedelta(days=1)),
    (timedelta, '"PT1H30M"', timedelta(minutes=90)),
    (timedelta, '"PT0.5S"', timedelta(milliseconds=500)),
    (UUID, f'"{UUID_TEXT.upper()}"', UUID(UUID_TEXT)),
    (datetime, '"2026-01-31T12:00:00Z"', datetime(2026, 1, 31, 12, tzinfo=UTC)),
    (AbstractSet[int], "[1,1]", frozenset({1})),
    (Sequence[int], "[1]", (1,)),
    (dict[str, int], '{"a":1,"a":2}', {"a": 2}),
    (Line, '{"sku":"s","cents":1,"unknown":[]}', Line("s", 1)),
    (Line, '{"$type":"Line","sku":"s","cents":1}', Line("s", 1)),
    (Movie, '{"title":"t","unknown":1}', {"title": "t"}),
    (Pair, '{"left":1}', Pair(1)),
]


@pytest.mark.parametrize(("type_", "payload", "value"), READ)
def test_what_the_codec_does_not_write_itself_but_reads(type_: Any, payload: str, value: Any) -> None:
    decoded = JSON.decode(payload, type_)
    assert (type(decoded), decoded) == (type(value), value)


def test_an_int_given_for_a_float_becomes_one() -> None:
    assert JSON.encode(1, float) == "1.0"
    assert JSON.encode(1, float | str) == "1.0"


def test_a_list_given_for_a_sequence_is_taken() -> None:
    assert JSON.encode([1], Sequence[int]) == "[1]"


def test_the_offset_of_a_zone_is_kept_and_its_name_is_not() -> None:
    value = datetime(2026, 7, 1, 12, tzinfo=ZoneInfo("UTC"))
    decoded = JSON.decode(JSON.encode(value, datetime), datetime)
    assert (decoded, decoded.utcoffset()) == (value, value.utcoffset())


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the type statement")
def test_an_alias_may_be_recursive() -> None:
    names: dict[str, Any] = {}
    exec("type Tree = int | list[Tree]", names)
    assert JSON.decode(JSON.encode([1, [2, []]], names["Tree"]), names["Tree"]) == [1, [2, []]]


NOW = datetime(2026, 1, 31, 12, 0, 0, 5, UTC)
FAILURE = Failure(type="m.Oops", message="é", details={"k": [1, None]}, bases=("m.Base",), traceback="T")
INSTANCE = Instance(
    ref="w#i",
    workflow_name="w",
    instance_id="i",
    status="waiting",
    params='{"a":1}',
    failure=FAILURE,
    tags={"k": "v"},
    created_at=NOW,
    updated_at=NOW,
    execution_id="e",
    created_by="e",
)
STEP = StepRecord(
    instance_ref="w#i",
    run_number=1,
    key="do:a",
    kind="do",
    name="a",
    status="errored",
    event_types=("x",),
    failure=FAILURE,
    created_at=NOW,
    execution_id="e",
)
EVENT = Event(instance_ref="w#i", id="1", type="t", payload="[]", created_at=NOW)
HOOK = Hook(
    id=timer_id("w#i"),
    instance_ref="w#i",
    run_number=None,
    workflow_name="w",
    instance_id="i",
    reason="wake",
    due_at=NOW,
    created_at=NOW,
)
PLAN = Plan(
    "w#i",
    "e",
    (AtVersion("w#i", 1, "d"), Absent("v#j")),
    (
        PutInstance(INSTANCE),
        PutStep(STEP),
        AddEvent(EVENT),
        PutHook(HOOK),
        DeleteHook(HOOK.id),
        Write({"sql": ["insert", 1, None]}),
    ),
    Suspended(NOW, ("do:a",)),
    (LogLine("hello", {"n": 1}),),
)


@pytest.mark.parametrize(
    ("row", "type_"),
    [(INSTANCE, Instance), (STEP, StepRecord), (EVENT, Event), (HOOK, Hook), (FAILURE, Failure), (PLAN, Plan)],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_rows_and_plans_come_back(row: Any, type_: type[Any]) -> None:
    decoded = JSON.decode(JSON.encode(row, type_), type_)
    assert decoded == row
    assert JSON.encode(decoded, type_) == JSON.encode(row, type_)


def test_the_parts_of_a_plan_are_told_apart_by_a_tag() -> None:
    plan = Plan("w#i", "e", (), (), Checkpointed())
    assert JSON.encode(plan, Plan).endswith('"outcome":{"$type":"Checkpointed"},"logs":[]}')
