"""Told to end with much that waits: it ends in time, the newest first; the next collector has the rest."""

import contextlib
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import fake_oss
import pytest
from fake_oss import FakeOss, Fault, Trickle
from faults.rig.collecting import Collecting, until
from faults.rig.in_oss import end_when_stored, metric, rig_in, start_again
from faults.rig.judge import Archive
from faults.rig.ray_node import NODE, RayNode
from faults.rig.rig import Rig

from archive.layout import Role

MIB = 1 << 20
SPEEDS: dict[str, Callable[[FakeOss], object]] = {
    "fast": lambda oss: None,
    "20 ms a request": lambda oss: oss.set_latency(0.02),
    "trickle": lambda oss: oss.add(Fault(Trickle(200_000, answer=False), method="PUT")),
}


@pytest.fixture
def oss() -> Iterator[FakeOss]:
    """In a process of its own: it is to take no time from the node's."""
    with fake_oss.running() as running:
        yield running


@pytest.fixture
def rig(oss: FakeOss, tmp_path: Path, chance: random.Random) -> Iterator[Rig]:
    made = rig_in(oss, tmp_path / "node", chance, oss.environment("collector"))
    made.node = RayNode(made.ray_dir, chance, ring_size=1 << 40)
    yield made
    made.close()


@pytest.mark.soak
@pytest.mark.parametrize("speed", SPEEDS)
@pytest.mark.parametrize("grace", [30.0, 5.0, 2.0])
def test_a_backlog_of_100_mib_is_stored_as_far_as_the_time_goes(
    grace: float, speed: str, rig: Rig, oss: FakeOss
) -> None:
    stop_under_backlog(rig, oss, grace, speed, 100 * MIB)


def test_a_backlog_is_stored_as_far_as_two_seconds_go(rig: Rig, oss: FakeOss) -> None:
    stop_under_backlog(rig, oss, 2.0, "20 ms a request", 40 * MIB)


def stop_under_backlog(rig: Rig, oss: FakeOss, grace: float, speed: str, size: int) -> None:
    """Logs of so many bytes and some events wait, and the store is there again when the end comes."""
    oss.down()
    rig.begin(flush_seconds=0.2, end_seconds=max(grace - 1.5, 1.2))
    write(rig, size)
    oss.up()
    SPEEDS[speed](oss)
    ended_within(rig.collecting, grace)
    if speed != "trickle":
        newest_first(rig)
    oss.clear()
    oss.set_latency(0.0)
    start_again(rig)
    until(lambda: metric(rig, "spool_bytes") > 0)
    end_when_stored(rig)
    rig.judge()


def write(rig: Rig, size: int) -> None:
    """Fills the spool with logs, and with events behind them."""
    for number in range(size // MIB):
        line = rig.chance.randbytes(MIB // 2 - 1).hex() + "\n"
        rig.node.append(f"worker-{number % 4}.out", line.encode())
    until(lambda: metric(rig, "spool_bytes") > size / 2 and metric(rig, "lag_bytes") == 0, 60)
    for _ in range(50):
        rig.aggregator.post()
    rig.rest()


def ended_within(running: Collecting, grace: float) -> None:
    """As a kubelet does it: the preStop hook's word, SIGTERM, and SIGKILL after the grace."""
    began = time.monotonic()
    running.supervisor.send_signal(signal.SIGUSR1)
    with contextlib.suppress(subprocess.TimeoutExpired):
        assert running.end(grace) == 0
    took = time.monotonic() - began
    running.close()
    assert took < (grace - 1 if grace > 2 else grace), f"it took {took:.1f} s"


def newest_first(rig: Rig) -> None:
    """What came last is there, whatever else is."""
    archive = Archive(rig.store)
    (entry,) = (one for one in archive.catalog if one.role is Role.HEAD)
    assert entry.state == "ended"
    assert rig.aggregator.acknowledged.keys() == archive.events([NODE]).lines.keys()
