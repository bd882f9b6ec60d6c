"""Payloads of the values that a test gives: by the type that the workflow's code gives them. No I/O, no clock.

The type of a step's result stands in the code that asks for it, so the code is asked: it is replayed once over records
that hold tokens, with a codec that answers each token by encoding the value to the type that it is decoded to. No body
runs, and what would be planned is thrown away.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn

import attrs

from wfcore.errors import CodecError
from wfcore.keys import digest, timer_id
from wfcore.model import FiredHook, Hook, Instance, Payload, Snapshot, StepRecord
from wfcore.planner import StepCall, plan_tick
from wfcore.planner.changes import is_pause_request
from wfcore.ports import Codec, checked
from wfcore.runner.guard import WORKFLOW_CODE
from wfcore.testing.failures import UnfitValueError
from wfcore.testing.rows import Stored
from wfcore.workflow import Registry


def encoded(codec: Codec, value: Any, type_: Any, what: str) -> Payload:
    """The payload of a value.

    Raises:
        UnfitValueError: it does not fit the type.
    """
    if isinstance(value, Stored):
        return value.payload
    try:
        return checked(codec, value, type_, what)
    except CodecError as error:
        raise unfit(what, error) from None


def unfit(what: str, error: CodecError) -> UnfitValueError:
    """What is wrong with a value of the test's."""
    return UnfitValueError(what, error.path, error.expected, error.found)


def type_of(value: Any) -> Any:
    """The type that a value shows: of its class, and of its items if they are all of one type; else plain JSON."""
    if isinstance(value, list | set | frozenset) and value:
        return type(value)[_common(value)]  # type: ignore[index] # a type at run time
    if isinstance(value, tuple):
        return tuple.__class_getitem__(tuple(map(type_of, value)))
    if isinstance(value, dict) and value:
        return dict[_common(value), _common(value.values())]  # type: ignore[misc] # a type at run time
    return Any if value is None or type(value) in (bool, int, float, str, list, dict) else type(value)


def items_mark(codec: Codec, items: list[Any], what: str) -> Payload:
    """What is recorded of the list under a ``map`` without ``key`` (rule P1)."""
    text = encoded(codec, items, list[_common(items)], what)  # type: ignore[misc] # a type at run time
    return json.dumps({"count": len(items), "digest": digest("map", text).hex()[:32]})


def with_results(snapshot: Snapshot, results: Mapping[str, Any], registry: Registry, codec: Codec) -> Snapshot:
    """The snapshot with the payloads of these results, by step key.

    Raises:
        UnfitValueError: a value does not fit the type that the code gives it.
    """
    if snapshot.instance is None:
        return snapshot
    probe = Probe(codec, {_token(key): value for key, value in results.items()})
    seen = attrs.evolve(snapshot, steps=tuple(_holding(step, results) for step in snapshot.steps))
    _replay(seen, snapshot.instance, registry, probe)
    if probe.refused:
        key = next(key for key in results if _token(key) in probe.refused)
        raise unfit(f"the result of {key!r}", probe.refused[_token(key)])
    local = registry.get(snapshot.instance.workflow_name).local_codec(codec)
    payloads = {
        key: probe.payloads.get(_token(key)) or encoded(local, value, type_of(value), f"the result of {key!r}")
        for key, value in results.items()
    }
    steps = (attrs.evolve(step, result=payloads.get(step.key, step.result)) for step in snapshot.steps)
    return attrs.evolve(snapshot, steps=tuple(steps))


class Probe:
    """A codec that learns the type of each token from whoever decodes it."""

    def __init__(self, codec: Codec, values: Mapping[Payload, Any]) -> None:
        self.payloads: dict[Payload, Payload] = {}
        self.refused: dict[Payload, CodecError] = {}
        self._codec = codec
        self._values = values

    def check_type(self, type_: Any, namespace: Mapping[str, Any] | None = None) -> None:
        """As the codec does."""
        self._codec.check_type(type_, namespace)

    def encode(self, value: object, type_: Any) -> Payload:
        """As the codec does."""
        return self._codec.encode(value, type_)

    def decode(self, payload: Payload, type_: Any) -> Any:
        """As the codec does; a token is the value that it stands for."""
        if payload not in self._values:
            return self._codec.decode(payload, type_)
        try:
            self.payloads[payload] = self._codec.encode(self._values[payload], type_)
            return self._codec.decode(self.payloads[payload], type_)
        except CodecError as error:
            self.refused[payload] = error
            raise


class _NoBody(BaseException):
    """No body runs while types are learnt."""


def _no_body(_call: StepCall) -> NoReturn:
    raise _NoBody


def _replay(snapshot: Snapshot, instance: Instance, registry: Registry, codec: Codec) -> None:
    """Replay the instance's code past the gate; whatever comes of it is not of interest here."""
    fired = Hook(
        id=timer_id(instance.ref),
        instance_ref=instance.ref,
        run_number=instance.run_number,
        workflow_name=instance.workflow_name,
        instance_id=instance.instance_id,
        reason="wake",
        due_at=snapshot.now,
        created_at=snapshot.now,
    )
    seen = attrs.evolve(
        snapshot,
        instance=attrs.evolve(instance, status="active"),
        events=tuple(each for each in snapshot.events if not is_pause_request(each)),
        hooks=(),
    )
    try:
        with WORKFLOW_CODE.around():
            plan_tick(
                seen,
                FiredHook(hook=fired, timestamp=snapshot.now),
                registry,
                execution_id="types",
                perform=_no_body,
                codec=codec,
            )
    except (Exception, _NoBody):
        return


def _holding(step: StepRecord, results: Mapping[str, Any]) -> StepRecord:
    return attrs.evolve(step, result=_token(step.key)) if step.key in results else step


def _token(key: str) -> Payload:
    return json.dumps(f"what a test gives as the result of {key}")


def _common(values: Any) -> Any:
    """The type of all these values, ``Any`` if they are of several."""
    found = [type_of(value) for value in values]
    return found[0] if found and all(each == found[0] for each in found) else Any
