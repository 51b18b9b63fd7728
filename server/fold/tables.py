"""The tables of a part: what was observed, column by column, and how two observations of one row become one.

Every column merges by taking the smallest or the largest value, absent ones aside, so merging is commutative,
associative and idempotent: parts may overlap, repeat and come in any order. Where a time decides, the column
holds `stamped` text, a time before the value, so that the order of the text is the order of the times:

    first error, first DEAD     the smallest stamped text
    newest resources, answers   the largest stamped text

A table of keys only is a set. Empty text is never stored: it is absent.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from server.view.schema import TASK_STATES

SEPARATOR: Final = "\x1f"
"""Stands between the parts of stamped text; a time is always 20 digits long."""


class Merge(StrEnum):
    """How two values of a column become one."""

    KEY = "key"
    MIN = "min"
    MAX = "max"


@dataclass(frozen=True, slots=True)
class Column:
    """`type` is DuckDB's name of the type."""

    type: str
    merge: Merge


def stamped(ns: int, *values: str) -> str:
    """Text that sorts by time first: 20 digits of nanoseconds, then the values."""
    return SEPARATOR.join((f"{max(ns, 0):020d}", *values))


_TEXT_KEY = Column("VARCHAR", Merge.KEY)
_INT_KEY = Column("BIGINT", Merge.KEY)
_FIRST_TEXT = Column("VARCHAR", Merge.MIN)
_LAST_TEXT = Column("VARCHAR", Merge.MAX)
_FIRST_INT = Column("BIGINT", Merge.MIN)
_LAST_INT = Column("BIGINT", Merge.MAX)
_PID = Column("INTEGER", Merge.MIN)
_FLAG = Column("BOOLEAN", Merge.MAX)
_NUMBER_KEY = Column("DOUBLE", Merge.KEY)

