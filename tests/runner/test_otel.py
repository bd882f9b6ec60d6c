"""Spans and metrics of ticks, in OpenTelemetry's own memory exporters (rule R6)."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext, SpanKind, StatusCode

from tests.lab import MINUTE
from tests.runner.doubles import Desk, unavailable
from wfcore.define import workflow
from wfcore.errors import StoreUnavailableError
from wfcore.otel import OpenTelemetryObserver, run_context
from wfcore.planner import AsyncStep, Attempt
from wfcore.retry import Retry

SECRET = "4111 1111 1111 1111"


@attrs.define
class Exported:
    spans: InMemorySpanExporter = attrs.field(factory=InMemorySpanExporter)
    metrics: InMemoryMetricReader = attrs.field(factory=InMemoryMetricReader)
    observer: OpenTelemetryObserver = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        tracers = TracerProvider(shutdown_on_exit=False)
        tracers.add_span_processor(SimpleSpanProcessor(self.spans))
        meters = MeterProvider([self.metrics], shutdown_on_exit=False)
        self.observer = OpenTelemetryObserver(tracer_provider=tracers, meter_provider=meters)

    def named(self, name: str) -> Sequence[ReadableSpan]:
        return [span for span in self.spans.get_finished_spans() if span.name == name]

    def points(self, name: str) -> list[Any]:
        data = self.metrics.get_metrics_data()
        assert data is not None
        found = [metric for each in data.resource_metrics for scope in each.scope_metrics for metric in scope.metrics]
        return [point for metric in found if metric.name == name for point in metric.data.data_points]


@pytest.fixture
def exported() -> Exported:
    return Exported()


def context(span: ReadableSpan) -> SpanContext:
    found = span.get_span_context()
    assert found is not None
    return found


def times(span: ReadableSpan) -> tuple[datetime, timedelta]:
    assert span.start_time is not None
    assert span.end_time is not None
    start = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=span.start_time / 1000)
    return start, timedelta(microseconds=(span.end_time - span.start_time) / 1000)


def pays(desk_of: list[Desk]) -> Any:
    """A workflow whose payment fails at first."""

    def pay(attempt: Attempt) -> str:
        desk_of[0].machine.advance(2)
        if attempt.number == 1:
            raise ConnectionError(SECRET)
        return SECRET

    @workflow(name="order")
    async def order(step: AsyncStep, card: str) -> str:
        return await step.do("pay", pay, returns=str, retry=Retry(max_attempts=2, delay=MINUTE, jitter=0.0))

    return order


def paying(exported: Exported) -> Desk:
    desks: list[Desk] = []
    desk = Desk.of(pays(desks), SECRET)
    desks.append(desk)
    return desk


def test_r6_a_tick_is_a_span_and_so_is_each_body_in_it(exported: Exported) -> None:
    desk = paying(exported)
    began = desk.machine.now
    desk.tick(observer=exported.observer)
    [tick], [body] = exported.named("tick order"), exported.named("pay")
    assert ((began, timedelta(seconds=2)), (began, timedelta(seconds=2))) == (times(tick), times(body))
    assert (SpanKind.CONSUMER, StatusCode.UNSET, StatusCode.ERROR) == (
        tick.kind,
        tick.status.status_code,
        body.status.status_code,
    )
    assert body.parent is not None
    assert context(tick).span_id == body.parent.span_id
    assert {
        "wfcore.workflow": "order",
        "wfcore.outcome": "Suspended",
        "wfcore.instance": "1",
        "wfcore.run": 1,
        "wfcore.hook.reason": "create",
        "wfcore.conflicts": 0,
        "wfcore.checkpoints": 0,
        "wfcore.records": 0,
    } == dict(tick.attributes or {})
    assert {
        "wfcore.step": "pay",
        "wfcore.step.key": "do:pay",
        "wfcore.attempt": 1,
        "error.type": "builtins.ConnectionError",
    } == dict(body.attributes or {})


def test_r6_ticks_of_one_run_are_in_one_trace_whatever_process_they_are_of(exported: Exported) -> None:
    desk, other = paying(exported), Exported()
    desk.tick(observer=exported.observer)
    desk.machine.advance(60)
    desk.tick(observer=other.observer)
    expected = run_context(desk.ref, 1)
    for span in (*exported.named("tick order"), *other.named("tick order")):
        assert span.parent is not None
        assert (expected.trace_id, expected.span_id) == (context(span).trace_id, span.parent.span_id)
    assert [2] == [(span.attributes or {})["wfcore.attempt"] for span in other.named("pay")]


def test_r6_a_run_has_a_trace_of_its_own_that_is_linked_to_the_one_before(exported: Exported) -> None:
    desk = paying(exported)
    desk.tick(observer=exported.observer)
    desk.handle.restart(SECRET)
    desk.tick(observer=exported.observer)
    first, second = exported.named("tick order")
    assert context(first).trace_id != context(second).trace_id
    assert ([], [run_context(desk.ref, 1)]) == (list(first.links), [link.context for link in second.links])


def test_r6_the_trace_of_a_run_is_the_same_for_ever() -> None:
    found = run_context("order#1", 1)
    assert ("40e908b5", True, True) == (f"{found.trace_id:032x}"[:8], found.is_valid, found.trace_flags.sampled)


def test_r6_a_tick_that_fails_is_an_error(exported: Exported) -> None:
    desk = paying(exported)
    desk.store.when("before", "retrieve", 1, unavailable)
    with pytest.raises(StoreUnavailableError):
        desk.tick(observer=exported.observer)
    [tick] = exported.named("tick order")
    assert (StatusCode.ERROR, "wfcore.errors.store.StoreUnavailableError") == (
        tick.status.status_code,
        (tick.attributes or {})["error.type"],
    )


def test_r6_what_is_measured(exported: Exported) -> None:
    desk = paying(exported)
    desk.machine.advance(7)
    desk.store.when("before", "apply", 1, desk.rival)
    desk.tick(observer=exported.observer)
    [tick] = exported.points("wfcore.tick.duration")
    [body] = exported.points("wfcore.body.duration")
    [lag] = exported.points("wfcore.hook.lag")
    [conflicts] = exported.points("wfcore.tick.conflicts")
    assert (1, {"wfcore.workflow": "order", "wfcore.outcome": "Suspended"}) == (tick.count, tick.attributes)
    failed = {"wfcore.workflow": "order", "wfcore.step": "pay", "error.type": "builtins.ConnectionError"}
    assert (2, 4.0, failed) == (body.count, body.sum, body.attributes)
    assert (1, 7.0) == (lag.count, lag.sum)
    assert (1, {"wfcore.workflow": "order"}) == (conflicts.value, conflicts.attributes)


def test_r6_durations_of_milliseconds_and_of_minutes_are_told_apart(exported: Exported) -> None:
    """OpenTelemetry's own buckets are for milliseconds: in seconds all that is quick would be in one of them."""
    desk = paying(exported)
    desk.tick(observer=exported.observer)
    for name in ("wfcore.tick.duration", "wfcore.body.duration", "wfcore.hook.lag"):
        [point] = exported.points(name)
        bounds = point.explicit_bounds
        assert (0.005, True, True) == (bounds[0], 1.0 in bounds, bounds[-1] >= 600)


def test_r6_no_payload_is_told(exported: Exported) -> None:
    desk = paying(exported)
    desk.tick(observer=exported.observer)
    desk.machine.advance(60)
    desk.tick(observer=exported.observer)
    assert desk.instance.output is not None
    told = "".join(span.to_json() for span in exported.spans.get_finished_spans())
    data = exported.metrics.get_metrics_data()
    assert data is not None
    assert SECRET not in told + data.to_json()


def test_r6_without_a_provider_it_does_no_harm() -> None:
    desk = paying(Exported())
    assert 1 == desk.tick(observer=OpenTelemetryObserver()).bodies
