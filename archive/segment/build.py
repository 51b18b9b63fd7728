"""From raw bytes to a segment: pure and deterministic."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from itertools import pairwise

import msgspec

from archive.compression import Compressor, checksum_of
from archive.layout import checked_stream
from archive.segment.format import (
    HEADER,
    LARGEST_FRAME,
    MAGIC,
    SKIPPABLE_MAGIC,
    TRAILER,
    VERSION,
    Facts,
    Frame,
    Index,
    IndexedFrame,
    IndexedMark,
    Range,
    place_of,
)


def compress(piece: Range, compressor: Compressor | None = None) -> list[Frame]:
    """Frames of at most 1 MiB raw, of equal length to a byte, so that none is needlessly small."""
    compressor = compressor or Compressor()
    data = memoryview(piece.data)
    count = -(-len(data) // LARGEST_FRAME)
    cuts = [len(data) * cut // count for cut in range(count + 1)] if count else []
    return [
        framed(piece.stream, piece.start + begin, end - begin, compressor.compress(data[begin:end]))
        for begin, end in pairwise(cuts)
    ]


def framed(stream: str, start: int, raw_length: int, compressed: bytes) -> Frame:
    """A frame of bytes that are compressed already, with a checksum inside."""
    return Frame(stream, start, raw_length, checksum_of(compressed), compressed)


def build(facts: Facts, ranges: Iterable[Range]) -> bytes:
    """The segment of these bytes. Raises NameInvalid for a stream that can't be named."""
    compressor = Compressor()
    return assemble(facts, [frame for piece in ranges for frame in compress(piece, compressor)])


def assemble(facts: Facts, frames: Iterable[Frame]) -> bytes:
    """The segment of these frames, in whatever order they come. Raises NameInvalid."""
    ordered = sorted(frames, key=lambda frame: (place_of(frame.stream), frame.stream, frame.start))
    index = Compressor().compress(msgspec.json.encode(_index(facts, ordered)))
    size = sum(len(frame.compressed) for frame in ordered)
    trailer = TRAILER.pack(zlib.crc32(index), len(index), size, VERSION, 0)
    trailer += zlib.crc32(trailer).to_bytes(4, "little") + MAGIC
    header = HEADER.pack(SKIPPABLE_MAGIC, len(index) + len(trailer))
    return b"".join([*(frame.compressed for frame in ordered), header, index, trailer])


def _index(facts: Facts, frames: Sequence[Frame]) -> Index:
    streams: dict[str, int] = {}
    indexed = []
    place = 0
    for frame in frames:
        if frame.stream not in streams:
            streams[checked_stream(frame.stream)] = len(streams)
        size = len(frame.compressed)
        indexed.append(
            IndexedFrame(streams[frame.stream], frame.start, frame.raw_length, place, size, frame.checksum)
        )
        place += size
    return Index(
        name=facts.name.key,
        written_ms=facts.written_ms,
        collector=facts.collector,
        node=dict(sorted(facts.node.items())),
        losses=dict(sorted(facts.losses.items())),
        marks=[
            IndexedMark(checked_stream(mark.stream), mark.offset, mark.kind, mark.detail, mark.size)
            for mark in facts.marks
        ],
        closed=facts.closed,
        final=facts.final,
        streams=list(streams),
        frames=indexed,
    )
