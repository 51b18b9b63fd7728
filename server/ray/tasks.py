"""Task attempts: `api/v0/tasks`.

A task's attempts are listed newest first, so that the dashboard's task page, which shows one row, shows the
last try.
"""

from typing import Final

from server.ray import closing
from server.ray.columns import Column, Kind, redacted
from server.ray.listing import Noun, Wanted
from server.ray.polled_lists import polled_rows
from server.ray.query import ListQuery
from server.view.view import SessionFacts

NO_TASK: Final = "f" * 48
ANSI: Final = r"\x1b[^m]*m"
NO_FALLBACK: Final = '{"options": []}'

COLUMNS: Final = (
    Column("task_id", Kind.ID),
    Column("attempt_number", Kind.INTEGER),
    Column("name"),
    Column("state"),
    Column("job_id", Kind.ID),
    Column("actor_id", Kind.ID),
    Column("type"),
    Column("func_or_class_name"),
    Column("parent_task_id", Kind.ID),
    Column("node_id", Kind.ID),
    Column("worker_id", Kind.ID),
    Column("worker_pid", Kind.INTEGER),
    Column("error_type"),
    Column("language", detail=True),
    Column("required_resources", Kind.JSON, filterable=False, detail=True),
    Column("runtime_env_info", Kind.JSON, filterable=False, detail=True),
    Column("placement_group_id", Kind.ID, detail=True),
    Column("events", Kind.JSON, filterable=False, detail=True),
    Column("profiling_data", Kind.JSON, filterable=False, detail=True),
    Column("creation_time_ms", Kind.INTEGER, filterable=False, detail=True),
    Column("start_time_ms", Kind.INTEGER, filterable=False, detail=True),
    Column("end_time_ms", Kind.INTEGER, filterable=False, detail=True),
    Column("task_log_info", Kind.JSON, filterable=False, detail=True),
    Column("error_message", filterable=False, detail=True),
    Column("is_debugger_paused", Kind.BOOLEAN, detail=True),
    Column("call_site", filterable=False, detail=True),
    Column("label_selector", Kind.JSON, filterable=False, detail=True),
    Column("fallback_strategy", Kind.JSON, filterable=False, detail=True),
)


def relation(facts: SessionFacts) -> str:
    """Task attempts under Ray's names, closed; an actor's own name for itself replaces its class in method
    names.
    """
    return f"""
        SELECT * REPLACE (
            coalesce(parent_task_id, '{NO_TASK}') AS parent_task_id,
            coalesce(func_or_class_name, '') AS func_or_class_name,
            CASE WHEN state = 'FAILED' THEN error_type END AS error_type,
            CASE WHEN type = 'ACTOR_TASK' AND actor_repr_name <> '' AND name = func_or_class_name
                THEN actor_repr_name || '.' || split_part(name, '.', -1) ELSE coalesce(name, '') END AS name)
        FROM ({closing.tasks(facts)})"""