TABLES: Final[dict[str, dict[str, Column]]] = {
    "tasks": {
        "task_id": _TEXT_KEY,
        "attempt_number": Column("INTEGER", Merge.KEY),
        "defined": _FLAG,
        "job_id": _FIRST_TEXT,
        "actor_id": _FIRST_TEXT,
        "type": _FIRST_TEXT,
        "name": _FIRST_TEXT,
        "func_or_class_name": _FIRST_TEXT,
        "parent_task_id": _FIRST_TEXT,
        "placement_group_id": _FIRST_TEXT,
        "language": _FIRST_TEXT,
        "required_resources": _FIRST_TEXT,
        "runtime_env": _FIRST_TEXT,
        "label_selector": _FIRST_TEXT,
        "fallback_strategy": _FIRST_TEXT,
        "call_site": _FIRST_TEXT,
        "node_id": _FIRST_TEXT,
        "worker_id": _FIRST_TEXT,
        "worker_pid": _PID,
        "actor_repr_name": _LAST_TEXT,
        "paused": _LAST_TEXT,  # stamped "true" or "false"
        "error": _FIRST_TEXT,  # stamped type and message
        "stdout_file": _FIRST_TEXT,
        "stderr_file": _FIRST_TEXT,
        "stdout_start": _FIRST_INT,
        "stdout_end": _LAST_INT,
        "stderr_start": _FIRST_INT,
        "stderr_end": _LAST_INT,
        **{f"t_{state.lower()}": _FIRST_INT for state in TASK_STATES},
    },
    "profile": {
        "task_id": _TEXT_KEY,
        "attempt_number": Column("INTEGER", Merge.KEY),
        "event_id": _TEXT_KEY,  # tells a doubled delivery from equal slices
        "job_id": _TEXT_KEY,
        "component_type": _TEXT_KEY,
        "component_id": _TEXT_KEY,
        "node_ip_address": _TEXT_KEY,
        "slices": _TEXT_KEY,  # json list as in the event: {startTime, endTime, eventName, extraData}
    },
    "actors": {
        "actor_id": _TEXT_KEY,
        "job_id": _FIRST_TEXT,
        "is_detached": _FLAG,
        "name": _FIRST_TEXT,
        "ray_namespace": _FIRST_TEXT,
        "class_name": _FIRST_TEXT,
        "required_resources": _FIRST_TEXT,
        "placement_group_id": _FIRST_TEXT,
        "label_selector": _FIRST_TEXT,
        "fallback_strategy": _FIRST_TEXT,
        "call_site": _FIRST_TEXT,
        "runtime_env": _FIRST_TEXT,
    },
    "actor_transitions": {
        "actor_id": _TEXT_KEY,
        "ns": _INT_KEY,
        "place": _INT_KEY,  # order among equal times: place in the event, or in the file
        "state": _TEXT_KEY,
        "body": _TEXT_KEY,  # json, as in the relation
    },
    "nodes": {
        "node_id": _TEXT_KEY,
        "node_ip": _FIRST_TEXT,
        "node_name": _FIRST_TEXT,
        "hostname": _FIRST_TEXT,
        "labels": _FIRST_TEXT,
        "resources": _LAST_TEXT,  # stamped json
        "is_head": _FLAG,
        "start_ns": _FIRST_INT,
        "death": _FIRST_TEXT,  # stamped reason and message
    },
    "workers": {
        "worker_id": _TEXT_KEY,
        "node_id": _FIRST_TEXT,
        "worker_type": _FIRST_TEXT,
        "pid": _PID,
        "job_id": _FIRST_TEXT,
        "launch_ms": _FIRST_INT,
        "launched_ms": _FIRST_INT,
        "start_ms": _FIRST_INT,
        "end_ms": _FIRST_INT,
        "alive_ns": _FIRST_INT,
        "death": _FIRST_TEXT,  # stamped type and detail
    },
    "jobs": {
        "job_id": _TEXT_KEY,
        "submission_id": _FIRST_TEXT,
        "entrypoint": _FIRST_TEXT,
        "driver_pid": _PID,
        "driver_node_id": _FIRST_TEXT,
        "driver_ip": _FIRST_TEXT,
        "runtime_env": _FIRST_TEXT,
        "metadata": _FIRST_TEXT,
        "created_ns": _FIRST_INT,
        "finished_ns": _FIRST_INT,
    },
    "submissions": {"submission_id": _TEXT_KEY, "newest": _LAST_TEXT},  # stamped offset and json
    "polls": {
        "path": _TEXT_KEY,
        "newest": _LAST_TEXT,  # stamped status and body
        "newest_good": _LAST_TEXT,  # the same, of an answer below 300
    },
    "exports": {"kind": _TEXT_KEY, "id": _TEXT_KEY, "newest": _LAST_TEXT},  # stamped offset and json
    "cluster_events": {
        "event_id": _TEXT_KEY,
        "source_type": _TEXT_KEY,
        "host_name": _TEXT_KEY,
        "pid": Column("INTEGER", Merge.KEY),
        "severity": _TEXT_KEY,
        "label": _TEXT_KEY,
        "message": _TEXT_KEY,
        "timestamp": _TEXT_KEY,
        "custom_fields": _TEXT_KEY,
    },
    "stats": {
        "node_id": _TEXT_KEY,
        "seen_ns": _INT_KEY,
        "cpu": _NUMBER_KEY,
        "mem_used": _INT_KEY,
        "mem_total": _INT_KEY,
        "disk_used": _INT_KEY,
        "net_sent": _NUMBER_KEY,
        "net_received": _NUMBER_KEY,
        "object_store_used": _INT_KEY,
        "gpu": _TEXT_KEY,
    },
    "completeness": {
        "node_id": _TEXT_KEY,
        "origin": _TEXT_KEY,
        "source": _TEXT_KEY,  # the segment or the footers' counter that it was read from
        "reason": _TEXT_KEY,
        "detail": _TEXT_KEY,
        "amount": _LAST_INT,
    },
}

LAZY: Final = frozenset({"profile", "stats"})
"""Tables of many rows that hardly any page reads: the timeline, and none."""
