"""What events say, and what becomes of those that say nothing."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from server.fold.attempts import Attempts
from server.fold.batch import Gathered
from server.fold.observe import observe_events

EVENTS = Path(__file__).parents[2] / "fixtures" / "ray" / "events"
SNAKE = re.compile(r"(?<=[a-z])[A-Z](?=\w*\": )")
"""The capital letters of field names."""
TASK = "BFW9ppD/e5X///////////////8CAAAA"
TASK_HEX = "0455bda690ff7b95ffffffffffffffffffffffff02000000"


def observed(*events: dict[str, Any]) -> tuple[dict[str, Any], Gathered]:
    """The first task's columns, and the rest."""
    gathered, attempts = Gathered(), Attempts()
    observe_events(b"".join(json.dumps(event).encode() + b"\n" for event in events), attempts, gathered)
    batch = attempts.taken(gathered)
    if batch is None:
        return {}, gathered
    columns = {
        name: values.to_pylist() if hasattr(values, "to_pylist") else list(values)
        for name, values in batch.columns.items()
    }
    return {name: values[0] if values else None for name, values in columns.items()}, gathered


def lifecycle(*transitions: tuple[str, str], task: str = TASK, **fields: Any) -> dict[str, Any]:
    states = [{"state": state, "timestamp": at} for state, at in transitions]
    payload = {"taskId": task, "stateTransitions": states, "taskAttempt": 0, "jobId": "AgAAAA=="} | fields
    return {
        "eventType": "TASK_LIFECYCLE_EVENT",
        "timestamp": "2026-11-23T02:45:00Z",
        "taskLifecycleEvent": payload,
    }


def test_the_canarys_own_events_are_passed_over_without_a_word() -> None:
    canary = {"eventType": "HISTORYSERVER_CANARY", "eventId": "canary-1", "message": "historyserver canary"}
    row, gathered = observed(canary, lifecycle(("RUNNING", "2026-11-23T02:45:01Z")), canary)
    assert row["task_id"] is not None
    assert gathered.faults == {}


def test_unknown_event_types_are_counted_by_name_and_the_others_fold() -> None:
    unknown = {"eventType": "SUBMISSION_JOB_LIFECYCLE_EVENT", "submissionJobLifecycleEvent": {"x": 1}}
    row, gathered = observed(unknown, lifecycle(("RUNNING", "2026-11-23T02:45:01Z")), unknown)
    assert gathered.faults == {("unknown event type", "SUBMISSION_JOB_LIFECYCLE_EVENT"): 2}
    assert row["task_id"] == TASK_HEX


@pytest.mark.parametrize("name", ["gpuHours", "gpu_hours"])
def test_unknown_fields_are_counted_by_name_and_the_others_fold(name: str) -> None:
    event = lifecycle(("RUNNING", "2026-11-23T02:45:01Z"), **{name: {"deep": [1]}})
    event["taskLifecycleEvent"]["stateTransitions"][0]["core"] = 7
    if name == "gpu_hours":
        event = json.loads(SNAKE.sub(lambda found: f"_{found[0].lower()}", json.dumps(event)))
    row, gathered = observed(event)
    assert row["task_id"] == TASK_HEX
    assert gathered.faults == {
        ("unknown field", "taskLifecycleEvent.gpuHours"): 1,
        ("unknown field", "taskLifecycleEvent.stateTransitions.core"): 1,
    }


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("TASK_LIFECYCLE_EVENT", {"taskLifecycleEvent": {"taskId": ""}}),
        ("TASK_DEFINITION_EVENT", {"taskDefinitionEvent": {"taskName": "lost"}}),
        ("TASK_PROFILE_EVENT", {"taskProfileEvents": {"profileEvents": {"events": []}}}),
        ("ACTOR_DEFINITION_EVENT", {"actorDefinitionEvent": {"className": "A"}}),
        ("ACTOR_LIFECYCLE_EVENT", {"actorLifecycleEvent": {"actorId": "////////////////"}}),
        ("NODE_DEFINITION_EVENT", {"nodeDefinitionEvent": {"hostname": "vm"}}),
        ("NODE_LIFECYCLE_EVENT", {"nodeLifecycleEvent": {}}),
        ("WORKER_DEFINITION_EVENT", {"workerDefinitionEvent": {"pid": 1}}),
        ("WORKER_LIFECYCLE_EVENT", {"workerLifecycleEvent": {}}),
        ("DRIVER_JOB_DEFINITION_EVENT", {"driverJobDefinitionEvent": {"jobId": "not base64!"}}),
        ("DRIVER_JOB_LIFECYCLE_EVENT", {"driverJobLifecycleEvent": {}}),
    ],
)
def test_events_with_missing_ids_are_counted_and_give_no_row(kind: str, payload: dict[str, Any]) -> None:
    row, gathered = observed({"eventType": kind, **payload})
    assert gathered.faults == {("missing id", kind): 1}
    assert not row
    assert not gathered.rows


