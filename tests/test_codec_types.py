"""Which types the codec takes, what it says about others, and how further ones come in."""

from __future__ import annotations

import dataclasses
import enum
import typing
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Generic, Literal, NewType, Protocol, TypedDict, TypeVar, Unpack

import attrs
import cattrs
import pytest

from wfcore.codec import JSON, JsonCodec
from wfcore.errors import CodecError

if TYPE_CHECKING:
    from fractions import Fraction

T = TypeVar("T")


@attrs.define
class Unresolved:
    amount: int
    share: Fraction | None = None


@attrs.define
class Wrong:
    amount: "int | 'nothing'"  # type: ignore[name-defined] # noqa: F821, UP037 - an expression that fails


class Outer:
    @attrs.define
    class Inner:
        x: int

    @attrs.define
    class Next:
        inner: Outer.Inner


@dataclasses.dataclass
class NeedsMore:
    x: int
    scale: dataclasses.InitVar[int]


class Plain:
    pass


class Mixed(enum.Enum):
    A = ("a", 1)


class Infinite(enum.Enum):
    A = float("inf")


class Ambiguous(enum.Enum):
    A = 1
    B = "1"


class Real(enum.Enum):
    A = 1.5


class Empty(enum.Enum):
    pass


@attrs.define
class Card:
    x: int = 0


@attrs.define
class Holder(Generic[T]):
    item: T


class Movie(TypedDict):
    title: str


class Unreadable(type):
    def __getattribute__(cls, name: str) -> Any:
        if name == "__attrs_attrs__":
            raise RuntimeError("do not look")
        return super().__getattribute__(name)


class Hidden(metaclass=Unreadable):
    pass


def make_card() -> type[Any]:
    @attrs.define
    class Card:
        y: int = 0

    return Card


KNOWN = "a type that the codec knows"

TYPES: list[tuple[Any, str, str, str]] = [
    (Plain, "$", KNOWN, "Plain"),
    (list[Plain], "$[]", KNOWN, "Plain"),
    (dict[str, Plain | None], "${}", KNOWN, "Plain"),
    (tuple[int, Plain], "$[1]", KNOWN, "Plain"),
    (Holder[list[Plain]], "$.item[]", KNOWN, "Plain"),
    (Callable[[int], str], "$", KNOWN, "Callable[[int], str]"),
    (Callable[..., str], "$", KNOWN, "Callable[..., str]"),
    (Iterable[int], "$", KNOWN, "Iterable[int]"),
    (complex, "$", KNOWN, "complex"),
    (bytearray, "$", KNOWN, "bytearray"),
    (type[int], "$", KNOWN, "type[int]"),
    (5, "$", KNOWN, "5 (integer)"),
    ("Card", "$", "a type", "the unresolved name 'Card'"),
    (list["Card"], "$[]", "a type", "the unresolved name 'Card'"),
    (typing.List["Card"], "$[]", "a type", "the unresolved name 'Card'"),  # noqa: UP006
    (Literal["x"] | list["Card"], "$[]", "a type", "the unresolved name 'Card'"),
    (dict["Card", int], "$", "a type", "the unresolved name 'Card'"),
    (tuple[int, Unpack[tuple[int, ...]]], "$", "a tuple of fixed places, or of one type and any length", ""),  # noqa: UP044
    (tuple[int, *tuple[int, ...]], "$", "a tuple of fixed places, or of one type and any length", ""),
    (Literal[b"x"], "$", "a Literal whose choices JSON tells apart", "b'x' (bytes) in Literal[b'x']"),
    (
        Literal[Ambiguous.B, "1"],
        "$",
        "a Literal whose choices JSON tells apart",
        "'1' (string) in Literal[Ambiguous.B, '1']",
    ),
    (Mixed, "$", "an enum whose values are str, int, float, bool or None", "Mixed.A = tuple of 2 items"),
    (Infinite, "$", "an enum whose values are str, int, float, bool or None", "Infinite.A = inf (number)"),
    (NeedsMore, "$.scale", "arguments that are stored as fields", "scale of NeedsMore"),
    (
        Unresolved,
        "$.share",
        "an annotation that can be resolved when the program runs",
        "the unknown name 'Fraction' in Unresolved",
    ),
    (
        list[Unresolved],
        "$[].share",
        "an annotation that can be resolved when the program runs",
        "the unknown name 'Fraction' in Unresolved",
    ),
    (
        Wrong,
        "$",
        "annotations of Wrong that are types",
        "TypeError: unsupported operand type(s) for |: 'type' and 'str'",
    ),
    (Hidden, "$", "a type that the codec can read", "Hidden: RuntimeError: do not look"),
    (
        str | Literal["a"],  # noqa: PYI051
        "$",
        "a union whose members JSON tells apart",
        "str and Literal['a'], each a JSON string, in str | Literal['a']",
    ),
    (
        Movie | Card,
        "$",
        "a union whose members JSON tells apart",
        "Movie and Movie | Card, each a JSON object, in Movie | Card",
    ),
    (
        Card | make_card(),
        "$",
        "classes with names of their own, which are their tags",
        "a name twice, or a type that is no class, in Card | Card",
    ),
    (
        dict[float, int],
        "$",
        "dict keys of type str, int, UUID, or of an enum whose values differ as text",
        "float keys",
    ),
    (
        dict[tuple[int, int], int],
        "$",
        "dict keys of type str, int, UUID, or of an enum whose values differ as text",
        "tuple[int, int] keys",
    ),
    (
        dict[Ambiguous, int],
        "$",
        "dict keys of type str, int, UUID, or of an enum whose values differ as text",
        "Ambiguous (1, '1') keys",
    ),
    (
        dict[Real, int],
        "$",
        "dict keys of type str, int, UUID, or of an enum whose values differ as text",
        "Real (1.5) keys",
    ),
]


