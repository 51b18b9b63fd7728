"""SIGKILL at every point where half a deed could be left behind, each reached and each alone."""

import random
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import pytest
from faults.rig.life import Life
from faults.rig.points import Point

POINTS = """
sidecar.spool.journal:Journal.append:before:7                the bytes are not in the journal yet
sidecar.spool.journal:Journal.append:after:7                 they are, and nobody knows
sidecar.spool.journal:os.write:half:9                        half of them are
sidecar.spool.journal:os.write:half:1                        half a state begins the first file
sidecar.spool.journal:os.open:after:1                        the first file is empty
sidecar.spool.journal:os.open:after:3                        the next file is empty
sidecar.spool.journal:Journal.roll:before:2                  a file is long enough
sidecar.spool.journal:Journal.roll:after:2                   the next file holds a state and nothing else
sidecar.spool.journal:Journal.drop_before:before:3           the checkpoint says stored, the files are there
sidecar.spool.journal:Journal._forget:before:1               one of the stored files is gone
sidecar.spool.checkpoint:CheckpointFile.__init__:before:1    an origin is an empty folder
sidecar.spool.checkpoint:CheckpointFile.__init__:before:2    the same, of a node
sidecar.spool.checkpoint:CheckpointFile.write:before:2       its checkpoint is empty
sidecar.spool.checkpoint:CheckpointFile.write:before:5       the old checkpoint
sidecar.spool.checkpoint:os.pwrite:half:5                    half of the new one
sidecar.spool.checkpoint:CheckpointFile.write:after:5        the new one
sidecar.spool.spool:Spool.unassigned:after:1                 a place for bodies without node, and no body
sidecar.spool.spool:Spool.node:after:1                       a node's spool, and nothing in it
sidecar.spool.node:NodeSpool.begin_sequence:before:2         a segment without number
sidecar.spool.node:NodeSpool.begin_sequence:after:2          a number without segment
sidecar.spool.node:NodeSpool.store_until:before:3            stored, and the spool does not know
sidecar.spool.node:NodeSpool.store_until:after:3             the spool knows, the flusher does not
sidecar.spool.node:NodeSpool.mark:before:1                   content was read and is not marked
sidecar.spool.node:NodeSpool.mark:after:1                    it is marked and not there
sidecar.spool.node:NodeSpool.move_into:before:1              bodies wait, their node is known
sidecar.spool.node:NodeSpool.take_over:before:1              the same
sidecar.spool.node:NodeSpool.store_until:before:1            one of them is in both spools
sidecar.spool.node:NodeSpool.move_into:after:1               all moved
sidecar.collector:Collector._assign:after:1                  all moved, and the next go there
sidecar.spool.node:NodeSpool.remove:before:1                 all moved, the folder is there
sidecar.spool.node:NodeSpool.remove:before:2                 the final segment is stored, the spool is there
sidecar.spool.node:shutil.rmtree:before:2                    it is to be removed
sidecar.spool.node:shutil.rmtree:half:2                      it is half removed
sidecar.spool.node:shutil.rmtree:after:2                     it is removed, and nobody knows
archive.store.local:LocalStore.put:before:4                  a segment is made and not put
archive.store.local:_rename_into:before:4                    it is put by half
archive.store.local:LocalStore.put:after:4                   it is put, and nobody knows
sidecar.catalog:Catalog._put:before:1                        the session is not listed yet
sidecar.catalog:Catalog._put:after:1                         it is listed
sidecar.tail.reader:Reader._append:before:12                 a log is read and not kept
sidecar.tail.reader:Reader._append:after:12                  it is kept, and the tailer does not know
sidecar.receiver.intake:Intake.whole:after:6                 a body is kept and not answered
sidecar.receiver.intake:Pieces.feed:after:5                  half a body is kept
sidecar.collector:Collector._end_life:before:1               another node follows
sidecar.life:Life.end:before:1                               its last bytes are not read
sidecar.life:Life.end:after:1                                they are in the spool
sidecar.flushing:Flushing.end:before:1                       nobody finishes it yet
sidecar.flushing:Flushing.begin:before:2                     the next one is not flushed yet
sidecar.life:Life.__init__:before:2                          the next one has a spool and no life
sidecar.flush.flusher:Flusher.finish:before:1                a node that has ended waits
sidecar.flush.flusher:Flusher.finish:after:1                 it is finished
sidecar.collector:Collector.end:before:1                     told to end
sidecar.flushing:Flushing.finish:before:1                    the last bytes are in the spool
"""
POINT = [line.split(maxsplit=1)[0] for line in POINTS.splitlines() if line]
SHORT = {
    "sidecar.spool.journal:os.write:half:9",
    "sidecar.spool.journal:os.open:after:3",
    "sidecar.spool.journal:Journal.drop_before:before:3",
    "sidecar.spool.node:NodeSpool.begin_sequence:after:2",
    "sidecar.spool.node:NodeSpool.store_until:before:1",
    "sidecar.spool.node:NodeSpool.store_until:before:3",
    "sidecar.spool.node:NodeSpool.remove:before:2",
    "sidecar.spool.node:shutil.rmtree:half:2",
    "archive.store.local:LocalStore.put:after:4",
    "sidecar.tail.reader:Reader._append:after:12",
    "sidecar.receiver.intake:Pieces.feed:after:5",
    "sidecar.life:Life.end:after:1",
}
"""What `make test` tries; `make soak` tries all."""
ALONE = [
    "sidecar.flushing:Flushing.finish:after:1",  # all is stored, the catalog says running
    "sidecar.catalog:Catalog.finish:after:1",  # all is done
]
"""Behind the end of an origin. The next one keeps the logs again from what is there of them, so only a node
that followed none shows them once.
"""
END = "sidecar.collector:Collector._end_life:before:1"
LATER = [
    (END, "sidecar.spool.spool:Spool.left_over:after:1"),
    (END, "sidecar.flush.flusher:Flusher.finish:before:1"),
    (END, "sidecar.spool.node:NodeSpool.remove:before:1"),
    (END, "sidecar.spool.node:shutil.rmtree:half:1"),
    (END, "sidecar.spool.node:NodeSpool.begin_sequence:after:1"),
    ("sidecar.spool.journal:os.open:after:3", "sidecar.spool.journal:Journal.append:after:9"),
    ("sidecar.spool.journal:os.write:half:9", "sidecar.spool.journal:Journal.append:after:2"),
    (
        "sidecar.spool.node:NodeSpool.store_until:before:1",
        "sidecar.spool.node:NodeSpool.store_until:before:1",
    ),
    ("sidecar.spool.node:NodeSpool.begin_sequence:after:2", "archive.store.local:LocalStore.put:after:2"),
]
"""Where the first life dies, and where the second: which finds a node that has ended meanwhile, or what
another death left behind.
"""


