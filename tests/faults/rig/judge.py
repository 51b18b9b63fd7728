"""Compares what the archive holds with what was posted and written, reading as the server does."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import msgspec

from archive.catalog import CatalogEntry, decode
from archive.layout import CATALOG, SEGMENTS
from archive.segment import Mark, fetch_footer
from archive.store.base import Store
from archive.stream import Extents, Reader, Segment

from .aggregator import Aggregator
from .ray_node import RayNode

HARMLESS = {"rewritten", "continues"}


class _Event(msgspec.Struct):
    eventId: str  # noqa: N815 - as Ray writes it


_EVENT = msgspec.json.Decoder(_Event)


@dataclass(frozen=True)
class Events:
    """The events of a node: each once, and how many times more some of them were stored."""

    lines: dict[str, bytes]
    repeated: int


class Archive:
    """What a store holds at one moment."""

    def __init__(self, store: Store) -> None:
        self._reader = Reader(store)
        self._segments: dict[str, list[Segment]] = {}
        for info in store.list(SEGMENTS):
            footer = fetch_footer(store, info)
            self._segments.setdefault(footer.facts.name.node_id, []).append(Segment(info, footer))
        self.catalog: list[CatalogEntry] = [decode(store.get(info.key).data) for info in store.list(CATALOG)]

    @property
    def nodes(self) -> list[str]:
        return list(self._segments)

    def segments(self, node_id: str) -> list[Segment]:
        """In the order of origins and numbers."""
        return sorted(self._segments.get(node_id, []), key=lambda one: one.footer.facts.name)

    def streams(self, node_id: str) -> set[str]:
        return {frame.stream for one in self.segments(node_id) for frame in one.footer.frames}

    def extent(self, node_id: str, stream: str) -> Extents:
        extent = self._reader.open(stream, self.segments(node_id))
        assert self._reader.check(extent) == []
        return extent

    def read(self, node_id: str, stream: str) -> bytes:
        return b"".join(data for _, data in self._reader.read(self.extent(node_id, stream)))

    def marks(self, node_id: str, stream: str) -> list[Mark]:
        """What readers are told of bytes that are missing."""
        return [mark for mark in self.extent(node_id, stream).marks if mark.kind not in HARMLESS]

    def events(self, nodes: Sequence[str]) -> Events:
        """Once each by event id, as readers count them."""
        lines = [
            line
            for node_id in nodes
            for stream in ("events", "events.profile")
            for line in self.read(node_id, stream).splitlines(keepends=True)
        ]
        found: dict[str, bytes] = {}
        for line in lines:
            assert line.endswith(b"\n")
            found[_EVENT.decode(line).eventId] = line[:-1]
        return Events(found, len(lines) - len(found))

    def losses(self) -> dict[str, int]:
        """What the collectors counted as lost."""
        total: Counter[str] = Counter()
        for segments in self._segments.values():
            newest = {
                one.footer.facts.name.origin: one.footer.facts
                for one in sorted(segments, key=lambda one: one.footer.facts.name)
            }
            for facts in newest.values():
                total.update(facts.losses)
        return dict(total)

    def finals(self, node_id: str) -> list[str]:
        return [one.footer.facts.final for one in self.segments(node_id) if one.footer.facts.final]


def nothing_is_missing(archive: Archive, node: RayNode, aggregator: Aggregator, *, again: int = 0) -> None:
    """Fails unless every acknowledged event and every byte of every log is there, and nothing is wrong.

    `again`: how many events may be stored twice although they were posted once.
    """
    for stream in ("events", "events.profile"):
        assert [mark for node_id in node.nodes for mark in archive.marks(node_id, stream)] == []
    _events(archive.events(node.nodes), aggregator, again)
    for stream, data in node.written.items():
        logs_are_whole(archive, node.nodes, stream, bytes(data))
    for stream, contents in node.rewritten.items():
        _contents(archive, node.nodes, stream, contents)
    assert archive.losses() == {}
    known = node.written.keys() | node.rewritten.keys() | {"events", "events.profile", "polls", "stats"}
    assert {stream for node_id in node.nodes for stream in archive.streams(node_id)} <= known
    assert set(archive.nodes) <= set(node.nodes)


def _events(kept: Events, aggregator: Aggregator, again: int) -> None:
    missing = aggregator.acknowledged.keys() - kept.lines.keys()
    assert not missing, f"{len(missing)} of {len(aggregator.acknowledged)} acknowledged events are not stored"
    wrong = [event_id for event_id, line in kept.lines.items() if aggregator.posted.get(event_id) != line]
    assert not wrong, f"{len(wrong)} stored events were never posted like that"
    assert kept.repeated <= aggregator.unanswered + again


def logs_are_whole(archive: Archive, nodes: Sequence[str], stream: str, written: bytes) -> None:
    """Fails unless a log is there byte for byte, without a mark that something is missing.

    A node that follows another goes on where that one stopped, or begins anew with what is there of the log.
    """
    end = 0
    for node_id in nodes:
        kept = archive.read(node_id, stream)
        assert archive.marks(node_id, stream) == [], stream
        start = end if written.startswith(kept, end) else written.find(kept)
        assert 0 <= start <= end, f"{stream}: {_difference(kept, written)}"
        end = max(end, start + len(kept))
    assert end == len(written), (
        f"{stream}: {len(written) - end} of {len(written)} bytes are missing at the end"
    )


def _contents(archive: Archive, nodes: Sequence[str], stream: str, contents: list[bytes]) -> None:
    """Of a file written anew in place: nothing but what it held once, and at last what it held last."""
    kept = [content for node_id in nodes for content in _rewritten(archive, node_id, stream)]
    assert kept[-1] == contents[-1]
    assert set(kept) <= set(contents)


def _rewritten(archive: Archive, node_id: str, stream: str) -> Iterator[bytes]:
    extent = archive.extent(node_id, stream)
    data = archive.read(node_id, stream)
    begins = sorted({mark.offset for mark in extent.marks if mark.kind == "rewritten"})
    for begin, end in pairwise([*begins, extent.end]):
        yield data[begin:end]


def _difference(kept: bytes, written: bytes) -> str:
    same = next(
        (place for place, (one, other) in enumerate(zip(kept, written, strict=False)) if one != other),
        min(len(kept), len(written)),
    )
    return f"{len(kept)} of {len(written)} bytes, the first {same} alike; then {kept[same : same + 80]!r}"
