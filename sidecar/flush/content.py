"""What a segment in the making holds: records of the journal, as frames that are compressed once.

Whole frames are kept between rebuilds, and so is the last, short one of a stream until the stream grows; what
is behind whole frames is held as the journal has it. A large payload of the journal is a frame already.
"""

from __future__ import annotations

from typing import Final

import msgspec

from archive.segment import Frame, Mark, Range, compress, framed
from archive.segment.format import LARGEST_FRAME, is_file, kind_of
from sidecar.flush.schedule import CLOSE_SIZE
from sidecar.spool import Position, Read, raw_bytes
from sidecar.spool.record import COMPRESS_FROM, Kind, MarkPayload

_AS_IT_IS: Final = 256 << 10
_RIPE_RAW: Final = 16 << 20
_LARGEST_RAW: Final = 128 << 20
_LARGEST_FOLDED: Final = 32 << 20
"""Of what a server decodes to open a session, all but logs: it holds that of a segment at once."""
_RATIO_OF_RAW: Final = 4


class Content:
    """Records from `begin` to `end`, streams apart."""

    def __init__(self, begin: Position) -> None:
        self._begin = begin
        self.restart()

    def restart(self) -> None:
        """Nothing was taken in yet."""
        self.end = self._begin
        self.log_bytes = 0
        self.marks: list[Mark] = []
        self._runs: dict[str, _Run] = {}
        self._raw = 0
        self._folded = 0
        self._size = 0
        self._whole = True

    def let_go(self) -> None:
        """Free what was taken in; what is told of it stays."""
        self._runs = {}

    def full(self, largest: int) -> bool:
        """Whether a put of about `largest` bytes takes no more; never within what was appended at once."""
        spent = self._raw >= _LARGEST_RAW or self._folded >= _LARGEST_FOLDED or self._size >= largest
        return self._whole and spent

    @property
    def ripe(self) -> bool:
        """Whether it is enough for a closed segment."""
        return self._raw >= _RIPE_RAW or self._size >= CLOSE_SIZE

    @property
    def empty(self) -> bool:
        """Whether there is nothing to put."""
        return not self._runs and not self.marks

    def add(self, read: Read) -> None:
        """Take in the next record."""
        record = read.record
        if record.kind is Kind.MARK:
            mark = msgspec.msgpack.decode(read.payload, type=MarkPayload)
            self.marks.append(Mark(record.stream, record.start, mark.kind, mark.detail, mark.size))
        elif record.raw_length:
            self._runs.setdefault(record.stream, _Run()).add(read)
            self._raw += record.raw_length
            self._folded += 0 if kind_of(record.stream) == "logs" else record.raw_length
            tried = record.compressed or record.size >= COMPRESS_FROM
            self._size += record.size if tried else record.size // _RATIO_OF_RAW
            if is_file(record.stream):
                self.log_bytes += record.raw_length
        self._whole = not record.more
        self.end = record.end

    def frames(self) -> list[Frame]:
        """All of it."""
        return [frame for run in self._runs.values() for frame in run.frames()]


class _Run:
    """One stream's part: whole frames, and the records behind them."""

    def __init__(self) -> None:
        self._done: list[Frame] = []
        self._tail: list[Read] = []
        self._tail_raw = 0
        self._tail_frames: list[Frame] | None = None

    def add(self, read: Read) -> None:
        record = read.record
        if record.compressed and record.raw_length >= _AS_IT_IS:
            self._finish_tail()
            self._done.append(framed(record.stream, record.start, record.raw_length, read.payload))
            return
        apart = self._tail and self._tail[-1].record.stream_end != record.start
        if apart or self._tail_raw + record.raw_length > LARGEST_FRAME:
            # Not only once it is longer: it would be cut into two frames, which compress less well.
            self._finish_tail()
        self._tail.append(read)
        self._tail_raw += record.raw_length
        self._tail_frames = None

    def frames(self) -> list[Frame]:
        if self._tail_frames is None:
            first = self._tail[0].record
            raw = b"".join([raw_bytes(record, payload) for record, _, payload in self._tail])
            self._tail_frames = compress(Range(first.stream, first.start, raw))
        return self._done + self._tail_frames

    def _finish_tail(self) -> None:
        if self._tail:
            self._done = self.frames()
            self._tail = []
            self._tail_raw = 0
        self._tail_frames = []