@pytest.mark.parametrize(
    "absurd",
    [
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999999999Z",
        "yesterday",
        "2026-13-45T99:00:00Z",
        "2026-11-23",
    ],
)
def test_absurd_timestamps_are_counted_and_left_out(absurd: str) -> None:
    row, gathered = observed(lifecycle(("RUNNING", absurd), ("FINISHED", "2026-11-23T02:45:02Z")))
    assert row["t_running"] is None
    assert row["t_finished"] == 1795401902_000000000
    assert gathered.faults == {("absurd timestamp", "TASK_LIFECYCLE_EVENT"): 1}


def test_a_fraction_that_is_none_does_not_take_its_neighbours_along() -> None:
    row, gathered = observed(
        lifecycle(("RUNNING", "2026-11-23T02:45:01.xyzZ"), ("FINISHED", "2026-11-23T02:45:02.5Z"))
    )
    assert (row["t_running"], row["t_finished"]) == (None, 1795401902_500000000)
    assert gathered.faults == {("absurd timestamp", "TASK_LIFECYCLE_EVENT"): 1}


def test_undecodable_lines_are_counted_and_the_others_fold() -> None:
    gathered, attempts = Gathered(), Attempts()
    good = json.dumps(lifecycle(("RUNNING", "2026-11-23T02:45:01Z"))).encode()
    observe_events(b"{half\n" + good + b'\n[]\n"\xff"\n{"eventId": 7}\n\n', attempts, gathered)
    assert sum(gathered.faults.values()) == 4
    assert {reason for reason, _ in gathered.faults} == {"undecodable event"}
    assert len(attempts) == 1


def test_the_earliest_time_of_a_state_counts_whatever_the_number_of_decimals() -> None:
    events = [lifecycle(("RUNNING", at)) for at in ("2026-11-23T02:45:01.1Z", "2026-11-23T02:45:01.09Z")]
    for order in (events, events[::-1]):
        assert observed(*order)[0]["t_running"] == 1795401901_090000000


def test_the_earliest_error_counts() -> None:
    late = lifecycle(rayErrorInfo={"errorType": "WORKER_DIED", "errorMessage": "late"})
    early = lifecycle(rayErrorInfo={"errorType": "TASK_EXECUTION_EXCEPTION", "errorMessage": "early"})
    late["timestamp"] = "2026-11-23T02:46:00Z"
    for order in ((late, early), (early, late)):
        assert observed(*order)[0]["error"].endswith("TASK_EXECUTION_EXCEPTION\x1fearly")


def test_empty_values_overwrite_nothing() -> None:
    node = "WT/ZUtdWJO+7+TghxAi0pbbta04TjBIpyH7KOw=="
    row, _ = observed(lifecycle(nodeId=node, workerPid=7), lifecycle(nodeId="", workerId="", workerPid=0))
    assert row["node_id"] == "593fd952d75624efbbf93821c408b4a5b6ed6b4e138c1229c87eca3b"
    assert row["worker_pid"] == 7


def test_snake_case_events_say_the_same() -> None:
    events = json.loads((EVENTS / "sample_snake_case.json").read_text())
    _, gathered = observed(*events)
    definition, alive = gathered.rows["nodes"]
    assert definition["node_id"] == "5b490198b95413af4ea231b4993caf3e9dd7d4e7a582f3add8a2250a"
    assert definition["labels"].startswith('{"ray.io/node-id"')
    assert alive["is_head"]
    assert not gathered.faults


def test_events_of_ray_2_55_fold() -> None:
    row, gathered = observed(*json.loads((EVENTS / "samples_ray_2_55_1.json").read_text()))
    assert not gathered.faults
    assert set(gathered.rows) == {"nodes", "jobs", "actors", "actor_transitions"}
    assert row["stdout_end"] == 33


def test_every_sample_of_ray_2_60_folds() -> None:
    _, gathered = observed(*json.loads((EVENTS / "samples.json").read_text()).values())
    assert not gathered.faults
    assert set(gathered.rows) == {"nodes", "workers", "jobs", "actors", "actor_transitions"}
