"""The oracle: what the live dashboard answered, field by field.

`ALLOWED` lists every field that may differ, and why. All else has to be equal.
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

SLACK_MS: Final = 10

RACE: Final = "events that were on their way while Ray answered: it knew less than a moment later"
STAMP: Final = "the event carries its own time, some milliseconds from that of Ray's row"
ATTEMPTS: Final = "of a retried task Ray takes the time of any attempt"

ALLOWED: Final = {
    "tasks": {
        "runtime_env_info.uris": "not in events; the directory's URI stands in the environment itself",
        "runtime_env_info.runtime_env_config": "not in events; Ray's defaults in all recordings",
        "runtime_env_info.serialized_runtime_env": "the same JSON with other spaces and order",
    },
    "actors": {"serialized_runtime_env": "the same JSON with other spaces and order"},
    "logical": {
        "timestamp": "when Ray last told of the actor, which for the dead is the end of their job",
        "mem": "the memory of the actor's node, asked at another moment than the recorded answer",
    },
}
"""Field, and why it may differ."""

SLACK: Final = {
    "tasks": {"end_time_ms": STAMP, "events.created_ms": STAMP},
    "logical": {"startTime": STAMP, "endTime": STAMP},
}
"""Times that may differ by a few milliseconds, and why."""

Recorded = Callable[[str], Any]


def differences(live: Any, ours: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Every field that differs, by its name without the places in lists."""
    if isinstance(live, dict) and isinstance(ours, dict):
        for name in sorted({*live, *ours}):
            below = f"{path}.{name}" if path else name
            yield from differences(live.get(name, "absent"), ours.get(name, "absent"), below)
    elif isinstance(live, list) and isinstance(ours, list) and len(live) == len(ours):
        for one, other in zip(live, ours, strict=True):
            yield from differences(one, other, path)
    elif live != ours:
        yield path, live, ours


