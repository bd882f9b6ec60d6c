"""An observer that makes spans and metrics of OpenTelemetry; it reads no payload and no clock. Needs ``wfcore[otel]``.

A span for each tick, with one for each body in it, all of one run of an instance in one trace: the trace's id is made
of the instance's ref and the number of its run, so that ticks of any process find together and nothing is stored.
They are made when a tick is over, from its report: a span that a body makes is not below that of the body.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import final

from opentelemetry import metrics, trace

from wfcore.failure import class_name
from wfcore.keys import digest, parse_ref
from wfcore.runner import BodyRun, TickReport

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SCOPE = "wfcore"
# Those that OpenTelemetry's conventions recommend for seconds, and some for what takes minutes, or waits for hours.
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 30, 60, 300, 1800, 7200)


@final
class OpenTelemetryObserver:
    """An observer for ``Dispatcher(observer=...)`` and its like (rule R6). Safe for threads, as OpenTelemetry is.

    Spans: ``tick <workflow>``, and below it ``<step>`` for each body that ran. Metrics: see ``docs/howto/observe.md``.

    Args:
        tracer_provider: where spans go; ``None``: the global one.
        meter_provider: where metrics go; ``None``: the global one.
    """

    def __init__(
        self,
        *,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
    ) -> None:
        self._tracer = trace.get_tracer(_SCOPE, tracer_provider=tracer_provider)
        meter = metrics.get_meter(_SCOPE, meter_provider=meter_provider)
        self._ticks = _histogram(meter, "wfcore.tick.duration", "How long ticks took")
        self._bodies = _histogram(meter, "wfcore.body.duration", "How long step bodies took")
        self._lag = _histogram(meter, "wfcore.hook.lag", "How late wake-ups (hooks) were handled")
        self._conflicts = meter.create_counter(
            "wfcore.tick.conflicts", "{conflict}", "How often a tick was planned again: another writer was faster"
        )

    def __call__(self, report: TickReport) -> None:
        """Tell of one tick."""
        self._trace(report)
        self._measure(report)

    def _trace(self, report: TickReport) -> None:
        workflow_name, instance_id = parse_ref(report.fired.hook.instance_ref)
        run = _run(report)
        attributes: dict[str, str | int] = {
            **_kind(report),
            "wfcore.instance": instance_id,
            "wfcore.run": run,
            "wfcore.hook.reason": report.fired.hook.reason,
            "wfcore.conflicts": report.conflicts,
            "wfcore.checkpoints": report.checkpoints,
            "wfcore.records": report.records,
        }
        began = _nanoseconds(report.began_at)
        span = self._tracer.start_span(
            f"tick {workflow_name}",
            trace.set_span_in_context(trace.NonRecordingSpan(run_context(report.fired.hook.instance_ref, run))),
            kind=trace.SpanKind.CONSUMER,
            attributes=attributes,
            links=[*_links(report, run)],
            start_time=began,
        )
        if report.error is not None:
            span.set_status(trace.StatusCode.ERROR)
        below = trace.set_span_in_context(span)
        for body in report.body_runs:
            start = began + _nanoseconds(body.began)
            attempt: dict[str, str | int] = {**_step(body), "wfcore.step.key": body.key, "wfcore.attempt": body.attempt}
            inner = self._tracer.start_span(body.name, below, attributes=attempt, start_time=start)
            if body.failure is not None:
                inner.set_status(trace.StatusCode.ERROR)
            inner.end(start + _nanoseconds(body.duration))
        span.end(began + _nanoseconds(report.duration))

    def _measure(self, report: TickReport) -> None:
        hook = report.fired.hook
        workflow = {"wfcore.workflow": hook.workflow_name}
        self._ticks.record(report.duration.total_seconds(), _kind(report))
        self._lag.record(max(0.0, (report.fired.timestamp - hook.due_at).total_seconds()), workflow)
        if report.conflicts:
            self._conflicts.add(report.conflicts, workflow)
        for body in report.body_runs:
            self._bodies.record(body.duration.total_seconds(), {**workflow, **_step(body)})


def run_context(ref: str, run_number: int) -> trace.SpanContext:
    """The context that is above the ticks of one run of an instance, the same in every process.

    For links: ``tracer.start_span("order placed", links=[Link(run_context(handle.ref, 1))])``.
    """
    found = digest("opentelemetry", ref, str(run_number))
    return trace.SpanContext(
        trace_id=int.from_bytes(found[:16], "big"),
        span_id=int.from_bytes(found[16:24], "big"),
        is_remote=True,
        trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED),
    )


def _histogram(meter: metrics.Meter, name: str, description: str) -> metrics.Histogram:
    return meter.create_histogram(name, "s", description, explicit_bucket_boundaries_advisory=_SECONDS)


def _run(report: TickReport) -> int:
    if report.instance is not None:
        return report.instance.run_number
    return report.fired.hook.run_number or 1


def _links(report: TickReport, run: int) -> Iterator[trace.Link]:
    if run > 1:
        yield trace.Link(run_context(report.fired.hook.instance_ref, run - 1))


def _kind(report: TickReport) -> dict[str, str]:
    """What metrics tell apart, as well: few values."""
    kind = {"wfcore.workflow": report.fired.hook.workflow_name}
    if report.plan is not None:
        kind["wfcore.outcome"] = type(report.plan.outcome).__name__
    if report.error is not None:
        kind["error.type"] = class_name(type(report.error))
    return kind


def _step(body: BodyRun) -> dict[str, str]:
    step = {"wfcore.step": body.name}  # whatever branch and repeat it is of: there are few
    if body.failure is not None:
        step["error.type"] = body.failure
    return step


def _nanoseconds(moment: datetime | timedelta) -> int:
    passed = moment - _EPOCH if isinstance(moment, datetime) else moment
    return passed // timedelta(microseconds=1) * 1000
