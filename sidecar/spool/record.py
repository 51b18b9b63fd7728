"""The format of a spool's journal, version 1.

    file    = record*, the first of them a state
    record  = header, stream name, source, payload
    header  = crc32 of the rest of the header (u32), kind (u8), flags (u8), length of the stream's name (u16),
              length of the source (u32), length of the payload (u32), crc32 of what follows the header (u32),
              raw length (u32), start (u64), time (u64, Unix milliseconds)

Numbers are little-endian; state, source and mark are msgpack. Invariants:

- What is appended at once is written by one `write`: records that carry MORE, and a last one without. Only
  the last carries a source, so a log's bytes and the file position behind them are kept both or neither.
- A stream's records follow each other without gaps. A state tells all ends and sources so far, so that the
  files before it are needed for nothing but the bytes in them.
- Files are numbered; only the last one is written to, and only at its end. Nothing is synced: the page cache
  survives a killed process, and what a crashed machine leaves is told from what was written.

Recovery: what is incomplete at the end of the last file was never acknowledged, and is cut off. Anything else
that doesn't fit is damage (JournalDamaged): what can be read is moved to a new origin, the file is set aside.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple

import msgspec

from archive.compression import Buffer, CompressionDamaged, decompress
from archive.segment import MarkKind

VERSION: Final = 1
LARGEST_RECORD: Final = 1 << 20
COMPRESS_FROM: Final = 4096

_HEADER: Final = struct.Struct("<IBBHIIIIQQ")
_CHECKSUM_SIZE: Final = 4
_COMPRESSED: Final = 1
_MORE: Final = 2


class JournalTorn(Exception):
    """The bytes end within a record, which begins at `place`."""

    def __init__(self, place: int) -> None:
        super().__init__(f"it ends within the record at byte {place}")
        self.place = place


class JournalDamaged(Exception):
    """A journal or checkpoint that can't be what was written; the sentence says why."""


class Kind(IntEnum):
    """What a record's payload is."""

    STATE = 1
    DATA = 2
    MARK = 3


_KINDS: Final = {int(kind): kind for kind in Kind}


class Source(msgspec.Struct, frozen=True, array_like=True):
    """Where a log's next byte is: byte `position` of the file `inode` on `device`, last seen under `path`.

    `guard`: digest of the bytes just before the position.
    """

    path: str
    device: int
    inode: int
    position: int
    guard: bytes


class State(msgspec.Struct, frozen=True):
    """What a file begins with: each stream's end and newest source so far."""

    version: int
    ends: dict[str, int]
    sources: dict[str, Source]


class MarkPayload(msgspec.Struct, frozen=True, array_like=True):
    """A mark at the record's start in its stream."""

    kind: MarkKind
    detail: str
    size: int


class Position(NamedTuple):
    """A byte of the journal: a file's number and a place in it."""

    file: int
    place: int


@dataclass(frozen=True, slots=True)
class Record:
    """A record's header, and where it is; `start` and `raw_length` count bytes of the stream.

    `head`: length of what lies before the payload, `size`: the payload's; both in bytes.
    """

    kind: Kind
    stream: str
    start: int
    raw_length: int
    time_ms: int
    compressed: bool
    more: bool
    position: Position
    head: int
    size: int

    @property
    def stream_end(self) -> int:
        """The offset in the stream behind it."""
        return self.start + self.raw_length

    @property
    def end(self) -> Position:
        """The position behind it."""
        return Position(self.position.file, self.position.place + _HEADER.size + self.head + self.size)


class Read(NamedTuple):
    """A verified record with what it carries."""

    record: Record
    source: bytes
    payload: bytes


def encode(
    kind: Kind,
    stream: str,
    start: int,
    raw_length: int,
    payload: Buffer,
    *,
    time_ms: int,
    source: bytes = b"",
    compressed: bool = False,
    more: bool = False,
) -> bytes:
    """One record as it is written."""
    name = stream.encode()
    checksum = zlib.crc32(payload, zlib.crc32(name + source))
    flags = (_COMPRESSED if compressed else 0) | (_MORE if more else 0)
    header = _HEADER.pack(
        0, kind, flags, len(name), len(source), len(payload), checksum, raw_length, start, time_ms
    )[_CHECKSUM_SIZE:]
    return b"".join((zlib.crc32(header).to_bytes(_CHECKSUM_SIZE, "little"), header, name, source, payload))


def records(data: bytes, begin: Position) -> Iterator[Read]:
    """The records in `data`, whose first byte lies at `begin`.

    Raises JournalTorn where the bytes end within a record, JournalDamaged where a checksum differs.
    """
    place = 0
    while place < len(data):
        position = Position(begin.file, begin.place + place)
        body = place + _HEADER.size
        if body > len(data):
            raise JournalTorn(position.place)
        expected, kind, flags, name, source, size, checksum, raw_length, start, time_ms = _HEADER.unpack_from(
            data, place
        )
        if zlib.crc32(data[place + _CHECKSUM_SIZE : body]) != expected or kind not in _KINDS:
            raise JournalDamaged(f"the record at byte {position.place} has a wrong header")
        place = body + name + source + size
        if place > len(data):
            raise JournalTorn(position.place)
        if zlib.crc32(memoryview(data)[body:place]) != checksum:
            raise JournalDamaged(f"the record at byte {position.place} was changed: its checksum differs")
        stream = data[body : body + name].decode()
        record = Record(
            _KINDS[kind],
            stream,
            start,
            raw_length,
            time_ms,
            bool(flags & _COMPRESSED),
            bool(flags & _MORE),
            position,
            name + source,
            size,
        )
        yield Read(record, data[body + name : body + name + source], data[body + name + source : place])


def raw_bytes(record: Record, payload: bytes) -> bytes:
    """What was appended. Raises JournalDamaged."""
    if not record.compressed:
        return payload
    try:
        return decompress(payload, longest=record.raw_length)
    except CompressionDamaged as damage:
        raise JournalDamaged(
            f"the record at byte {record.position.place} can't be decompressed: {damage}"
        ) from damage
