"""Thousands of logs, of which many turn their rings all the time: none is lost, and few are kept open."""

import random
from collections.abc import Callable

import psutil
from faults.rig.collecting import until
from faults.rig.in_oss import end_when_stored
from faults.rig.ray_node import RayNode, Repeated
from faults.rig.rig import Rig

WRITE_EVERY = 0.2
LINES = 10
RING_SIZE = 4_000
"""Each active log turns its ring every 2 s."""
KEPT_OPEN = 100
"""Logs; some files more are the collector's own."""


def test_thousands_of_logs_lose_nothing_and_are_not_held_open(
    oss_rig: Rig, chance: random.Random, rounds: Callable[[int, int], int]
) -> None:
    oss_rig.node = RayNode(oss_rig.ray_dir, chance, ring_size=RING_SIZE)
    oss_rig.begin(flush_seconds=0.5, deleted_files=KEPT_OPEN)
    until(oss_rig.aggregator.post)
    logs = [f"worker-{number:04d}.out" for number in range(rounds(300, 5_000))]
    for name in logs:
        oss_rig.node.append(name, b"it begins\n")
    active = logs[:: len(logs) // rounds(20, 100)]
    writing = Repeated(lambda: write(oss_rig.node, active), WRITE_EVERY)
    collector = psutil.Process(until(oss_rig.collecting.collector))
    most = 0
    for _ in range(rounds(10, 120)):
        written = sum(map(len, oss_rig.node.written.values()))
        until(lambda so_far=written: sum(map(len, oss_rig.node.written.values())) > so_far + RING_SIZE)
        most = max(most, collector.num_fds())
    writing.stop()
    end_when_stored(oss_rig)
    oss_rig.judge()
    assert KEPT_OPEN <= most < KEPT_OPEN + 50, f"{most} files were open at once"


def write(node: RayNode, names: list[str]) -> None:
    for name in names:
        node.append(name, b"a line of some worker, as any other one is\n" * LINES)
