"""From a segment's bytes to what was put in; damage is told, never passed on."""

from __future__ import annotations

import zlib
from typing import Final

import msgspec

from archive.compression import CompressionDamaged, checksum_of, decompress
from archive.errors import FormatUnknown, NameInvalid, SegmentDamaged, SuffixTooShort
from archive.layout import SegmentName, checked_stream
from archive.segment.format import (
    HEADER,
    LARGEST_INDEX,
    MAGIC,
    SKIPPABLE_MAGIC,
    TRAILER,
    TRAILER_SIZE,
    VERSION,
    Facts,
    Footer,
    FrameEntry,
    Index,
    Mark,
)
from archive.store.base import ObjectInfo, Store

_FIRST_SUFFIX: Final = 64 << 10


def footer_of(suffix: bytes, object_size: int) -> Footer:
    """The footer of a segment of `object_size` bytes, from its last bytes.

    Raises SuffixTooShort, which tells how long a suffix it takes; SegmentDamaged; FormatUnknown.
    """
    if object_size < HEADER.size + TRAILER_SIZE:
        raise SegmentDamaged(f"the segment is cut short: {object_size} bytes are less than a footer")
    if len(suffix) < TRAILER_SIZE:
        raise SuffixTooShort(min(_FIRST_SUFFIX, object_size))
    index_checksum, index_size, frames_size = _trailer(suffix[-TRAILER_SIZE:])
    footer_size = HEADER.size + index_size + TRAILER_SIZE
    if frames_size + footer_size != object_size:
        raise SegmentDamaged(
            f"the segment is cut short or grown: {object_size} bytes instead of {frames_size + footer_size}"
        )
    if len(suffix) < footer_size:
        raise SuffixTooShort(footer_size)
    header = suffix[-footer_size:][: HEADER.size]
    if HEADER.unpack(header) != (SKIPPABLE_MAGIC, index_size + TRAILER_SIZE):
        raise SegmentDamaged("the footer's header is not what the trailer tells")
    index = suffix[-(index_size + TRAILER_SIZE) : -TRAILER_SIZE]
    if zlib.crc32(index) != index_checksum:
        raise SegmentDamaged("the footer's index was changed: its checksum differs")
    return _footer(index, frames_size)


def read_frame(entry: FrameEntry, compressed: bytes) -> bytes:
    """The frame's raw bytes, verified. Raises SegmentDamaged."""
    where = f"the frame at byte {entry.place} with {entry.stream!r} from {entry.start}"
    if len(compressed) != entry.size:
        raise SegmentDamaged(f"{where} is cut short: {len(compressed)} bytes instead of {entry.size}")
    try:
        data = decompress(compressed, longest=entry.raw_length)
        checksum = checksum_of(compressed)
    except CompressionDamaged as damage:
        raise SegmentDamaged(f"{where} can't be decompressed: {damage}") from damage
    if len(data) != entry.raw_length or checksum != entry.checksum:
        raise SegmentDamaged(f"{where} is not the one that the footer names: its checksum differs")
    return data


def fetch_footer(store: Store, info: ObjectInfo, *, first: int = _FIRST_SUFFIX) -> Footer:
    """The footer of the listed segment, mostly with one request, for its last `first` bytes.

    Raises SegmentDamaged, also for a segment under another's name; FormatUnknown; StoreError (ObjectChanged
    when it was put again after the listing).
    """
    length = first
    for _ in range(3):
        suffix = store.get_suffix(info.key, length, if_match=info.etag)
        try:
            footer = footer_of(suffix.data, suffix.info.size)
        except SuffixTooShort as short:
            length = short.needed
            continue
        if footer.facts.name.key != info.key:
            raise SegmentDamaged(f"{info.key!r} holds the segment {footer.facts.name.key!r}")
        return footer
    raise SegmentDamaged(f"{info.key!r} gives fewer bytes than it has")


def _trailer(trailer: bytes) -> tuple[int, int, int]:
    checked, checksum = trailer[: TRAILER.size], trailer[TRAILER.size : -len(MAGIC)]
    if not trailer.endswith(MAGIC):
        raise SegmentDamaged("the segment is cut short or none: it doesn't end as one")
    if zlib.crc32(checked) != int.from_bytes(checksum, "little"):
        raise SegmentDamaged("the segment's trailer was changed: its checksum differs")
    index_checksum, index_size, frames_size, version, _ = TRAILER.unpack(checked)
    if version != VERSION:
        raise FormatUnknown(f"a segment of version {version}; this version reads {VERSION}")
    return index_checksum, index_size, frames_size


def _footer(compressed: bytes, frames_size: int) -> Footer:
    try:
        index = msgspec.json.decode(decompress(compressed, longest=LARGEST_INDEX), type=Index)
        streams = [checked_stream(stream) for stream in index.streams]
        marks = tuple(
            Mark(checked_stream(mark.stream), mark.offset, mark.kind, mark.detail, mark.size)
            for mark in index.marks
        )
        name = SegmentName.parse(index.name)
    except (CompressionDamaged, msgspec.DecodeError, UnicodeDecodeError, NameInvalid) as error:
        raise SegmentDamaged(f"the footer's index can't be read: {error}") from error
    frames: list[FrameEntry] = []
    place = 0
    for frame in index.frames:
        if frame.stream >= len(streams) or frame.place != place or not frame.size:
            raise SegmentDamaged(f"the footer contradicts itself at its frame {len(frames)}")
        place += frame.size
        frames.append(
            FrameEntry(
                streams[frame.stream], frame.start, frame.raw_length, frame.place, frame.size, frame.checksum
            )
        )
    if place != frames_size:
        raise SegmentDamaged("the footer's frames don't fill the segment")
    facts = Facts(
        name,
        index.written_ms,
        index.collector,
        index.node,
        index.losses,
        marks,
        index.closed,
        index.final,
    )
    return Footer(facts, tuple(frames))
