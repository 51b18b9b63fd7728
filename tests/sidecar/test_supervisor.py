"""The supervisor, as a process of its own: it ends when told to, and for no other reason."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

ROOT = Path(__file__).parents[2]
Eventually = Callable[..., Any]

PRELUDE = """
import os, signal, sys
from sidecar import supervisor

def note(text):
    with open(os.environ["NOTES"], "a") as file:
        file.write(f"{text}\\n")

def wait():
    return signal.sigtimedwait({signal.SIGTERM, signal.SIGUSR1}, 60)

"""


class Process:
    """A supervisor over the collector that the given code defines as `collect`."""

    def __init__(self, code: str, notes: Path) -> None:
        self._notes = notes
        self._process = subprocess.Popen(
            [sys.executable, "-c", f"{PRELUDE}{code}\nsys.exit(supervisor.supervise(collect))"],
            cwd=ROOT,
            env=os.environ | {"NOTES": str(notes)},
        )
        self.pid = self._process.pid

    def notes(self) -> list[str]:
        return self._notes.read_text().splitlines() if self._notes.exists() else []

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.pid).children()

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def alive(self) -> bool:
        return self._process.poll() is None

    def wait(self) -> int:
        return self._process.wait(20)

    def clean(self) -> None:
        if self.alive():
            for child in psutil.Process(self.pid).children():
                child.kill()
            self._process.kill()
        self._process.wait()


@pytest.fixture
def supervise(tmp_path: Path) -> Iterator[Callable[[str], Process]]:
    started: list[Process] = []

    def start(code: str) -> Process:
        started.append(Process(code, tmp_path / f"notes-{len(started)}"))
        return started[-1]

    yield start
    for process in started:
        process.clean()


QUIET = """
def collect():
    note(os.getpid())
    wait()
    return 0
"""


def test_a_killed_collector_is_started_again(
    supervise: Callable[[str], Process], eventually: Eventually
) -> None:
    process = supervise(QUIET)
    first = int(eventually(process.notes)[0])
    os.kill(first, signal.SIGKILL)
    second = int(eventually(lambda: process.notes()[1:])[0])
    assert second != first
    assert process.alive()


def test_a_collector_that_fails_at_once_is_tried_again_for_ever(
    supervise: Callable[[str], Process], eventually: Eventually
) -> None:
    process = supervise("def collect():\n    note('tried')\n    raise RuntimeError('no luck')")
    eventually(lambda: len(process.notes()) >= 3)
    assert process.alive()
    process.send(signal.SIGTERM)
    assert process.wait() == 0


def test_a_collector_that_returns_without_being_told_is_started_again(
    supervise: Callable[[str], Process], eventually: Eventually
) -> None:
    process = supervise("def collect():\n    note('left')\n    return 0")
    eventually(lambda: len(process.notes()) >= 2)
    assert process.alive()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_it_ends_when_told_to_as_soon_as_the_collector_has(
    supervise: Callable[[str], Process], eventually: Eventually, number: signal.Signals
) -> None:
    code = "def collect():\n    note('up')\n    note(wait().si_signo)\n    return 0"
    process = supervise(code)
    eventually(process.notes)
    process.send(number)
    assert process.wait() == 0
    assert process.notes() == ["up", str(int(signal.SIGTERM))]


def test_a_collector_that_does_not_end_is_killed(
    supervise: Callable[[str], Process], eventually: Eventually
) -> None:
    code = "supervisor.END_LIMIT = 0.3\ndef collect():\n    note(os.getpid())\n    while True: wait()"
    process = supervise(code)
    child = int(eventually(process.notes)[0])
    process.send(signal.SIGTERM)
    assert process.wait() == 0
    assert not psutil.pid_exists(child)


def test_a_collector_that_can_not_even_be_killed_does_not_hold_up_the_end(
    supervise: Callable[[str], Process], eventually: Eventually
) -> None:
    """Nothing but a dead mount keeps a process from dying; here the signal is withheld."""
    code = """
supervisor.END_LIMIT = supervisor.KILL_LIMIT = 0.3
kill = os.kill
os.kill = lambda pid, number: None if number == signal.SIGKILL else kill(pid, number)
def collect():
    note(os.getpid())
    while True: wait()
"""
    process = supervise(code)
    child = int(eventually(process.notes)[0])
    process.send(signal.SIGTERM)
    try:
        assert process.wait() == 0
        assert psutil.pid_exists(child)
    finally:
        os.kill(child, signal.SIGKILL)


def test_the_begin_of_the_end_is_passed_on_and_remembered(
    supervise: Callable[[str], Process], eventually: Eventually
) -> None:
    code = (
        "def collect():\n    note('up')\n    note(wait().si_signo)\n    os.kill(os.getpid(), signal.SIGKILL)"
    )
    process = supervise(code)
    eventually(process.notes)
    process.send(signal.SIGUSR1)
    again = ["up", str(int(signal.SIGUSR1))]
    eventually(lambda: process.notes()[:4] == again * 2)
    assert process.alive()


def test_what_a_dead_collector_left_is_cared_for_before_the_end(
    supervise: Callable[[str], Process], eventually: Eventually
) -> None:
    code = """
supervisor.FIRST_DELAY = 3600.0
def collect():
    note('up')
    if len(open(os.environ["NOTES"]).readlines()) == 1:
        return 1
    note(wait().si_signo)
    return 0
"""
    process = supervise(code)
    eventually(process.notes)
    eventually(lambda: not process.children())
    process.send(signal.SIGTERM)
    assert process.wait() == 0
    assert process.notes() == ["up", "up", str(int(signal.SIGTERM))]


def test_nothing_heavy_is_loaded_before_the_fork(
    supervise: Callable[[str], Process], eventually: Eventually
) -> None:
    process = supervise("def collect():\n    note(' '.join(sys.modules))\n    wait()\n    return 0")
    loaded = set(eventually(process.notes)[0].split())
    assert "sidecar.supervisor" in loaded
    heavy = {"argparse", "dataclasses", "http", "json", "logging", "msgspec", "socket", "ssl", "zstandard"}
    assert not loaded & heavy


def test_orphans_of_others_are_reaped(supervise: Callable[[str], Process], eventually: Eventually) -> None:
    """As the container's first process it inherits every orphan; here it asks to."""
    code = """
import ctypes
assert ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) == 0  # PR_SET_CHILD_SUBREAPER
def collect():
    if os.fork() == 0:
        if os.fork() == 0:
            signal.sigtimedwait(set(), 0.3)
            os._exit(0)
        os._exit(0)
    os.wait()
    note('orphaned')
    wait()
    return 0
"""
    process = supervise(code)
    eventually(process.notes)
    eventually(lambda: len(process.children()) == 1)
    assert process.alive()