@pytest.mark.parametrize(
    ("type_", "path", "expected", "found"), TYPES, ids=[f"{number}-{row[3]}" for number, row in enumerate(TYPES)]
)
def test_a_type_that_the_codec_cannot_handle_is_refused(type_: Any, path: str, expected: str, found: str) -> None:
    with pytest.raises(CodecError) as caught:
        JSON.check_type(type_)
    assert (caught.value.path, caught.value.expected) == (path, expected)
    assert found in caught.value.found
    for call in (lambda: JSON.encode(None, type_), lambda: JSON.decode("null", type_)):
        with pytest.raises(CodecError) as again:
            call()
        assert str(again.value) == str(caught.value)


def test_a_type_only_name_is_explained() -> None:
    with pytest.raises(CodecError, match="TYPE_CHECKING"):
        JSON.check_type(Unresolved)


def test_a_refused_type_leaves_nothing_behind() -> None:
    codec = JsonCodec()
    for _ in range(2):
        with pytest.raises(CodecError):
            codec.check_type(list[Unresolved])


@pytest.mark.parametrize("value", [None, [], {}])
def test_a_type_that_is_no_type_is_refused(value: Any) -> None:
    if value is None:
        JSON.check_type(value)
    else:
        with pytest.raises(CodecError):
            JSON.check_type(value)


def test_an_alias_of_itself_is_refused() -> None:
    one = SimpleNamespace(__type_params__=())
    one.__value__ = SimpleNamespace(__type_params__=(), __value__=one)
    with pytest.raises(CodecError, match="finite size"):
        JSON.check_type(one)


def test_an_empty_enum_and_an_empty_literal_take_nothing() -> None:
    JSON.check_type(Empty)
    with pytest.raises(CodecError, match="no members"):
        JSON.decode("1", Empty)


def test_a_nested_class_is_found_by_its_path() -> None:
    assert JSON.decode('{"inner":{"x":1}}', Outer.Next) == Outer.Next(Outer.Inner(1))


