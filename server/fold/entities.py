"""Events of actors, nodes, workers and driver jobs as rows."""

from typing import Any, Final

import msgspec

from server.fold.batch import Gathered
from server.fold.events import (
    ActorDefinition,
    ActorLifecycle,
    JobDefinition,
    JobLifecycle,
    NodeDefinition,
    NodeLifecycle,
    WorkerDefinition,
    WorkerLifecycle,
    raw_text,
)
from server.fold.ids import hex_id
from server.fold.tables import stamped
from server.fold.times import ZERO_TIMES, ns_of

HEAD_RESOURCE: Final = "node:__internal_head__"
UNSIGNED_MINUS_ONE: Final = 2**64 - 1
"""How Ray prints a launch time that nobody knows, that of a driver."""


def actor_definition(event: ActorDefinition, gathered: Gathered) -> None:
    """`ACTOR_DEFINITION_EVENT`."""
    if actor_id := _known(event.actor_id, "ACTOR_DEFINITION_EVENT", gathered):
        gathered.add(
            "actors",
            {
                "actor_id": actor_id,
                "job_id": hex_id(event.job_id),
                "is_detached": event.is_detached,
                "name": event.name,
                "ray_namespace": event.ray_namespace,
                "class_name": event.class_name,
                "required_resources": raw_text(event.required_resources),
                "placement_group_id": hex_id(event.placement_group_id),
                "label_selector": raw_text(event.label_selector),
                "fallback_strategy": raw_text(event.fallback_strategy),
                "call_site": event.call_site,
                "runtime_env": event.serialized_runtime_env,
            },
        )


def actor_lifecycle(event: ActorLifecycle, gathered: Gathered) -> None:
    """`ACTOR_LIFECYCLE_EVENT`."""
    actor_id = _known(event.actor_id, "ACTOR_LIFECYCLE_EVENT", gathered)
    if actor_id is None:
        return
    for place, transition in enumerate(event.state_transitions):
        ns = _time(transition.timestamp, "ACTOR_LIFECYCLE_EVENT", gathered)
        if ns is None:
            continue
        body = actor_transition(
            state=transition.state,
            ns=ns,
            node_id=hex_id(transition.node_id),
            worker_id=hex_id(transition.worker_id),
            pid=transition.pid,
            port=transition.port,
            repr_name=transition.repr_name,
            restart_reason=transition.restart_reason,
            death_cause=readable(transition.death_cause or {}),
        )
        row = {"actor_id": actor_id, "ns": ns, "place": place, "state": transition.state, "body": body}
        gathered.add("actor_transitions", row)


def actor_transition(**values: Any) -> str:
    """One transition as the relation's JSON; what is empty is absent."""
    return msgspec.json.encode({name: value for name, value in values.items() if value}).decode()


def readable(value: Any) -> Any:
    """A message as Ray's REST API prints it: field names in snake_case, ids as hex."""
    if isinstance(value, list):
        return [readable(item) for item in value]
    if not isinstance(value, dict):
        return value
    result: dict[str, Any] = {}
    for name, item in value.items():
        snake = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
        is_id = snake.endswith("_id") and isinstance(item, str) and item
        result[snake] = (hex_id(item) or item) if is_id else readable(item)
    return result


def node_definition(event: NodeDefinition, gathered: Gathered) -> None:
    """`NODE_DEFINITION_EVENT`."""
    if node_id := _known(event.node_id, "NODE_DEFINITION_EVENT", gathered):
        gathered.add(
            "nodes",
            {
                "node_id": node_id,
                "node_ip": event.node_ip_address,
                "node_name": event.node_name,
                "hostname": event.hostname,
                "labels": raw_text(event.labels),
                "start_ns": _time(event.start_timestamp, "NODE_DEFINITION_EVENT", gathered),
            },
        )


