"""Ray's ONE-event JSON, decoded to the fields that a view needs; `fields.py` counts those
that are new.

Source: `ray.core.generated.events_*_pb2` as Ray's aggregator agent prints them: camelCase keys, ids as
base64, 64-bit integers as text. With RAY_DASHBOARD_AGGREGATOR_AGENT_PRESERVE_PROTO_FIELD_NAME=1 the keys are
snake_case; such lines are respelled first, which is slower.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

NOTHING: Final = Raw(b"")
SNAKE_MARK: Final = b'"event_type"'
"""Is in events whose keys are snake_case."""


class Transition(Struct, gc=False):
    """One task state with its time, RFC 3339."""

    state: str = ""
    timestamp: str = ""


class PythonFunction(Struct, gc=False, rename="camel"):
    class_name: str = ""
    function_name: str = ""


class JavaFunction(Struct, gc=False, rename="camel"):
    class_name: str = ""
    function_name: str = ""


class CppFunction(Struct, gc=False, rename="camel"):
    function_name: str = ""


class Function(Struct, gc=False, rename="camel"):
    """A function descriptor; one of the three is set, none for a driver."""

    python_function_descriptor: PythonFunction | None = None
    java_function_descriptor: JavaFunction | None = None
    cpp_function_descriptor: CppFunction | None = None


class TaskDefinition(Struct, gc=False, rename="camel"):
    """`TaskDefinitionEvent` and `ActorTaskDefinitionEvent` in one: their field names don't collide."""

    task_id: str = ""
    task_attempt: int = 0
    task_type: str = "ACTOR_TASK"
    task_func: Function | None = None
    actor_func: Function | None = None
    task_name: str = ""
    actor_task_name: str = ""
    job_id: str = ""
    actor_id: str = ""
    parent_task_id: str = ""
    placement_group_id: str = ""
    language: str = ""
    required_resources: Raw = NOTHING
    serialized_runtime_env: str = ""
    label_selector: Raw = NOTHING
    fallback_strategy: Raw = NOTHING
    call_site: str = ""


class TaskError(Struct, gc=False, rename="camel"):
    error_type: str = ""
    error_message: str = ""


class TaskLog(Struct, gc=False, rename="camel"):
    """Byte offsets come as text; unset ones are absent or, in files, zero."""

    stdout_file: str = ""
    stderr_file: str = ""
    stdout_start: int | None = None
    stdout_end: int | None = None
    stderr_start: int | None = None
    stderr_end: int | None = None


class TaskLifecycle(Struct, gc=False, rename="camel"):
    task_id: str = ""
    state_transitions: list[Transition] = []
    job_id: str = ""
    task_attempt: int = 0
    node_id: str = ""
    worker_id: str = ""
    worker_pid: int = 0
    ray_error_info: TaskError | None = None
    task_log_info: TaskLog | None = None
    actor_repr_name: str = ""
    is_debugger_paused: bool | None = None


class Slices(Struct, gc=False, rename="camel"):
    component_type: str = ""
    component_id: str = ""
    node_ip_address: str = ""
    events: Raw = NOTHING


class TaskProfile(Struct, gc=False, rename="camel"):
    task_id: str = ""
    attempt_number: int = 0
    job_id: str = ""
    profile_events: Slices | None = None


class ActorDefinition(Struct, gc=False, rename="camel"):
    actor_id: str = ""
    job_id: str = ""
    is_detached: bool = False
    name: str = ""
    ray_namespace: str = ""
    class_name: str = ""
    required_resources: Raw = NOTHING
    placement_group_id: str = ""
    label_selector: Raw = NOTHING
    fallback_strategy: Raw = NOTHING
    call_site: str = ""
    serialized_runtime_env: str = ""


class ActorTransition(Struct, gc=False, rename="camel"):
    state: str = ""
    timestamp: str = ""
    node_id: str = ""
    worker_id: str = ""
    pid: int = 0
    port: int = 0
    repr_name: str = ""
    restart_reason: str = ""
    death_cause: dict[str, Any] | None = None


class ActorLifecycle(Struct, gc=False, rename="camel"):
    actor_id: str = ""
    state_transitions: list[ActorTransition] = []


