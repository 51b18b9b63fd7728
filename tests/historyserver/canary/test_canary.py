"""The canary beside a real collector, whose deaths and whose store's absence it has to survive."""

import http.client
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_oss import FakeOss
from faults.rig.collecting import ROOT, free_port, until
from faults.rig.ray_node import RayNode

from historyserver.canary import main

Start = Callable[..., Any]


def is_well(outcome: Any) -> bool:
    return outcome.is_whole() and min(outcome.lines["sent"], outcome.events["sent"]) >= 20


def test_a_killed_collector_loses_and_doubles_nothing(
    collect: Start, fly: Start, store_url: str, ray_node: RayNode, rounds: Callable[[int, int], int]
) -> None:
    collecting = collect(store_url)
    canary = fly(store_url, collecting)
    kills = rounds(1, 20)
    for kill in range(1, kills + 1):
        canary.until_seen(10 * kill)
        if kill % 4:
            collecting.kill_collector()
        else:  # so that no supervisor comes to wait for long
            collecting.kill()
            collecting.start()
    canary.until_seen(10 * kills + 20)
    assert is_well(outcome := canary.end()), outcome.text
    assert outcome.lines["sent"] >= 10 * kills + 20
    assert list(ray_node.logs.glob("*canary*")) == []


def test_it_is_the_same_with_object_storage(collect: Start, fly: Start) -> None:
    with FakeOss() as oss:
        collecting = collect(oss.url(), oss.environment("collector"))
        canary = fly(oss.url(), collecting, oss.environment("operator"))
        canary.until_seen(5)
        collecting.kill_collector()
        oss.down()
        until(lambda: "archive can't be read" in canary.said())
        oss.up()
        canary.until_seen(25)
        assert is_well(outcome := canary.end()), outcome.text


def test_a_log_that_is_not_kept_is_missing(collect: Start, fly: Start, store_url: str) -> None:
    collecting = collect(store_url, exclude_logs="historyserver-canary-*")
    outcome = fly(store_url, collecting, seconds=1, wait_seconds=2).outcome()
    assert outcome.code == 1, outcome.text
    assert outcome.lines["missing"] == outcome.lines["sent"] > 0
    assert outcome.events["missing"] == 0
    assert outcome.events["seen"] == outcome.events["sent"] > 0


def test_what_the_collector_says_it_dropped_is_told(
    collect: Start, fly: Start, tmp_path: Path, store_url: str
) -> None:
    (tmp_path / "spool").write_text("no folder, so nothing can be kept")
    collecting = collect(store_url)
    canary = fly(store_url, collecting)
    until(lambda: re.search(r"events: 0 of [1-9]\d* seen", canary.said()))
    (tmp_path / "spool").unlink()
    canary.until_seen(5)
    outcome = canary.end()
    assert outcome.code == 0, outcome.text
    assert outcome.events["told"] > 0
    assert outcome.events["seen"] + outcome.events["told"] == outcome.events["sent"]
    assert outcome.lines["seen"] == outcome.lines["sent"]


def test_a_new_session_is_a_new_run(
    collect: Start, fly: Start, store_url: str, tmp_path: Path, ray_node: RayNode
) -> None:
    collecting = collect(store_url)
    canary = fly(store_url, collecting)
    canary.until_seen(5)
    later = tmp_path / "ray" / "session_2026-11-23_05-00-00_000001_77"
    (later / "logs").mkdir(parents=True)
    (later / f"metrics_agent_port_{'ab' * 28}").write_text("1")
    (tmp_path / "ray" / "new").symlink_to(later)
    (tmp_path / "ray" / "new").rename(tmp_path / "ray" / "session_latest")
    until(lambda: list((later / "logs").glob("historyserver-canary-*")))
    before = int(re.findall(r"lines: (\d+) of", canary.said())[-1])
    canary.until_seen(before + 5)
    assert is_well(outcome := canary.end()), outcome.text
    assert list(ray_node.logs.glob("*canary*")) == []


def test_figures_are_served_to_prometheus(collect: Start, fly: Start, store_url: str) -> None:
    port = free_port()
    collecting = collect(store_url)
    canary = fly(store_url, collecting, metrics=f"127.0.0.1:{port}")
    canary.until_seen(2)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    figures = dict(re.findall(r"^(\S+) (\S+)$", text, re.MULTILINE))
    assert float(figures['historyserver_canary_messages{kind="lines",fate="seen"}']) >= 2
    assert figures['historyserver_canary_messages{kind="events",fate="missing"}'] == "0"
    assert figures["historyserver_canary_problem"] == "0"
    canary.end()


def test_an_archive_that_cannot_be_read_is_no_loss(
    collect: Start, fly: Start, store_url: str, tmp_path: Path
) -> None:
    collecting = collect(store_url)
    canary = fly(f"file://{tmp_path}/elsewhere", collecting, seconds=0.5, wait_seconds=0)
    outcome = canary.outcome()
    assert outcome.code == 2, outcome.text
    assert outcome.lines["missing"] == 0
    assert "the archive can't be read" in outcome.text


def test_without_a_session_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        flags = f"--store file://{tmp_path} --namespace ns --cluster c --ray-dir {tmp_path} --seconds 0.3"
        assert main([*flags.split(), "--every", "0.1", "--report-seconds", "0.1"]) == 2
    finally:
        signal.signal(signal.SIGINT, old[0])
        signal.signal(signal.SIGTERM, old[1])
    assert f"there is no session of Ray in {tmp_path}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ("--namespace ns --cluster c", "--store, or --server"),
        ("--store nonsense://x --namespace ns --cluster c", "nonsense"),
        ("--store file:///x --namespace ../x --cluster c", "namespace"),
        ("--store file:///x --namespace ns --cluster c --every 0", "--every"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(
    flags: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(flags.split()) == 2
    assert sentence in capsys.readouterr().err


def test_an_address_in_use_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            flags = f"--store file://{tmp_path} --namespace ns --cluster c --metrics {address}"
            assert main(flags.split()) == 2
    finally:
        signal.signal(signal.SIGINT, old[0])
        signal.signal(signal.SIGTERM, old[1])
    assert address in capsys.readouterr().err


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Starts a history server over a store; its address is returned."""
    started: list[subprocess.Popen[bytes]] = []

    def start(url: str) -> str:
        listen = f"127.0.0.1:{free_port()}"
        flags = ["--store", url, "--listen", listen, "--cache", str(tmp_path / "cache")]
        started.append(subprocess.Popen([sys.executable, "-m", "historyserver", "serve", *flags], cwd=ROOT))
        return f"http://{listen}"

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_lines_are_read_back_from_a_server_too(
    collect: Start, fly: Start, serve: Callable[[str], str], store_url: str
) -> None:
    collecting = collect(store_url)
    canary = fly("", collecting, server=serve(store_url))
    until(lambda: re.search(r"lines: [1-9]\d* of", canary.said()), 60)
    collecting.kill_collector()
    until(lambda: re.search(r"lines: [4-9]\d of", canary.said()), 60)
    outcome = canary.end()
    assert outcome.code == 0, outcome.text
    assert outcome.lines["seen"] == outcome.lines["sent"] >= 40
    assert outcome.events["sent"] > 10
    assert outcome.events["seen"] == outcome.events["missing"] == outcome.events["overdue"] == 0
