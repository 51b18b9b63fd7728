"""Task events as columns. These are nine tenths of all events, so they are handled by the frame, not one by one."""

from collections.abc import Sequence
from typing import Any, Final

from msgspec import Raw

from server.fold.batch import Batch, Gathered
from server.fold.events import Function, TaskDefinition, TaskLifecycle, TaskProfile
from server.fold.ids import hex_id, hex_task_ids
from server.fold.tables import stamped
from server.fold.times import ZERO_TIMES, ns_of
from server.view.schema import TASK_STATES

_STATE_COLUMNS: Final = {state: f"t_{state.lower()}" for state in TASK_STATES}


def raw_text(raw: Raw) -> str | None:
    """The JSON text as it stood in the event; None for what was absent."""
    return bytes(raw).decode() or None


def function_name(function: Function | None) -> str | None:
    """Ray's `func_or_class_name`: class and function, each without what stands before its last dot."""
    if function is None:
        return None
    if (python := function.python_function_descriptor) is not None:
        name = python.function_name.rpartition(".")[2]
        return f"{python.class_name.rpartition('.')[2]}.{name}" if python.class_name else name
    if (java := function.java_function_descriptor) is not None:
        return f"{java.class_name}.{java.function_name}" if java.class_name else java.function_name
    return function.cpp_function_descriptor.function_name if function.cpp_function_descriptor else None


def definitions(events: Sequence[TaskDefinition], gathered: Gathered) -> Batch:
    """`TASK_DEFINITION_EVENT` and `ACTOR_TASK_DEFINITION_EVENT`."""
    events = _with_task_id(events, gathered)
    task_ids = hex_task_ids([event.task_id for event in events])
    return Batch(
        "tasks",
        {
            "task_id": task_ids,
            "attempt_number": [event.task_attempt for event in events],
            "defined": [True] * len(events),
            "job_id": [hex_id(event.job_id) for event in events],
            "actor_id": [
                task_id[16:]
                if task_id and event.task_type == "ACTOR_CREATION_TASK"
                else hex_id(event.actor_id)
                for event, task_id in zip(events, task_ids, strict=True)
            ],
            "type": [event.task_type for event in events],
            "name": [event.task_name or event.actor_task_name or None for event in events],
            "func_or_class_name": [
                function_name(event.task_func or event.actor_func) or None for event in events
            ],
            "parent_task_id": [hex_id(event.parent_task_id) for event in events],
            "placement_group_id": [hex_id(event.placement_group_id) for event in events],
            "language": [event.language or None for event in events],
            "required_resources": [raw_text(event.required_resources) for event in events],
            "runtime_env": [event.serialized_runtime_env or None for event in events],
            "label_selector": [raw_text(event.label_selector) for event in events],
            "fallback_strategy": [raw_text(event.fallback_strategy) for event in events],
            "call_site": [event.call_site or None for event in events],
        },
    )


def lifecycles(events: Sequence[TaskLifecycle], times: Sequence[int], gathered: Gathered) -> Batch:
    """`TASK_LIFECYCLE_EVENT`; `times` are those of the events, by which the earliest error is told."""
    columns: dict[str, Sequence[Any]] = {
        "task_id": hex_task_ids([event.task_id for event in events]),
        "attempt_number": [event.task_attempt for event in events],
        "job_id": [hex_id(event.job_id) for event in events],
        "node_id": [hex_id(event.node_id) for event in events],
        "worker_id": [hex_id(event.worker_id) for event in events],
        "worker_pid": [event.worker_pid or None for event in events],
        "actor_repr_name": [event.actor_repr_name or None for event in events],
        "paused": [
            None if event.is_debugger_paused is None else stamped(at, str(event.is_debugger_paused).lower())
            for event, at in zip(events, times, strict=True)
        ],
        "error": [
            None
            if (error := event.ray_error_info) is None
            else stamped(at, error.error_type, error.error_message)
            for event, at in zip(events, times, strict=True)
        ],
    }
    logs = [event.task_log_info for event in events]
    columns["stdout_file"] = [log and (log.stdout_file or None) for log in logs]
    columns["stderr_file"] = [log and (log.stderr_file or None) for log in logs]
    columns["stdout_start"] = [log and log.stdout_start for log in logs]
    columns["stdout_end"] = [log and log.stdout_end for log in logs]
    columns["stderr_start"] = [log and log.stderr_start for log in logs]
    columns["stderr_end"] = [log and log.stderr_end for log in logs]
    columns.update(_state_times(events, gathered))
    return Batch("tasks", columns)


def _state_times(events: Sequence[TaskLifecycle], gathered: Gathered) -> dict[str, list[int | None]]:
    """The earliest time of each state, one column a state that occurs."""
    columns: dict[str, list[int | None]] = {}
    for row, event in enumerate(events):
        for transition in event.state_transitions:
            ns = ns_of(transition.timestamp)
            if ns is None:
                if transition.timestamp not in ZERO_TIMES:
                    gathered.fault("absurd timestamp", "TASK_LIFECYCLE_EVENT")
                continue
            name = _STATE_COLUMNS.get(transition.state)
            if name is None:
                gathered.fault("unknown task state", transition.state)
                continue
            column = columns.get(name)
            if column is None:
                column = columns[name] = [None] * len(events)
            known = column[row]
            if known is None or ns < known:
                column[row] = ns
    return columns


def profiles(events: Sequence[tuple[str, TaskProfile]], gathered: Gathered) -> Batch:
    """`TASK_PROFILE_EVENT` with the event's id. The slices stay JSON until somebody draws a timeline."""
    kept = [
        (event_id, event, event.profile_events)
        for event_id, event in events
        if event.task_id and event.profile_events is not None
    ]
    if len(kept) < len(events):
        gathered.fault("missing id", "TASK_PROFILE_EVENT", len(events) - len(kept))
    return Batch(
        "profile",
        {
            "task_id": hex_task_ids([event.task_id for _, event, _ in kept]),
            "attempt_number": [event.attempt_number for _, event, _ in kept],
            "event_id": [event_id for event_id, _, _ in kept],
            "job_id": [hex_id(event.job_id) for _, event, _ in kept],
            "component_type": [slices.component_type for _, _, slices in kept],
            "component_id": [hex_id(slices.component_id) for _, _, slices in kept],
            "node_ip_address": [slices.node_ip_address for _, _, slices in kept],
            "slices": [raw_text(slices.events) for _, _, slices in kept],
        },
    )


def _with_task_id(events: Sequence[TaskDefinition], gathered: Gathered) -> Sequence[TaskDefinition]:
    if all(event.task_id for event in events):
        return events
    kept = [event for event in events if event.task_id]
    gathered.fault("missing id", "TASK_DEFINITION_EVENT", len(events) - len(kept))
    return kept
