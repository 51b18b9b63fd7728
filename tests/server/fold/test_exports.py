"""Sessions of Ray 2.40 fold from export files alone, compared with what its live dashboard answered."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from archive.layout import Origin, SegmentName, SessionKey
from archive.segment import Range
from archive.store.local import LocalStore
from server.view.schema import TASK_STATES
from server.view.view import View
from server.view.views import Views

RAY = Path(__file__).parents[2] / "fixtures" / "ray" / "2.40"
KEY = SessionKey("lab", "old", "session_2026-11-23_13-59-05_989096_7168")
NODE = "2223d3ec558d2d0c5aae614391192e170d60ac73d88049fd435c06ac"


def live(name: str) -> list[dict[str, Any]]:
    return list(json.loads((RAY / name).read_text())["data"]["result"]["result"])


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory, store_segment: Callable[..., None]) -> Iterator[View]:
    store = LocalStore(tmp_path_factory.mktemp("old"))
    exports = [
        Range(f"exports/{file.name}", 0, file.read_bytes())
        for file in sorted((RAY / "logs" / "export_events").iterdir())
    ]
    logs = [
        Range(f"logs/events/{file.name}", 0, file.read_bytes())
        for file in sorted((RAY / "logs" / "events").iterdir())
    ]
    ranges = [one for one in [*exports, *logs] if one.data]
    store_segment(store, SegmentName(KEY, NODE, Origin(1795442345989, "0123abcd"), 1), ranges)
    with Views(store, tmp_path_factory.mktemp("cache"), 1 << 30) as views:
        yield views.open(KEY, 60)


def test_every_line_is_understood_but_one_of_no_task(view: View) -> None:
    assert view.gaps == ("1 record could not be used: missing id (EXPORT_TASK)",)


def test_task_attempts_equal_the_live_ones(view: View) -> None:
    columns = ["job_id", "type", "func_or_class_name", "language", "actor_id", "worker_pid", "error_type"]
    rows = view.rows(f"SELECT task_id, attempt_number, {', '.join(columns)} FROM tasks WHERE defined")
    found = {(task, attempt): dict(zip(columns, rest, strict=True)) for task, attempt, *rest in rows}
    expected = live("tasks.json")
    assert len(expected) > 20
    for task in expected:
        assert found[task["task_id"], task["attempt_number"]] == {
            name: task[name] or None for name in columns
        }


def test_task_times_and_log_ends_equal_the_live_ones(view: View) -> None:
    times = [f"t_{state.lower()}" for state in TASK_STATES]
    offsets = ["stdout_end", "stderr_end"]  # where a log starts, these files don't tell
    for task in live("tasks.json"):
        (row,) = view.rows(
            f"SELECT {', '.join(times + offsets)} FROM tasks WHERE task_id = ? AND attempt_number = ?",
            (task["task_id"], task["attempt_number"]),
        )
        seen = {state: ns // 1_000_000 for state, ns in zip(TASK_STATES, row, strict=False) if ns is not None}
        told = {event["state"]: int(event["created_ms"]) for event in task["events"]}
        assert {state: seen.get(state) for state in told} == told, task["task_id"]
        log = task["task_log_info"]
        if log:
            assert dict(zip(offsets, row[len(times) :], strict=True)) == {name: log[name] for name in offsets}


def test_actors_equal_the_live_ones(view: View) -> None:
    rows = view.rows("SELECT actor_id, class_name, name, job_id, ray_namespace, transitions FROM actors")
    found = {row[0]: row[1:] for row in rows}
    expected = live("actors_state.json")
    assert len(found) == len(expected) == 3
    for actor in expected:
        class_name, name, job_id, namespace, transitions = found[actor["actor_id"]]
        assert (class_name, name or "", job_id) == (actor["class_name"], actor["name"], actor["job_id"])
        assert namespace == actor["ray_namespace"]
        last = json.loads(transitions)[-1]
        assert last["state"] == actor["state"]
        if actor["state"] == "DEAD":
            cause = actor["death_cause"]["actor_died_error_context"]
            told = last["death_cause"]["actor_died_error_context"]
            assert (told["reason"], told["owner_id"]) == (cause["reason"], cause["owner_id"])


def test_nodes_jobs_and_submissions_are_told(view: View) -> None:
    assert view.rows("SELECT node_id, is_head, node_ip FROM nodes") == [(NODE, True, "192.0.2.2")]
    jobs = view.rows("SELECT job_id, submission_id, driver_ip, finished_ns IS NULL FROM jobs ORDER BY job_id")
    assert ("02000000", "raysubmit_old", "192.0.2.2", False) in jobs
    assert view.rows("SELECT submission_id, status, driver_exit_code FROM submissions") == [
        ("raysubmit_old", "FAILED", 1)
    ]


def test_cluster_events_are_told(view: View) -> None:
    assert view.rows("SELECT DISTINCT source_type FROM cluster_events ORDER BY 1") == [("JOBS",), ("RAYLET",)]
