"""A spool that isn't what it was: the collector lives, keeps on keeping, and tells what it could not read."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from faults.damage import WAYS
from faults.rig.collecting import until
from faults.rig.judge import Archive, logs_are_whole
from faults.rig.rig import Rig

from archive.layout import SessionKey
from sidecar.spool import Spool

KEY = SessionKey("ns", "c", "session_2026-11-23_02-43-27_490622_12278")
NODE = "ab" * 28
SHORT = ("a bit of journals flipped", "checkpoints of garbage", "files that no collector made")


def kept(spool: Spool) -> tuple[dict[str, bytes], dict[str, int]]:
    """What a spool tells of its streams, over all its origins, and what it counts as lost."""
    found: dict[str, bytes] = {}
    losses: dict[str, int] = {}
    for node in [spool.node(KEY, NODE), *spool.left_over()]:
        after = node.stored
        while after < node.written:
            batch = node.reads(after)
            for read in batch.reads:
                found[read.record.stream] = found.get(read.record.stream, b"") + read.payload
            after = batch.end
        for reason, amount in node.losses.items():
            losses[reason] = losses.get(reason, 0) + amount
    return found, losses


@pytest.mark.parametrize("way", WAYS)
def test_a_damaged_spool_gives_what_can_be_read_and_goes_on(
    tmp_path: Path, way: str, chance: random.Random, rounds: Callable[[int, int], int]
) -> None:
    for number in range(rounds(3, 300)):
        folder = tmp_path / str(number)
        events = [b'{"event": %d}\n' % each for each in range(chance.randrange(1, 40))]
        with Spool(folder, 1 << 30) as spool:
            node = spool.node(KEY, NODE)
            for event in events:
                node.append("events", event)
            node.append("logs/raylet.out", b"a log\n")
        (folder / "supervisor.pid").write_text("1\n")
        WAYS[way](folder, chance)
        with Spool(folder, 1 << 30) as spool:
            spool.node(KEY, NODE).append("events", b"after\n")
            found, losses = kept(spool)
        lines = found["events"].splitlines(keepends=True)
        assert lines[-1] == b"after\n"
        assert lines[:-1] == events[: len(lines) - 1]
        # What ends as a killed writer leaves it, or is gone altogether, can't be told from what never was.
        if len(lines) - 1 < len(events) and not way.endswith(("short", "gone", "empty", "origins", "zeros")):
            assert losses == {"journal.damaged": 1}


@pytest.mark.parametrize(
    "way", [pytest.param(way, marks=() if way in SHORT else pytest.mark.soak(timeout=120)) for way in WAYS]
)
def test_a_collector_lives_with_a_damaged_spool(rig: Rig, way: str, chance: random.Random) -> None:
    rig.begin(flush_seconds=0.5, end_seconds=20)
    rig.keep_busy()
    until(lambda: len(rig.aggregator.acknowledged) > 200)
    rig.collecting.kill()
    WAYS[way](rig.collecting.spool, chance)
    rig.collecting.start()
    before = set(rig.aggregator.acknowledged)
    until(lambda: len(rig.aggregator.acknowledged) > len(before) + 200)
    rig.rest()
    assert rig.collecting.end() == 0
    archive = Archive(rig.store)
    events = archive.events(rig.node.nodes).lines
    assert rig.aggregator.acknowledged.keys() - before <= events.keys()
    assert all(rig.aggregator.posted[event_id] == line for event_id, line in events.items())
    for stream, data in rig.node.written.items():
        logs_are_whole(archive, rig.node.nodes, stream, bytes(data))
