"""What annotations of bodies and of the functions of maps say, written as text or not. Rules S15, P1."""

import json
import types
from collections.abc import Callable
from functools import partial, wraps
from typing import Annotated, Any

import attrs
import pytest

from tests.lab import Lab
from tests.planner.flights import made
from wfcore.errors import StepBodyError
from wfcore.planner import AsyncStep, Attempt
from wfcore.planner.bodies import closure_of, item_type, result_type

ADVICE = "import the name at run time, not under TYPE_CHECKING only"


@attrs.frozen
class Parcel:
    sku: str


class Text(str):
    """Stands under the name of a builtin in the module of a body."""

    __slots__ = ()


def elsewhere(source: str, **names: Any) -> Any:
    """A function of another module."""
    module = {"Any": Any, **names}
    exec(source, module)
    return module["f"]


def traced(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def wrapper(*arguments: Any) -> Any:
        return function(*arguments)

    return wrapper


class Told:
    """Callable, no function, and annotated by hand."""

    def __init__(self, annotation: str) -> None:
        self.__annotations__ = {"return": annotation}

    def __call__(self, *_arguments: Any) -> Any:
        raise AssertionError("only its annotation is asked for")


class Calling:
    __call__ = Told("int")


class CallingWithParts:
    __call__ = Told("list[int]")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (elsewhere("def f(attempt) -> 'int': ..."), int),
        (elsewhere("def f(attempt) -> 'Parcel': ...", Parcel=Parcel), Parcel),
        (elsewhere("def f(attempt) -> 'list[Parcel]': ...", Parcel=Parcel), list[Parcel]),
        (elsewhere("def f(attempt) -> 'str': ...", str=Text), Text),
        (elsewhere("def f(attempt) -> 'Cents': ...", Cents=Annotated[int, "cents"]), Annotated[int, "cents"]),
        (traced(elsewhere("def f(attempt) -> 'Sku': ...", Sku=Text)), Text),
        (partial(traced(elsewhere("def f(x, attempt) -> 'Sku': ...", Sku=Text)), 1), Text),
        (Calling(), int),
        (CallingWithParts(), list[int]),
    ],
    ids=["builtin", "class", "parts", "shadowed", "annotated", "wrapped", "bound", "callable", "callable, parts"],
)
def test_s15_an_annotation_that_is_text_means_what_it_means_where_it_was_written(body: Any, expected: Any) -> None:
    assert expected == result_type("do:a", body, {})


def in_a_class(_self: Any, _step: Any, item: Parcel) -> None: ...


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (elsewhere("def f(step, item): ..."), Any),
        (elsewhere("def f(step, *items): ..."), Any),
        (elsewhere("def f(step, *items: int): ..."), int),
        (elsewhere("def f(*both): ..."), Any),
        (elsewhere("def f(step, item: int, more: str = ''): ..."), int),
        (elsewhere("def f(step: Any, item: 'Parcel', more: str = ''): ...", Parcel=Parcel), Parcel),
        (elsewhere("def f(step, item: 'list[Parcel]'): ...", Parcel=Parcel), list[Parcel]),
        (traced(elsewhere("def f(step, item: 'Sku'): ...", Sku=Text)), Text),
        (partial(elsewhere("def f(x: str, step, item: 'Sku'): ...", Sku=Text), "x"), Text),
        (types.MethodType(in_a_class, object()), Parcel),
        (dict, Any),
        (5, Any),
    ],
    ids=[
        "none",
        "rest",
        "classes",
        "both",
        "class",
        "text",
        "parts",
        "wrapped",
        "bound",
        "method",
        "builtin",
        "number",
    ],
)
def test_p1_items_are_of_the_type_of_the_second_parameter(function: Any, expected: Any) -> None:
    assert expected == item_type("m", function, {})


def test_s15_a_result_type_that_is_not_known_at_run_time_is_refused() -> None:
    with pytest.raises(StepBodyError) as caught:
        result_type("do:a", elsewhere("def f(attempt) -> 'Missing': ..."), {})
    assert (
        "step 'do:a': the return annotation 'Missing' of its body cannot be resolved "
        f"(name 'Missing' is not defined); {ADVICE}, or pass returns="
    ) == str(caught.value)


# -- maps


def mapping(function: Any, *, careless: bool = False, **how: Any) -> Lab:
    async def code(step: AsyncStep) -> Any:
        try:
            return await step.map("m", [Parcel("a")], function, **how)
        except BaseException:
            if not careless:
                raise

    return made(code)


async def packs(step: AsyncStep, parcel: Parcel) -> str:
    return await step.do("pack", lambda attempt: parcel.sku, returns=str)


async def packs_by_text(step: AsyncStep, parcel: "Parcel") -> str:
    return await packs(step, parcel)


@pytest.mark.parametrize("function", [packs, packs_by_text])
def test_p1_items_are_encoded_by_the_type_that_the_function_annotates(function: Any) -> None:
    lab = mapping(function)
    lab.run()
    assert '["a"]' == lab.instance.output


@pytest.mark.parametrize("careless", [False, True])
def test_p1_an_item_type_that_is_not_known_at_run_time_is_refused_and_cannot_be_caught(*, careless: bool) -> None:
    with pytest.raises(StepBodyError) as caught:
        mapping(elsewhere("async def f(step, parcel: 'Missing'): ..."), careless=careless).plan()
    assert (
        "step 'm': the annotation 'Missing' of the items of its function cannot be resolved "
        f"(name 'Missing' is not defined); {ADVICE}, or pass key="
    ) == str(caught.value)


def test_p1_with_a_key_the_type_of_the_items_is_not_asked_for() -> None:
    function = elsewhere("async def f(step, parcel: 'Missing'): return parcel.sku")
    lab = mapping(function, key=lambda parcel: parcel.sku)
    lab.run()
    assert '["a"]' == lab.instance.output


class Shelf:
    """Iterated over by index, as before there was ``__iter__``."""

    def __getitem__(self, index: int) -> int:
        return [10, 20][index]


def test_p1_whatever_can_be_iterated_over_may_be_mapped() -> None:
    async def code(step: AsyncStep) -> Any:
        async def twice(inner: AsyncStep, item: int) -> int:
            def body(_attempt: Attempt) -> int:
                return item * 2

            return await inner.do("twice", body)

        return await step.map("m", Shelf(), twice)  # type: ignore[call-overload] # typing knows of Iterable only

    lab = made(code)
    lab.run()
    assert [20, 40] == json.loads(lab.instance.output or "")


def test_s15_a_variable_that_is_not_assigned_yet_hides_no_other() -> None:
    def function() -> Any:
        return first, second

    second = 2
    found = closure_of(function)
    first = 1
    assert ({"second": second}, 1) == (found, first)
