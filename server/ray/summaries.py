"""Counts by state: `api/v0/tasks|actors|objects/summarize`.

Ray counts at most 10,000 tasks; here all are counted. Only the tree by lineage, which lists each task,
stops there.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from starlette.requests import Request

from server.ray.actors import ACTORS
from server.ray.answers import Answer, encode
from server.ray.errors import QueryInvalid
from server.ray.lineage import Attempt, tree
from server.ray.listing import Noun, best_told, counts, selection
from server.ray.polled_lists import OBJECTS, never_polled
from server.ray.query import MAX_LIMIT, ListQuery, filters
from server.ray.tasks import TASKS
from server.view.view import View

TOTALS: Final = {
    "NORMAL_TASK": "total_tasks",
    "ACTOR_TASK": "total_actor_tasks",
    "ACTOR_CREATION_TASK": "total_actor_scheduled",
}


def tasks(view: View, request: Request) -> Answer:
    """By function name, or as a tree with `summary_by=lineage`."""
    by = request.query_params.get("summary_by", "func_name")
    query = ListQuery(limit=MAX_LIMIT, filters=filters(request.query_params))
    match by:
        case "func_name" | "task_name":
            return _by_name(view, query)
        case "lineage":
            return _by_lineage(view, query)
        case _:
            raise QueryInvalid('summary_by must be one of "func_name", "task_name", or "lineage".')


def actors(view: View, request: Request) -> Answer:
    """By class."""
    query = ListQuery(limit=MAX_LIMIT, filters=filters(request.query_params))
    sql, parameters = selection(view, best_told(view, ACTORS), query)
    rows = view.rows(
        f"SELECT class_name, state, count(*) FROM ({sql}) GROUP BY ALL ORDER BY class_name, state", parameters
    )
    summary: dict[str, Any] = {}
    for name, state, count in rows:
        summary.setdefault(name, {"class_name": name, "state_counts": {}})["state_counts"][state] = count
    content = {"summary": summary, "total_actors": sum(row[2] for row in rows), "summary_by": "class"}
    return _envelope(view, ACTORS, query, content)


def objects(view: View, request: Request) -> Answer:
    """By call site."""
    query = ListQuery(limit=MAX_LIMIT, filters=filters(request.query_params))
    sql, parameters = selection(view, OBJECTS, query)
    rows = view.rows(
        "SELECT call_site, object_size, pid, ip, task_status, attempt_number, reference_type FROM ("
        + sql
        + ")",
        parameters,
    )
    sites: dict[str, list[tuple[Any, ...]]] = {}
    for site, *of_object in rows:
        sites.setdefault(site or "<unknown>", []).append(tuple(of_object))
    summary = {site: _of_site(found) for site, found in sites.items()}
    content = {
        "summary": summary,
        "total_objects": len(rows),
        "total_size_mb": sum(one["total_size_mb"] for one in summary.values()),
        "callsite_enabled": not set(sites) <= {"disabled", "<unknown>"},
        "summary_by": "callsite",
    }
    return _envelope(view, OBJECTS, query, content, warnings=never_polled(OBJECTS)(view))


def _of_site(found: Sequence[tuple[Any, ...]]) -> dict[str, Any]:
    sizes, pids, addresses, states, tries, references = zip(*found, strict=True)
    return {
        "total_objects": len(found),
        "total_size_mb": sum(size for size in sizes if size and size > 0) / (1 << 20),
        "total_num_workers": len(set(zip(pids, addresses, strict=True))),
        "total_num_nodes": len(set(addresses)),
        "task_state_counts": Counter(map(str, states)),
        "task_attempt_number_counts": Counter(map(str, tries)),
        "ref_type_counts": Counter(map(str, references)),
    }


def _by_name(view: View, query: ListQuery) -> Answer:
    sql, parameters = selection(view, best_told(view, TASKS), query)
    rows = view.rows(
        "SELECT coalesce(nullif(name, ''), func_or_class_name, '') AS key, type, state, count(*), "
        "min(task_id) "
        f"FROM ({sql}) GROUP BY ALL ORDER BY min(task_id), state",
        parameters,
    )
    summary: dict[str, Any] = {}
    for name, kind, state, count, _ in rows:
        entry = summary.setdefault(name, {"func_or_class_name": name, "type": kind, "state_counts": {}})
        entry["state_counts"][state] = entry["state_counts"].get(state, 0) + count
    totals = _totals([(kind, count) for _, kind, _, count, _ in rows])
    return _envelope(view, TASKS, query, {"summary": summary, **totals, "summary_by": "func_name"})


def _by_lineage(view: View, query: ListQuery) -> Answer:
    sql, parameters = selection(view, best_told(view, TASKS), query)
    rows = view.rows(
        "SELECT task_id, coalesce(nullif(name, ''), func_or_class_name, ''), type, actor_id, parent_task_id, "
        f"t_pending_args_avail // 1000000, state, func_or_class_name FROM ({sql}) ORDER BY {TASKS.order} "
        f"LIMIT {MAX_LIMIT + 1}",
        parameters,
    )
    names = view.rows(
        "SELECT actor_id, coalesce(nullif(repr_name, ''), class_name) "
        f"FROM ({best_told(view, ACTORS).relation(view.facts)}) WHERE class_name IS NOT NULL"
    )
    attempts = [Attempt(*row) for row in rows[:MAX_LIMIT]]
    content = {
        "summary": [group.plain() for group in tree(attempts, dict(names))],
        **_totals([(attempt.type, 1) for attempt in attempts]),
        "summary_by": "lineage",
    }
    told = f"Only the first {MAX_LIMIT} task attempts are in this tree."
    return _envelope(view, TASKS, query, content, [told] if len(rows) > MAX_LIMIT else None)


def _totals(counted: Sequence[tuple[str | None, int]]) -> dict[str, int]:
    totals = dict.fromkeys(TOTALS.values(), 0)
    for kind, count in counted:
        if kind in TOTALS:
            totals[TOTALS[kind]] += count
    return totals


def _envelope(
    view: View, noun: Noun, query: ListQuery, content: dict[str, Any], warnings: list[str] | None = None
) -> Answer:
    result = encode({"node_id_to_summary": {"cluster": content}})
    return counts(view, best_told(view, noun), query).envelope(result, warnings)
