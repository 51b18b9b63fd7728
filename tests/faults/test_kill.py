"""SIGKILL at any moment: what was acknowledged and what was written is in the archive, once."""

import random
import time
from collections.abc import Callable

import pytest
from faults.rig.collecting import Collecting, gone, until
from faults.rig.ray_node import Repeated
from faults.rig.rig import Rig

MOST_IN_A_ROW = 3
"""Kills of the collector alone: its supervisor waits longer after each."""
LONG = [pytest.param(number, marks=pytest.mark.soak) for number in range(1, 8)]


@pytest.mark.parametrize("story", [0, *LONG])
def test_nothing_is_lost_and_nothing_wrong_however_often_it_is_killed(
    story: int,
    request: pytest.FixtureRequest,
    chance: random.Random,
    rounds: Callable[[int, int], int],
) -> None:
    rig: Rig = request.getfixturevalue("oss_rig" if story % 2 else "rig")
    rig.begin(flush_seconds=chance.choice((0.1, 0.3, 1.0)))
    rig.keep_busy()
    alone = 0
    for _ in range(rounds(8, 25)):
        time.sleep(chance.uniform(0, rounds(1, 3)))
        alone = kill(rig.collecting, chance.choice(("collector", "supervisor", "both")), alone)
    rig.rest()
    assert rig.collecting.end() == 0
    rig.judge()


def kill(running: Collecting, victim: str, alone: int) -> int:
    """Kills, starts what nobody else starts, and gives how often the collector alone was killed in a row."""
    if victim == "collector" and alone < MOST_IN_A_ROW:
        running.kill_collector()
        return alone + 1
    if victim == "supervisor":
        running.kill_supervisor()
    else:
        running.kill()
    running.start()
    return 0


def test_all_that_is_answered_while_one_collector_follows_another_is_kept(rig: Rig) -> None:
    rig.begin(flush_seconds=0.1)
    posting = Repeated(rig.aggregator.post, 0.001)
    for _ in range(2):
        take_over(rig)
    posting.stop()
    rig.rest()
    assert rig.collecting.end() == 0
    rig.judge()


def take_over(rig: Rig) -> None:
    """The supervisor dies, and a new one starts a collector while the old one still has the spool."""
    until(lambda: rig.aggregator.acknowledged)
    orphan = until(rig.collecting.collector)
    rig.collecting.kill_supervisor()
    rig.collecting.start()
    until(lambda: gone(orphan))
    rig.answered(1000)


def test_one_that_is_told_to_end_before_it_has_the_spool_takes_the_last_bytes_all_the_same(rig: Rig) -> None:
    rig.begin(flush_seconds=0.1)
    until(rig.aggregator.post)
    rig.fall_silent()
    rig.collecting.kill_supervisor()
    rig.collecting.start()
    rig.node.append("raylet.out", b"the last bytes\n")
    assert rig.collecting.end() == 0
    rig.judge()
