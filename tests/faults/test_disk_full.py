"""The disk of the spool is full: Ray is thanked, what is dropped is counted, it goes on when there is room.

A limit on the size of files stands for the disk, since it needs no rights. What exceeds it fails, the first
bytes of a write may get through, and what is written over in place does: as on a full disk.
"""

import errno
import os
import random
import resource
from collections.abc import Callable
from pathlib import Path

import pytest
from faults.rig.collecting import until
from faults.rig.in_oss import end_when_stored
from faults.rig.judge import Archive, logs_are_whole
from faults.rig.ray_node import NODE
from faults.rig.rig import Rig

from archive.layout import SessionKey
from archive.losses import dropped
from sidecar.spool import Spool, SpoolFull

FULL = 48 << 10
"""Bytes: a checkpoint has room, and what is new hardly any."""
SESSION = SessionKey("ns", "c", "session_2026-11-23_02-43-27_490622_12278")
Rounds = Callable[[int, int], int]


def limit(pid: int, size: int) -> None:
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def fill_up(rig: Rig) -> int:
    """From now on nothing finds room; the collector's process id."""
    pid = until(rig.collecting.collector)
    limit(pid, FULL)
    return pid


def is_told(rig: Rig) -> None:
    """Fails unless what is missing is counted, and all the rest is as it was."""
    archive = Archive(rig.store)
    events = archive.events([NODE]).lines
    losses = archive.losses()
    assert all(rig.aggregator.posted[event_id] == line for event_id, line in events.items())
    assert losses.keys() <= {dropped("events"), dropped("events.profile")}
    assert sum(losses.values()) == len(rig.aggregator.posted) - len(events) > 0
    for stream, written in rig.node.written.items():
        logs_are_whole(archive, [NODE], stream, bytes(written))


def test_what_finds_no_room_is_counted_and_everything_else_is_whole(oss_rig: Rig, rounds: Rounds) -> None:
    oss_rig.begin(flush_seconds=0.2)
    oss_rig.keep_busy()
    for _ in range(rounds(2, 20)):
        oss_rig.answered(300)
        pid = fill_up(oss_rig)
        oss_rig.answered(2000)
        limit(pid, resource.RLIM_INFINITY)
    oss_rig.answered(100)
    end_when_stored(oss_rig)
    is_told(oss_rig)


def test_a_collector_that_begins_on_a_full_disk_goes_on_when_there_is_room(oss_rig: Rig) -> None:
    oss_rig.begin(flush_seconds=0.2)
    oss_rig.keep_busy()
    oss_rig.answered(300)
    # The next one is a child of the supervisor, and has its limit from it.
    limit(oss_rig.collecting.supervisor.pid, FULL)
    oss_rig.collecting.kill_collector()
    oss_rig.answered(2000)
    limit(until(oss_rig.collecting.collector), resource.RLIM_INFINITY)
    oss_rig.answered(300)
    end_when_stored(oss_rig)
    is_told(oss_rig)


@pytest.mark.parametrize("written", [0, 1, 100, 5000])
def test_half_a_write_leaves_no_torn_record(
    tmp_path: Path, chance: random.Random, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    """The disk takes the first bytes of a record only, or none and says so."""
    real = os.write

    def short(descriptor: int, data: bytes) -> int:
        if not written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(descriptor, data[:written])

    lines = [chance.randbytes(6000) for _ in range(3)]
    with Spool(tmp_path, 1 << 20) as spool:
        node = spool.node(SESSION, NODE)
        node.append("events", lines[0])
        with monkeypatch.context() as full:
            full.setattr("os.write", short)
            with pytest.raises(SpoolFull):
                node.append("events", lines[1])
            node.count_loss(dropped("events"))
        node.append("events", lines[2])
    with Spool(tmp_path, 1 << 20) as spool:
        node = spool.node(SESSION, NODE)
        assert node.end("events") == len(lines[0] + lines[2])
        assert node.losses == {dropped("events"): 1}
        assert [read.record.start for read in node.reads(node.stored).reads] == [0, len(lines[0])]
