"""Restart or create, as one plan (rule M8)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.planner.rows import REF, instance, snapshot, timer
from wfcore import CodecError, JsonCodec, Plan, Step, StepNameError, Unchanged, plan_create, plan_restart, workflow
from wfcore.model import TERMINAL, InstanceStatus, Snapshot
from wfcore.planner.commands import plan_restart_or_create


@workflow(name="w")
def w(step: Step, number: int) -> None: ...


def again(seen: Snapshot, params: object = 7, **more: Any) -> Plan:
    return plan_restart_or_create(
        seen, w, params, **{"instance_id": "1", "when": TERMINAL, "execution_id": "x", **more}
    )


def test_m8_an_instance_that_is_not_there_is_created() -> None:
    expected = plan_create(snapshot(None), w, 7, instance_id="1", execution_id="x", tags={"a": "b"})
    assert expected == again(snapshot(None), tags={"a": "b"})


@pytest.mark.parametrize("status", sorted(TERMINAL))
def test_m8_an_instance_in_one_of_those_statuses_is_restarted(status: InstanceStatus) -> None:
    seen = snapshot(instance(status=status), hooks=[timer()])
    assert plan_restart(seen, REF, w, 7, execution_id="x") == again(seen)


@pytest.mark.parametrize("status", ["active", "waiting", "paused"])
def test_m8_an_instance_in_another_status_is_left_alone(status: InstanceStatus) -> None:
    assert Plan(REF, "x", (), (), Unchanged(status)) == again(snapshot(instance(status=status)))


@pytest.mark.parametrize("row", [None, instance(status="errored")])
def test_m8_params_are_checked_before_anything_is_stored(row: Any) -> None:
    with pytest.raises(CodecError):
        again(snapshot(row), "seven")


@pytest.mark.parametrize("row", [None, instance(status="errored")])
def test_m8_params_are_encoded_by_the_codec_in_use(row: Any) -> None:
    with pytest.raises(CodecError):
        again(snapshot(row), 1_000_000, codec=JsonCodec(max_payload_bytes=4))


def test_k4_an_id_that_cannot_be_used_is_refused() -> None:
    with pytest.raises(StepNameError):
        again(snapshot(None), instance_id="a#b")
