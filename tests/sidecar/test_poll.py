"""The poller against a replayed dashboard: what it asks, what it keeps, what it never does."""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sidecar.errors import DashboardSilent
from sidecar.poll.answer import Answer, digest, line
from sidecar.poll.dashboard import Dashboard, logged_address
from sidecar.poll.endpoints import ALWAYS, NODES, Endpoint
from sidecar.poll.poller import Poller, Settings
from sidecar.poll.schedule import REST, Schedule
from sidecar.poll.statistics import Statistics

SESSION = "session_2026-11-23_02-43-27_490622_12278"
HEAD = "593fd952d75624efbbf93821c408b4a5b6ed6b4e138c1229c87eca3b"
WORKER = "df2adaacdb61804408645f058c837352ae132968e428d41b81027c2c"
Recorded = Callable[[str], bytes]
Eventually = Callable[..., Any]


class Lines:
    """Keeps what a node's spool would."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._streams: dict[str, bytes] = {}
        self.losses: dict[str, int] = {}

    def append(self, stream: str, data: bytes) -> int:
        with self._lock:
            before = self._streams.get(stream, b"")
            self._streams[stream] = before + data
            return len(before)

    def count_loss(self, reason: str, amount: int = 1) -> None:
        self.losses[reason] = self.losses.get(reason, 0) + amount

    def rows(self, stream: str = "polls") -> list[dict[str, Any]]:
        return [json.loads(text) for text in self._streams.get(stream, b"").splitlines()]

    def paths(self) -> list[str]:
        return [row["path"] for row in self.rows()]

    def last(self, path: str) -> dict[str, Any] | None:
        return next((row for row in reversed(self.rows()) if row["path"] == path), None)


@contextlib.contextmanager
def polling(
    lines: Lines,
    url: str,
    *,
    every: float = 60.0,
    session: str = "",
    extra: tuple[str, ...] = (),
    tells_tasks: bool = True,
) -> Iterator[Poller]:
    settings = Settings(session or SESSION, Path("/nonexistent"), url, every, extra)
    poller = Poller(settings, lines, lambda: tells_tasks)
    poller.start()
    try:
        yield poller
    finally:
        poller.finish(5.0)


def swept(eventually: Eventually, dashboard: Any, poller: Poller, path: str) -> None:
    """Lets the poller go round once more, to its last question."""
    before = len(dashboard.asked)
    poller.ask_now()
    eventually(lambda: path in dashboard.paths()[before:])


def test_the_first_round_keeps_every_page_of_a_head_under_the_front_ends_own_path(
    dashboard: Any, recorded: Recorded, eventually: Eventually
) -> None:
    lines = Lines()
    expected = {
        "api/version",
        "nodes?view=summary",
        "api/jobs/",
        "logical/actors",
        "api/v0/placement_groups",
        "api/cluster_status?format=1",
        "events",
        "timezone",
        "api/v0/cluster_metadata",
        "api/serve/applications/",
        "api/train/v2/runs/v1",
        f"nodes/{HEAD}",
        f"nodes/{WORKER}",
        "api/data/datasets/03000000",
    }
    with polling(lines, dashboard.url):
        eventually(lambda: expected <= set(lines.paths()))
    row = lines.last("api/v0/placement_groups")
    assert row is not None
    assert row["status"] == 200
    assert row["body"] == json.loads(recorded("placement_groups.json"))
    assert dashboard.agents == {"ray-history-server"}


def test_serve_data_and_train_are_not_asked_before_their_actors_live(
    dashboard: Any, recorded: Recorded, eventually: Eventually
) -> None:
    """Ray would create them: asking must not change the user's cluster."""
    actors = json.loads(recorded("actors_logical.json"))
    for actor in actors["data"]["actors"].values():
        actor["state"] = "DEAD"
    dashboard.replies["/logical/actors?nocache=1"].body = json.dumps(actors).encode()
    lines = Lines()
    with polling(lines, dashboard.url, every=0.05) as poller:
        eventually(lambda: dashboard.paths().count("/logical/actors?nocache=1") >= 3)
        swept(eventually, dashboard, poller, "/events?nocache=1")
        assert not [
            path for path in dashboard.paths() if "serve" in path or "train" in path or "data/" in path
        ]
        dashboard.replies["/logical/actors?nocache=1"].body = recorded("actors_logical.json")
        eventually(lambda: "/api/serve/applications/" in dashboard.paths())


