"""The merged relations that a view offers to SQL, column by column.

Ids are hex text as Ray's REST API prints them; "" and all-`ff` ids of absent things are NULL, and so is empty
text. Times of states are nanoseconds since the epoch as events carry them; `*_ms` are milliseconds. `json`
columns hold JSON text. Nothing here depends on now or on the session's end: what stayed open stays open, and
is closed by whoever asks (`server/ray/`).

Sources: R = Ray events (facts of `ray.core.generated` protos, ONE-event JSON), X = `export_events` files, P =
polls.
"""

from typing import Final

SCHEMA_VERSION: Final = 1

TASK_STATES: Final = (
    "PENDING_ARGS_AVAIL",
    "PENDING_NODE_ASSIGNMENT",
    "PENDING_OBJ_STORE_MEM_AVAIL",
    "PENDING_ARGS_FETCH",
    "SUBMITTED_TO_WORKER",
    "PENDING_ACTOR_TASK_ARGS_FETCH",
    "PENDING_ACTOR_TASK_ORDERING_OR_CONCURRENCY",
    "RUNNING",
    "RUNNING_IN_RAY_GET",
    "RUNNING_IN_RAY_WAIT",
    "FINISHED",
    "FAILED",
    "GETTING_AND_PINNING_ARGS",
)
"""Task states in the order of Ray's own ranking (`TaskStatus` in `common.proto`)."""

