"""Ray's `export_events/` files, line by line.

Up to Ray 2.40 they are the whole history of tasks, actors, nodes and jobs; from then on those come as events
and only submission jobs, Train and Data are written here. Each line is `{event_id, timestamp, source_type,
event_data}`, times in seconds; lines of one second keep their order by their place in the file. Source:
`export_*_pb2` and `ray._private.event.export_event_logger`.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec
from msgspec import Raw

from server.fold.attempts import Attempts, put_all
from server.fold.batch import UNREADABLE, Batch, Gathered
from server.fold.entities import HEAD_RESOURCE, actor_transition, readable
from server.fold.events import Slices, TaskProfile
from server.fold.ids import hex_id
from server.fold.profile import profiles
from server.fold.tables import TABLES, stamped
from server.fold.times import plausible
from server.view.schema import TASK_STATES

TASK_KIND: Final = "EXPORT_TASK"
_TASK_TEXTS: Final = [name for name, column in TABLES["tasks"].items() if column.type == "VARCHAR"]


def observe_exports(
    lines: Iterator[tuple[int, bytes]], attempts: Attempts, gathered: Gathered
) -> Batch | None:
    """Lines of one export file with their offsets."""
    profiled: list[tuple[str, TaskProfile]] = []
    for place, line in lines:
        try:
            profile = _observe(place, line, attempts, gathered)
        except UNREADABLE as error:
            gathered.fault("undecodable export line", type(error).__name__)
            continue
        if profile is not None:
            profiled.append(profile)
    return profiles(profiled, gathered) if profiled else None


def _observe(
    place: int, line: bytes, attempts: Attempts, gathered: Gathered
) -> tuple[str, TaskProfile] | None:
    """One line; a task's profile with the id of its event. Raises UNREADABLE."""
    record = msgspec.json.decode(line)
    kind, data = str(record["source_type"]), dict(record["event_data"])
    ns = plausible(int(record["timestamp"]) * 1_000_000_000)
    if ns is None:
        gathered.fault("absurd timestamp", kind)
    elif kind == TASK_KIND:
        _task(data, ns, attempts, gathered)
        if profile := _profile(data):
            return str(record.get("event_id")), profile
    elif kind in _OBSERVERS:
        _OBSERVERS[kind](data, ns, place, gathered)
    else:
        _other(kind, data, ns, place, gathered)
    return None


def _task(data: dict[str, Any], ns: int, attempts: Attempts, gathered: Gathered) -> None:
    """`EXPORT_TASK`: definition and states of one attempt, whichever are known by then."""
    task_id = data.get("task_id") or ""
    if hex_id(task_id) is None:
        gathered.fault("missing id", TASK_KIND)
        return
    row = attempts.row(task_id, int(data.get("attempt_number") or 0))
    said = {"job_id": data.get("job_id")}
    if info := data.get("task_info"):
        said |= _task_definition(info)
    updates = data.get("state_updates") or {}
    said |= {name: updates.get(name) for name in ("node_id", "worker_id", "actor_repr_name")}
    said["worker_pid"] = int(updates.get("worker_pid") or 0) or None
    if error := updates.get("error_info"):
        said["error"] = stamped(ns, error.get("error_type") or "", error.get("error_message") or "")
    if log := updates.get("task_log_info"):
        said |= _log(log)
    if (paused := updates.get("is_debugger_paused")) is not None:
        said["paused"] = stamped(ns, "true" if paused else "false")
    said |= _states(updates.get("state_ts_ns") or {}, gathered)
    if not all(isinstance(said.get(name), str | None) for name in _TASK_TEXTS):
        raise TypeError("a text of a task is none")
    put_all(row, said)


def _profile(data: dict[str, Any]) -> TaskProfile | None:
    slices = data.get("profile_events")
    if not slices:
        return None
    pieces = [
        {
            "startTime": piece.get("start_time"),
            "endTime": piece.get("end_time"),
            "eventName": piece.get("event_name"),
            "extraData": piece.get("extra_data"),
        }
        for piece in slices.get("events") or ()
    ]
    place = Slices(
        str(slices.get("component_type") or ""),
        str(slices.get("component_id") or ""),
        str(slices.get("node_ip_address") or ""),
        Raw(msgspec.json.encode(pieces)),
    )
    task_id, job_id = str(data.get("task_id") or ""), str(data.get("job_id") or "")
    return TaskProfile(task_id, int(data.get("attempt_number") or 0), job_id, place)


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


def _log(log: dict[str, Any]) -> dict[str, Any]:
    """Files print unset offsets as 0: an end of 0 is none, and so is a start in a line that knows the end
    only.
    """
    known: dict[str, Any] = {}
    for name in ("stdout", "stderr"):
        known[f"{name}_file"] = log.get(f"{name}_file")
        if log.get(f"{name}_file"):
            known[f"{name}_start"] = int(log.get(f"{name}_start") or 0)
        if log.get(f"{name}_end"):
            known[f"{name}_end"] = int(log[f"{name}_end"])
    return known


def _task_definition(info: dict[str, Any]) -> dict[str, Any]:
    function = info.get("func_or_class_name") or ""
    return {
        "defined": True,
        "actor_id": info.get("actor_id"),
        "type": info.get("type"),
        "name": info.get("name") or function.rpartition(".")[2],
        "func_or_class_name": function,
        "parent_task_id": info.get("parent_task_id"),
        "placement_group_id": info.get("placement_group_id"),
        "language": info.get("language"),
        "required_resources": json_text(info.get("required_resources")),
        "runtime_env": (info.get("runtime_env_info") or {}).get("serialized_runtime_env"),
        "label_selector": json_text(info.get("label_selector")),
        "call_site": info.get("call_site"),
    }


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
