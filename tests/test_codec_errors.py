"""What the codec refuses, with the exact path, what it expected and what it found."""

import collections
import dataclasses
import enum
import pickle
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any, Literal, NamedTuple, TypedDict
from uuid import UUID

import attrs
import pytest

from wfcore.codec import JSON, JsonCodec
from wfcore.errors import CodecError

PLAIN = "plain JSON (None, bool, int, str, finite float, list, dict with str keys)"
NAIVE = datetime(2026, 1, 31, 12)
TINY = timezone(timedelta(microseconds=1))


def cent_check(line: object, attribute: object, value: Any) -> None:
    if isinstance(value, int) and value < 0:
        raise ValueError("negative")


@attrs.define
class Line:
    sku: str
    cents: int = attrs.field(validator=cent_check)


@attrs.define
class Order:
    lines: list[Line]
    paid_at: datetime | None = None


class BrokenError(Exception):
    def __str__(self) -> str:
        raise RuntimeError


@dataclasses.dataclass
class Refusing:
    x: int = 0

    def __post_init__(self) -> None:
        raise BrokenError


@attrs.define
class Animal:
    name: str


@attrs.define
class Dog(Animal):
    breed: str = ""


@attrs.define(eq=True)
class Unhashable:
    x: int


class Pair(NamedTuple):
    left: int


class Movie(TypedDict):
    title: str