RELATIONS: Final[dict[str, dict[str, str]]] = {
    # One row per task attempt (key: task_id, attempt_number).
    "tasks": {
        "task_id": "VARCHAR",
        "attempt_number": "INTEGER",
        "defined": "BOOLEAN",  # a definition was seen; readers hide the other attempts, as Ray does
        "job_id": "VARCHAR",
        "actor_id": "VARCHAR",
        "type": "VARCHAR",  # NORMAL_TASK, ACTOR_TASK, ACTOR_CREATION_TASK, DRIVER_TASK
        "name": "VARCHAR",
        "func_or_class_name": "VARCHAR",
        "parent_task_id": "VARCHAR",
        "placement_group_id": "VARCHAR",
        "language": "VARCHAR",
        "required_resources": "VARCHAR",  # json
        "runtime_env": "VARCHAR",  # json, Ray's serialized_runtime_env; environment values masked
        "label_selector": "VARCHAR",  # json
        "fallback_strategy": "VARCHAR",  # json
        "call_site": "VARCHAR",
        "node_id": "VARCHAR",
        "worker_id": "VARCHAR",
        "worker_pid": "INTEGER",
        "actor_repr_name": "VARCHAR",
        "is_debugger_paused": "BOOLEAN",
        "error_type": "VARCHAR",
        "error_message": "VARCHAR",
        "stdout_file": "VARCHAR",
        "stderr_file": "VARCHAR",
        "stdout_start": "BIGINT",
        "stdout_end": "BIGINT",
        "stderr_start": "BIGINT",
        "stderr_end": "BIGINT",
        **{f"t_{state.lower()}": "BIGINT" for state in TASK_STATES},  # ns, earliest seen
    },
    # One row per profile event of a task attempt.
    "profile": {
        "task_id": "VARCHAR",
        "attempt_number": "INTEGER",
        "job_id": "VARCHAR",
        "component_type": "VARCHAR",
        "component_id": "VARCHAR",
        "node_ip_address": "VARCHAR",
        "start_ns": "BIGINT",
        "end_ns": "BIGINT",
        "event_name": "VARCHAR",
        "extra_data": "VARCHAR",
    },
    # One row per actor.
    "actors": {
        "actor_id": "VARCHAR",
        "job_id": "VARCHAR",
        "is_detached": "BOOLEAN",
        "name": "VARCHAR",
        "ray_namespace": "VARCHAR",
        "class_name": "VARCHAR",
        "required_resources": "VARCHAR",  # json
        "placement_group_id": "VARCHAR",
        "label_selector": "VARCHAR",  # json
        "fallback_strategy": "VARCHAR",  # json
        "call_site": "VARCHAR",
        "runtime_env": "VARCHAR",  # json
        "transitions": "VARCHAR",
        # json list by time, what is empty is absent: {state, ns, node_id, worker_id, pid, port, repr_name,
        # restart_reason, death_cause{}}
    },
    # One row per node.
    "nodes": {
        "node_id": "VARCHAR",
        "node_ip": "VARCHAR",
        "node_name": "VARCHAR",
        "hostname": "VARCHAR",
        "labels": "VARCHAR",  # json
        "resources": "VARCHAR",  # json, of the newest ALIVE transition that has some
        "is_head": "BOOLEAN",
        "start_ns": "BIGINT",
        "end_ns": "BIGINT",  # first DEAD
        "death_reason": "VARCHAR",
        "death_message": "VARCHAR",
    },
    # One row per worker or driver process.
    "workers": {
        "worker_id": "VARCHAR",
        "node_id": "VARCHAR",
        "worker_type": "VARCHAR",
        "pid": "INTEGER",
        "job_id": "VARCHAR",
        "launch_ms": "BIGINT",
        "launched_ms": "BIGINT",
        "start_ms": "BIGINT",
        "end_ms": "BIGINT",
        "alive_ns": "BIGINT",
        "dead_ns": "BIGINT",
        "exit_type": "VARCHAR",
        "exit_detail": "VARCHAR",
    },
    # One row per driver job.
    "jobs": {
        "job_id": "VARCHAR",
        "submission_id": "VARCHAR",
        "entrypoint": "VARCHAR",
        "driver_pid": "INTEGER",
        "driver_node_id": "VARCHAR",
        "driver_ip": "VARCHAR",  # X only: Ray 2.40 doesn't tell the node
        "runtime_env": "VARCHAR",  # json
        "metadata": "VARCHAR",  # json
        "created_ns": "BIGINT",
        "finished_ns": "BIGINT",
    },
    # One row per submitted job, newest state (X: EXPORT_SUBMISSION_JOB).
    "submissions": {
        "submission_id": "VARCHAR",
        "status": "VARCHAR",
        "entrypoint": "VARCHAR",
        "message": "VARCHAR",
        "error_type": "VARCHAR",
        "start_ms": "BIGINT",
        "end_ms": "BIGINT",
        "metadata": "VARCHAR",  # json
        "runtime_env": "VARCHAR",  # json
        "driver_agent_http_address": "VARCHAR",
        "driver_node_id": "VARCHAR",
        "driver_exit_code": "INTEGER",
        "seen_ns": "BIGINT",
    },
    # One row per polled path: the newest answer below 300 or, if there is none, the newest of all, whose time
    # and status are told apart. Lists are also kept by entity, the last row in which it was ALIVE: path
    # "logical/actors#<actor id>" holds an actor, "nodes#<node id>" a node of `nodes?view=summary`.
    "polls": {
        "path": "VARCHAR",
        "seen_ns": "BIGINT",
        "status": "INTEGER",
        "body": "VARCHAR",
        "last_ns": "BIGINT",
        "last_status": "INTEGER",
    },
    # Newest line per kind and id of the other export files (X: TRAIN_STATE, DATASET_METADATA, …).
    "exports": {
        "kind": "VARCHAR",
        "id": "VARCHAR",
        "seen_ns": "BIGINT",
        "body": "VARCHAR",  # json, event_data
    },
    # Lines of `logs/events/event_*.log` (Ray's cluster events).
    "cluster_events": {
        "event_id": "VARCHAR",
        "source_type": "VARCHAR",
        "host_name": "VARCHAR",
        "pid": "INTEGER",
        "severity": "VARCHAR",
        "label": "VARCHAR",
        "message": "VARCHAR",
        "timestamp": "VARCHAR",  # as written
        "custom_fields": "VARCHAR",  # json
    },
    # Node statistics over time, narrow.
    "stats": {
        "node_id": "VARCHAR",
        "seen_ns": "BIGINT",
        "cpu": "DOUBLE",
        "mem_used": "BIGINT",
        "mem_total": "BIGINT",
        "disk_used": "BIGINT",
        "net_sent": "DOUBLE",
        "net_received": "DOUBLE",
        "object_store_used": "BIGINT",
        "gpu": "VARCHAR",  # json
    },
    # What was read, and what could not be: one row per node, origin and reason.
    "completeness": {
        "node_id": "VARCHAR",
        "origin": "VARCHAR",
        "reason": "VARCHAR",
        "amount": "BIGINT",
        "detail": "VARCHAR",
    },
}
