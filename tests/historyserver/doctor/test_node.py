"""What the doctor finds on a machine: with real processes, ports and folders."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from archive.settings import Address
from historyserver.doctor.finding import Verdict
from historyserver.doctor.node import judge_switches
from sidecar.health import Health, HealthServer
from sidecar.metrics import Metrics

ALL_ON = {
    "RAY_enable_ray_event": "1",
    "RAY_enable_core_worker_ray_event_to_aggregator": "1",
    "RAY_enable_export_api_write": "1",
    "RAY_DASHBOARD_AGGREGATOR_AGENT_EXPOSABLE_EVENT_TYPES": "ALL",
    "RAY_DASHBOARD_AGGREGATOR_AGENT_EVENTS_EXPORT_ADDR": "http://127.0.0.1:8084/",
}
LISTEN = Address("127.0.0.1", 8084)


@pytest.fixture
def at_home(doctor, tmp_path):
    """The collector's doctor with a folder as store, which is never the reason."""
    (tmp_path / "store").mkdir()

    def examined(*arguments: str):
        return doctor("collector", f"file://{tmp_path}/store", {}, *arguments)

    return examined


@pytest.fixture
def raylet(ray_dir):
    """Starts a process that looks like this Ray's raylet, in an environment."""
    running = []

    def start(environment):
        command = [
            "/ray/raylet/raylet",
            "-c",
            "import sys; print(flush=True); sys.stdin.read()",
            f"{ray_dir}/session_x",
        ]
        process = subprocess.Popen(
            command, executable=sys.executable, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        running.append(process)
        assert process.stdout.readline() == b"\n"

    yield start
    for process in running:
        process.communicate()


@pytest.fixture
def held():
    """A port that somebody holds and nobody answers at."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{holder.getsockname()[1]}"


def test_the_readme_s_switches_are_all_that_is_needed() -> None:
    assert judge_switches(ALL_ON, LISTEN).verdict is Verdict.OK


@pytest.mark.parametrize("name", ALL_ON)
def test_each_switch_that_is_off_is_named(name) -> None:
    finding = judge_switches({other: value for other, value in ALL_ON.items() if other != name}, LISTEN)
    assert finding.verdict is Verdict.FAIL
    assert name in finding.what
    assert len(finding.what.split(";")) == 1


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:9999/", "http://127.0.0.1/", "127.0.0.1:8084", "http://[::1"]
)
def test_events_that_go_to_another_address_are_told(address) -> None:
    environment = ALL_ON | {"RAY_DASHBOARD_AGGREGATOR_AGENT_EVENTS_EXPORT_ADDR": address}
    assert judge_switches(environment, LISTEN).verdict is Verdict.FAIL


def test_the_switches_are_those_of_this_ray_s_own_process(at_home, raylet) -> None:
    raylet(ALL_ON)
    assert at_home("--listen", "127.0.0.1:8084")["ray switches"].verdict is Verdict.OK
    report = at_home("--listen", "127.0.0.1:8099")
    assert report.failed == ["ray switches"]
    assert (
        "is 'http://127.0.0.1:8084/', and the collector listens at port 8099" in report["ray switches"].what
    )


def test_without_a_ray_in_sight_the_switches_are_not_judged(at_home) -> None:
    assert at_home()["ray switches"].verdict is Verdict.SKIP


def test_a_folder_of_ray_s_is_shown_with_its_session_or_expected(at_home, tmp_path) -> None:
    assert "session_2026-11-23" in at_home()["ray folder"].what
    report = at_home("--ray-dir", str(tmp_path / "nothing"))
    assert report.warned == ["ray folder", "spool"]


def test_a_spool_that_can_t_be_written_is_told(at_home, tmp_path) -> None:
    assert at_home()["spool"].verdict is Verdict.OK
    report = at_home("--spool", "/proc/self/history-spool")
    assert report.failed == ["spool"]


def test_a_disk_smaller_than_the_budget_is_a_warning(at_home) -> None:
    assert at_home("--spool-budget", "100000GiB").warned == ["spool"]


def test_a_port_that_somebody_else_holds_is_told(at_home, held) -> None:
    assert at_home("--listen", held).failed == ["events port"]
    assert at_home("--health", held).failed == ["health port"]


@pytest.mark.parametrize(("problem", "verdict"), [("", Verdict.OK), ("the disk is full", Verdict.WARN)])
def test_a_collector_that_runs_is_asked_how_it_is(at_home, held, problem, verdict) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    metrics = Metrics()
    health = Health(metrics)
    health.tell("spool", [problem] if problem else [])
    server = HealthServer(("127.0.0.1", port), metrics, health)
    server.start()
    try:
        report = at_home("--health", f"127.0.0.1:{port}", "--listen", held)
    finally:
        server.stop()
    assert report["health port"].verdict is verdict
    assert problem in report["health port"].what
    assert report["events port"].what == f"{held} is the collector's"


def test_a_server_s_port_that_is_held_is_told(doctor, tmp_path, held) -> None:
    (tmp_path / "store").mkdir()
    report = doctor("server", f"file://{tmp_path}/store", {}, "--listen", held)
    assert report.failed == ["port"]
