"""What a node loses that dies with its volume: killed while it is busy, its disk gone, 20 ms to the store.

The age, at the kill, of the oldest log byte or acknowledged event that the archive lacks: the worst of some
nodes, killed at random moments. They are the nodes of tests/faults, with the settings that nobody changed.
"""

import random
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from bench.figure import Figure
from bench.oss import find_tests, oss

NODES = 3
GROUPS = 4
LIVES = (8.0, 20.0)
GOAL = 10.0


def figures() -> Iterator[Figure]:
    """Nodes live three at a time."""
    find_tests()
    from faults.rig.force_kill import lost_by  # noqa: PLC0415 - found only now
    from faults.rig.in_oss import rig_in  # noqa: PLC0415

    chance = random.Random(2026)  # noqa: S311 - moments of death
    lost: list[float] = []
    for _ in range(GROUPS):
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            storages = [stack.enter_context(oss()) for _ in range(NODES)]
            rigs = [
                rig_in(storage, folder / str(number), chance, storage.environment("collector"))
                for number, storage in enumerate(storages)
            ]
            lost += lost_by(rigs, chance, LIVES)
    yield Figure("force-killed node loses", max(lost), "s", GOAL)
