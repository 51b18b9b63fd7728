"""What a segment in the making holds: records of the journal, as frames that are compressed once.

Whole frames are kept between rebuilds, and so is the last, short one of a stream until the stream grows; the
raw bytes stay in the journal. A large payload of the journal is a frame already, and goes in as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from archive.compression import Compressor
from archive.segment import Frame, Mark, Range, compress, framed
from archive.segment.format import LARGEST_FRAME, is_file
from sidecar.flush.schedule import CLOSE_SIZE
from sidecar.spool import JournalDamaged, Position, Record, raw_bytes
from sidecar.spool.record import COMPRESS_FROM, Kind, MarkPayload

_AS_IT_IS: Final = 256 << 10
_LARGEST_RAW: Final = 16 << 20
_RATIO_OF_RAW: Final = 4

Load = Callable[[Record], bytes]


class Content:
    """Records from `begin` to `end`. `load` gives a payload; `lost` is told records that can't be read."""

    def __init__(self, begin: Position, load: Load, lost: Callable[[Record], None]) -> None:
        self.begin = begin
        self.end = begin
        self.log_bytes = 0
        self.marks: list[Mark] = []
        self._load = load
        self._lost = lost
        self._runs: dict[str, _Run] = {}
        self._raw = 0
        self._size = 0
        self._whole = True

    def full(self) -> bool:
        """Whether it is time to close; never within what was appended at once."""
        return self._whole and (self._raw >= _LARGEST_RAW or self._size >= CLOSE_SIZE)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to put."""
        return not self._runs and not self.marks

    def add(self, record: Record) -> None:
        """Take in the next record. Raises SpoolUnusable."""
        if record.kind is Kind.MARK:
            self._add_mark(record)
        elif record.raw_length:
            run = self._runs.setdefault(record.stream, _Run())
            run.add(record, self._data)
            self._raw += record.raw_length
            tried = record.compressed or record.size >= COMPRESS_FROM
            self._size += record.size if tried else record.size // _RATIO_OF_RAW
            if is_file(record.stream):
                self.log_bytes += record.raw_length
        self._whole = not record.more
        self.end = record.end

    def frames(self) -> list[Frame]:
        """All of it. Raises SpoolUnusable."""
        return [frame for run in self._runs.values() for frame in run.frames(self._data)]

    def _add_mark(self, record: Record) -> None:
        try:
            mark = msgspec.msgpack.decode(self._load(record), type=MarkPayload)
        except JournalDamaged:
            self._lost(record)
            return
        self.marks.append(Mark(record.stream, record.start, mark.kind, mark.detail, mark.size))

    def _data(self, record: Record) -> bytes | None:
        """A record's bytes, still compressed if they are a frame as they are; None if they can't be read."""
        try:
            payload = self._load(record)
            return payload if _is_frame(record) else raw_bytes(record, payload)
        except JournalDamaged:
            self._lost(record)
            return None


class _Run:
    """One stream's part: whole frames, and the records behind them."""

    def __init__(self) -> None:
        self._done: list[Frame] = []
        self._tail: list[Record] = []
        self._tail_raw = 0
        self._tail_frames: list[Frame] | None = None

    def add(self, record: Record, data: _Data) -> None:
        if _is_frame(record):
            self._finish_tail(data)
            payload = data(record)
            if payload is not None:
                self._done.append(framed(record.stream, record.start, record.raw_length, payload))
            return
        self._tail.append(record)
        self._tail_raw += record.raw_length
        self._tail_frames = None
        if self._tail_raw >= LARGEST_FRAME:
            self._finish_tail(data)

    def frames(self, data: _Data) -> list[Frame]:
        if self._tail_frames is None:
            found = [(record, raw) for record in self._tail if (raw := data(record)) is not None]
            self._tail = [record for record, _ in found]
            compressor = Compressor()
            self._tail_frames = [frame for piece in _ranges(found) for frame in compress(piece, compressor)]
        return self._done + self._tail_frames

    def _finish_tail(self, data: _Data) -> None:
        self._done = self.frames(data)
        self._tail = []
        self._tail_raw = 0
        self._tail_frames = []


_Data = Callable[[Record], bytes | None]


def _is_frame(record: Record) -> bool:
    return record.compressed and record.raw_length >= _AS_IT_IS


def _ranges(found: list[tuple[Record, bytes]]) -> Iterator[Range]:
    """Runs of records without a gap between them: what is lost splits them."""
    pieces: list[bytes] = []
    start = end = 0
    for record, raw in found:
        if pieces and record.start != end:
            yield Range(record.stream, start, b"".join(pieces))
            pieces = []
        if not pieces:
            start = record.start
        pieces.append(raw)
        end = record.start + record.raw_length
    if pieces:
        yield Range(found[0][0].stream, start, b"".join(pieces))