def details(wanted: Wanted) -> str:
    """The rows of a page with times, states, profile events, logs and the rest."""
    states = ", ".join(
        f"{{'state': '{state}', 'created_ms': {column} // 1000000}}"
        for state, column in ((state, _time(state)) for state in closing.STATE_ORDER)
    )
    return f"""
        WITH picked AS MATERIALIZED (
            SELECT * FROM ({wanted.matching}) ORDER BY {wanted.order} LIMIT {wanted.limit}),
        spans AS (
            SELECT task_id, attempt_number, to_json({{
                'component_type': first(component_type), 'component_id': first(component_id),
                'node_ip_address': first(node_ip_address),
                'events': list({{
                    'start_time': start_ns::DOUBLE / 1e6, 'end_time': end_ns::DOUBLE / 1e6,
                    'extra_data': coalesce(try_cast(extra_data AS JSON), '{{}}'::JSON),
                    'event_name': event_name
                }} ORDER BY end_ns, start_ns DESC)}}) AS profiling_data
            FROM profile GROUP BY task_id, attempt_number
        )
        SELECT {wanted.columns} FROM (
            SELECT picked.* REPLACE (
                coalesce(try_cast(required_resources AS JSON), '{{}}'::JSON) AS required_resources,
                coalesce(try_cast(label_selector AS JSON), '{{}}'::JSON) AS label_selector,
                coalesce(try_cast(fallback_strategy AS JSON),
                    CASE WHEN type <> 'DRIVER_TASK' THEN '{NO_FALLBACK}'::JSON END) AS fallback_strategy,
                CASE WHEN error_type IS NOT NULL
                    THEN regexp_replace(coalesce(error_message, ''), '{ANSI}', '', 'g') END
                    AS error_message),
                to_json({{'serialized_runtime_env': coalesce({redacted("runtime_env")}, '')}})
                    AS runtime_env_info,
                coalesce(spans.profiling_data, '{{}}'::JSON) AS profiling_data,
                t_pending_args_avail // 1000000 AS creation_time_ms,
                t_running // 1000000 AS start_time_ms,
                coalesce(failed_ns, t_finished) // 1000000 AS end_time_ms,
                list_filter([{states}], lambda s: s.created_ms IS NOT NULL) AS events,
                CASE WHEN stdout_file IS NOT NULL OR stderr_file IS NOT NULL THEN {{
                    'stdout_file': stdout_file, 'stderr_file': stderr_file,
                    'stdout_start': stdout_start, 'stdout_end': stdout_end,
                    'stderr_start': stderr_start, 'stderr_end': stderr_end}} END AS task_log_info
            FROM picked LEFT JOIN spans USING (task_id, attempt_number)
        ) ORDER BY {wanted.order}"""


def _polled(facts: SessionFacts) -> str:
    """Task attempts as last polled, for clusters that neither post events nor write export files."""
    end = closing.ending(facts)
    still_open = "FALSE" if end.ms is None else "state NOT IN ('FINISHED', 'FAILED')"
    environment = redacted("(runtime_env_info ->> '$.serialized_runtime_env')")
    return f"""
        SELECT * REPLACE (
            CASE WHEN {still_open} THEN {closing.literal(end.sentence)} ELSE error_message
                END AS error_message,
            CASE WHEN {still_open} THEN 'WORKER_DIED' ELSE error_type END AS error_type,
            CASE WHEN {still_open} THEN {closing.literal(end.ms)} ELSE end_time_ms END AS end_time_ms,
            CASE WHEN {still_open} THEN 'FAILED' ELSE state END AS state,
            to_json({{'serialized_runtime_env': {environment}}}) AS runtime_env_info),
            creation_time_ms * 1000000 AS t_pending_args_avail
        FROM ({polled_rows("api/v0/tasks", COLUMNS)})"""


def _time(state: str) -> str:
    return "failed_ns" if state == "FAILED" else f"t_{state.lower()}"


def _drivers(query: ListQuery) -> str:
    return "type IS DISTINCT FROM 'DRIVER_TASK'" if query.exclude_driver else "TRUE"


_ORDER: Final = "task_id, attempt_number DESC"
_POLLED: Final = Noun("tasks", COLUMNS, _ORDER, _polled, always=_drivers)
TASKS: Final = Noun(
    "tasks",
    COLUMNS,
    _ORDER,
    relation,
    details,
    key="task_id",
    detailed=("tasks", "profile"),
    polled=_POLLED,
    at_source=frozenset({"job_id", "task_id", "actor_id", "name", "state"}),
    always=_drivers,
    stored="SELECT * FROM tasks WHERE defined",
    stored_columns=frozenset(
        [
            "task_id",
            "attempt_number",
            "job_id",
            "actor_id",
            "type",
            "node_id",
            "worker_id",
            "worker_pid",
            "language",
            "placement_group_id",
        ]
    ),
)