def test_a_change_of_statistics_alone_is_no_new_line_but_the_last_state_is_kept(
    dashboard: Any, recorded: Recorded, eventually: Eventually
) -> None:
    summary = json.loads(recorded("nodes_summary.json"))
    summary["data"]["summary"][0]["cpu"] = 12.5
    lines = Lines()
    with polling(lines, dashboard.url, every=0.05):
        eventually(lambda: NODES in lines.paths())
        dashboard.replies["/nodes?view=summary&nocache=1"].body = json.dumps(summary).encode()
        asked = dashboard.paths().count("/nodes?view=summary&nocache=1")
        eventually(lambda: dashboard.paths().count("/nodes?view=summary&nocache=1") >= asked + 3)
        assert lines.paths().count(NODES) == 1
    assert lines.paths().count(NODES) == 2
    assert lines.last(NODES)["body"] == summary  # type: ignore[index] # it has just been counted


def test_a_change_of_state_is_a_new_line(dashboard: Any, recorded: Recorded, eventually: Eventually) -> None:
    jobs = json.loads(recorded("jobs.json"))
    jobs[0]["status"] = "STOPPED"
    lines = Lines()
    with polling(lines, dashboard.url, every=0.05):
        eventually(lambda: "api/jobs/" in lines.paths())
        dashboard.replies["/api/jobs/"].body = json.dumps(jobs).encode()
        eventually(lambda: (lines.last("api/jobs/") or {})["body"][0]["status"] == "STOPPED")


def test_every_node_has_a_narrow_row_whenever_its_figures_are_new(
    dashboard: Any, recorded: Recorded, eventually: Eventually
) -> None:
    lines = Lines()
    with polling(lines, dashboard.url, every=0.05):
        eventually(lambda: len(lines.rows("stats")) == 2)
        asked = len(dashboard.asked)
        eventually(lambda: len(dashboard.asked) > asked + 20)
    rows = lines.rows("stats")
    assert [row["node_id"] for row in rows] == [HEAD, WORKER]
    node = json.loads(recorded("nodes_summary.json"))["data"]["summary"][0]
    assert rows[0]["cpu"] == node["cpu"]
    assert rows[0]["mem_used"] == node["mem"][3]
    assert rows[0]["mem_total"] == node["mem"][0]
    assert rows[0]["disk_used"] == node["disk"]["/"]["used"]
    assert [rows[0]["net_sent"], rows[0]["net_received"]] == node["networkSpeed"]
    assert rows[0]["object_store_used"] == node["raylet"]["objectStoreUsedMemory"]


def test_answers_that_are_slow_broken_garbage_or_errors_disturb_no_other(
    dashboard: Any, eventually: Eventually
) -> None:
    dashboard.replies["/events?nocache=1"].status = 500
    dashboard.replies["/events?nocache=1"].body = b"Internal Server Error\nat line 1"
    dashboard.replies["/timezone"].cut = True
    dashboard.replies["/api/jobs/"].header = b"\x00\x01 what is this\r\n\r\n"
    dashboard.replies["/api/v0/cluster_metadata"].body = b'{"result": tru'
    dashboard.replies["/logical/actors?nocache=1"].body = b'{"data": {"actors": [1, 2]}}'
    lines = Lines()
    with polling(lines, dashboard.url):
        eventually(lambda: f"nodes/{WORKER}" in lines.paths())
    assert lines.last("events") == {
        "t": lines.last("events")["t"],  # type: ignore[index] # compared in the same breath
        "path": "events",
        "status": 500,
        "body": "Internal Server Error\nat line 1",
    }
    assert lines.last("api/v0/cluster_metadata")["body"] == '{"result": tru'  # type: ignore[index] # must be there
    assert not {"timezone", "api/jobs/"} & set(lines.paths())


def test_an_answer_that_never_ends_is_given_up(dashboard: Any) -> None:
    dashboard.replies["/slow"] = type(dashboard.replies["/api/jobs/"])(delay=30.0)
    with pytest.raises(DashboardSilent):
        Dashboard(dashboard.url).ask("/slow", 0.2)


