"""One stream of one node, from many segments: order, overlap, gap, damage, several origins.

Within an origin, a frame tells where its bytes belong, so replays and overlaps change nothing: the first to
cover an offset is taken. Equal ranges with different checksums are damage; overlaps under other cuts are
compared when somebody asks (`Reader.check`). What nothing covers is a gap; offsets stay, since Ray's own
offsets point into the stream.

Between origins there is no common offset. Of streams of lines the union is right, for what is in them carries
ids. A file's stream that was begun anew from the start of the same file begins with the same bytes: then the
longer one is shown. Else the younger one goes on behind the older one, with a gap between.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import groupby
from typing import Final

from archive.errors import SegmentDamaged
from archive.layout import Origin
from archive.segment import Footer, FrameEntry, Mark, read_frame
from archive.segment.format import is_file
from archive.store.base import ObjectInfo, Store

# How much of two logs is compared to tell whether they are the same file.
BEGINNING: Final = 64 << 10

_LARGEST_REQUEST: Final = 4 << 20
_WHOLE_SEGMENTS: Final = 4


@dataclass(frozen=True, slots=True)
class Segment:
    """A listed segment and its footer."""

    info: ObjectInfo
    footer: Footer


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of the stream from `offset`, `length` of them: those of a frame from its byte `skip` on."""

    offset: int
    length: int
    segment: Segment
    entry: FrameEntry
    skip: int

    @property
    def end(self) -> int:
        return self.offset + self.length


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes that segments contradict each other about; `detail` is a sentence."""

    offset: int
    size: int
    detail: str


@dataclass(frozen=True, slots=True)
class Extents:
    """What is known of a stream. Pieces are ordered, without overlap; `end` is behind the last byte.

    `marks`: as written, and a `gap` of `size` bytes wherever no piece is, ordered by offset. `overlaps`: what
    repeats, under other cuts, the bytes of pieces.
    """

    stream: str
    pieces: tuple[Piece, ...]
    marks: tuple[Mark, ...]
    damage: tuple[Damage, ...]
    overlaps: tuple[Piece, ...]
    end: int


def extents(stream: str, segments: Iterable[Segment]) -> list[tuple[Origin, Extents]]:
    """The stream in each origin that has it, oldest first. The segments are of one node, in any order."""
    by_origin = sorted(segments, key=lambda segment: segment.footer.facts.name)
    found = []
    for origin, group in groupby(by_origin, key=lambda segment: segment.footer.facts.name.origin):
        extent = _of_origin(stream, list(group))
        if extent.end or extent.marks:
            found.append((origin, extent))
    return found


def joined(older: Extents, younger: Extents) -> Extents:
    """The younger one behind the older one, its offsets moved; in a file a gap of unknown size between."""
    by = older.end
    between = (Mark(older.stream, by, "gap", "the collector lost its place and began anew"),)
    return Extents(
        older.stream,
        older.pieces + tuple(replace(piece, offset=piece.offset + by) for piece in younger.pieces),
        older.marks
        + (between if by and is_file(older.stream) else ())
        + tuple(replace(mark, offset=mark.offset + by) for mark in younger.marks),
        older.damage + tuple(replace(damage, offset=damage.offset + by) for damage in younger.damage),
        older.overlaps + tuple(replace(piece, offset=piece.offset + by) for piece in younger.overlaps),
        by + younger.end,
    )


def _of_origin(stream: str, segments: Sequence[Segment]) -> Extents:
    candidates = sorted(
        (
            Piece(entry.start, entry.raw_length, segment, entry, 0)
            for segment in segments
            for entry in segment.footer.frames
            if entry.stream == stream and entry.raw_length
        ),
        key=lambda piece: (piece.offset, -piece.length),
    )
    pieces: list[Piece] = []
    marks = {
        mark: None for segment in segments for mark in segment.footer.facts.marks if mark.stream == stream
    }
    damage: list[Damage] = []
    overlaps: list[Piece] = []
    seen: dict[tuple[int, int], Piece] = {}
    end = 0
    for piece in candidates:
        first = seen.setdefault((piece.offset, piece.length), piece)
        if first is not piece:
            if first.entry.checksum != piece.entry.checksum:
                damage.append(_contradiction(first, piece, piece.offset, piece.length))
            continue
        if piece.offset > end:
            marks[Mark(stream, end, "gap", "no segment has these bytes", piece.offset - end)] = None
        if piece.offset < end:
            overlaps.append(piece)
        if piece.end > end:
            skip = max(0, end - piece.offset)
            pieces.append(replace(piece, offset=piece.offset + skip, length=piece.length - skip, skip=skip))
            end = piece.end
    ordered = sorted(marks, key=lambda mark: mark.offset)
    return Extents(stream, tuple(pieces), tuple(ordered), tuple(damage), tuple(overlaps), end)


def _contradiction(first: Piece, second: Piece, offset: int, size: int) -> Damage:
    return Damage(
        offset,
        size,
        f"{first.segment.info.key!r} and {second.segment.info.key!r} differ about {size} bytes from {offset}",
    )


class Reader:
    """Reads frames of one store: ranges of closed segments, open ones whole, always as listed.

    Not thread-safe. Everything raises SegmentDamaged, and StoreError: ObjectChanged when an open segment was
    put again, which the next listing shows.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._whole: OrderedDict[tuple[str, str], bytes] = OrderedDict()

    def open(self, stream: str, segments: Iterable[Segment]) -> Extents:
        """The stream over all its origins, as it is to be shown."""
        runs: list[Extents] = []
        for _, extent in extents(stream, segments):
            same = None
            if is_file(stream):
                same = next((place for place, run in enumerate(runs) if self._same_file(run, extent)), None)
            if same is None:
                runs.append(extent)
            elif extent.end > runs[same].end:
                runs[same] = extent
        return reduce(joined, runs, Extents(stream, (), (), (), (), 0))

    def read(
        self,
        extent: Extents,
        start: int = 0,
        length: int | None = None,
        *,
        damaged: Callable[[Damage], None] | None = None,
    ) -> Iterator[tuple[int, bytes]]:
        """Runs of bytes from `start`, each with its offset; where the offset jumps there is a gap.

        With `damaged`, what can't be read is told and passed by, instead of raised.
        """
        stop = extent.end if length is None else start + length
        for group in _requests([p for p in extent.pieces if p.end > start and p.offset < stop]):
            first = group[0].entry.place
            try:
                data = self._fetch(group[0].segment, first, group[-1].entry)
            except SegmentDamaged as error:
                if damaged is None:
                    raise
                damaged(Damage(group[0].offset, group[-1].end - group[0].offset, str(error)))
                continue
            for piece in group:
                place = piece.entry.place - first
                try:
                    raw = read_frame(piece.entry, data[place : place + piece.entry.size])
                except SegmentDamaged as error:
                    if damaged is None:
                        raise
                    damaged(Damage(piece.offset, piece.length, str(error)))
                    continue
                begin, end = max(piece.offset, start), min(piece.end, stop)
                yield begin, raw[piece.skip + begin - piece.offset : piece.skip + end - piece.offset]

    def check(self, extent: Extents) -> list[Damage]:
        """All damage, with the overlaps compared byte by byte."""
        found = list(extent.damage)
        for overlap in extent.overlaps:
            raw = read_frame(overlap.entry, self._fetch(overlap.segment, overlap.entry.place, overlap.entry))
            for piece in extent.pieces:
                begin, end = max(piece.offset, overlap.offset), min(piece.end, overlap.end)
                if begin < end and piece.entry is not overlap.entry:
                    kept = b"".join(data for _, data in self.read(extent, begin, end - begin))
                    if kept != raw[begin - overlap.offset : end - overlap.offset]:
                        found.append(_contradiction(piece, overlap, begin, end - begin))
        return found

    def _same_file(self, older: Extents, younger: Extents) -> bool:
        runs = [_first_run(older), _first_run(younger)]
        begin = max(first for first, _ in runs)
        end = min(begin + BEGINNING, *(last for _, last in runs))
        if begin >= end:
            return False
        try:
            first, second = (
                b"".join(data for _, data in self.read(extent, begin, end - begin))
                for extent in (older, younger)
            )
        except SegmentDamaged:
            return False
        return first == second

    def _fetch(self, segment: Segment, place: int, last: FrameEntry) -> bytes:
        length = last.place + last.size - place
        if segment.footer.facts.closed:
            data = self._store.get(
                segment.info.key, start=place, length=length, if_match=segment.info.etag
            ).data
        else:
            data = self._open_segment(segment.info)[place : place + length]
        if len(data) != length:
            raise SegmentDamaged(
                f"{segment.info.key!r} is cut short: its footer names more bytes than it has"
            )
        return data

    def _open_segment(self, info: ObjectInfo) -> bytes:
        known = (info.key, info.etag)
        if known not in self._whole:
            self._whole[known] = self._store.get(info.key, if_match=info.etag).data
            while len(self._whole) > _WHOLE_SEGMENTS:
                self._whole.popitem(last=False)
        return self._whole[known]


def _first_run(extent: Extents) -> tuple[int, int]:
    """From which offset to which go the bytes before the first gap."""
    begin = end = extent.pieces[0].offset if extent.pieces else 0
    for piece in extent.pieces:
        if piece.offset != end:
            break
        end = piece.end
    return begin, end


def _requests(pieces: Iterable[Piece]) -> Iterator[list[Piece]]:
    """Pieces whose frames lie side by side in one segment, up to a size that is worth one request."""
    group: list[Piece] = []
    for piece in pieces:
        if group and (
            group[-1].segment is not piece.segment
            or group[-1].entry.place + group[-1].entry.size != piece.entry.place
            or piece.entry.place + piece.entry.size - group[0].entry.place > _LARGEST_REQUEST
        ):
            yield group
            group = []
        group.append(piece)
    if group:
        yield group
