"""Ray's `export_events/` files and `events/` files, line by line.

Up to Ray 2.40 they are the whole history of tasks, actors, nodes and jobs; from then on those come as events and only
submission jobs, Train and Data are written here. Each line is `{event_id, timestamp, source_type, event_data}`, times in
seconds; lines of one second keep their order by their place in the file.
Source: `export_*_pb2` and `ray._private.event.export_event_logger`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from msgspec import Raw

from server.fold.batch import Batch, Gathered
from server.fold.cluster_events import HEAD_RESOURCE, actor_transition, readable
from server.fold.events import (
    Slices,
    TaskError,
    TaskLifecycle,
    TaskLog,
    TaskProfile,
)
from server.fold.ids import hex_id
from server.fold.tables import stamped
from server.fold.task_events import lifecycles, profiles
from server.fold.times import plausible
from server.view.schema import TASK_STATES

TASK_KIND: Final = "EXPORT_TASK"


def observe_exports(lines: Iterator[tuple[int, bytes]], gathered: Gathered) -> Iterator[Batch]:
    """Lines of one export file with their offsets."""
    found = _Tasks()
    for place, line in lines:
        record = _record(line, gathered)
        if record is None:
            continue
        kind, data, seconds, event_id = record
        ns = plausible(seconds * 1_000_000_000)
        if ns is None:
            gathered.fault("absurd timestamp", kind)
            continue
        if kind == TASK_KIND:
            _task(data, ns, event_id, found, gathered)
        elif kind in _OBSERVERS:
            _OBSERVERS[kind](data, ns, place, gathered)
        else:
            _other(kind, data, ns, place, gathered)
    if found.changed:
        batch = lifecycles(found.changed, found.times, gathered)
        yield Batch(batch.table, {**batch.columns, **_columns(found.state_times)})
    if found.profiled:
        yield profiles(found.profiled, gathered)


@dataclass(slots=True)
class _Tasks:
    """What EXPORT_TASK lines said; the first three go side by side."""

    changed: list[TaskLifecycle] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    state_times: list[dict[str, int]] = field(default_factory=list)
    profiled: list[tuple[str, TaskProfile]] = field(default_factory=list)


def _record(line: bytes, gathered: Gathered) -> tuple[str, dict[str, Any], int, str] | None:
    try:
        record = msgspec.json.decode(line)
        return (
            record["source_type"],
            dict(record["event_data"]),
            int(record["timestamp"]),
            str(record.get("event_id")),
        )
    except (msgspec.DecodeError, KeyError, TypeError, ValueError, RecursionError) as error:
        gathered.fault("undecodable export line", type(error).__name__)
        return None


def _task(data: dict[str, Any], ns: int, event_id: str, found: _Tasks, gathered: Gathered) -> None:
    """`EXPORT_TASK`: definition, states and profile events of one attempt, whichever are known by then."""
    task_id, attempt, job_id = (
        data.get("task_id") or "",
        int(data.get("attempt_number") or 0),
        data.get("job_id") or "",
    )
    if hex_id(task_id) is None:
        gathered.fault("missing id", TASK_KIND)
        return
    if info := data.get("task_info"):
        _task_definition(info, task_id, attempt, job_id, gathered)
    if slices := data.get("profile_events"):
        pieces = [
            {
                "startTime": piece.get("start_time"),
                "endTime": piece.get("end_time"),
                "eventName": piece.get("event_name"),
                "extraData": piece.get("extra_data"),
            }
            for piece in slices.get("events", ())
        ]
        place = Slices(
            slices.get("component_type", ""),
            slices.get("component_id", ""),
            slices.get("node_ip_address", ""),
            Raw(msgspec.json.encode(pieces)),
        )
        found.profiled.append((event_id, TaskProfile(task_id, attempt, job_id, place)))
    updates = data.get("state_updates") or {}
    error, log = updates.get("error_info"), updates.get("task_log_info")
    found.changed.append(
        TaskLifecycle(
            task_id,
            [],
            job_id,
            attempt,
            updates.get("node_id") or "",
            updates.get("worker_id") or "",
            int(updates.get("worker_pid") or 0),
            TaskError(error.get("error_type", ""), error.get("error_message", "")) if error else None,
            TaskLog(**_log(log)) if log else None,
            updates.get("actor_repr_name") or "",
            updates.get("is_debugger_paused"),
        )
    )
    found.times.append(ns)
    found.state_times.append(_states(updates.get("state_ts_ns") or {}, gathered))


def _states(times: dict[str, Any], gathered: Gathered) -> dict[str, int]:
    """Times by column; states are numbered as in `TaskStatus`, from 1."""
    result: dict[str, int] = {}
    for number, text in times.items():
        at = plausible(int(text))
        if at is None:
            gathered.fault("absurd timestamp", TASK_KIND)
        elif number.isdigit() and 0 < int(number) <= len(TASK_STATES):
            result[f"t_{TASK_STATES[int(number) - 1].lower()}"] = at
        else:
            gathered.fault("unknown task state", number)
    return result


def _columns(rows: list[dict[str, int]]) -> dict[str, list[int | None]]:
    names = {name for row in rows for name in row}
    return {name: [row.get(name) for row in rows] for name in sorted(names)}


def _log(log: dict[str, Any]) -> dict[str, Any]:
    """Files print unset offsets as 0: an end of 0 is none, and so is a start in a line that only knows the end."""
    known: dict[str, Any] = {}
    for name in ("stdout", "stderr"):
        known[f"{name}_file"] = log.get(f"{name}_file") or ""
        if log.get(f"{name}_file"):
            known[f"{name}_start"] = int(log.get(f"{name}_start") or 0)
        if log.get(f"{name}_end"):
            known[f"{name}_end"] = int(log[f"{name}_end"])
    return known


def _task_definition(
    info: dict[str, Any], task_id: str, attempt: int, job_id: str, gathered: Gathered
) -> None:
    known = hex_id(task_id) or ""
    environment = info.get("runtime_env_info") or {}
    function = info.get("func_or_class_name") or ""
    gathered.add(
        "tasks",
        {
            "task_id": known,
            "attempt_number": attempt,
            "defined": True,
            "job_id": hex_id(job_id),
            "actor_id": hex_id(info.get("actor_id") or ""),
            "type": info.get("type"),
            "name": info.get("name") or function.rpartition(".")[2],
            "func_or_class_name": function,
            "parent_task_id": hex_id(info.get("parent_task_id") or ""),
            "placement_group_id": hex_id(info.get("placement_group_id") or ""),
            "language": info.get("language"),
            "required_resources": json_text(info.get("required_resources")),
            "runtime_env": environment.get("serialized_runtime_env"),
            "label_selector": json_text(info.get("label_selector")),
            "call_site": info.get("call_site"),
        },
    )


def json_text(value: Any) -> str | None:
    """A value as JSON, keys in order; None stays None."""
    return None if value is None else msgspec.json.encode(value, order="sorted").decode()


def _actor(data: dict[str, Any], ns: int, place: int, gathered: Gathered) -> None:
    """`EXPORT_ACTOR`: the whole actor at each change of its state."""
    actor_id = hex_id(data.get("actor_id") or "")
    if actor_id is None:
        gathered.fault("missing id", "EXPORT_ACTOR")
        return
    gathered.add(
        "actors",
        {
            "actor_id": actor_id,
            "job_id": hex_id(data.get("job_id") or ""),
            "is_detached": bool(data.get("is_detached")),
            "name": data.get("name"),
            "ray_namespace": data.get("ray_namespace"),
            "class_name": data.get("class_name"),
            "required_resources": json_text(data.get("required_resources")),
            "placement_group_id": hex_id(data.get("placement_group_id") or ""),
            "label_selector": json_text(data.get("label_selector")),
            "call_site": data.get("call_site"),
            "runtime_env": data.get("serialized_runtime_env"),
        },
    )
    state = data.get("state") or ""
    body = actor_transition(
        state=state,
        ns=ns,
        node_id=hex_id(data.get("node_id") or ""),
        pid=data.get("pid"),
        repr_name=data.get("repr_name"),
        death_cause=readable(data.get("death_cause") or {}),
    )
    row = {"actor_id": actor_id, "ns": ns, "place": place, "state": state, "body": body}
    gathered.add("actor_transitions", row)


def _node(data: dict[str, Any], ns: int, place: int, gathered: Gathered) -> None:  # noqa: ARG001 - as the others
    """`EXPORT_NODE`."""
    node_id = hex_id(data.get("node_id") or "")
    if node_id is None:
        gathered.fault("missing id", "EXPORT_NODE")
        return
    row: dict[str, Any] = {
        "node_id": node_id,
        "node_ip": data.get("node_manager_address"),
        "node_name": data.get("node_name"),
        "labels": json_text(data.get("labels")),
        "start_ns": _from_ms(data.get("start_time_ms")),
        "is_head": bool(data.get("is_head_node")) or HEAD_RESOURCE in (data.get("resources_total") or {}),
    }
    if data.get("state") == "DEAD":
        death = data.get("death_info") or {}
        ended = _from_ms(data.get("end_time_ms")) or ns
        row["death"] = stamped(ended, death.get("reason") or "", death.get("reason_message") or "")
    elif data.get("resources_total"):
        row["resources"] = stamped(ns, json_text(data["resources_total"]) or "")
    gathered.add("nodes", row)


def _job(data: dict[str, Any], ns: int, place: int, gathered: Gathered) -> None:  # noqa: ARG001 - as the others
    """`EXPORT_DRIVER_JOB`: the node is known by its address only."""
    job_id = hex_id(data.get("job_id") or "")
    if job_id is None:
        gathered.fault("missing id", "EXPORT_DRIVER_JOB")
        return
    config = data.get("config") or {}
    metadata = config.get("metadata") or {}
    gathered.add(
        "jobs",
        {
            "job_id": job_id,
            "submission_id": metadata.get("job_submission_id"),
            "entrypoint": data.get("entrypoint"),
            "driver_pid": int(data.get("driver_pid") or 0) or None,
            "driver_ip": data.get("driver_ip_address"),
            "runtime_env": (config.get("runtime_env_info") or {}).get("serialized_runtime_env"),
            "metadata": json_text(metadata),
            "created_ns": _from_ms(data.get("start_time")),
            "finished_ns": _from_ms(data.get("end_time")),
        },
    )


def _submission(data: dict[str, Any], ns: int, place: int, gathered: Gathered) -> None:
    """`EXPORT_SUBMISSION_JOB`: the whole job at each change."""
    submission_id = data.get("submission_job_id")
    if not submission_id:
        gathered.fault("missing id", "EXPORT_SUBMISSION_JOB")
        return
    gathered.add("submissions", {"submission_id": submission_id, "newest": _newest(ns, place, data)})


def _other(kind: str, data: dict[str, Any], ns: int, place: int, gathered: Gathered) -> None:
    """Train, Data and whatever a later Ray writes: kept as it is, the newest line of each entity."""
    entity = next((data[name] for name in _ENTITY_FIELDS if data.get(name)), "")
    row = {"kind": kind.removeprefix("EXPORT_"), "id": str(entity) or "-", "newest": _newest(ns, place, data)}
    gathered.add("exports", row)


def _newest(ns: int, place: int, data: dict[str, Any]) -> str:
    return stamped(ns, f"{place:015d}", json_text(data) or "")


def _from_ms(value: Any) -> int | None:
    return plausible(int(value or 0) * 1_000_000)


_ENTITY_FIELDS: Final = (
    "attempt_id",
    "dataset_id",
    "operator_uuid",
    "id",
    "operator_id",
    "submission_job_id",
    "event_id",
)
_OBSERVERS: Final[dict[str, Callable[[dict[str, Any], int, int, Gathered], None]]] = {
    "EXPORT_ACTOR": _actor,
    "EXPORT_NODE": _node,
    "EXPORT_DRIVER_JOB": _job,
    "EXPORT_SUBMISSION_JOB": _submission,
}


def observe_cluster_events(lines: Iterator[tuple[int, bytes]], gathered: Gathered) -> None:
    """Lines of `logs/events/event_*.log`: Ray's own words about jobs, raylets and the autoscaler."""
    for _, line in lines:
        try:
            record: dict[str, Any] = msgspec.json.decode(line, type=dict[str, Any])
            row = {
                "event_id": record.get("event_id") or "",
                "source_type": record.get("source_type"),
                "host_name": record.get("host_name") or record.get("source_hostname"),
                "pid": int(record.get("pid") or record.get("source_pid") or 0) or None,
                "severity": record.get("severity"),
                "label": record.get("label"),
                "message": record.get("message"),
                "timestamp": str(record.get("timestamp") or ""),
                "custom_fields": json_text(record.get("custom_fields") or {}),
            }
        except (msgspec.DecodeError, TypeError, ValueError) as error:
            gathered.fault("undecodable cluster event", type(error).__name__)
            continue
        gathered.add("cluster_events", row)
