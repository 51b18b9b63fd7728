"""The format of a segment, version 1.

    segment  = frame* footer
    frame    = zstd frame with content size and content checksum: raw bytes of one stream from one offset
    footer   = skippable frame: magic 0x184D2A5E, size of the rest (u32), index, trailer
    index    = zstd frame of JSON: facts; of each frame: stream, start, raw length, place, size, checksum
    trailer  = index crc32 (u32), index size (u32), size of all frames (u64), version (u16), zero (u16),
               crc32 of the trailer so far (u32), "raysegmt"

Numbers are little-endian. Invariants:

- `zstd -dc` reads a segment to its end; what it prints is the frames' raw bytes one after the other.
- Frames lie without gaps from byte 0, sorted by stream kind (`ORDER`), stream, start; events lie next to the
  footer, so one suffix range usually brings events and index without the logs.
- A frame's start is an offset in its stream within the segment's origin. The same bytes may come again, whole
  or in part, in other segments. A frame's checksum is that of its raw bytes, so equal ranges can be compared.
- What a writer appended at once never lies across two segments: in streams of lines, a segment's bytes of a
  stream begin and end at line ends, while a frame may end anywhere.
- A closed segment never changes. `final` stands in the last segment of an origin only.

Recovery: everything is covered by a checksum, so damage is told (SegmentDamaged), and a reader goes on with
the other segments. The version is read first; unknown fields of the index are ignored, an unknown version
refused.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final, Literal

import msgspec

from archive.layout import SegmentName

VERSION: Final = 1
MAGIC: Final = b"raysegmt"
ORDER: Final = ("logs", "exports", "polls", "stats", "quarantine", "events.profile", "events")
LARGEST_FRAME: Final = 1 << 20
LARGEST_INDEX: Final = 64 << 20

HEADER: Final = struct.Struct("<II")
TRAILER: Final = struct.Struct("<IIQHH")
TRAILER_SIZE: Final = TRAILER.size + 4 + len(MAGIC)
SKIPPABLE_MAGIC: Final = 0x184D2A5E

MarkKind = Literal["gap", "truncated", "rewritten", "continues"]


@dataclass(frozen=True, slots=True)
class Range:
    """Raw bytes of one stream from an offset."""

    stream: str
    start: int
    data: bytes | memoryview


@dataclass(frozen=True, slots=True)
class Mark:
    """A note at an offset of a stream. `size`: how many bytes a gap lacks, 0 if that isn't known."""

    stream: str
    offset: int
    kind: MarkKind
    detail: str = ""
    size: int = 0


@dataclass(frozen=True, slots=True)
class Frame:
    """A run of one stream, compressed. `checksum`: of the raw bytes, as the frame carries it."""

    stream: str
    start: int
    raw_length: int
    checksum: int
    compressed: bytes


@dataclass(frozen=True, slots=True)
class Facts:
    """What a segment tells beside its frames.

    `written_ms`: Unix milliseconds by the writer's clock. `node`: what is known of the node. `losses`: how
    many of what were dropped in this origin so far. `final`: the reason of the end, in an origin's last
    segment only.
    """

    name: SegmentName
    written_ms: int
    collector: str
    node: Mapping[str, str]
    losses: Mapping[str, int]
    marks: tuple[Mark, ...]
    closed: bool
    final: str | None


@dataclass(frozen=True, slots=True)
class FrameEntry:
    """A frame as the footer names it: `place` and `size` in the object, `start` in the stream."""

    stream: str
    start: int
    raw_length: int
    place: int
    size: int
    checksum: int

    @property
    def end(self) -> int:
        """The offset in the stream behind the frame's last byte."""
        return self.start + self.raw_length


@dataclass(frozen=True, slots=True)
class Footer:
    """A segment's index. `frames` in the order of the object."""

    facts: Facts
    frames: tuple[FrameEntry, ...]


# What a database can hold; a segment may come from anybody who may put.
Count = Annotated[int, msgspec.Meta(ge=0, le=(1 << 62))]
RawLength = Annotated[int, msgspec.Meta(ge=0, le=LARGEST_FRAME)]


class IndexedMark(msgspec.Struct, frozen=True, array_like=True):
    """A mark as the index writes it."""

    stream: str
    offset: Count
    kind: MarkKind
    detail: str
    size: Count


class IndexedFrame(msgspec.Struct, frozen=True, array_like=True):
    """A frame as the index writes it; `stream` is a place in `streams`."""

    stream: Count
    start: Count
    raw_length: RawLength
    place: Count
    size: Count
    checksum: Count


class Index(msgspec.Struct, frozen=True, kw_only=True):
    """The index's JSON. `name` is the segment's key."""

    name: str
    written_ms: Count
    collector: str
    node: dict[str, str]
    losses: dict[str, Count]
    marks: list[IndexedMark]
    closed: bool
    final: str | None
    streams: list[str]
    frames: list[IndexedFrame]


def kind_of(stream: str) -> str:
    """`logs` and `exports` of their streams, else the stream itself."""
    return stream.partition("/")[0]


def is_file(stream: str) -> bool:
    """Whether it holds a file's bytes, which a new origin may read again from the start."""
    return kind_of(stream) in {"logs", "exports"}


def place_of(stream: str) -> int:
    """Where a stream's kind stands in a segment; unknown kinds stand far from the footer."""
    kind = kind_of(stream)
    return ORDER.index(kind) if kind in ORDER else -1
