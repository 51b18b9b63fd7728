"""Node statistics as narrow rows of the stream `stats`, from the answer of `nodes?view=summary`.

A row is `{"t", "node_id", "cpu", "mem_used", "mem_total", "disk_used", "net_sent", "net_received",
"object_store_used", "gpu"}`: seconds, percent, bytes, bytes a second; `gpu` a list of objects. What Ray does
not tell is null.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

_GPU: Final = ("index", "name", "utilizationGpu", "memoryUsed", "memoryTotal")


class _Raylet(msgspec.Struct, rename="camel"):
    node_id: str = ""
    state: str = ""
    object_store_used_memory: float | None = None


class _Disk(msgspec.Struct):
    used: float | None = None


class _Node(msgspec.Struct, rename="camel"):
    now: float | None = None
    cpu: float | None = None
    mem: list[float | None] = []
    disk: dict[str, _Disk] = {}
    network_speed: list[float | None] = []
    gpus: list[dict[str, object]] = []
    raylet: _Raylet = msgspec.field(default_factory=_Raylet)


class _Data(msgspec.Struct):
    summary: list[_Node] = []


class _Summary(msgspec.Struct):
    data: _Data = msgspec.field(default_factory=_Data)


class Statistics:
    """Rows of nodes whose figures are newer than those already written."""

    def __init__(self) -> None:
        self._seen: dict[str, float] = {}

    def rows(self, body: bytes, at: float) -> bytes:
        """The lines for one answer; none where the body has another shape."""
        try:
            nodes = msgspec.json.decode(body, type=_Summary).data.summary
        except msgspec.DecodeError:
            return b""
        return b"".join(self._lines(nodes, at))

    def _lines(self, nodes: list[_Node], at: float) -> Iterator[bytes]:
        for node in nodes:
            node_id = node.raylet.node_id
            if not node_id or node.now is None or self._seen.get(node_id) == node.now:
                continue
            self._seen[node_id] = node.now
            yield msgspec.json.encode(_row(node, at)) + b"\n"


def _row(node: _Node, at: float) -> dict[str, object]:
    disk = node.disk.get("/") or next(iter(node.disk.values()), _Disk())
    return {
        "t": round(at, 3),
        "node_id": node.raylet.node_id,
        "cpu": node.cpu,
        "mem_used": _at(node.mem, 3),
        "mem_total": _at(node.mem, 0),
        "disk_used": disk.used,
        "net_sent": _at(node.network_speed, 0),
        "net_received": _at(node.network_speed, 1),
        "object_store_used": node.raylet.object_store_used_memory,
        "gpu": [{key: gpu.get(key) for key in _GPU} for gpu in node.gpus],
    }


def _at(values: list[float | None], place: int) -> float | None:
    return values[place] if place < len(values) else None
