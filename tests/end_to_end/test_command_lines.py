"""Ray's stock command lines, pointed at the dead session's address."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from historyserver.demo.cluster import clean_environment

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]


def run(*command: str, fails: bool = False) -> str:
    """What the command prints; it must succeed unless it is meant to fail."""
    done = subprocess.run(
        [str(Path(sys.executable).parent / command[0]), *command[1:]],
        env={**clean_environment(), "RAY_USAGE_STATS_ENABLED": "0"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def address(dead_session: Any) -> str:
    return str(dead_session.session_url)


def rows(*command: str) -> Any:
    """What a command with `--format json` prints."""
    text = run(*command, "--format", "json")
    if "No resource in the cluster" in text:
        return []
    return json.loads(text[text.index("[") : text.rindex("]") + 1])


def test_ray_list_tasks_finds_the_failing_task(address: str) -> None:
    found = rows(
        "ray",
        "list",
        "tasks",
        "--address",
        address,
        "--detail",
        "-f",
        "name=read_orders",
        "-f",
        "state=FAILED",
    )
    assert len(found) == 1
    assert found[0]["error_type"] == "TASK_EXECUTION_EXCEPTION"
    assert "orders-07.csv, row 4211: the price is missing" in found[0]["error_message"]


def test_ray_list_tasks_tells_retries_from_crashes(address: str) -> None:
    attempts = rows("ray", "list", "tasks", "--address", address, "--detail", "-f", "name=download_rates")
    assert {row["attempt_number"]: row["state"] for row in attempts} == {
        0: "FAILED",
        1: "FAILED",
        2: "FINISHED",
    }
    crashes = rows("ray", "list", "tasks", "--address", address, "--detail", "-f", "name=compress_images")
    assert {(row["attempt_number"], row["error_type"]) for row in crashes} == {
        (0, "WORKER_DIED"),
        (1, "WORKER_DIED"),
    }


def test_nothing_runs_in_a_dead_session(address: str) -> None:
    for resource, alive in (("tasks", "RUNNING"), ("actors", "ALIVE"), ("nodes", "ALIVE")):
        assert rows("ray", "list", resource, "--address", address, "-f", f"state={alive}") == []


def test_ray_get_tells_all_about_one_task_actor_and_node(address: str) -> None:
    task = rows("ray", "list", "tasks", "--address", address, "-f", "name=read_orders", "-f", "state=FAILED")[
        0
    ]
    assert "the price is missing" in run("ray", "get", "tasks", task["task_id"], "--address", address)
    actor = rows("ray", "list", "actors", "--address", address, "-f", "class_name=Scanner")[0]
    shown = run("ray", "get", "actors", actor["actor_id"], "--address", address)
    assert "scanner /dev/scan0 is" in shown
    node = rows("ray", "list", "nodes", "--address", address)[0]
    assert node["node_ip"] in run("ray", "get", "nodes", node["node_id"], "--address", address)


def test_ray_list_shows_actors_nodes_jobs_workers_and_placement_groups(address: str) -> None:
    actors = rows("ray", "list", "actors", "--address", address, "--detail")
    named = {row["class_name"]: row for row in actors}
    assert {
        "Cart",
        "Cashier",
        "Scanner",
        "ServeController",
        "ServeReplica:storefront:Greeter",
    } <= named.keys()
    assert named["Cashier"]["num_restarts"] == 1
    nodes = rows("ray", "list", "nodes", "--address", address)
    assert {row["node_ip"]: row["is_head_node"] for row in nodes} == {"127.0.0.2": True, "127.0.0.3": False}
    jobs = rows("ray", "list", "jobs", "--address", address)
    assert {row["submission_id"]: row["status"] for row in jobs if row["submission_id"]}.items() >= {
        ("daily-report", "FAILED"),
        ("shop-simulation", "SUCCEEDED"),
        ("sales-by-shop", "SUCCEEDED"),
    }
    workers = rows("ray", "list", "workers", "--address", address, "--detail")
    assert any(row["exit_type"] == "SYSTEM_ERROR" for row in workers)
    groups = rows("ray", "list", "placement-groups", "--address", address)
    assert "tills" in {row["name"] for row in groups}


def test_ray_summary_counts_tasks_and_actors(address: str) -> None:
    tasks = run("ray", "summary", "tasks", "--address", address)
    (line,) = [line for line in tasks.splitlines() if "read_orders" in line]
    assert "FAILED: 1" in line
    assert "FINISHED: 11" in tasks
    assert "Cashier" in run("ray", "summary", "actors", "--address", address)


def test_ray_job_shows_the_job_that_failed(address: str) -> None:
    assert "submission_id='daily-report'" in run("ray", "job", "list", "--address", address)
    assert "failed" in run("ray", "job", "status", "daily-report", "--address", address)
    assert "succeeded" in run("ray", "job", "status", "shop-simulation", "--address", address)


def test_ray_job_logs_prints_the_driver_log_followed_or_not(address: str) -> None:
    for options in ((), ("--follow",)):
        log = run("ray", "job", "logs", "daily-report", *options, "--address", address)
        assert "daily report: 12 files" in log
        assert "the price is missing" in log


def test_the_log_of_a_task_that_was_cut_off_lacks_ten_seconds_at_most(dead_session: Any) -> None:
    (stock,) = dead_session.rows("tasks", func_or_class_name="take_stock")
    assert stock["state"] == "FAILED"
    log = dead_session.text(f"api/v0/logs/file?task_id={stock['task_id']}&suffix=out&lines=-1")
    last = [line.split()[-1] for line in log.splitlines() if line.startswith("counting shelf")][-1]
    lost = (seconds_of_day(dead_session.killed_at) - seconds_of_day(last)) % 86400
    assert lost <= 10, f"killed at {dead_session.killed_at}, last line of {last}"


def seconds_of_day(clock: str) -> int:
    hours, minutes, seconds = map(int, clock.split(":"))
    return hours * 3600 + minutes * 60 + seconds


def test_serve_status_shows_the_application(address: str) -> None:
    status = run("serve", "status", "--address", address)
    assert "storefront" in status
    assert "Greeter" in status


def test_changing_something_is_refused_with_a_reason(address: str) -> None:
    assert "405" in run("ray", "job", "stop", "storefront", "--address", address, fails=True)