class Color(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


class Permission(enum.Flag):
    READ = 1


class Text(str):  # noqa: SLOT000
    pass


class Plain:
    pass


class Summer(tzinfo):
    """Has an offset once there is a date."""

    def utcoffset(self, when: datetime | None) -> timedelta | None:
        return None if when is None else timedelta(hours=2)

    dst = utcoffset

    def tzname(self, when: datetime | None) -> str | None:  # noqa: ARG002
        return None


class NoOffset(Summer):
    def utcoffset(self, when: datetime | None) -> timedelta | None:
        raise NotImplementedError


@attrs.define
class Cyclic:
    next: "Cyclic | None" = None


@attrs.define
class Card:
    number: str


@attrs.define
class Cash:
    cents: int


def cycle() -> list[Any]:
    items: list[Any] = []
    items.append(items)
    return items


def typed_cycle() -> Cyclic:
    node = Cyclic()
    node.next = node
    return node


def without_sku() -> Line:
    line = Line("s", 1)
    del line.sku
    return line


def other(name: str, **fields: Any) -> Any:
    return attrs.make_class(name, fields)


def ids(rows: list[tuple[Any, ...]]) -> list[str]:
    return [f"{number}-{row[0]}-{row[2]}" for number, row in enumerate(rows)]


OTHER_LINE = other("Line", sku=attrs.field())
HUGE = 10**5000

ENCODE: list[tuple[Any, Any, str, str, str]] = [
    (int, "1", "$", "int", "'1' (string)"),
    (int, True, "$", "int", "True (boolean)"),
    (int, 1.0, "$", "int", "1.0 (number)"),
    (int, None, "$", "int", "null"),
    (int, Level.LOW, "$", "int", "Level.LOW"),
    (bool, 1, "$", "bool", "1 (integer)"),
    (float, True, "$", "float", "True (boolean)"),
    (float, float("nan"), "$", "float", "nan (number)"),
    (float, float("-inf"), "$", "float", "-inf (number)"),
    (float, HUGE, "$", "float", "more than Python converts to text (integer)"),
    (str, 1, "$", "str", "1 (integer)"),
    (str, Text("x"), "$", "str", "Text instance"),
    (str, b"x", "$", "str", "b'x' (bytes)"),
    (str, "x" * 99 and None, "$", "str", "null"),
    (None, 0, "$", "None", "0 (integer)"),
    (int | None, "x" * 99, "$", "int | None", "'" + "x" * 76 + "... (string)"),
    (list[int], HUGE, "$", "list[int]", "more than Python converts to text (integer)"),
    (
        list[int],
        [1, HUGE],
        "$[1]",
        "an integer that Python converts to text",
        "more than Python converts to text (integer)",
    ),
    (dict[int, int], {HUGE: 1}, "$", "int keys", "key more than Python converts to text (integer)"),
    (str, "\ud83d\ude00", "$", "text without split surrogate pairs", r"'\ud83d\ude00' (string)"),
    (Any, ["\ud83d\ude00"], "$[0]", "text without split surrogate pairs", r"'\ud83d\ude00' (string)"),
    (Any, {"\ud83d\ude00": 1}, "$", "text without split surrogate pairs", r"{'\ud83d\ude00': 1} (object)"),
    (Any, {"odd key": [0, (1, 2)]}, '$["odd key"][1]', PLAIN, "tuple of 2 items"),
    (Any, {"k": {1: 2}}, "$.k", PLAIN, "key 1 (integer)"),
    (Any, [{1}], "$[0]", PLAIN, "set of 1 item"),
    (Any, float("inf"), "$", PLAIN, "inf (number)"),
    (Any, Line("s", 1), "$", PLAIN, "Line instance"),
    (Any, Line, "$", PLAIN, "type instance"),
    (object, collections.OrderedDict(), "$", PLAIN, "OrderedDict instance"),
    (dict[str, Any], {"a": Color.RED}, "$.a", PLAIN, "Color.RED"),
    (Any, cycle(), "$", "a value of limited depth", "one that is nested too deeply, or in itself"),
    (list[int], cycle(), "$[0]", "int", "list of 1 item"),
    (Cyclic, typed_cycle(), "$", "a value of limited depth", "one that is nested too deeply, or in itself"),
    (datetime, NAIVE, "$", "aware datetime", "datetime.datetime(2026, 1, 31, 12, 0) (datetime)"),
    (
        datetime,
        NAIVE.replace(tzinfo=NoOffset()),
        "$",
        "aware datetime",
        "2026-01-31T12:00:00 with an offset (datetime)",
    ),
    (datetime, date(2026, 1, 31), "$", "aware datetime", "datetime.date(2026, 1, 31) (date)"),
    (datetime, NAIVE.replace(tzinfo=TINY), "$", "aware datetime", "2026-01-31T12:00:00 with an offset (datetime)"),
    (time, time(1, tzinfo=TINY), "$", "time", "01:00:00 with an offset (time)"),
    (date, NAIVE, "$", "date", "datetime.datetime(2026, 1, 31, 12, 0) (datetime)"),
    (time, time(1, tzinfo=Summer()), "$", "time", "01:00:00 with an offset (time)"),
    (timedelta, 1, "$", "timedelta", "1 (integer)"),
    (Decimal, Decimal("NaN"), "$", "finite Decimal", "Decimal('NaN') (Decimal)"),
    (Decimal, 1.5, "$", "finite Decimal", "1.5 (number)"),
    (UUID, "x", "$", "UUID", "'x' (string)"),
    (bytes, bytearray(b"x"), "$", "bytes", "bytearray instance"),
    (Color, "red", "$", "Color ('red')", "'red' (string)"),
    (Permission, 1, "$", "Permission", "1 (integer)"),
    (Literal[1, "a"], True, "$", "Literal[1, 'a']", "True (boolean)"),
    (Literal[1, "a"], "b", "$", "Literal[1, 'a']", "'b' (string)"),
    (list[int], (1,), "$", "list[int]", "tuple of 1 item"),
    (list[int], [1, "2"], "$[1]", "int", "'2' (string)"),
    (tuple[int, ...], [1], "$", "tuple[int, ...]", "[1] (array)"),
    (tuple[int, str], (1,), "$", "tuple[int, str] (2 items)", "1 item"),
    (tuple[int, str], (1, 2), "$[1]", "str", "2 (integer)"),
    (tuple[int], Pair(1), "$", "tuple[int]", "Pair instance"),
    (set[int], {"x"}, "$[]", "int", "'x' (string)"),
    (set[int], [1], "$", "set[int]", "[1] (array)"),
    (
        set[tuple[int]],
        {(HUGE,)},
        "$[]",
        "integers that Python converts to text",
        "more than Python converts to text (array)",
    ),
    (dict[str, int], [], "$", "dict[str, int]", "[] (array)"),
    (dict[str, int], {"a": "x"}, "$.a", "int", "'x' (string)"),
    (dict[str, int], {1: 1}, "$", "str keys", "key 1 (integer)"),
    (dict[int, int], {"1": 1}, "$", "int keys", "key '1' (string)"),
    (dict[Color, int], {"red": 1}, "$", "Color ('red') keys", "key 'red' (string)"),
    (dict[UUID, int], {1: 1}, "$", "UUID keys", "key 1 (integer)"),
    (dict[str, int], collections.defaultdict(int), "$", "dict[str, int]", "defaultdict instance"),
    (Order, {"lines": []}, "$", "Order", "{'lines': []} (object)"),
    (Order, Order([Line("a", 1), Line("b", "2")]), "$.lines[1].cents", "int", "'2' (string)"),  # type: ignore[arg-type]
    (Order, Order([], NAIVE), "$.paid_at", "aware datetime | None", "datetime.datetime(2026, 1, 31, 12, 0) (datetime)"),
    (Order, Order, "$", "Order", "type instance"),
    (Animal, Dog("d"), "$", "Animal", "Dog instance"),
    (Line, without_sku(), "$.sku", "str", "no value: AttributeError"),
    (
        Line,
        OTHER_LINE("s"),
        "$",
        f"Line ({__name__}.Line)",
        f"Line instance ({__name__}.Line)",
    ),
    (Pair, (1,), "$", "Pair", "tuple of 1 item"),
    (Movie, [], "$", "Movie", "[] (array)"),
    (Movie, {}, "$.title", "str", "nothing: the field is missing"),
    (Movie, {"title": 1}, "$.title", "str", "1 (integer)"),
    (Movie, {"title": "t", "extra": 1}, "$", "the keys of Movie", "key 'extra' (string)"),
    (Movie, {1: "t"}, "$", "the keys of Movie", "key 1 (integer)"),
    (int | str, None, "$", "int | str", "null"),
    (Card | Cash, Dog("d"), "$", "Card | Cash", "Dog instance"),
    (list[Card | Cash], [Cash("x")], "$[0].cents", "int", "'x' (string)"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("type_", "value", "path", "expected", "found"), ENCODE, ids=ids(ENCODE))
def test_encode_refuses(type_: Any, value: Any, path: str, expected: str, found: str) -> None:
    with pytest.raises(CodecError) as caught:
        JSON.encode(value, type_)
    assert (caught.value.path, caught.value.expected, caught.value.found) == (path, expected, found)


DECODE: list[tuple[Any, Any, str, str, str]] = [
    (int, "1.0", "$", "int", "1.0 (number)"),
    (int, "true", "$", "int", "True (boolean)"),
    (int, '"1"', "$", "int", "'1' (string)"),
    (float, "false", "$", "float", "False (boolean)"),
    (float, "1" * 400, "$", "float", "1" * 77 + "... (integer)"),
    (float, "[1e999]", "$[0]", "a finite number that Python can represent", "1e999"),
    (list[float], "[1.5,1e-3,NaN]", "$[2]", "a finite number that Python can represent", "NaN"),
    (Any, '{"k":-Infinity}', "$.k", "a finite number that Python can represent", "-Infinity"),
    (Any, "[" + "9" * 5000 + "]", "$[0]", "a finite number that Python can represent", "9" * 77 + "..."),
    (str, "null", "$", "str", "null"),
    (None, "0", "$", "None", "0 (integer)"),
    (int, "", "$", "JSON", "'' (Expecting value at character 0)"),
    (int, "1 2", "$", "JSON", "'1 2' (Extra data at character 2)"),
    (int, "[NaN,", "$", "JSON", "'[NaN,' (Expecting value at character 5)"),
    (int, None, "$", "JSON text", "null"),
    (int, b"1", "$", "JSON text", "b'1' (bytes)"),
    (Any, "[" * 200_000, "$", "a value of limited depth", "one that is nested too deeply, or in itself"),
    (datetime, '"2026-01-31T12:00:00"', "$", "aware datetime", "'2026-01-31T12:00:00' (string)"),
    (datetime, '"x"', "$", "aware datetime", "'x' (string)"),
    (datetime, "1", "$", "aware datetime", "1 (integer)"),
    (date, '"2026-02-30"', "$", "date", "'2026-02-30' (string)"),
    (time, '"25:00"', "$", "time", "'25:00' (string)"),
    (timedelta, '"P"', "$", "timedelta", "'P' (string)"),
    (timedelta, '"P1DT"', "$", "timedelta", "'P1DT' (string)"),
    (timedelta, '"1 day"', "$", "timedelta", "'1 day' (string)"),
    (timedelta, '"P999999999DT999999H"', "$", "timedelta", "'P999999999DT999999H' (string)"),
    (timedelta, "1", "$", "timedelta", "1 (integer)"),
    (Decimal, "1.5", "$", "finite Decimal", "1.5 (number)"),
    (Decimal, '"x"', "$", "finite Decimal", "'x' (string)"),
    (Decimal, '"Infinity"', "$", "finite Decimal", "'Infinity' (string)"),
    (
        UUID,
        '"{12345678-1234-5678-1234-567812345678}"',
        "$",
        "UUID",
        "'{12345678-1234-5678-1234-567812345678}' (string)",
    ),
    (bytes, '"a"', "$", "bytes", "'a' (string)"),
    (bytes, '"é"', "$", "bytes", "'é' (string)"),
    (Color, '"blue"', "$", "Color ('red')", "'blue' (string)"),
    (Color, "[]", "$", "Color ('red')", "[] (array)"),
    (Level, "true", "$", "Level (1)", "True (boolean)"),
    (Permission, "8", "$", "Permission", "8 (integer)"),
    (Permission, "-1", "$", "Permission", "-1 (integer)"),
    (Permission, "null", "$", "Permission", "null"),
    (Literal[1], "true", "$", "Literal[1]", "True (boolean)"),
    (list[int], "{}", "$", "list[int]", "{} (object)"),
    (list[int], "[1,null]", "$[1]", "int", "null"),
    (tuple[int, str], "[1]", "$", "tuple[int, str] (2 items)", "1 item"),
    (tuple[int, str], "{}", "$", "tuple[int, str]", "{} (object)"),
    (tuple[int, str], '["x","y"]', "$[0]", "int", "'x' (string)"),
    (set[int], "{}", "$", "set[int]", "{} (object)"),
    (set[int], "[1,true]", "$[1]", "int", "True (boolean)"),
    (set[list[int]], "[[1]]", "$", "set[list[int]] of hashable members", "TypeError: unhashable type: 'list'"),
    (dict[str, int], "[]", "$", "dict[str, int]", "[] (array)"),
    (dict[str, int], '{"a":1,"odd key":""}', '$["odd key"]', "int", "'' (string)"),
    (dict[int, int], '{"01":1}', "$", "int keys", "key '01' (string)"),
    (dict[int, int], '{"' + "1" * 5000 + '":1}', "$", "int keys", "key '" + "1" * 76 + "... (string)"),
    (dict[Level, int], '{"2":1}', "$", "Level (1) keys", "key '2' (string)"),
    (dict[UUID, int], '{"x":1}', "$", "UUID keys", "key 'x' (string)"),
    (Order, "[]", "$", "Order", "[] (array)"),
    (Order, "{}", "$.lines", "list[Line]", "nothing: the field is missing"),
    (
        Order,
        '{"lines":[{"sku":"s","cents":1},{"sku":"s"}]}',
        "$.lines[1].cents",
        "int",
        "nothing: the field is missing",
    ),
    (Order, '{"lines":[{"sku":1,"cents":1}]}', "$.lines[0].sku", "str", "1 (integer)"),
    (Line, '{"sku":"s","cents":-1}', "$", "Line", "{'sku': 's', 'cents': -1} (object)"),
    (Refusing, "{}", "$", "Refusing", "{} (object)"),
    (Movie, "[]", "$", "Movie", "[] (array)"),
    (Movie, "{}", "$.title", "str", "nothing: the field is missing"),
    (Movie, '{"title":1}', "$.title", "str", "1 (integer)"),
    (int | str, "null", "$", "int | str", "null"),
    (int | None, '"x"', "$", "int | None", "'x' (string)"),
    (Line | None, '{"sku":1,"cents":1}', "$.sku", "str", "1 (integer)"),
    (Card | Cash, "[]", "$", "Card | Cash", "[] (array)"),
    (Card | Cash | int, "[]", "$", "Card | Cash | int", "[] (array)"),
    (Card | Cash | None, "[]", "$", "Card | Cash | None", "[] (array)"),
    (Card | Cash, '{"number":"4"}', '$["$type"]', "a tag, one of 'Card', 'Cash'", "nothing: the tag is missing"),
    (Card | Cash, '{"$type":"Coin"}', '$["$type"]', "a tag, one of 'Card', 'Cash'", "'Coin' (string)"),
    (Card | Cash, '{"$type":[]}', '$["$type"]', "a tag, one of 'Card', 'Cash'", "[] (array)"),
    (list[Card | Cash], '[{"$type":"Cash","cents":null}]', "$[0].cents", "int", "null"),
]


@pytest.mark.parametrize(("type_", "payload", "path", "expected", "found"), DECODE, ids=ids(DECODE))
def test_decode_refuses(type_: Any, payload: Any, path: str, expected: str, found: str) -> None:
    with pytest.raises(CodecError) as caught:
        JSON.decode(payload, type_)
    assert (caught.value.path, caught.value.expected, caught.value.found) == (path, expected, found)


ADVICE: list[tuple[Callable[[], object], str]] = [
    (lambda: JSON.encode((1,), Any), "returns=<type>"),
    (lambda: JSON.encode(NAIVE, datetime), "tzinfo=timezone.utc"),
    (lambda: JSON.encode(Dog("d"), Animal), "A | B"),
    (lambda: JSON.encode(Text("x"), str), "come back as its base class"),
    (lambda: JSON.encode(NAIVE.replace(tzinfo=UTC), date), "come back as its base class"),
    (lambda: JSON.decode('{"sku":"s","cents":-1}', Line), "the class does not take it: ValueError: negative"),
    (lambda: JSON.decode("{}", Refusing), "the class does not take it: BrokenError"),
    (lambda: JSON.decode("{}", Line), "a field with a default may be missing"),
    (lambda: JSON.encode(float("nan"), float), "JSON has no NaN"),
    (lambda: JSON.encode(1, Plain), "configure="),
    (lambda: JSON.encode(cycle(), Any), "by id"),
    (lambda: JSON.decode("[[1]]", set[list[int]]), "make the class frozen"),
]


@pytest.mark.parametrize(("call", "advice"), ADVICE, ids=[f"{number}-{row[1]}" for number, row in enumerate(ADVICE)])
def test_a_refusal_says_what_to_do(call: Callable[[], object], advice: str) -> None:
    with pytest.raises(CodecError) as caught:
        call()
    assert advice in caught.value.advice
    assert advice in str(caught.value)


def test_a_bool_is_not_called_a_subclass_of_int() -> None:
    with pytest.raises(CodecError) as caught:
        JSON.decode("true", int)
    assert caught.value.advice == ""


def test_a_set_of_what_cannot_be_hashed_is_refused_when_it_is_built() -> None:
    with pytest.raises(CodecError) as caught:
        JSON.decode('[{"x":1}]', set[Unhashable])
    assert caught.value.found == "TypeError: unhashable type: 'Unhashable'"


def test_a_payload_may_be_as_long_as_the_limit_in_bytes() -> None:
    codec = JsonCodec(max_payload_bytes=6)
    assert codec.encode("éé", str) == '"éé"'
    with pytest.raises(CodecError) as caught:
        codec.encode("ééé", str)
    assert (caught.value.path, caught.value.expected, caught.value.found) == (
        "$",
        "a payload of at most 6 bytes",
        "8 bytes",
    )
    assert "max_payload_bytes" in caught.value.advice


def test_the_default_limit_is_1_mib() -> None:
    assert len(JSON.encode("x" * 1_048_574, str)) == 1_048_576
    with pytest.raises(CodecError):
        JSON.encode("x" * 1_048_575, str)


def test_what_is_stored_is_decoded_whatever_its_size() -> None:
    assert JsonCodec(max_payload_bytes=1).decode('"abc"', str) == "abc"


def test_an_error_shows_neither_addresses_nor_the_order_of_sets() -> None:
    with pytest.raises(CodecError) as caught:
        JSON.encode([{"a", "b"}, Plain()], int)
    assert caught.value.found == "list of 2 items"


def test_a_deep_value_is_described_without_failing() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(CodecError) as caught:
        JSON.encode(deep, int)
    assert caught.value.found == "list of 1 item"


def test_a_refusal_pickles() -> None:
    error = CodecError("$.a", "int", "null", "advice")
    copy = pickle.loads(pickle.dumps(error))
    assert str(copy) == str(error) == "at $.a: expected int, found null; advice"


def test_an_offset_of_any_kind_survives() -> None:
    value = datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=-3, seconds=7)))
    assert JSON.decode(JSON.encode(value, datetime), datetime).utcoffset() == value.utcoffset()
