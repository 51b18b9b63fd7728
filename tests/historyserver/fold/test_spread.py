"""`historyserver fold --ray` on a real Ray of two nodes, one of which is killed in the middle."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from historyserver.demo.addresses import free_ports
from historyserver.demo.cluster import Cluster, Node, clean_environment
from historyserver.demo.processes import Family

SESSIONS = 24
KILLED_AFTER = 4


@dataclass(frozen=True)
class TwoNodes:
    """`address`: of the cluster; `worker`: all processes of its second node."""

    address: str
    worker: Family


@pytest.fixture
def two_nodes() -> Iterator[TwoNodes]:
    """Each node is a family of its own, so that one can be killed whole. Ray's sockets need short paths."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(dir="/tmp", ignore_cleanup_errors=True)))
        gcs, client, dashboard, one, two, nobody = free_ports(6)
        ports = {"gcs_port": gcs, "client_port": client, "dashboard_port": dashboard}
        head = Family(folder / "l1", clean_environment())
        stack.callback(head.kill)
        worker = Family(folder / "l2", clean_environment())
        stack.callback(worker.kill)
        Cluster(head, **ports).start(Node("head", "127.0.0.1", folder / "h", one, nobody))
        Cluster(worker, **ports)._start(
            Node("worker", "127.0.0.2", folder / "w", two, nobody), f"--address=127.0.0.1:{gcs}"
        )
        yield TwoNodes(f"127.0.0.1:{gcs}", worker)


def fold(url: str, address: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "historyserver", "fold", "--all", f"--store={url}", f"--ray={address}"],
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.ray
@pytest.mark.timeout(300)
def test_every_session_is_folded_though_a_node_dies(archive: Any, two_nodes: TwoNodes) -> None:
    keys = archive.put(SESSIONS)
    with fold(archive.url, two_nodes.address) as process:
        deadline = time.monotonic() + 120
        while len(archive.viewed(keys)) < KILLED_AFTER:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        two_nodes.worker.kill()
        assert len(archive.viewed(keys)) < SESSIONS, "the node died too late"
        told, error = process.communicate(timeout=150)
        assert process.returncode == 0, error
    assert archive.viewed(keys) == keys
    assert "0 failed" in told
    with fold(archive.url, two_nodes.address) as again:
        told, error = again.communicate(timeout=100)
        assert f"0 folded, {SESSIONS} had a current view" in told, error


@pytest.mark.ray
@pytest.mark.timeout(120)
def test_a_cluster_that_is_not_there_is_told(make_archive: Callable[[Path], Any], tmp_path: Path) -> None:
    archive = make_archive(tmp_path / "kept")
    archive.put(1)
    (nobody,) = free_ports(1)
    with fold(archive.url, f"127.0.0.1:{nobody}") as process:
        _, error = process.communicate(timeout=100)
        assert process.returncode == 2
        assert "can't be reached" in error