def test_a_class_local_to_a_function_may_name_itself() -> None:
    @attrs.define
    class Node:
        next: Node | None = None

    assert JSON.decode('{"next":{}}', Node) == Node(Node())


def test_names_local_to_a_function_are_given_once() -> None:
    @attrs.define
    class Line:
        x: int

    @attrs.define
    class Order:
        lines: list[Line]

    codec = JsonCodec()
    with pytest.raises(CodecError, match="unknown name 'Line' in Order"):
        codec.check_type(Order)
    codec.check_type(list[Order], locals())
    assert codec.decode('[{"lines":[{"x":1}]}]', list[Order]) == [Order([Line(1)])]
    assert codec.decode('{"lines":[]}', Order) == Order([])


def test_names_of_a_module_go_before_names_that_are_given() -> None:
    JsonCodec().check_type(Outer.Next, {"Outer": None})


def test_threads_may_share_a_codec() -> None:
    payload = '{"item":{"item":[{"item":1}]}}'
    type_ = Holder[Holder[list[Holder[int]]]]
    expected = Holder(Holder([Holder(1)]))
    for _ in range(20):
        codec = JsonCodec()
        with ThreadPoolExecutor(8) as pool:
            futures = [pool.submit(codec.decode, payload, type_) for _ in range(32)]
        assert [future.result() for future in futures] == [expected] * 32


# ---- other class systems


class Model:
    """Stands for the base class of a class system that the codec does not know."""

    def __init__(self, **values: Any) -> None:
        if "bad" in values:
            raise ValueError("bad value")
        self.values = values

    def dump(self) -> Any:
        if "broken" in self.values:
            raise ValueError("broken value")
        return self.values

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Model) and other.values == self.values

    def __hash__(self) -> int:
        return 0


class User(Model):
    pass


class Admin(User):
    pass


class Sized(Protocol):
    size: int


Code = NewType("Code", str)


def is_model(type_: Any) -> bool:
    return issubclass(type_, Model)


def use_models(converter: cattrs.Converter) -> None:
    converter.register_structure_hook_func(is_model, lambda value, type_: type_(**value))
    converter.register_unstructure_hook_func(is_model, lambda value: value.dump())


MODELS = JsonCodec(configure=use_models)


@pytest.mark.parametrize(
    ("type_", "value", "payload"),
    [
        (User, User(a=1), '{"a":1}'),
        (list[User | None], [None, User(a=1)], '[null,{"a":1}]'),
        (Holder[User], Holder(User()), '{"item":{}}'),
        (User | Card, User(a=1), '{"$type":"User","a":1}'),
        (User | Card, Card(1), '{"$type":"Card","x":1}'),
    ],
)
def test_another_class_system_comes_in_by_hooks(type_: Any, value: Any, payload: str) -> None:
    assert MODELS.encode(value, type_) == payload
    assert MODELS.decode(payload, type_) == value


def test_a_hook_may_take_subclasses() -> None:
    assert MODELS.encode(Admin(a=1), User) == '{"a":1}'


HOOKED: list[tuple[Callable[[], object], str, str, str, str]] = [
    (lambda: MODELS.encode({}, User), "$", "User", "{} (object)", ""),
    (lambda: MODELS.encode([User(broken=1)], list[User]), "$[0]", "User", "User instance", "ValueError: broken value"),
    (lambda: MODELS.decode('[{"bad":1}]', list[User]), "$[0]", "User", "{'bad': 1} (object)", "ValueError: bad value"),
    (lambda: MODELS.decode("1", User), "$", "User", "1 (integer)", "TypeError"),
    (lambda: MODELS.encode(User(a=[(1,)]), User), "$.a[0]", "plain JSON", "tuple of 1 item", "the hook of User"),
    (lambda: MODELS.encode(User(**{"$type": 1}), User | Card), "$", "to carry the tag", "{'$type': 1} (object)", ""),
]