class NodeDefinition(Struct, gc=False, rename="camel"):
    node_id: str = ""
    node_ip_address: str = ""
    labels: Raw = NOTHING
    start_timestamp: str = ""
    hostname: str = ""
    node_name: str = ""


class NodeDeath(Struct, gc=False, rename="camel"):
    reason: str = ""
    reason_message: str = ""


class NodeTransition(Struct, gc=False, rename="camel"):
    state: str = ""
    timestamp: str = ""
    resources: dict[str, float] = {}
    death_info: NodeDeath | None = None


class NodeLifecycle(Struct, gc=False, rename="camel"):
    node_id: str = ""
    state_transitions: list[NodeTransition] = []


class WorkerDefinition(Struct, gc=False, rename="camel"):
    worker_id: str = ""
    node_id: str = ""
    pid: int = 0
    worker_type: str = ""


class WorkerDeath(Struct, gc=False, rename="camel"):
    exit_type: str = ""
    exit_detail: str = ""


class WorkerTransition(Struct, gc=False, rename="camel"):
    state: str = ""
    timestamp: str = ""
    worker_launch_time_ms: int = 0
    worker_launched_time_ms: int = 0
    start_time_ms: int = 0
    end_time_ms: int = 0
    death_info: WorkerDeath | None = None


class WorkerLifecycle(Struct, gc=False, rename="camel"):
    worker_id: str = ""
    job_id: str = ""
    state_transitions: list[WorkerTransition] = []


class JobConfig(Struct, gc=False, rename="camel"):
    serialized_runtime_env: str = ""
    metadata: dict[str, str] = {}


class JobDefinition(Struct, gc=False, rename="camel"):
    job_id: str = ""
    driver_pid: int = 0
    driver_node_id: str = ""
    entrypoint: str = ""
    config: JobConfig | None = None


class JobLifecycle(Struct, gc=False, rename="camel"):
    job_id: str = ""
    state_transitions: list[Transition] = []


class Event(Struct, gc=False, rename="camel"):
    """The envelope: one payload is set, none if the type is unknown."""

    event_id: str = ""
    event_type: str = ""
    timestamp: str = ""
    task_lifecycle_event: TaskLifecycle | None = None
    task_definition_event: TaskDefinition | None = None
    actor_task_definition_event: TaskDefinition | None = None
    task_profile_events: TaskProfile | None = None
    actor_definition_event: ActorDefinition | None = None
    actor_lifecycle_event: ActorLifecycle | None = None
    node_definition_event: NodeDefinition | None = None
    node_lifecycle_event: NodeLifecycle | None = None
    worker_definition_event: WorkerDefinition | None = None
    worker_lifecycle_event: WorkerLifecycle | None = None
    driver_job_definition_event: JobDefinition | None = None
    driver_job_lifecycle_event: JobLifecycle | None = None


_decoder: Final = msgspec.json.Decoder(Event, strict=False)
decode_event: Final[Callable[[bytes], Event]] = _decoder.decode
"""One event with camelCase keys; raises msgspec.DecodeError or msgspec.ValidationError."""
decode_events: Final[Callable[[bytes], list[Event]]] = _decoder.decode_lines
"""The same for lines."""

_MAPS: Final = frozenset(
    {
        "labels",
        "resources",
        "required_resources",
        "label_selector",
        "metadata",
        "ref_ids",
        "custom_fields",
        "fallback_strategy",
    }
)
"""Fields whose keys are the user's words, not field names."""


def raw_text(raw: Raw) -> str | None:
    """The JSON text as it stood in the event; None for what was absent."""
    return bytes(raw).decode(errors="replace") or None


def respelled(line: bytes) -> bytes:
    """An event with snake_case field names as one with camelCase names."""
    return msgspec.json.encode(camel(msgspec.json.decode(line)))


def camel(value: Any) -> Any:
    """A decoded event with its field names in camelCase, in whichever they were."""
    if isinstance(value, list):
        return [camel(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {_camel_name(name): item if name in _MAPS else camel(item) for name, item in value.items()}


def _camel_name(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)