def unexplained(noun: str, live: dict[str, Any], ours: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    """Differences of a row that neither `ALLOWED` nor `SLACK` explains."""
    left = []
    for path, one, other in differences(live, ours):
        if path.endswith("serialized_runtime_env"):
            explained = json.loads(one) == json.loads(other)
        elif path in SLACK.get(noun, {}):
            explained = abs(one - other) <= SLACK_MS
        else:
            explained = path in ALLOWED.get(noun, {})
        if not explained:
            left.append((path, one, other))
    return left


def by(rows: list[dict[str, Any]], *keys: str) -> dict[tuple[Any, ...], dict[str, Any]]:
    found = {tuple(row[key] for key in keys): row for row in rows}
    assert len(found) == len(rows), "two rows of one key"
    return found


def result(answer: Any) -> Any:
    return answer["data"]["result"]["result"]


def test_all_227_task_attempts_equal_the_live_rows(live_api: Any, recorded: Recorded) -> None:
    live = by(result(recorded("tasks_withdriver")), "task_id", "attempt_number")
    asked = live_api.ask("/api/v0/tasks?detail=1&limit=10000&exclude_driver=false")
    ours = by(asked.rows, "task_id", "attempt_number")
    assert len(live) == 227
    racing = {key for key, row in live.items() if row["events"][-1]["created_ms"] > 1_795_402_100_000}
    assert len(racing) <= 8, RACE
    later = set(ours) - set(live)
    assert {row["start_time_ms"] > 1_795_402_101_000 for row in map(ours.get, later)} <= {True}, RACE
    assert set(live) <= set(ours)
    wrong = {
        key: found for key in set(live) - racing if (found := unexplained("tasks", live[key], ours[key]))
    }
    assert wrong == {}
    for key in racing:
        assert {path for path, _, _ in unexplained("tasks", live[key], ours[key])} <= {
            "events",
            "profiling_data.component_id",
            "profiling_data.component_type",
            "profiling_data.events",
            "profiling_data.node_ip_address",
            "start_time_ms",
            "worker_pid",
        }, RACE


@pytest.mark.parametrize("job", ["02000000", "04000000", "05000000", "06000000", "07000000"])
def test_a_jobs_tasks_and_summaries_equal_the_live_ones(live_api: Any, recorded: Recorded, job: str) -> None:
    chosen = f"filter_keys=job_id&filter_predicates=%3D&filter_values={job}"
    live = recorded(f"tasks_{job}")
    ours = live_api.ask(f"/api/v0/tasks?detail=1&limit=10000&{chosen}").json
    keys = ("task_id", "attempt_number")
    live_rows, our_rows = by(result(live), *keys), by(result(ours), *keys)
    assert set(live_rows) == set(our_rows)
    assert [
        found for key in live_rows if (found := unexplained("tasks", live_rows[key], our_rows[key]))
    ] == []
    for name in ("total", "num_after_truncation", "num_filtered", "partial_failure_warning", "warnings"):
        assert ours["data"]["result"][name] == live["data"]["result"][name]
    assert live_api.ask(f"/api/v0/tasks/summarize?{chosen}").json == recorded(f"tasks_summarize_{job}")


@pytest.mark.parametrize("job", ["02000000", "04000000", "05000000", "06000000", "07000000"])
def test_the_tree_by_lineage_equals_the_live_one(live_api: Any, recorded: Recorded, job: str) -> None:
    chosen = f"filter_keys=job_id&filter_predicates=%3D&filter_values={job}&summary_by=lineage"
    ours = live_api.ask(f"/api/v0/tasks/summarize?{chosen}").json
    left = list(differences(recorded(f"tasks_lineage_{job}"), ours))
    assert [found for found in left if not found[0].endswith("timestamp")] == []
    assert len(left) <= (2 if job == "02000000" else 0), ATTEMPTS


def test_the_summary_of_all_tasks_equals_the_live_one_but_for_later_calls(
    live_api: Any, recorded: Recorded
) -> None:
    live, ours = recorded("tasks_summarize_all"), live_api.ask("/api/v0/tasks/summarize").json
    cluster = lambda answer: result(answer)["node_id_to_summary"]["cluster"]["summary"]  # noqa: E731 - one use
    changed = {path.split(".")[0] for path, _, _ in differences(cluster(live), cluster(ours))}
    assert changed <= {"_StatsActor"}, RACE


@pytest.mark.parametrize("job", ["02000000", "04000000", "05000000", "06000000", "07000000"])
def test_the_timeline_equals_the_live_one_slice_by_slice(live_api: Any, recorded: Recorded, job: str) -> None:
    live = recorded(f"timeline_{job}")
    ours = live_api.ask(f"/api/v0/tasks/timeline?download=1&job_id={job}")
    assert named(live) == named(ours.json)
    assert re.fullmatch(
        r'attachment; filename="timeline-\w+-[\d_-]+\.json"', ours.headers["content-disposition"]
    )


def test_job_02s_timeline_has_415_events(live_api: Any) -> None:
    assert len(live_api.ask("/api/v0/tasks/timeline?job_id=02000000").json) == 415


def named(events: list[dict[str, Any]]) -> list[str]:
    """Events with the names of nodes and workers instead of their numbers, in any order."""
    nodes = {event["pid"]: event["args"]["name"] for event in events if event["name"] == "process_name"}
    workers = {event["tid"]: event["args"]["name"] for event in events if event["name"] == "thread_name"}
    return sorted(
        json.dumps({**event, "pid": nodes[event["pid"]], "tid": workers.get(event["tid"])}, sort_keys=True)
        for event in events
    )


def test_24_actors_equal_the_live_rows(live_api: Any, recorded: Recorded) -> None:
    live = by(result(recorded("actors_state")), "actor_id")
    ours = by(live_api.ask("/api/v0/actors?detail=1&limit=10000").rows, "actor_id")
    assert len(live) == 24
    assert set(live) == set(ours)
    assert [found for key in live if (found := unexplained("actors", live[key], ours[key]))] == []
    assert live_api.ask("/api/v0/actors").json == recorded("actors_state_nodetail")
    assert live_api.ask("/api/v0/actors/summarize").json == recorded("actors_summarize")


def test_24_logical_actors_equal_the_live_ones(live_api: Any, recorded: Recorded) -> None:
    live = recorded("actors_logical")["data"]["actors"]
    ours = live_api.ask("/logical/actors").json
    assert ours["msg"] == recorded("actors_logical")["msg"]
    assert set(live) == set(ours["data"]["actors"])
    wrong = {
        key: found
        for key in live
        if (found := unexplained("logical", live[key], ours["data"]["actors"][key]))
    }
    assert wrong == {}


@pytest.mark.parametrize(
    "name",
    [
        "DEAD_Counter",
        "DEAD_BadInit",
        "DEAD_Restarter",
        "DEAD_JobSupervisor",
        "ALIVE_Counter",
        "ALIVE_ServeController",
    ],
)
def test_one_logical_actor_equals_the_live_one(live_api: Any, recorded: Recorded, name: str) -> None:
    live = recorded(f"actor_detail_{name}")["data"]["detail"]
    ours = live_api.ask(f"/logical/actors/{live['actorId']}").json["data"]["detail"]
    assert unexplained("logical", live, ours) == []


def test_an_unknown_actor_has_no_detail(live_api: Any, recorded: Recorded) -> None:
    assert live_api.ask(f"/logical/actors/{'0' * 32}").json == recorded("actor_detail_missing")


def own(rows: list[dict[str, Any]]) -> dict[str | None, dict[str, Any]]:
    """Jobs of the recorded session: its export files are another session's, whose jobs are called `sub_…`."""
    return {
        row["submission_id"] or row["job_id"]: row
        for row in rows
        if not str(row["submission_id"]).startswith("sub_")
    }


def test_7_jobs_equal_the_live_ones(live_api: Any, recorded: Recorded) -> None:
    assert own(live_api.ask("/api/jobs/").json) == own(recorded("jobs"))
    assert own(live_api.ask("/api/v0/jobs?detail=1&limit=10000").rows) == own(result(recorded("jobs_state")))
    assert own(live_api.ask("/api/v0/jobs").rows) == own(result(recorded("jobs_state_nodetail")))


@pytest.mark.parametrize(
    "job",
    ["05000000", "06000000", "raysubmit_core1", "raysubmit_fail1", "raysubmit_sleep1", "raysubmit_train1"],
)
def test_one_job_equals_the_live_one(live_api: Any, recorded: Recorded, job: str) -> None:
    assert live_api.ask(f"/api/jobs/{job}").json == recorded(f"job_detail_{job}")


def test_a_submitted_job_is_found_by_its_job_id_too(live_api: Any, recorded: Recorded) -> None:
    assert live_api.ask("/api/jobs/02000000").json == recorded("job_detail_raysubmit_core1")


def test_export_files_alone_tell_how_jobs_ended(live_api: Any) -> None:
    told = {job["submission_id"]: job for job in live_api.ask("/api/jobs/").json}
    assert told["sub_fail"]["status"] == "FAILED"
    assert told["sub_fail"]["driver_exit_code"] == 3
    assert "exit code 3" in told["sub_fail"]["message"]


SAME: Final = {
    "nodes_state": "/api/v0/nodes?detail=1&limit=10000",
    "nodes_summary": "/nodes?view=summary",
    "nodes_hostnamelist": "/nodes?view=hostNameList",
    "nodes_noview": "/nodes",
    "workers": "/api/v0/workers?detail=1&limit=10000",
    "placement_groups": "/api/v0/placement_groups?detail=1&limit=10000",
    "placement_groups_nodetail": "/api/v0/placement_groups",
    "serve_applications": "/api/serve/applications/",
    "datasets_02000000": "/api/data/datasets/02000000",
    "datasets_03000000": "/api/data/datasets/03000000",
    "train_runs_v1": "/api/train/v2/runs/v1",
    "timezone": "/timezone",
    "authentication_mode": "/api/authentication_mode",
    "runtime_env_redaction": "/api/v0/runtime_env_redaction",
    "cluster_status_formatted": "/api/cluster_status?format=1",
    "api_version": "/api/version",
    "ray_version": "/api/ray/version",
    "tasks_overlimit": "/api/v0/tasks?limit=100000",
}


@pytest.mark.parametrize("name", SAME)
def test_the_answer_equals_the_live_one(live_api: Any, recorded: Recorded, name: str) -> None:
    ours = live_api.ask(SAME[name]).json
    live = recorded(name)
    if name == "train_runs_v1":
        hide_values(live)
    assert ours == live


def hide_values(value: Any) -> None:
    """Ray shows environment values in Train's answer even to a browser; the collector masks them
    everywhere.
    """
    for environment in (run["job_details"]["runtime_env"] for run in value["train_runs"]):
        environment["env_vars"] = dict.fromkeys(environment["env_vars"], "<redacted>")


@pytest.mark.parametrize("place", [0, 1])
def test_a_nodes_detail_equals_the_live_one_but_for_its_actors_newer_statistics(
    live_api: Any, recorded: Recorded, place: int
) -> None:
    live = recorded(f"node_detail_{place}")["data"]["detail"]
    ours = live_api.ask(f"/nodes/{live['raylet']['nodeId']}").json["data"]["detail"]
    live_actors, our_actors = live.pop("actors"), ours.pop("actors")
    assert ours == live
    assert set(our_actors) == set(live_actors)


def test_cluster_events_are_those_of_the_overview_page_and_later_ones(
    live_api: Any, recorded: Recorded
) -> None:
    live = recorded("events")["data"]["events"]
    ours = live_api.ask("/events").json["data"]["events"]
    assert set(live) == set(ours)
    for job, events in live.items():
        found = {event["eventId"]: event for event in ours[job]}
        assert [event for event in events if found.get(event["eventId"]) != event] == []
    listed = live_api.ask("/api/v0/cluster_events?detail=1&limit=10000").rows
    assert {"Started a ray job raysubmit_core1."} <= {row["message"] for row in listed}
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", row["time"]) for row in listed)


def test_a_filter_on_an_unknown_column_is_refused_in_rays_words(live_api: Any, recorded: Recorded) -> None:
    ours = live_api.ask("/api/v0/tasks?filter_keys=bogus&filter_predicates=%3D&filter_values=1")
    live = recorded("tasks_badfilter")
    assert ours.status == 400
    assert ours.json["data"] == live["data"]
    said = [answer["msg"].partition("{")[0] for answer in (ours.json, live)]
    assert said[0] == said[1]
    columns = [set(re.findall(r"'(\w+)'", answer["msg"])) for answer in (ours.json, live)]
    assert columns[0] == columns[1]


def test_an_unknown_predicate_is_refused_in_rays_words_without_pydantics(
    live_api: Any, recorded: Recorded
) -> None:
    ours = live_api.ask("/api/v0/tasks?filter_keys=state&filter_predicates=%3E&filter_values=1")
    assert (ours.status, ours.json["data"]) == (400, {"result": None})
    assert ours.json["msg"] in recorded("tasks_badpred")["msg"]