@pytest.mark.parametrize(
    ("call", "path", "expected", "found", "advice"),
    HOOKED,
    ids=[f"{number}-{row[3]}" for number, row in enumerate(HOOKED)],
)
def test_what_a_hook_refuses_is_a_codec_error(
    call: Callable[[], object], path: str, expected: str, found: str, advice: str
) -> None:
    with pytest.raises(CodecError) as caught:
        call()
    assert (caught.value.path, caught.value.found) == (path, found)
    assert expected in caught.value.expected
    assert advice in caught.value.advice


def test_a_hook_for_one_direction_is_not_enough() -> None:
    def one(converter: cattrs.Converter) -> None:
        converter.register_structure_hook(User, lambda value, _: User(**value))

    def other(converter: cattrs.Converter) -> None:
        converter.register_unstructure_hook(User, lambda value: value.values)

    with pytest.raises(CodecError, match=r"no unstructure hook for User.*register_unstructure_hook_func"):
        JsonCodec(configure=one).check_type(User)
    with pytest.raises(CodecError, match=r"no structure hook for User.*register_structure_hook_func"):
        JsonCodec(configure=other).check_type(User)


def test_hooks_go_before_what_the_codec_knows_and_for_names_of_types() -> None:
    def configure(converter: cattrs.Converter) -> None:
        converter.register_structure_hook(Code, lambda value, _: value.lower())
        converter.register_unstructure_hook(Code, lambda value: value.upper())
        converter.register_structure_hook(Card, lambda value, _: Card(value))
        converter.register_unstructure_hook(Card, lambda value: value.x)

    codec = JsonCodec(configure=configure)
    assert codec.encode([Code("a")], list[Code]) == '["A"]'
    assert codec.decode('["A"]', list[Code]) == ["a"]
    assert codec.decode(codec.encode(Card(5), Card), Card) == Card(5)
    with pytest.raises(CodecError, match="to carry the tag"):
        codec.encode(Card(5), Card | Movie2)
    with pytest.raises(CodecError, match="a type that is no class"):
        codec.check_type(Code | Card)


@attrs.define
class Movie2:
    pass


def test_a_hook_may_give_its_parts_back_to_the_converter() -> None:
    def configure(converter: cattrs.Converter) -> None:
        converter.register_structure_hook_func(
            is_model, lambda value, type_: type_(cards=converter.structure(value["cards"], list[Card]))
        )
        converter.register_unstructure_hook_func(
            is_model,
            lambda value: {
                "cards": converter.unstructure(value.values["cards"], unstructure_as=list[Card]),
                "first": converter.unstructure(value.values["cards"][0]),
                "text": converter.unstructure("x"),
            },
        )

    codec = JsonCodec(configure=configure)
    payload = codec.encode(User(cards=[Card(1)]), User)
    assert payload == '{"cards":[{"x":1}],"first":{"x":1},"text":"x"}'
    assert codec.decode(payload, User) == User(cards=[Card(1)])
    with pytest.raises(CodecError) as decoding:
        codec.decode('{"cards":[{"x":"1"}]}', User)
    assert (decoding.value.path, decoding.value.expected) == ("$[0].x", "int")
    with pytest.raises(CodecError) as encoding:
        codec.encode(User(cards=[1]), User)
    assert (encoding.value.path, encoding.value.expected) == ("$[0]", "Card")


def test_a_hook_for_a_protocol_is_asked_and_may_fail() -> None:
    def configure(converter: cattrs.Converter) -> None:
        converter.register_structure_hook_func(lambda type_: type_ is Sized, lambda value, _: value)
        converter.register_unstructure_hook_func(lambda type_: type_ is Sized, lambda value: value)

    with pytest.raises(CodecError, match="its hook says: TypeError"):
        JsonCodec(configure=configure).encode(1, Sized)


def test_every_codec_has_hooks_of_its_own() -> None:
    with pytest.raises(CodecError):
        JSON.check_type(User)
