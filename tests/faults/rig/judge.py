"""Compares what the archive holds with what was posted and written, reading as the server does."""

from collections import Counter
from collections.abc import Iterator, Mapping
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

    def events(self, node_id: str) -> Events:
        """Once each by event id, as readers count them."""
        lines = [
            line
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


def nothing_is_missing(archive: Archive, node: RayNode, aggregator: Aggregator) -> None:
    """Fails unless every acknowledged event and every byte of every log is there, and nothing is wrong."""
    _events(archive, node.node_id, aggregator)
    logs_are_whole(archive, node.node_id, node.written)
    for stream, contents in node.rewritten.items():
        _contents(archive, node.node_id, stream, contents)
    assert archive.losses() == {}
    known = node.written.keys() | node.rewritten.keys() | {"events", "events.profile", "polls", "stats"}
    assert archive.streams(node.node_id) <= known


def logs_are_whole(archive: Archive, node_id: str, written: Mapping[str, bytes | bytearray]) -> None:
    """Fails unless each log is there byte for byte, without a mark that something is missing."""
    for stream, data in written.items():
        kept = archive.read(node_id, stream)
        assert archive.marks(node_id, stream) == [], stream
        assert kept == data, f"{stream}: {_difference(kept, bytes(data))}"


def _events(archive: Archive, node_id: str, aggregator: Aggregator) -> None:
    kept = archive.events(node_id)
    for stream in ("events", "events.profile"):
        assert archive.marks(node_id, stream) == []
    missing = aggregator.acknowledged.keys() - kept.lines.keys()
    assert not missing, f"{len(missing)} of {len(aggregator.acknowledged)} acknowledged events are not stored"
    wrong = [event_id for event_id, line in kept.lines.items() if aggregator.posted.get(event_id) != line]
    assert not wrong, f"{len(wrong)} stored events were never posted like that"
    assert kept.repeated <= aggregator.unanswered


def _contents(archive: Archive, node_id: str, stream: str, contents: list[bytes]) -> None:
    """Of a file written anew in place: nothing but what it held once, and at last what it held last."""
    kept = list(_rewritten(archive, node_id, stream))
    assert archive.marks(node_id, stream) == []
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
