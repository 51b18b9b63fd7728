"""Node statistics: lines of the `stats` stream, as they were stored."""

from collections.abc import Iterator
from typing import Final

import msgspec
from msgspec import Raw, Struct

from server.fold.batch import UNREADABLE, Gathered
from server.fold.events import NOTHING, raw_text
from server.fold.times import plausible


class Stat(Struct):
    """One row of the `stats` stream; what a node has not is absent."""

    t: float
    node_id: str
    cpu: float | None = None
    mem_used: int | None = None
    mem_total: int | None = None
    disk_used: int | None = None
    net_sent: float | None = None
    net_received: float | None = None
    object_store_used: int | None = None
    gpu: Raw = NOTHING


def observe_stats(lines: Iterator[tuple[int, bytes]], gathered: Gathered) -> None:
    """One row a line."""
    for _, line in lines:
        try:
            stat = msgspec.json.decode(line, type=Stat, strict=False)
            ns = plausible(int(stat.t * 1000) * 1_000_000)
            gpu = raw_text(stat.gpu)
        except UNREADABLE as error:
            gathered.fault("undecodable statistic", type(error).__name__)
            continue
        if ns is None:
            gathered.fault("absurd timestamp", "statistic")
            continue
        values = {name: getattr(stat, name) for name in _STATISTICS}
        gathered.add("stats", {"node_id": stat.node_id, "seen_ns": ns, "gpu": gpu} | values)


_STATISTICS: Final = (
    "cpu",
    "mem_used",
    "mem_total",
    "disk_used",
    "net_sent",
    "net_received",
    "object_store_used",
)
