"""The timeline as Chrome's trace format: `api/v0/tasks/timeline`.

A node is a trace's process and a worker its thread; both are numbered in order of appearance and named by
metadata events at the end. Times are microseconds. As in Ray, at most 10,000 task attempts are drawn; the
rest is told of.
"""

from datetime import UTC, datetime
from typing import Final

from starlette.requests import Request

from server.ray.answers import Answer, encode
from server.ray.closing import literal
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
    total, first, last = view.rows(
        f"SELECT count(*), min(task_id), max(task_id) FROM (SELECT * FROM ({picked}) ORDER BY {TASKS.order} "
        f"LIMIT {MAX_LIMIT + 1})",
        wanted.parameters,
    )[0]
    events: list[str] = []
    if total:
        cut = f"{picked} ORDER BY {TASKS.order} LIMIT {MAX_LIMIT}"
        within = f"task_id BETWEEN {literal(first)} AND {literal(last)}"
        events = [row[0] for row in view.rows(_events(cut, within), wanted.parameters)]
    if total > MAX_LIMIT:
        label = f"the first {MAX_LIMIT} task attempts"
        events.append(
            encode({"name": "process_labels", "ph": "M", "pid": 0, "args": {"labels": label}}).decode()
        )
    headers = {}
    if request.query_params.get("download") == "1":
        made = datetime.now(UTC).strftime("%Y-%m-%d_%H-%M-%S")
        name = "".join(letter for letter in job or "all" if letter.isalnum())
        headers["Content-Disposition"] = f'attachment; filename="timeline-{name}-{made}.json"'
    return Answer(f"[{', '.join(events)}]".encode(), headers=headers)


def _events(tasks: str, within: str) -> str:
    """SQL of the trace's events as JSON text, in order: slices, names of nodes, names of workers."""
    colours = " ".join(f"WHEN '{name}' THEN '{colour}'" for name, colour in _COLOURS.items())
    # A patch drops what is null, so the actor's id is joined by hand where there is none.
    arguments = """
        json_merge_patch(extra, json_object('task_id', task_id, 'job_id', job, 'attempt_number',
            attempt_number,
            'func_or_class_name', coalesce(func_or_class_name, ''), 'actor_id', actor_id))::VARCHAR"""
    return f"""
        WITH picked AS MATERIALIZED ({tasks}),
        spans AS MATERIALIZED (
            SELECT p.*, t.func_or_class_name, t.actor_id, t.job_id AS job,
                p.component_type || ':' || p.component_id AS component,
                row_number() OVER (ORDER BY p.task_id, p.attempt_number DESC, p.end_ns, p.start_ns DESC)
                    AS place
            FROM (SELECT * FROM profile WHERE {within}) p JOIN picked t USING (task_id, attempt_number)
            WHERE p.component_type IN ('worker', 'driver') AND p.start_ns IS NOT NULL AND p.end_ns IS NOT NULL
        ),
        machines AS MATERIALIZED (
            SELECT node_ip_address, row_number() OVER (ORDER BY min(place)) - 1 AS pid
            FROM spans GROUP BY node_ip_address
        ),
        threads AS MATERIALIZED (
            SELECT node_ip_address, component, row_number() OVER (ORDER BY min(place)) - 1 AS tid
            FROM spans GROUP BY node_ip_address, component
        )
        SELECT event::VARCHAR FROM (
            SELECT 0 AS kind, place, to_json({{
                'cat': event_name, 'name': coalesce(extra ->> '$.name', event_name), 'pid': pid, 'tid': tid,
                'ts': start_ns::DOUBLE / 1e6 * 1e3,
                'dur': end_ns::DOUBLE / 1e6 * 1e3 - start_ns::DOUBLE / 1e6 * 1e3,
                'cname': CASE coalesce(extra ->> '$.cname', event_name) {colours} ELSE '{_PLAIN}' END,
                'args': CASE WHEN actor_id IS NULL THEN rtrim({arguments}, '}}') || ',"actor_id":null}}'
                    ELSE {arguments} END::JSON,
                'ph': 'X'}}) AS event
            FROM (SELECT *, CASE WHEN json_type(try_cast(extra_data AS JSON)) = 'OBJECT' THEN extra_data::JSON
                            ELSE '{{}}'::JSON END AS extra FROM spans)
            JOIN machines USING (node_ip_address) JOIN threads USING (node_ip_address, component)
            UNION ALL
            SELECT 1, pid, to_json({{'name': 'process_name', 'args': {{'name': 'Node ' || node_ip_address}},
                'pid': pid, 'tid': NULL, 'ph': 'M'}}) FROM machines
            UNION ALL
            SELECT 2, tid,
                to_json({{'name': 'thread_name', 'args': {{'name': component}}, 'pid': pid, 'tid': tid,
                'ph': 'M'}}) FROM threads JOIN machines USING (node_ip_address)
        ) ORDER BY kind, place"""
