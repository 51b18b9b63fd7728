"""Which fields Ray's events have, so that what a later Ray adds is told instead of passed over.

The names are those of `ray.core.generated.events_base_event_pb2` in Ray 2.60, in camelCase. Not looked into
are the user's own maps, and messages that are kept and shown as they came. A few events of each chunk are
looked at: a field that a Ray version has is in many.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final

import msgspec

from server.fold.batch import UNREADABLE, Gathered
from server.fold.events import SNAKE_MARK, camel

UNKNOWN_FIELD: Final = "unknown field"
"""The reason under which they are counted; the detail is the path to the field."""
SAMPLES: Final = 4
MOST_NAMES: Final = 20
"""How many unknown fields of one event are told."""

Fields = Mapping[str, "Fields | None"]
"""Field names of a message; None for a value, or what is not looked into."""


def _values(names: str) -> dict[str, "Fields | None"]:
    return dict.fromkeys(names.split())


_FUNCTION: Final[Fields] = {
    "pythonFunctionDescriptor": _values("moduleName className functionName functionHash"),
    "javaFunctionDescriptor": _values("className functionName signature"),
    "cppFunctionDescriptor": _values("functionName caller className"),
}
_TASK: Final = _values(
    "taskId taskAttempt language requiredResources jobId parentTaskId placementGroupId refIds "
    "serializedRuntimeEnv callSite labelSelector fallbackStrategy isDetachedActor"
)
_TRANSITION: Final = _values("state timestamp")

PAYLOADS: Final[Fields] = {
    "taskDefinitionEvent": {**_TASK, **_values("taskType taskName"), "taskFunc": _FUNCTION},
    "actorTaskDefinitionEvent": {**_TASK, **_values("actorId actorTaskName"), "actorFunc": _FUNCTION},
    "taskLifecycleEvent": {
        **_values("taskId taskAttempt nodeId workerId workerPid jobId isDebuggerPaused actorReprName"),
        "stateTransitions": _TRANSITION,
        "rayErrorInfo": _values(
            "actorDiedError runtimeEnvSetupFailedError actorUnavailableError errorMessage errorType"
        ),
        "taskLogInfo": _values("stdoutFile stderrFile stdoutStart stdoutEnd stderrStart stderrEnd"),
    },
    "taskProfileEvents": {
        **_values("taskId attemptNumber jobId"),
        "profileEvents": {
            **_values("componentType componentId nodeIpAddress"),
            "events": _values("startTime endTime extraData eventName"),
        },
    },
    "actorDefinitionEvent": _values(
        "actorId jobId isDetached name rayNamespace serializedRuntimeEnv className requiredResources "
        "placementGroupId labelSelector callSite parentId refIds"
    ),
    "actorLifecycleEvent": {
        "actorId": None,
        "stateTransitions": {
            **_TRANSITION,
            **_values("nodeId workerId reprName deathCause pid port restartReason"),
        },
    },
    "nodeDefinitionEvent": _values(
        "nodeId nodeIpAddress labels startTimestamp hostname nodeName instanceId instanceTypeName"
    ),
    "nodeLifecycleEvent": {
        "nodeId": None,
        "stateTransitions": {
            **_TRANSITION,
            **_values("resources aliveSubState"),
            "deathInfo": _values("reason reasonMessage"),
        },
    },
    "workerDefinitionEvent": _values("workerId nodeId workerType pid"),
    "workerLifecycleEvent": {
        **_values("workerId jobId"),
        "stateTransitions": {
            **_TRANSITION,
            **_values("workerLaunchTimeMs workerLaunchedTimeMs startTimeMs endTimeMs"),
            "deathInfo": _values("exitType exitDetail memoryUsedBytes"),
        },
    },
    "driverJobDefinitionEvent": {
        **_values("jobId driverPid driverNodeId entrypoint"),
        "config": _values("serializedRuntimeEnv metadata"),
    },
    "driverJobLifecycleEvent": {"jobId": None, "stateTransitions": _TRANSITION},
}
"""Of the event types that are folded; the others are counted as unknown types."""
EVENT: Final[Fields] = {
    **_values("eventId sourceType eventType timestamp severity message sessionName nodeId"),
    **PAYLOADS,
}


def count_unknown_fields(lines: bytes, gathered: Gathered) -> None:
    """Counts unknown fields of a few events; lines that are none are counted elsewhere."""
    for line in _sample(lines):
        try:
            event = msgspec.json.decode(line)
            if SNAKE_MARK in line:
                event = camel(event)
        except UNREADABLE:
            continue
        if isinstance(event, dict) and not PAYLOADS.keys().isdisjoint(event):
            for path in islice(dict.fromkeys(_unknown(event, EVENT)), MOST_NAMES):
                gathered.fault(UNKNOWN_FIELD, path)


def _sample(lines: bytes) -> Iterator[bytes]:
    """Some lines from all over."""
    begins = {lines.rfind(b"\n", 0, len(lines) * place // SAMPLES) + 1 for place in range(SAMPLES)}
    for begin in sorted(begins):
        end = lines.find(b"\n", begin)
        yield lines[begin : end if end >= 0 else len(lines)]


def _unknown(value: Any, fields: Fields, path: str = "") -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _unknown(item, fields, path)
    elif isinstance(value, dict):
        for name, item in value.items():
            if name not in fields:
                yield f"{path}{name}"
            elif (inner := fields[name]) is not None:
                yield from _unknown(item, inner, f"{path}{name}.")
