"""What is common to all answers: versions, caching, refusals, and paths that do not exist."""

from typing import Any

import pytest

from server.view.remembered import Remembered


def test_an_answer_is_not_sent_twice_while_nothing_is_new(live_api: Any) -> None:
    first = live_api.ask("/nodes?view=summary")
    assert first.headers["cache-control"] == "private, no-cache"
    again = live_api.ask("/nodes?view=summary", headers={"If-None-Match": f'W/"x", {first.headers["etag"]}'})
    assert (again.status, again.body) == (304, b"")
    other = live_api.ask("/nodes?view=hostNameList", headers={"If-None-Match": first.headers["etag"]})
    assert other.status == 200


def test_an_answer_is_worked_out_once_for_a_view(live_api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path = "/api/v0/actors?detail=1"
    first = live_api.ask(path)
    assert live_api.view.remembered.get(first.headers["etag"]) == first.body
    remembered = Remembered(1 << 20)
    remembered.put(first.headers["etag"], b"what is remembered")
    monkeypatch.setattr(live_api.view, "remembered", remembered)
    again = live_api.ask(path)
    assert (again.status, again.body) == (200, b"what is remembered")
    assert again.headers["etag"] == first.headers["etag"]


def test_answers_of_an_ended_session_may_be_kept_for_a_while(recorded_api: Any, live_api: Any) -> None:
    ended = recorded_api.ask("/api/v0/tasks")
    assert ended.headers["cache-control"] == "private, max-age=60, must-revalidate"
    assert ended.headers["etag"] != live_api.ask("/api/v0/tasks").headers["etag"]


def test_a_refusal_is_never_kept(recorded_api: Any) -> None:
    answer = recorded_api.ask("/api/v0/tasks?limit=x")
    assert answer.headers["cache-control"] == "no-store"
    assert "etag" not in answer.headers


@pytest.mark.parametrize("path", ["/api/nope", "/api/v0/nope", "/api/", "/logical/nope/x", "/api/v0/delay/3"])
def test_an_unknown_path_is_404_and_never_the_index_page(recorded_api: Any, path: str) -> None:
    answer = recorded_api.ask(path)
    assert answer.status == 404
    assert b"<html" not in answer.body


@pytest.mark.parametrize("path", ["/worker/traceback?pid=1", "/task/cpu_profile", "/memory_profile"])
def test_what_needs_a_living_process_says_that_the_cluster_is_gone(recorded_api: Any, path: str) -> None:
    answer = recorded_api.ask(path)
    assert answer.status == 404
    assert b"record of a Ray session" in answer.body


@pytest.mark.parametrize(("method", "status"), [("HEAD", 204), ("GET", 404)])
def test_there_are_no_platform_events_so_that_their_tab_is_hidden(
    recorded_api: Any, method: str, status: int
) -> None:
    assert recorded_api.ask("/api/v0/platform_events", method=method).status == status


def test_an_unknown_job_is_404_in_rays_words(recorded_api: Any) -> None:
    answer = recorded_api.ask("/api/jobs/nope")
    assert (answer.status, answer.body) == (404, b"Job nope does not exist")


def test_a_session_of_which_nothing_is_known_still_answers_every_page(make_api: Any) -> None:
    api = make_api({}, state="lost")
    for path in [
        "/timezone",
        "/usage_stats_enabled",
        "/cluster_id",
        "/events",
        "/nodes?view=summary",
        "/nodes?view=hostNameList",
        "/nodes/abc",
        "/logical/actors",
        "/logical/actors/abc",
        "/api/authentication_mode",
        "/api/version",
        "/api/ray/version",
        "/api/cluster_status?format=1",
        "/api/cluster_status",
        "/api/grafana_health",
        "/api/prometheus_health",
        "/api/prometheus/sd",
        "/api/profiling_enabled",
        "/api/component_activities",
        "/api/gcs_healthz",
        "/api/jobs/",
        "/api/serve/applications/",
        "/api/data/datasets/01000000",
        "/api/train/v2/runs/v1",
        "/api/v0/cluster_metadata",
        "/api/v0/runtime_env_redaction",
        "/api/v0/tasks?detail=1",
        "/api/v0/tasks/summarize",
        "/api/v0/tasks/summarize?summary_by=lineage",
        "/api/v0/tasks/timeline",
        "/api/v0/actors?detail=1",
        "/api/v0/actors/summarize",
        "/api/v0/jobs?detail=1",
        "/api/v0/nodes?detail=1",
        "/api/v0/workers?detail=1",
        "/api/v0/placement_groups?detail=1",
        "/api/v0/objects",
        "/api/v0/objects/summarize",
        "/api/v0/runtime_envs",
        "/api/v0/cluster_events?detail=1",
    ]:
        assert api.ask(path).status == 200, path


def test_a_node_of_which_only_events_tell_is_zero_filled(make_api: Any) -> None:
    api = make_api({"nodes": [{"node_id": "n1", "node_ip": "10.0.0.1", "is_head": True}]})
    node = api.ask("/nodes?view=summary").json["data"]["summary"][0]
    detail = api.ask("/nodes/n1").json["data"]["detail"]
    for shown in (node, detail):
        assert (shown["ip"], shown["raylet"]["nodeId"], shown["raylet"]["isHeadNode"]) == (
            "10.0.0.1",
            "n1",
            True,
        )
        assert shown["mem"] == [0, 0, 0.0, 0]
        assert shown["loadAvg"] == [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
        assert {"cpus", "networkSpeed", "disk", "gpus", "cpu"} <= set(shown)
    assert (detail["workers"], detail["actors"]) == ([], {})


def test_polled_answers_that_make_no_sense_are_passed_over(make_api: Any) -> None:
    paths = [
        "nodes?view=summary",
        "api/jobs/",
        "events",
        "timezone",
        "api/v0/workers",
        "logical/actors#a",
        "nodes#n",
    ]
    for body in (
        "null",
        "[]",
        "{}",
        '"text"',
        "<html>",
        '{"data": []}',
        '{"data": {"result": 3}}',
        "[1, null]",
        "{",
    ):
        polls = [{"path": path, "newest_good": f"{10**18:020d}\x1f200\x1f{body}"} for path in paths]
        api = make_api({"polls": polls, "actors": [{"actor_id": "a"}]})
        for path in (
            "/nodes?view=summary",
            "/nodes/n",
            "/api/jobs/",
            "/events",
            "/timezone",
            "/api/v0/workers",
            "/logical/actors",
            "/api/v0/jobs",
        ):
            assert api.ask(path).status == 200, (path, body)
