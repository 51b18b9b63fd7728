"""Writes a generated session into an archive, as one collector would have left it.

python -m bench.session STORE_URL [TASKS]
"""

import sys
import time
from collections.abc import Iterable, Iterator

from archive.catalog import CatalogEntry, encode
from archive.layout import Origin, Role, SegmentName, SessionKey
from archive.segment import Facts, Frame, Range, assemble, compress
from archive.store.url import open_store
from bench.cluster import START_NS
from bench.generate import Generator
from bench.shapes import SESSION

NAMESPACE = "bench"
CLUSTER = "generated"
EVENTS = "events"
PROFILE_EVENTS = "events.profile"
FRAME_BYTES = 1 << 20
SEGMENT_BYTES = 1 << 20


def write_session(store_url: str, tasks: int, seed: int = 1) -> SessionKey:
    """Archives one: closed segments of 1 MiB, and a catalog entry."""
    store = open_store(store_url)
    generator = Generator(tasks, seed)
    head = generator.cluster.nodes[0]
    key = SessionKey(NAMESPACE, CLUSTER, SESSION)
    started_ms = START_NS // 1_000_000
    origin = Origin(started_ms, "00000001")
    written_ms = started_ms
    for sequence, (frames, last) in enumerate(_with_last(_segments(generator.events())), 1):
        written_ms += 1000
        facts = Facts(
            name=SegmentName(key, head.hex, origin, sequence),
            written_ms=written_ms,
            collector="bench",
            node={"node_id": head.hex, "role": Role.HEAD, "node_ip": head.address},
            losses={},
            marks=(),
            closed=True,
            final="stopped" if last else None,
        )
        store.put(facts.name.key, assemble(facts, frames))
    entry = CatalogEntry(
        namespace=NAMESPACE,
        cluster=CLUSTER,
        session=SESSION,
        role=Role.HEAD,
        node_id=head.hex,
        ray_version="2.60.0",
        python_version="3.11.2",
        started_ms=started_ms,
        last_seen_ms=written_ms,
        state="ended",
        reason="stopped",
    )
    store.put(entry.name.key, encode(entry))
    return key


def _segments(events: Iterator[str]) -> Iterator[list[Frame]]:
    """Frames of 1 MiB raw, gathered until they are 1 MiB compressed."""
    waiting = {EVENTS: bytearray(), PROFILE_EVENTS: bytearray()}
    starts = dict.fromkeys(waiting, 0)
    frames: list[Frame] = []
    for event in events:
        stream = PROFILE_EVENTS if '"TASK_PROFILE_EVENT"' in event else EVENTS
        lines = waiting[stream]
        lines += event.encode()
        lines += b"\n"
        if len(lines) < FRAME_BYTES:
            continue
        frames += _frames(stream, starts, lines)
        if sum(len(frame.compressed) for frame in frames) >= SEGMENT_BYTES:
            for other, rest in waiting.items():
                frames += _frames(other, starts, rest)
            yield frames
            frames = []
    for stream, lines in waiting.items():
        frames += _frames(stream, starts, lines)
    yield frames


def _frames(stream: str, starts: dict[str, int], lines: bytearray) -> list[Frame]:
    data = bytes(lines)
    frames = compress(Range(stream, starts[stream], data)) if data else []
    starts[stream] += len(data)
    lines.clear()
    return frames


def _with_last(segments: Iterable[list[Frame]]) -> Iterator[tuple[list[Frame], bool]]:
    """Each segment, and whether it is the last."""
    rest = iter(segments)
    current = next(rest)
    for following in rest:
        yield current, False
        current = following
    yield current, True


def main() -> None:
    store_url, tasks = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 100_000
    began = time.perf_counter()
    key = write_session(store_url, tasks)
    print(f"{tasks} tasks in {key.path}, written in {time.perf_counter() - began:.1f} s")


if __name__ == "__main__":
    main()
