"""The collector beside a real one-node Ray, which is then killed without a word."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

ROOT = Path(__file__).parents[2]
RAY = Path(sys.executable).parent / "ray"
Eventually = Callable[..., Any]

JOB = """
import ray
ray.init(address="{address}", namespace="n", log_to_driver=False)

@ray.remote
def double(number):
    print("doubling", number)
    return number * 2

assert ray.get([double.remote(number) for number in range(3)]) == [0, 2, 4]
"""


class Ports:
    """Free ports of one address of this machine."""

    def __init__(self) -> None:
        self.host = f"127.0.{os.getpid() % 250 + 1}.{os.getpid() // 250 % 250 + 2}"

    def free(self) -> int:
        with socket.socket() as listening:
            listening.bind((self.host, 0))
            return int(listening.getsockname()[1])


class Ray:
    """A head in a folder of its own; everything it started carries a mark in its environment."""

    def __init__(self, folder: Path, ports: Ports, events_url: str) -> None:
        self.address = f"{ports.host}:{ports.free()}"
        self._mark = str(os.getpid())
        flags = {
            "node-ip-address": ports.host,
            "port": self.address.rpartition(":")[2],
            "dashboard-host": ports.host,
            "dashboard-port": ports.free(),
            "temp-dir": folder,
            "num-cpus": 1,
            "object-store-memory": 100_000_000,
            "dashboard-agent-listen-port": ports.free(),
            "dashboard-agent-grpc-port": ports.free(),
            "runtime-env-agent-port": ports.free(),
            "ray-client-server-port": ports.free(),
        }
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("RAY_", "HISTORYSERVER_"))
        }
        self.environment = environment | {
            "COLLECTOR_TEST": self._mark,
            "RAY_enable_ray_event": "1",
            "RAY_enable_core_worker_ray_event_to_aggregator": "1",
            "RAY_DASHBOARD_AGGREGATOR_AGENT_EVENTS_EXPORT_ADDR": events_url,
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        command = [str(RAY), "start", "--head", *(f"--{name}={value}" for name, value in flags.items())]
        self._starting = subprocess.Popen(
            command, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def started(self) -> bool:
        return self._starting.poll() == 0

    def run(self, code: str) -> None:
        subprocess.run([sys.executable, "-c", code], env=self.environment, cwd="/", check=True, timeout=90)

    def kill(self) -> None:
        """Everything at once, by SIGKILL."""
        for _ in range(3):
            for process in psutil.process_iter():
                with contextlib.suppress(psutil.Error):
                    if process.environ().get("COLLECTOR_TEST") == self._mark:
                        process.kill()
        self._starting.wait()


@pytest.fixture
def ray_dir() -> Iterator[Path]:
    """A short path: the names of Ray's sockets must not be long."""
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def started(ray_dir: Path) -> Iterator[list[Any]]:
    """Whatever has `kill`, killed at the end."""
    things: list[Any] = []
    yield things
    for thing in reversed(things):
        thing.kill()


@pytest.mark.ray
@pytest.mark.timeout(180)
def test_a_killed_ray_leaves_session_node_events_logs_and_polls(
    archived: Any, tmp_path: Path, eventually: Eventually, ray_dir: Path, started: list[Any]
) -> None:
    ports = Ports()
    listen = f"{ports.host}:{ports.free()}"
    collect = subprocess.Popen(
        [
            *(sys.executable, "-m", "historyserver", "collect", "--store", archived.url),
            *("--ray-dir", str(ray_dir), "--namespace", "ns", "--cluster", "c", "--flush-seconds", "1"),
            *("--spool", str(tmp_path / "spool"), "--listen", listen),
            *("--health", f"{ports.host}:{ports.free()}", "--poll-seconds", "1"),
        ],
        cwd=ROOT,
    )
    started.append(collect)
    ray = Ray(ray_dir, ports, f"http://{listen}/any/path")
    started.append(ray)
    link = ray_dir / "session_latest"
    eventually(link.is_symlink, 60)
    entry = eventually(archived.catalog, 30)[0]
    listed_after = time.time() - link.lstat().st_mtime
    assert entry.session == link.readlink().name
    assert (entry.role, entry.state) == ("head", "running")
    eventually(ray.started, 60)
    node_id = eventually(lambda: archived.catalog()[0].node_id)
    ray.run(JOB.format(address=ray.address))
    kinds = {"TASK_DEFINITION_EVENT", "TASK_LIFECYCLE_EVENT", "DRIVER_JOB_DEFINITION_EVENT"}
    eventually(lambda: kinds <= {row["eventType"] for row in archived.rows(node_id, "events")}, 30)
    eventually(lambda: archived.catalog()[0].ray_version == "2.60.0", 30)
    eventually(lambda: "nodes?view=summary" in [row["path"] for row in archived.rows(node_id, "polls")], 30)

    ray.kill()
    raylet_log = (link / "logs" / "raylet.out").read_bytes()
    eventually(lambda: archived.stream(node_id, "logs/raylet.out") == raylet_log, 30)
    worker_logs = [path for path in (link / "logs").glob("worker-*.out") if b"doubling" in path.read_bytes()]
    assert worker_logs
    for path in worker_logs:
        eventually(lambda one=path: archived.stream(node_id, f"logs/{one.name}") == one.read_bytes(), 30)
    assert archived.catalog()[0].state == "running"
    assert collect.poll() is None
    collect.send_signal(signal.SIGTERM)
    assert collect.wait(30) == 0
    assert archived.catalog()[0].state == "ended"
    assert archived.nodes() == [node_id]
    print(f"listed {listed_after:.1f} s after the session's folder")
