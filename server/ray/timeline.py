"""The timeline as Chrome's trace format: `api/v0/tasks/timeline`.

A node is a trace's process and a worker its thread; both are numbered in order of appearance and named by metadata
events at the end. Times are microseconds. As in Ray, at most 10,000 task attempts are drawn; the rest is told of.
"""

from datetime import UTC, datetime
from typing import Final

from starlette.requests import Request

from server.ray.answers import Answer, encode
from server.ray.columns import Condition
from server.ray.query import MAX_LIMIT
from server.ray.tasks import TASKS
from server.view.view import View

_COLOURS: Final = {
    "worker_idle": "cq_build_abandoned",
    "task": "rail_response",
    "task:deserialize_arguments": "rail_load",
    "task:execute": "rail_animation",
    "task:store_outputs": "rail_idle",
    "wait_for_function": "detailed_memory_dump",
    "ray.get": "good",
    "ray.put": "terrible",
    "ray.wait": "vsync_highlight_color",
    "submit_task": "background_memory_dump",
    "fetch_and_run_function": "detailed_memory_dump",
    "register_remote_function": "detailed_memory_dump",
}
_PLAIN: Final = "generic_work"


def timeline(view: View, request: Request) -> Answer:
    """`api/v0/tasks/timeline[?job_id=…][&download=1]`."""
    job = request.query_params.get("job_id")
    wanted = Condition("job_id = ?", (job,)) if job else Condition("TRUE")
    picked = (
        "SELECT task_id, attempt_number, job_id, func_or_class_name, actor_id FROM tasks "
        f"WHERE defined AND type IS DISTINCT FROM 'DRIVER_TASK' AND {wanted.sql}"
    )
    cut = f"{picked} ORDER BY {TASKS.order} LIMIT {MAX_LIMIT}"
    pieces = [view.json(_slices(cut), wanted.parameters), view.json(_names(cut), wanted.parameters)]
    total = view.rows(f"SELECT count(*) FROM ({picked})", wanted.parameters)[0][0]
    if total > MAX_LIMIT:
        label = f"the first {MAX_LIMIT} of {total} task attempts"
        pieces.append(encode([{"name": "process_labels", "ph": "M", "pid": 0, "args": {"labels": label}}]))
    events = [inner for piece in pieces if (inner := piece.strip()[1:-1])]
    headers = {}
    if request.query_params.get("download") == "1":
        made = datetime.now(UTC).strftime("%Y-%m-%d_%H-%M-%S")
        name = "".join(letter for letter in job or "all" if letter.isalnum())
        headers["Content-Disposition"] = f'attachment; filename="timeline-{name}-{made}.json"'
    return Answer(b"[" + b", ".join(events) + b"]", headers=headers)


def _numbered(tasks: str) -> str:
    """Common expressions: `spans`, the profile events of tasks in order, with numbers of node and worker."""
    return f"""
        WITH picked AS MATERIALIZED ({tasks}),
        spans AS MATERIALIZED (
            SELECT p.*, t.func_or_class_name, t.actor_id, t.job_id AS job,
                p.component_type || ':' || p.component_id AS component,
                row_number() OVER (ORDER BY p.task_id, p.attempt_number DESC, p.end_ns, p.start_ns DESC) AS place
            FROM profile p JOIN picked t USING (task_id, attempt_number)
            WHERE p.component_type IN ('worker', 'driver') AND p.start_ns IS NOT NULL AND p.end_ns IS NOT NULL
        ),
        machines AS MATERIALIZED (
            SELECT node_ip_address, row_number() OVER (ORDER BY min(place)) - 1 AS pid
            FROM spans GROUP BY node_ip_address
        ),
        threads AS MATERIALIZED (
            SELECT node_ip_address, component, row_number() OVER (ORDER BY min(place)) - 1 AS tid
            FROM spans GROUP BY node_ip_address, component
        )"""


def _slices(tasks: str) -> str:
    colours = " ".join(f"WHEN '{name}' THEN '{colour}'" for name, colour in _COLOURS.items())
    # A patch drops what is null, so the actor's id is joined by hand where there is none.
    arguments = """
        json_merge_patch(extra, json_object('task_id', task_id, 'job_id', job, 'attempt_number', attempt_number,
            'func_or_class_name', coalesce(func_or_class_name, ''), 'actor_id', actor_id))::VARCHAR"""
    return f"""{_numbered(tasks)}
        SELECT event_name AS cat, coalesce(extra ->> '$.name', event_name) AS name, pid, tid,
            start_ns::DOUBLE / 1e6 * 1e3 AS ts,
            end_ns::DOUBLE / 1e6 * 1e3 - start_ns::DOUBLE / 1e6 * 1e3 AS dur,
            CASE coalesce(extra ->> '$.cname', event_name) {colours} ELSE '{_PLAIN}' END AS cname,
            CASE WHEN actor_id IS NULL THEN rtrim({arguments}, '}}') || ',"actor_id":null}}'
                ELSE {arguments} END::JSON AS args,
            'X' AS ph
        FROM (SELECT *, CASE WHEN json_type(try_cast(extra_data AS JSON)) = 'OBJECT' THEN extra_data::JSON
                        ELSE '{{}}'::JSON END AS extra FROM spans)
        JOIN machines USING (node_ip_address) JOIN threads USING (node_ip_address, component)
        ORDER BY place"""


def _names(tasks: str) -> str:
    return f"""{_numbered(tasks)}
        SELECT 'process_name' AS name, {{'name': 'Node ' || node_ip_address}} AS args, pid, NULL AS tid, 'M' AS ph
        FROM machines
        UNION ALL
        SELECT 'thread_name', {{'name': component}}, pid, tid, 'M'
        FROM threads JOIN machines USING (node_ip_address)
        ORDER BY name, pid, tid"""
