"""A log's bytes on their way out, piece by piece: damage and gaps become marker lines, never silence."""

from collections.abc import Iterator

from archive.errors import SegmentDamaged
from server.logs.frames import Frames
from server.logs.plan import Extent, Plan
from server.logs.text import last_lines_start


def marker(text: str, *, at_line_start: bool) -> bytes:
    """A line that tells what is missing, where it is missing."""
    return f"{'' if at_line_start else chr(10)}[ray history: {text}]\n".encode()


class LogReader:
    """One log, as it was planned. Every method may raise ObjectChanged (plan again) and StoreError."""

    def __init__(self, plan: Plan, frames: Frames) -> None:
        self.plan = plan
        self._frames = frames

    def parts(self, start: int, end: int) -> Iterator[tuple[int, bytes]]:
        """The bytes [start, end) in pieces of at most 1 MiB, each with the offset behind it.

        Whatever is missing there is told by a marker line at its place.
        """
        notes = [note for note in self.plan.notes if start <= note.offset <= end]
        at_line_start = True
        for extent, data in self._frames.read_all(_cut(self.plan.extents, start, end)):
            place = extent.start
            while notes and notes[0].offset < extent.end:
                note = notes.pop(0)
                if note.offset > place and isinstance(data, bytes):
                    before = data[place - extent.start : note.offset - extent.start]
                    place = note.offset
                    yield place, before
                    at_line_start = before.endswith(b"\n")
                yield place, marker(note.text, at_line_start=at_line_start)
                at_line_start = True
            if isinstance(data, SegmentDamaged):
                text = f"{extent.end - extent.start:,} bytes can't be read: {data}"
                yield extent.end, marker(text, at_line_start=at_line_start)
                at_line_start = True
            elif rest := data[place - extent.start :]:
                yield extent.end, rest
                at_line_start = rest.endswith(b"\n")
        for note in notes:
            yield end, marker(note.text, at_line_start=at_line_start)
            at_line_start = True

    def last_lines(self, lines: int, start: int, end: int) -> int:
        """Where the last `lines` lines of [start, end) begin."""
        return last_lines_start(self._backwards(start, end), lines, start, end)

    def _backwards(self, start: int, end: int) -> Iterator[tuple[int, bytes]]:
        for extent in reversed(_cut(self.plan.extents, start, end)):
            for _, data in self._frames.read_all([extent]):
                if not isinstance(data, SegmentDamaged):
                    yield extent.start, data


def _cut(extents: tuple[Extent, ...], start: int, end: int) -> list[Extent]:
    """The extents of [start, end), the outermost shortened."""
    found = []
    for extent in extents:
        begin, stop = max(extent.start, start), min(extent.end, end)
        if begin < stop:
            found.append(
                Extent(begin, stop, extent.skip + begin - extent.start, extent.entry, extent.segment)
            )
    return found
