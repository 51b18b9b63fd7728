"""Ray 2.40 posts no events: its export files alone give what its dashboard showed.

`MISSING` lists what export files do not carry, and why a field may differ.
"""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from archive.layout import Origin, SegmentName, SessionKey
from archive.segment import Facts, Range, build
from archive.store.local import LocalStore
from server.ray.whereabouts import actor_processes
from server.view.view import View
from server.view.views import Views

RECORDED: Final = Path(__file__).parents[2] / "fixtures" / "ray" / "2.40"
KEY: Final = SessionKey("lab", "old", "session_2026-11-23_13-59-05_989096_7168")
NODE: Final = "2223d3ec558d2d0c5aae614391192e170d60ac73d88049fd435c06ac"

LATER: Final = "the files were read after `ray stop`, the answers given before it"
NEWER: Final = "a column that Ray 2.40 did not have"
MISSING: Final = {
    "tasks": {
        "fallback_strategy": NEWER,
        "label_selector": NEWER,
        "call_site": NEWER,
        "is_debugger_paused": "files print false where Ray shows nothing",
        "name": "files carry the function alone",
        "runtime_env_info": "the environment alone is kept",
        "profiling_data": "files leave out the extra data of slices; all else is compared below",
    },
    "actors": {
        "call_site": NEWER,
        "label_selector": NEWER,
        "fallback_strategy": NEWER,
        "num_restarts_due_to_node_preemption": NEWER,
        "num_restarts_due_to_lineage_reconstruction": NEWER,
        "serialized_runtime_env": "Ray 2.40 showed the values of environment variables",
    },
    "nodes": {"state": LATER, "state_message": LATER, "end_time_ms": LATER},
    "jobs": {},
}
"""Field, and why it may differ."""


@pytest.fixture(scope="module")
def old_view(tmp_path_factory: pytest.TempPathFactory) -> Iterator[View]:
    """The session as a collector would have stored its export files, still running."""
    store = LocalStore(tmp_path_factory.mktemp("old"))
    name = SegmentName(KEY, NODE, Origin(1_795_442_345_989, "0123abcd"), 1)
    files = sorted((RECORDED / "logs" / "export_events").glob("*.log"))
    ranges = [Range(f"exports/{file.name}", 0, data) for file in files if (data := file.read_bytes())]
    facts = Facts(name, 1_795_442_400_000, "test", {"node_id": NODE, "role": "head"}, {}, (), True, "the end")
    store.put(name.key, build(facts, ranges))
    with Views(store, tmp_path_factory.mktemp("cache"), 1 << 30) as views:
        view = views.open(KEY, 60)
        view.facts = dataclasses.replace(view.facts, state="running", ended_ms=None)
        yield view


@pytest.fixture(scope="module")
def old_api(old_view: View, api_of: Any) -> Any:
    return api_of(old_view)


def live(name: str) -> Any:
    return json.loads((RECORDED / f"{name}.json").read_bytes())


def wrong(noun: str, told: list[dict[str, Any]], ours: list[dict[str, Any]], *keys: str) -> list[Any]:
    """Rows that are missing, and fields that differ without being in `MISSING`."""
    found = {tuple(row[key] for key in keys): row for row in ours}
    differing: list[Any] = []
    for row in told:
        mine = found.get(tuple(row[key] for key in keys))
        if mine is None:
            differing.append(("no row", [row[key] for key in keys]))
            continue
        differing += [
            (name, value, mine[name])
            for name, value in row.items()
            if name not in MISSING[noun] and name in mine and mine[name] != value
        ]
    return differing


def test_task_attempts_equal_the_live_rows(old_api: Any) -> None:
    told = live("tasks")["data"]["result"]["result"]
    ours = old_api.ask("/api/v0/tasks?detail=1&limit=10000&exclude_driver=false").rows
    left = wrong("tasks", told, ours, "task_id", "attempt_number")
    assert [found for found in left if found[0] != "task_log_info" or found[2] is not None] == []
    assert len(left) < 10, "a worker that crashes takes the line about the beginning of its log with it"


def test_slices_of_the_timeline_equal_the_live_ones(old_api: Any) -> None:
    told, ours = live("timeline"), old_api.ask("/api/v0/tasks/timeline?job_id=02000000").json
    fields = ("cat", "ts", "dur", "cname")

    def slices(events: list[dict[str, Any]]) -> list[list[Any]]:
        return sorted([event[name] for name in fields] for event in events if event["ph"] == "X")

    assert slices(ours) == slices(told)
    assert len(slices(told)) > 50


def test_actors_equal_the_live_rows(old_api: Any) -> None:
    told = live("actors_state")["data"]["result"]["result"]
    assert wrong("actors", told, old_api.ask("/api/v0/actors?detail=1").rows, "actor_id") == []


def test_nodes_equal_the_live_rows(old_api: Any) -> None:
    told = live("nodes_state")["data"]["result"]["result"]
    assert wrong("nodes", told, old_api.ask("/api/v0/nodes?detail=1").rows, "node_id") == []


def test_jobs_equal_the_live_ones(old_api: Any) -> None:
    assert wrong("jobs", live("jobs"), old_api.ask("/api/jobs/").json, "submission_id") == []


def test_an_actors_process_is_known_from_its_tasks(old_view: View) -> None:
    actor = next(row for row in live("actors_state")["data"]["result"]["result"] if row["name"] == "counter")
    assert [(one.node_id, one.pid) for one in actor_processes(old_view, actor["actor_id"])] == [
        (NODE, actor["pid"])
    ]