def test_the_short_ones_are_some_of_all() -> None:
    assert set(POINT) >= SHORT


@pytest.mark.parametrize("point", [*POINT, *ALONE, *(later for _, later in LATER)])
def test_every_named_point_is_there(point: str) -> None:
    assert Point.parse(point).found()


def chosen(points: Sequence[Any], short: Collection[Any]) -> list[Any]:
    """The points, the others than the short ones for the long form only."""
    return [pytest.param(one, marks=() if one in short else pytest.mark.soak) for one in points]


@pytest.mark.usefixtures("soaking")
@pytest.mark.parametrize("point", chosen(POINT, SHORT))
def test_nothing_is_lost_when_it_dies_at(point: str, tmp_path: Path, chance: random.Random) -> None:
    live(tmp_path, chance, [point])


@pytest.mark.soak
@pytest.mark.parametrize("point", ALONE)
def test_nothing_is_lost_when_a_node_that_followed_none_dies_at(
    point: str, tmp_path: Path, chance: random.Random
) -> None:
    live(tmp_path, chance, [point], followed=False)


@pytest.mark.usefixtures("soaking")
@pytest.mark.parametrize("points", chosen(LATER, LATER[3:6:2]), ids=" then ".join)
def test_nothing_is_lost_when_two_lives_die_at(
    points: tuple[str, str], tmp_path: Path, chance: random.Random
) -> None:
    live(tmp_path, chance, list(points))


def live(folder: Path, chance: random.Random, points: list[str], *, followed: bool = True) -> None:
    life = Life(folder, chance, points, followed=followed)
    try:
        life.live()
    finally:
        life.close()