def test_an_answer_without_bounds_is_given_up_and_counted(
    dashboard: Any, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.poll.dashboard.LARGEST", 200_000)
    dashboard.replies["/api/jobs/"].body = b"[" + b" " * 200_000 + b"]"
    lines = Lines()
    with polling(lines, dashboard.url, every=0.05):
        eventually(lambda: dashboard.paths().count("/api/jobs/") >= 2)
    assert lines.losses == {"polls.too_large": 1}
    assert "api/jobs/" not in lines.paths()


def test_a_large_answer_is_compared_piece_by_piece() -> None:
    def mark(state: str, cpu: int, order: int = 1) -> bytes:
        rows = [(f"id-{number}", {"state": "ALIVE", "cpu": cpu}) for number in range(5000)][::order]
        body = {"data": {"actors": dict(rows) | {"last": {"state": state}}, "more": ["x" * 100] * 1000}}
        return digest(Answer(200, json.dumps(body).encode(), 0.0), frozenset({"cpu"}))

    assert mark("ALIVE", 1) == mark("ALIVE", 2, -1)
    assert mark("ALIVE", 1) != mark("DEAD", 1)


def test_a_node_that_died_keeps_its_last_state(
    dashboard: Any, recorded: Recorded, eventually: Eventually
) -> None:
    detail = json.loads(recorded("node_detail_1.json"))
    detail["data"]["detail"]["cpu"] = 77.0
    summary = json.loads(recorded("nodes_summary.json"))
    lines = Lines()
    with polling(lines, dashboard.url, every=0.05):
        eventually(lambda: f"nodes/{WORKER}" in lines.paths())
        question = f"/nodes/{WORKER}?nocache=1"
        dashboard.replies[question].body = json.dumps(detail).encode()
        asked = dashboard.paths().count(question)
        eventually(lambda: dashboard.paths().count(question) >= asked + 2)
        for row in summary["data"]["summary"]:
            row["raylet"]["state"] = "DEAD" if row["raylet"]["nodeId"] == WORKER else "ALIVE"
        dashboard.replies["/nodes?view=summary&nocache=1"].body = json.dumps(summary).encode()
        eventually(lambda: lines.last(f"nodes/{WORKER}")["body"] == detail)


def test_a_dashboard_that_comes_late_is_found(dashboard: Any, tmp_path: Path, eventually: Eventually) -> None:
    lines = Lines()
    settings = Settings(SESSION, tmp_path, "", 0.05)
    poller = Poller(settings, lines, lambda: True)
    poller.start()
    address = dashboard.url.removeprefix("http://")
    (tmp_path / "dashboard.log").write_text(f"INFO head.py -- Dashboard head http address: {address}\n")
    eventually(lambda: NODES in lines.paths())
    poller.finish(5.0)


def test_the_dashboard_of_another_session_is_not_believed(dashboard: Any, eventually: Eventually) -> None:
    lines = Lines()
    with polling(lines, dashboard.url, every=0.05, session="session_2026-11-23_09-00-00_000001_1"):
        eventually(lambda: dashboard.paths().count("/api/version") >= 3)
    assert set(dashboard.paths()) == {"/api/version"}
    assert lines.rows() == []


def test_rays_token_opens_a_guarded_dashboard(
    dashboard: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    dashboard.token = "from-a-file"
    (tmp_path / "token").write_text("from-a-file\n")
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Dashboard(dashboard.url).ask("/timezone", 5.0).status == 401
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
    assert Dashboard(dashboard.url).ask("/timezone", 5.0).status == 200
    monkeypatch.delenv("RAY_AUTH_TOKEN_PATH")
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("from-a-file")
    assert Dashboard(dashboard.url).ask("/timezone", 5.0).status == 200
    monkeypatch.setenv("RAY_AUTH_TOKEN", "wrong")
    assert Dashboard(dashboard.url).ask("/timezone", 5.0).status == 401


def test_the_end_asks_for_everything_at_once(dashboard: Any, eventually: Eventually) -> None:
    lines = Lines()
    with polling(lines, dashboard.url) as poller:
        eventually(lambda: "api/serve/applications/" in lines.paths())
        asked = len(dashboard.asked)
        poller.ask_now()
        again = {"/nodes?view=summary&nocache=1", "/api/jobs/", f"/nodes/{WORKER}?nocache=1"}
        eventually(lambda: again <= set(dashboard.paths()[asked:]))


def test_values_of_environment_variables_are_masked(dashboard: Any, eventually: Eventually) -> None:
    dashboard.replies["/api/jobs/"].body = b'[{"job_id":"01","runtime_env":{"env_vars":{"KEY":"secret"}}}]'
    lines = Lines()
    with polling(lines, dashboard.url):
        eventually(lambda: "api/jobs/" in lines.paths())
    assert lines.last("api/jobs/")["body"][0]["runtime_env"] == {"env_vars": {"KEY": "******"}}  # type: ignore[index] # it is there


def test_without_events_and_export_files_tasks_and_actors_are_asked_for(
    dashboard: Any, eventually: Eventually
) -> None:
    lines = Lines()
    with polling(lines, dashboard.url, tells_tasks=False):
        eventually(lambda: {"api/v0/tasks", "api/v0/actors"} <= set(lines.paths()))
    assert "/api/v0/tasks?detail=1&limit=10000" in dashboard.paths()


@pytest.mark.parametrize(("version", "asked"), [("2.40.0", True), ("2.55.1", True), ("2.60.0", False)])
def test_workers_are_asked_for_where_ray_posts_no_events_about_them(
    dashboard: Any, version: str, asked: bool, recorded: Recorded, eventually: Eventually
) -> None:
    told = json.loads(recorded("api_version.json")) | {"ray_version": version}
    dashboard.replies["/api/version"].body = json.dumps(told).encode()
    lines = Lines()
    with polling(lines, dashboard.url) as poller:
        eventually(lambda: f"nodes/{WORKER}" in lines.paths())
        eventually(lambda: poller.ray_version == version)
        swept(eventually, dashboard, poller, f"/nodes/{WORKER}?nocache=1")
    assert ("api/v0/workers" in lines.paths()) is asked


def test_further_paths_can_be_named(dashboard: Any, eventually: Eventually) -> None:
    lines = Lines()
    with polling(lines, dashboard.url, extra=("/api/v0/tasks?detail=1&limit=10000",)):
        eventually(lambda: "api/v0/tasks?detail=1&limit=10000" in lines.paths())


def test_a_path_rests_a_hundred_times_as_long_as_its_answer_took() -> None:
    schedule = Schedule(15.0)
    endpoint = ALWAYS[1]
    schedule.want([endpoint], 0.0)
    schedule.asked(endpoint, 0.0, 0.001)
    assert schedule.due(15.0) == endpoint
    schedule.asked(endpoint, 16.0, 1.0)
    assert schedule.due(16.0 + REST - 0.1) is None
    assert schedule.due(16.0 + REST) == endpoint
    schedule.asked(endpoint, 200.0, 0.001)
    assert schedule.due(214.9) is None
    assert schedule.due(215.0) == endpoint


def test_the_first_answer_of_a_family_is_no_measure() -> None:
    schedule = Schedule(15.0)
    endpoint = ALWAYS[1]
    schedule.want([endpoint], 0.0)
    schedule.asked(endpoint, 5.0, 5.0)
    assert schedule.due(19.9) is None
    assert schedule.due(20.0) == endpoint


def test_paths_of_one_family_share_its_rest() -> None:
    schedule = Schedule(15.0)
    nodes = [Endpoint(f"nodes/{number}", "nodes/") for number in range(100)]
    schedule.want(nodes, 0.0)
    asked, now = 0, 0.0
    while now < 150.0:
        if endpoint := schedule.due(now):
            now += 0.1
            schedule.asked(endpoint, now, 0.1)
            asked += 1
        else:
            now += schedule.wait(now)
    assert 13 <= asked <= 16


def test_cluster_status_differs_only_where_its_usage_and_clock_do_not(recorded: Recorded) -> None:
    text = json.loads(recorded("cluster_status_formatted.json"))
    old = text["data"]["clusterStatus"]
    same = old.replace("2026-", "2027-").replace(" 0.", " 3.").replace("(0.", "(7.")
    other = old + "\n {'CPU': 64.0}: 1+ pending tasks/actors"
    assert same != old

    def mark(status: str) -> bytes:
        return digest(Answer(200, json.dumps({"data": {"clusterStatus": status}}).encode(), 0.0), frozenset())

    assert mark(old) == mark(same)
    assert mark(old) != mark(other)


def test_a_line_is_one_line_whatever_the_body_holds() -> None:
    bodies = [b'{"a":\n1}', b"\xff\xfe", b"", b"null", b'"\xff"', b"[" * 5000]
    lines = [line("a\nb", Answer(200, body, 0.0), 1.5) for body in bodies]
    assert [text.count(b"\n") for text in lines] == [1] * len(bodies)
    decoded = [msgspec.json.decode(text) for text in lines]
    assert [row["t"] for row in decoded] == [1.5] * len(bodies)
    assert decoded[3]["body"] is None


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"data":{"summary":[{}]}}', b'{"data":{"summary":[{"cpu":"x"}]}}']
)
def test_statistics_of_another_shape_are_passed_over(body: bytes) -> None:
    assert Statistics().rows(body, 1.0) == b""


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("-- Dashboard head http address: 127.0.0.41:18265\n", "http://127.0.0.41:18265"),
        ("-- Dashboard head http address: 0.0.0.0:8265\n", "http://127.0.0.1:8265"),
        ("-- Dashboard head http address: [::]:8265\n", "http://[::1]:8265"),
        (
            "address: 10.0.0.1:1\nDashboard head http address: a:1\nDashboard head http address: b:2\n",
            "http://b:2",
        ),
        ("nothing\n", None),
    ],
)
def test_the_dashboards_address_is_in_its_log(tmp_path: Path, text: str, address: str | None) -> None:
    (tmp_path / "dashboard.log").write_text(text)
    assert logged_address(tmp_path) == address


def test_the_dashboards_address_is_in_the_log_of_ray_2_40() -> None:
    logs = Path(__file__).parents[1] / "fixtures" / "ray" / "2.40" / "logs"
    assert logged_address(logs) == "http://127.0.0.1:8465"
