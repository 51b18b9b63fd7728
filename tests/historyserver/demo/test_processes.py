"""A family of processes is found and ended whole, and nobody else with it."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from historyserver.demo.processes import Family

# Starts a daemon (new terminal session, parent gone), says its id, then waits.
DAEMON = """
import subprocess, sys, time
daemon = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print(daemon.pid, flush=True)
if sys.argv[1] == "stay":
    time.sleep(600)
"""


@pytest.fixture
def family(tmp_path: Path) -> Iterator[Family]:
    family = Family(tmp_path / "logs", {})
    yield family
    family.kill()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def gone(pid: int) -> bool:
    """Dead, or dead and waiting for its parent."""
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"


def test_a_daemon_whose_parent_is_gone_still_belongs_and_is_killed(family: Family, tmp_path: Path) -> None:
    parent = family.start("parent", [sys.executable, "-c", DAEMON, "leave"], folder=tmp_path)
    assert parent.wait(20) == 0
    daemon = int(family.log("parent").read_text())
    assert {member.pid for member in family.members()} == {daemon}
    family.kill()
    assert gone(daemon)
    assert family.members() == set()


def test_children_of_a_process_without_environment_belong_even_when_it_is_gone(
    family: Family, tmp_path: Path
) -> None:
    bare = ["env", "-i", sys.executable, "-c", DAEMON, "stay"]
    parent = family.start("bare", bare, folder=tmp_path)
    until(lambda: family.log("bare").read_text().endswith("\n"))
    daemon = int(family.log("bare").read_text())
    assert {member.pid for member in family.members()} == {parent.pid, daemon}
    parent.kill()
    parent.wait()
    assert {member.pid for member in family.members()} == {daemon}
    family.kill()
    assert gone(daemon)


def test_strangers_and_other_families_are_left_alone(family: Family, tmp_path: Path) -> None:
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    other = Family(tmp_path / "other", {})
    try:
        other_child = other.start(
            "child", [sys.executable, "-c", "import time; time.sleep(600)"], folder=tmp_path
        )
        family.start("child", [sys.executable, "-c", "import time; time.sleep(600)"], folder=tmp_path)
        until(lambda: len(family.members()) == 1)
        family.kill()
        assert stranger.poll() is None
        assert other_child.poll() is None
    finally:
        other.kill()
        stranger.kill()
        stranger.wait()


def test_stopping_lets_a_process_say_farewell_and_kills_the_deaf(family: Family, tmp_path: Path) -> None:
    say_farewell = "lambda *_: (print('farewell', flush=True), sys.exit())"
    polite = f"import signal, sys, time\nsignal.signal(signal.SIGTERM, {say_farewell})\n"
    deaf = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    ready = "print('ready', flush=True)\ntime.sleep(600)\n"
    family.start("polite", [sys.executable, "-c", polite + ready], folder=tmp_path)
    family.start("deaf", [sys.executable, "-c", deaf + ready], folder=tmp_path)
    until(lambda: all("ready" in family.log(name).read_text() for name in ("polite", "deaf")))
    family.stop(patience_seconds=0.5)
    assert "farewell" in family.log("polite").read_text()
    assert family.members() == set()
