"""What a node loses that is killed with its volume, as after a forced deletion or a power cut."""

import random
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from .judge import Archive
from .ray_node import NODE, Repeated
from .rig import Rig


def killed_with_its_volume(rig: Rig) -> float:
    """Kills everything of the node at once and removes its disk; when that was, in Unix seconds."""
    killed_at = time.time()
    rig.collecting.kill()
    rig.fall_silent()
    shutil.rmtree(rig.folder)
    return killed_at


def seconds_lost(rig: Rig, killed_at: float) -> float:
    """The age, at the kill, of the oldest byte or acknowledged event that is not in the archive."""
    archive = Archive(rig.store)
    kept = archive.events([NODE]).lines.keys()
    oldest = [made for event_id, made in rig.aggregator.acknowledged.items() if event_id not in kept]
    for stream, written in rig.node.written.items():
        if stream.startswith("logs/"):
            read = archive.read(NODE, stream)
            assert written.startswith(read), f"{stream} is stored otherwise than it was written"
            oldest += _first_time(bytes(written), len(read))
    return max(0.0, killed_at - min(oldest, default=killed_at))


def _first_time(written: bytes, stored: int) -> list[float]:
    """When the first byte behind what is stored was written, as its line says."""
    if stored == len(written):
        return []
    begin = written.rfind(b"\n", 0, stored) + 1
    fields = written[begin:].split(maxsplit=2)
    return [float(fields[1])] if len(fields) > 1 and fields[0].isdigit() else [0.0]


def lost_by(rigs: Sequence[Rig], chance: random.Random, lives: tuple[float, float]) -> list[float]:
    """Begins the nodes, kills each after a while of its own, and says what each lost in seconds."""
    for rig in rigs:
        rig.begin()
        rig.keep_busy()
    deadlines = sorted(
        ((time.monotonic() + chance.uniform(*lives), rig) for rig in rigs), key=lambda each: each[0]
    )
    lost = []
    for deadline, rig in deadlines:
        time.sleep(max(0.0, deadline - time.monotonic()))
        lost.append(seconds_lost(rig, killed_with_its_volume(rig)))
    return lost


class Stalls:
    """How long this machine left others asleep that wanted to run."""

    def __init__(self) -> None:
        self.longest = 0.0

    def look(self) -> None:
        began = time.monotonic()
        threading.Event().wait(0.05)
        self.longest = max(self.longest, time.monotonic() - began - 0.05)


@contextmanager
def stalls() -> Iterator[Stalls]:
    """Measured until the end of the block."""
    measured = Stalls()
    looking = Repeated(measured.look, 0.0)
    yield measured
    looking.stop()