def node_lifecycle(event: NodeLifecycle, gathered: Gathered) -> None:
    """`NODE_LIFECYCLE_EVENT`: resources while ALIVE, the reason when DEAD."""
    node_id = _known(event.node_id, "NODE_LIFECYCLE_EVENT", gathered)
    if node_id is None:
        return
    for transition in event.state_transitions:
        ns = _time(transition.timestamp, "NODE_LIFECYCLE_EVENT", gathered)
        row: dict[str, Any] = {"node_id": node_id}
        if ns is not None and transition.state == "DEAD":
            death = transition.death_info
            row["death"] = stamped(ns, death.reason if death else "", death.reason_message if death else "")
        elif ns is not None and transition.resources:
            row["resources"] = stamped(ns, msgspec.json.encode(transition.resources, order="sorted").decode())
            row["is_head"] = HEAD_RESOURCE in transition.resources
        gathered.add("nodes", row)


def worker_definition(event: WorkerDefinition, gathered: Gathered) -> None:
    """`WORKER_DEFINITION_EVENT` (Ray 2.60)."""
    if worker_id := _known(event.worker_id, "WORKER_DEFINITION_EVENT", gathered):
        gathered.add(
            "workers",
            {
                "worker_id": worker_id,
                "node_id": hex_id(event.node_id),
                "worker_type": event.worker_type,
                "pid": event.pid or None,
            },
        )


def worker_lifecycle(event: WorkerLifecycle, gathered: Gathered) -> None:
    """`WORKER_LIFECYCLE_EVENT` (Ray 2.60)."""
    worker_id = _known(event.worker_id, "WORKER_LIFECYCLE_EVENT", gathered)
    if worker_id is None:
        return
    for transition in event.state_transitions:
        ns = _time(transition.timestamp, "WORKER_LIFECYCLE_EVENT", gathered)
        row = {
            "worker_id": worker_id,
            "job_id": hex_id(event.job_id),
            "launch_ms": _milliseconds(transition.worker_launch_time_ms),
            "launched_ms": _milliseconds(transition.worker_launched_time_ms),
            "start_ms": _milliseconds(transition.start_time_ms),
            "end_ms": _milliseconds(transition.end_time_ms),
        }
        if transition.state == "ALIVE":
            row["alive_ns"] = ns
        elif ns is not None and transition.state == "DEAD":
            death = transition.death_info
            row["death"] = stamped(ns, death.exit_type if death else "", death.exit_detail if death else "")
        gathered.add("workers", row)


def job_definition(event: JobDefinition, gathered: Gathered) -> None:
    """`DRIVER_JOB_DEFINITION_EVENT`."""
    job_id = _known(event.job_id, "DRIVER_JOB_DEFINITION_EVENT", gathered)
    if job_id is None:
        return
    metadata = event.config.metadata if event.config else {}
    gathered.add(
        "jobs",
        {
            "job_id": job_id,
            "submission_id": metadata.get("job_submission_id"),
            "entrypoint": event.entrypoint,
            "driver_pid": event.driver_pid or None,
            "driver_node_id": hex_id(event.driver_node_id),
            "runtime_env": event.config.serialized_runtime_env if event.config else None,
            "metadata": msgspec.json.encode(metadata, order="sorted").decode(),
        },
    )


def job_lifecycle(event: JobLifecycle, gathered: Gathered) -> None:
    """`DRIVER_JOB_LIFECYCLE_EVENT`: CREATED and FINISHED are all there is."""
    job_id = _known(event.job_id, "DRIVER_JOB_LIFECYCLE_EVENT", gathered)
    if job_id is None:
        return
    for transition in event.state_transitions:
        name = {"CREATED": "created_ns", "FINISHED": "finished_ns"}.get(transition.state)
        ns = _time(transition.timestamp, "DRIVER_JOB_LIFECYCLE_EVENT", gathered)
        if name is not None and ns is not None:
            gathered.add("jobs", {"job_id": job_id, name: ns})


def _known(text: str, kind: str, gathered: Gathered) -> str | None:
    found = hex_id(text)
    if found is None:
        gathered.fault("missing id", kind)
    return found


def _time(text: str, kind: str, gathered: Gathered) -> int | None:
    ns = ns_of(text)
    if ns is None and text not in ZERO_TIMES:
        gathered.fault("absurd timestamp", kind)
    return ns


def _milliseconds(value: int) -> int | None:
    """0 is unset; what nobody knows is -1, as Ray's own 64 bits say."""
    if value == UNSIGNED_MINUS_ONE:
        return -1
    return value if 0 < value < 2**63 else None
