"""Workflows, event types and registries as values: what is refused when they are declared (design 7, S15, K4)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from wfcore import (
    JSON,
    AsyncStep,
    EventType,
    Registry,
    Step,
    StepNameError,
    UnknownEventTypeError,
    UnknownWorkflowError,
    Workflow,
    WorkflowDefinitionError,
    workflow,
)

if TYPE_CHECKING:
    from decimal import Decimal as Unimported

Nothing = type(None)


@attrs.frozen
class Order:
    id: str


def declare(fn: Any, **arguments: Any) -> Workflow[Any, Any]:
    return workflow(**{"name": "w", **arguments})(fn)


def refused(fn: Any, **arguments: Any) -> WorkflowDefinitionError:
    with pytest.raises(WorkflowDefinitionError) as found:
        declare(fn, **arguments)
    return found.value


# ---- what a workflow is


def plain(step: Step) -> int:
    return 1


def with_params(step: Step, order: Order) -> str:
    return order.id


async def asynchronous(step: AsyncStep, order: Order) -> list[Order]:
    return [order]


def without_annotations(step, order):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 # that is the point
    return order


def with_any(step: Any, order: Any) -> Any:
    return order


def without_result(step: Step) -> None: ...


@pytest.mark.parametrize(
    ("fn", "is_async", "takes_params", "params_type", "result_type"),
    [
        (plain, False, False, Nothing, int),
        (with_params, False, True, Order, str),
        (asynchronous, True, True, Order, list[Order]),
        (without_annotations, False, True, Any, Any),
        (with_any, False, True, Any, Any),
        (without_result, False, False, Nothing, Nothing),
        (lambda step: 1, False, False, Nothing, Any),
    ],
)
def test_a_workflow_knows_its_types(
    fn: Any, is_async: bool, takes_params: bool, params_type: Any, result_type: Any
) -> None:
    """S15: resolved when it is declared; what is not annotated is plain JSON."""
    found = declare(fn)
    assert (is_async, takes_params, params_type, result_type) == (
        found.is_async,
        found.takes_params,
        found.params_type,
        found.result_type,
    )


def test_a_workflow_keeps_its_function() -> None:
    assert plain is declare(plain).fn


@pytest.mark.parametrize(("arguments", "expected"), [({}, "step"), ({"checkpoint": "tick"}, "tick")], ids=str)
def test_a_workflow_knows_when_to_checkpoint(arguments: dict[str, Any], expected: str) -> None:
    """O6."""
    assert expected == declare(plain, **arguments).checkpoint


def test_names_of_the_function_around_it_are_resolved() -> None:
    """S15: classes local to a test function too."""

    @attrs.frozen
    class Local:
        id: str

    @workflow(name="w")
    def w(step: Step, order: Local) -> Local:
        return order

    assert (Local, Local) == (w.params_type, w.result_type)


def test_names_of_the_closure_are_resolved() -> None:
    """S15: dependencies of a workflow come in by closures."""

    @attrs.frozen
    class Local:
        id: str

    def make() -> Workflow[Local, str]:
        @workflow(name="w")
        def w(step: Step, order: Local) -> str:
            return Local.__name__

        return w

    assert Local is make().params_type


def test_a_workflow_may_use_a_function_that_is_defined_further_down() -> None:
    """S15: an unassigned closure variable does no harm."""

    @workflow(name="w")
    def w(step: Step) -> int:
        return helper()

    def helper() -> int:
        return 7

    assert int is w.result_type


def test_names_of_a_module_are_not_kept_as_local() -> None:
    assert {} == declare(plain).local_names


def tracing(fn: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(fn)
    def wrapper(*args: Any) -> Any:
        return fn(*args)

    return wrapper


def test_a_decorated_function_has_the_types_of_what_it_wraps() -> None:
    """S15: names are looked up where the function was written, and not where its decorator was."""
    elsewhere: dict[str, Any] = {}
    source = "def order(step: 'Step', order: 'Local') -> 'Local': return order"
    exec(source, {"Step": Step, "Local": Order}, elsewhere)
    assert Order is declare(tracing(elsewhere["order"])).params_type


# ---- what a workflow cannot be


def generator(step: Step) -> Any:
    yield 1


async def async_generator(step: AsyncStep) -> Any:
    yield 1


def def_with_async_step(step: AsyncStep) -> None: ...


async def async_def_with_step(step: Step) -> None: ...


def params_first(order: Order, step: Step) -> None: ...


def optional_step(step: Step | None) -> None: ...


def unimported(step: Step, price: Unimported) -> None: ...


def unknown_result(step: Step) -> Missing: ...  # type: ignore[name-defined]  # noqa: F821 # that is the point


class NotAFunction:
    def __call__(self, step: Step) -> None: ...


@pytest.mark.parametrize(
    ("fn", "problem"),
    [
        (generator, "generator is a generator"),
        (async_generator, "async_generator is a generator"),
        (lambda: 1, "<lambda>() does not take (step) or (step, params)"),
        (lambda step, a, b: 1, "<lambda>(step, a, b) does not take (step) or (step, params)"),
        (lambda *steps: 1, "<lambda>(*steps) does not take (step) or (step, params)"),
        (lambda step, **more: 1, "<lambda>(step, **more) does not take (step) or (step, params)"),
        (lambda step, *, order: 1, "<lambda>(step, *, order) does not take (step) or (step, params)"),
        (def_with_async_step, "a 'def' workflow takes Step as its first parameter, not AsyncStep"),
        (async_def_with_step, "an 'async def' workflow takes AsyncStep as its first parameter, not Step"),
        (params_first, "a 'def' workflow takes Step as its first parameter, not Order"),
        (
            optional_step,
            "a 'def' workflow takes Step as its first parameter, not wfcore.planner.step.Step | None",
        ),
        (unimported, "an annotation of unimported cannot be resolved (name 'Unimported' is not defined)"),
        (unknown_result, "an annotation of unknown_result cannot be resolved (name 'Missing' is not defined)"),
    ],
)
def test_a_function_that_cannot_be_a_workflow_is_refused(fn: Any, problem: str) -> None:
    """Design 7: when it is declared, with what to do."""
    assert problem == refused(fn).problem


@pytest.mark.parametrize(
    "thing",
    [NotAFunction(), functools.partial(plain), Order, len, None, 7],
    ids=lambda each: type(each).__name__ + repr(each)[:4],
)
def test_what_is_no_function_is_refused(thing: Any) -> None:
    assert f"{thing!r} is not a function" == refused(thing).problem


@pytest.mark.parametrize(
    ("fn", "advice"),
    [
        (generator, "a workflow returns its result; do not yield"),
        (lambda step, a, b: 1, "put all parameters in one class"),
        (def_with_async_step, "annotate it with wfcore.Step, or change 'def' and 'async def'"),
        (async_def_with_step, "annotate it with wfcore.AsyncStep, or change 'def' and 'async def'"),
        (unimported, "import the name at run time, not under TYPE_CHECKING only, and before the workflow"),
        (7, "decorate a 'def' or an 'async def'"),
    ],
)
def test_a_refusal_says_what_to_do(fn: Any, advice: str) -> None:
    """Design 8."""
    assert advice == refused(fn).advice


def test_a_refusal_names_the_workflow() -> None:
    """Design 8: facts are fields."""
    assert "shop" == refused(generator, name="shop").workflow


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"checkpoint": "never"}, "checkpoint='never'"),
        ({"checkpoint": None}, "checkpoint=None"),
        ({"events": ["approved"]}, "events holds 'approved'"),
        ({"events": [EventType("a"), EventType("b"), EventType("a")]}, "event type 'a' stands twice"),
    ],
    ids=str,
)
def test_an_argument_that_cannot_be_used_is_refused(arguments: dict[str, Any], problem: str) -> None:
    assert problem == refused(plain, **arguments).problem


@pytest.mark.parametrize("name", ["", "a#b", "a\n", "a" * 129, None, 7], ids=repr)
def test_a_name_that_cannot_be_used_is_refused(name: Any) -> None:
    """K4."""
    with pytest.raises(StepNameError) as found:
        workflow(name=name)
    assert "workflow name" == found.value.what


def test_a_workflow_has_to_be_named() -> None:
    """Design 7: renaming a function must not orphan instances."""
    with pytest.raises(TypeError, match="name"):
        workflow()  # type: ignore[call-arg] # that is the point


# ---- event types


@pytest.mark.parametrize(
    ("made", "name", "payload_type"),
    [
        (EventType("refused"), "refused", Nothing),
        (EventType("approved", Order), "approved", Order),
        (EventType("paid", list[Order]), "paid", list[Order]),
        (EventType("paid", None), "paid", Nothing),
        (EventType("shop.paid>now", int), "shop.paid>now", int),
    ],
    ids=repr,
)
def test_an_event_type_has_a_name_and_a_payload_type(made: EventType[Any], name: str, payload_type: Any) -> None:
    """W11."""
    assert (name, payload_type) == (made.name, made.payload_type)


@pytest.mark.parametrize("name", ["", "#pause", "a\n", "a" * 257, 7], ids=repr)
def test_an_event_type_whose_name_cannot_be_used_is_refused(name: Any) -> None:
    """K4."""
    with pytest.raises(StepNameError) as found:
        EventType(name)
    assert "event type" == found.value.what


def test_an_event_type_prints_what_it_is() -> None:
    assert "EventType('paid', <class 'int'>)" == repr(EventType("paid", int))


Approved = EventType("approved", Order)
Refused = EventType("refused")
ANY = declare(plain)
LISTED = declare(plain, events=[Approved, Refused])
NONE = declare(plain, events=[])
CHECKOUT = declare(plain, name="checkout")
REFUND = declare(plain, name="refund")


@pytest.mark.parametrize(
    ("of", "event", "expected"),
    [
        (ANY, Approved, ("approved", Order)),
        (ANY, "approved", ("approved", Any)),
        (LISTED, Approved, ("approved", Order)),
        (LISTED, "approved", ("approved", Order)),
        (LISTED, "refused", ("refused", Nothing)),
        (LISTED, EventType("approved", int), ("approved", Order)),
    ],
)
def test_a_workflow_knows_the_payloads_of_its_events(of: Workflow[Any, Any], event: Any, expected: Any) -> None:
    """W11."""
    assert expected == of.payload_type(event)


@pytest.mark.parametrize(("of", "event"), [(LISTED, "paid"), (LISTED, EventType("paid")), (NONE, Approved)], ids=repr)
def test_an_event_that_a_workflow_does_not_list_is_refused(of: Workflow[Any, Any], event: Any) -> None:
    """W11: no events listed is not the same as none."""
    with pytest.raises(UnknownEventTypeError):
        of.payload_type(event)


# ---- types that cannot be stored


def unstorable(step: Step, order: Order) -> Callable[[], int]:
    raise NotImplementedError


def unstorable_params(step: Step, order: type[Order]) -> None: ...


@pytest.mark.parametrize(
    ("found", "what"),
    [
        (declare(unstorable_params), "its parameters cannot be stored"),
        (declare(unstorable), "its result cannot be stored"),
        (declare(plain, events=[Refused, EventType("paid", Callable[[], int])]), "its event 'paid' cannot be stored"),
    ],
    ids=["parameters", "result", "event"],
)
def test_a_type_that_the_codec_cannot_store_is_refused(found: Workflow[Any, Any], what: str) -> None:
    """S15: when a client or dispatcher is made, and not when the first instance comes."""
    with pytest.raises(WorkflowDefinitionError) as error:
        Registry([CHECKOUT, found]).check_types(JSON)
    assert what == error.value.problem.partition(":")[0]


def test_types_that_the_codec_can_store_are_taken() -> None:
    """S15."""
    Registry([declare(asynchronous, events=[Approved, Refused]), declare(plain, name="plain")]).check_types(JSON)


# ---- registries


def test_a_registry_gives_a_workflow_by_its_name() -> None:
    assert REFUND is Registry([CHECKOUT, REFUND]).get("refund")


def test_a_registry_says_which_names_it_knows() -> None:
    """G10."""
    with pytest.raises(UnknownWorkflowError) as found:
        Registry([REFUND, CHECKOUT]).get("old")
    assert ("old", ("checkout", "refund")) == (found.value.workflow_name, found.value.known)


@pytest.mark.parametrize(
    ("workflows", "problem"),
    [
        ([CHECKOUT, declare(plain, name="checkout")], "two workflows of this name"),
        ([CHECKOUT, CHECKOUT], "two workflows of this name"),
        ([plain], "it is not a workflow"),
        ([None], "it is not a workflow"),
    ],
    ids=["two", "the same twice", "a function", "nothing"],
)
def test_what_a_registry_cannot_hold_is_refused(workflows: list[Any], problem: str) -> None:
    with pytest.raises(WorkflowDefinitionError) as found:
        Registry(workflows)
    assert problem == found.value.problem


def test_a_registry_lists_its_names() -> None:
    assert frozenset({"checkout", "refund"}) == Registry([CHECKOUT, REFUND]).names


@pytest.mark.parametrize(
    ("thing", "expected"),
    [(CHECKOUT, True), (REFUND, False), (declare(plain, name="checkout"), False), ("checkout", False)],
    ids=["its own", "another", "another of the same name", "a name"],
)
def test_a_registry_contains_its_own_workflows(thing: object, expected: bool) -> None:
    assert expected == (thing in Registry([CHECKOUT]))


def test_a_registry_gives_its_workflows_in_their_order() -> None:
    assert [REFUND, CHECKOUT] == list(Registry([REFUND, CHECKOUT]))


def test_a_registry_prints_its_names() -> None:
    assert "Registry(checkout, refund)" == repr(Registry([REFUND, CHECKOUT]))


def test_a_registry_may_be_empty() -> None:
    assert frozenset() == Registry([]).names


def test_registries_are_objects_and_know_nothing_of_each_other() -> None:
    """Design 2: passed, never global."""
    assert (True, False) == (CHECKOUT in Registry([CHECKOUT]), CHECKOUT in Registry([REFUND]))
