"""`ray logs`, which asks a living cluster for its dashboard: here a small one that names the dead session."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from historyserver.demo.addresses import free_ports
from historyserver.demo.cluster import Cluster, Node, clean_environment, ray_command
from historyserver.demo.processes import Family

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]

NAME_DASHBOARD = """
import sys
from ray._raylet import GcsClient
GcsClient(address=sys.argv[1]).internal_kv_put(b"dashboard", sys.argv[2].encode(), True, b"dashboard")
"""


@pytest.fixture(scope="module")
def gcs_address(dead_session: Any) -> Iterator[str]:
    """A living cluster on the dead head's address, since `ray logs` asks for that node by default."""
    gcs, client, dashboard, agent, events = free_ports(5)
    with tempfile.TemporaryDirectory(prefix="ray-logs-", dir="/tmp", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        family = Family(folder / "logs", clean_environment())
        try:
            cluster = Cluster(family, gcs_port=gcs, client_port=client, dashboard_port=dashboard)
            cluster.start(Node("head", "127.0.0.2", folder / "ray", agent, events))
            session = dead_session.session_url.removeprefix("http://").rstrip("/")
            subprocess.run(
                [sys.executable, "-c", NAME_DASHBOARD, f"127.0.0.2:{gcs}", session],
                env=clean_environment(),
                check=True,
                timeout=60,
            )
            yield f"127.0.0.2:{gcs}"
        finally:
            family.kill()


def ray_logs(address: str, *arguments: str) -> str:
    done = subprocess.run(
        ray_command("logs", *arguments, "--address", address),
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_ray_logs_lists_and_prints_files_of_the_dead_head(gcs_address: str) -> None:
    listed = ray_logs(gcs_address, "cluster")
    assert "gcs_server.out" in listed
    assert "daily report: 12 files" in ray_logs(gcs_address, "cluster", "job-driver-daily-report.log")


def test_ray_logs_finds_the_log_of_a_task_an_actor_and_a_job(gcs_address: str, dead_session: Any) -> None:
    (task,) = dead_session.rows("tasks", func_or_class_name="read_orders", state="FAILED")
    assert "row 4211: order=88122" in ray_logs(gcs_address, "task", "--id", task["task_id"], "--err")
    (cashier,) = dead_session.rows("actors", class_name="Cashier")
    assert "basket 4 is paid" in ray_logs(gcs_address, "actor", "--id", cashier["actor_id"])
    assert "the price is missing" in ray_logs(gcs_address, "job", "--id", "daily-report")
