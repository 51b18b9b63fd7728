"""Writes a generated session into an archive, as its collectors would have left it.

python -m bench.session STORE_URL [TASKS [NODES [SEGMENTS]]]
"""

import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Literal

from archive.catalog import CatalogEntry, encode
from archive.layout import Origin, Role, SegmentName, SessionKey
from archive.segment import Facts, Frame, Range, assemble, compress
from archive.store.base import ObjectInfo, Store
from archive.store.url import open_store
from bench.cluster import NODES, START_NS, Node
from bench.generate import Generator
from bench.shapes import SESSION

NAMESPACE = "bench"
CLUSTER = "generated"
EVENTS = "events"
PROFILE_EVENTS = "events.profile"
FRAME_BYTES = 1 << 20
SEGMENT_BYTES = 1 << 20
EVENTS_A_TASK = 4.4
STARTED_MS = START_NS // 1_000_000
PUTS_AT_ONCE = 8


class Collector:
    """What one node's collector stores: closed segments of events, each about 1 MiB at most."""

    def __init__(self, writer: "SessionWriter", node: Node, role: Role) -> None:
        self._writer = writer
        self._node = node
        self._role = role
        self._origin = Origin(STARTED_MS, "00000001")
        self._sequence = 0
        self._waiting = {EVENTS: bytearray(), PROFILE_EVENTS: bytearray()}
        self._starts = dict.fromkeys(self._waiting, 0)
        self._frames: list[Frame] = []

    def add(self, event: str) -> None:
        stream = PROFILE_EVENTS if '"TASK_PROFILE_EVENT"' in event else EVENTS
        lines = self._waiting[stream]
        lines += event.encode()
        lines += b"\n"
        if len(lines) >= FRAME_BYTES:
            self._cut(stream)
            if sum(len(frame.compressed) for frame in self._frames) >= SEGMENT_BYTES:
                self.close()

    def close(self, final: str | None = None) -> None:
        """Stores what waits as one segment, and an empty one only at the end."""
        for stream in self._waiting:
            self._cut(stream)
        if not self._frames and final is None:
            return
        self._sequence += 1
        facts = Facts(
            name=SegmentName(self._writer.key, self._node.hex, self._origin, self._sequence),
            written_ms=self._writer.now_ms,
            collector="bench",
            node={"node_id": self._node.hex, "role": self._role, "node_ip": self._node.address},
            losses={},
            marks=(),
            closed=True,
            final=final,
        )
        self._writer.put(facts.name.key, assemble(facts, self._frames))
        self._frames = []

    def _cut(self, stream: str) -> None:
        data = bytes(self._waiting[stream])
        if data:
            self._frames += compress(Range(stream, self._starts[stream], data))
            self._starts[stream] += len(data)
            self._waiting[stream].clear()


class SessionWriter:
    """One session's collectors and its catalog entry. Puts go out some at a time; `close` waits for them."""

    def __init__(self, store: Store, generator: Generator, nodes: int, key: SessionKey) -> None:
        """`nodes`: how many keep what is reported there; all other nodes' events are with the first."""
        self.key = key
        self.now_ms = STARTED_MS
        self.stored_bytes = 0
        self._store = store
        self._head = generator.cluster.nodes[0]
        self._collectors = {
            node.id: Collector(self, node, Role.WORKER if place else Role.HEAD)
            for place, node in enumerate(generator.cluster.nodes[:nodes])
        }
        self._threads = ThreadPoolExecutor(PUTS_AT_ONCE)
        self._puts: list[Future[ObjectInfo]] = []

    def add(self, event: str) -> None:
        """One event, kept by the node that reported it."""
        reporter = event.rpartition('"nodeId": "')[2].partition('"')[0]
        self._collectors.get(reporter, self._collectors[self._head.id]).add(event)

    def close_segments(self, final: str | None = None) -> None:
        """Every node's segment ends here, and all is stored."""
        for collector in self._collectors.values():
            collector.close(final)
        for put in self._puts:
            put.result()
        self._puts.clear()

    def put(self, key: str, data: bytes) -> None:
        self.now_ms += 1000
        self.stored_bytes += len(data)
        self._puts.append(self._threads.submit(self._store.put, key, data))
        if len(self._puts) > 2 * PUTS_AT_ONCE:
            self._puts.pop(0).result()

    def catalog(self, state: Literal["running", "ended"]) -> None:
        entry = CatalogEntry(
            namespace=self.key.namespace,
            cluster=self.key.cluster,
            session=self.key.session,
            role=Role.HEAD,
            node_id=self._head.hex,
            ray_version="2.60.0",
            python_version="3.11.2",
            started_ms=STARTED_MS,
            last_seen_ms=self.now_ms,
            state=state,
            reason="stopped" if state == "ended" else "",
        )
        self._store.put(entry.name.key, encode(entry))

    def close(self) -> None:
        """The session ends."""
        self.close_segments("stopped")
        self.catalog("ended")
        self._threads.shutdown()


def write_session(
    store_url: str, tasks: int, *, nodes: int = 1, segments: int = 1, seed: int = 1, cluster: str = CLUSTER
) -> SessionKey:
    """Archives one of `nodes` nodes, each of `segments` segments at least."""
    generator = Generator(tasks, seed, max(nodes, NODES))
    writer = SessionWriter(open_store(store_url), generator, nodes, SessionKey(NAMESPACE, cluster, SESSION))
    each = max(int(tasks * EVENTS_A_TASK) // segments, 1)
    for number, event in enumerate(generator.events(), 1):
        writer.add(event)
        if number % each == 0:
            writer.close_segments()
    writer.close()
    return writer.key


def batches(events: Iterator[str], size: int) -> Iterator[list[str]]:
    """Events, so many at a time."""
    batch: list[str] = []
    for event in events:
        batch.append(event)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def main() -> None:
    store_url, *numbers = sys.argv[1:]
    tasks, nodes, segments = [*map(int, numbers), *(100_000, 1, 1)[len(numbers) :]]
    began = time.perf_counter()
    key = write_session(store_url, tasks, nodes=nodes, segments=segments)
    print(f"{tasks} tasks in {key.path}, written in {time.perf_counter() - began:.1f} s")


if __name__ == "__main__":
    main()
