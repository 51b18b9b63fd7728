"""A log's bytes on their way out, piece by piece: damage and gaps become marker lines, never silence.

A place in a log is an offset in its stream, so that Ray's task log offsets fit.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from archive.segment import Mark
from archive.store.base import Store
from archive.stream import Damage, Extents, Reader, Segment
from server.logs.text import last_lines_start


@dataclass(frozen=True, slots=True)
class Note:
    """What a reader has to be told at an offset."""

    offset: int
    text: str


class LogReader:
    """One log. Every method may raise ObjectChanged, which a newer listing cures, and StoreError."""

    def __init__(self, store: Store, stream: str, segments: list[Segment], torn: str = "") -> None:
        self._reader = Reader(store)
        self._extents = self._reader.open(stream, segments)
        self._notes = notes(self._extents, torn)

    @property
    def begin(self) -> int:
        """Where the text begins: at 0, or at the newest content of a file that Ray writes anew each time."""
        rewritten = [mark.offset for mark in self._extents.marks if mark.kind == "rewritten"]
        return min(max(rewritten, default=0), self.end)

    @property
    def end(self) -> int:
        """The offset behind the last byte."""
        return self._extents.end

    def parts(self, start: int, end: int) -> Iterator[tuple[int, bytes]]:
        """The bytes [start, end) in pieces, each with the offset behind it.

        Whatever is missing there is told by a marker line at its place; what is missing right before `start`
        belongs to the piece before it.
        """
        damage: list[Damage] = []
        first = start if start == self.begin else start + 1
        waiting = [note for note in self._notes if first <= note.offset <= end]
        at_line_start = True
        for begin, data in self._reader.read(self._extents, start, end - start, damaged=damage.append):
            place, behind = begin, begin + len(data)
            waiting += [_told(one) for one in damage]
            waiting.sort(key=lambda note: note.offset)
            damage.clear()
            while waiting and waiting[0].offset < behind:
                note = waiting.pop(0)
                if note.offset > place:
                    yield note.offset, data[place - begin : note.offset - begin]
                    at_line_start = data[note.offset - begin - 1 : note.offset - begin] == b"\n"
                    place = note.offset
                yield place, _marker(note, at_line_start=at_line_start)
                at_line_start = True
            if place < behind:
                yield behind, data[place - begin :]
                at_line_start = data.endswith(b"\n")
        for note in waiting + [_told(one) for one in damage]:
            yield end, _marker(note, at_line_start=at_line_start)
            at_line_start = True

    def last_lines(self, lines: int, start: int, end: int) -> int:
        """Where the last `lines` lines of [start, end) begin."""
        return last_lines_start(self._backwards(start, end), lines, start, end)

    def _backwards(self, start: int, end: int) -> Iterator[tuple[int, bytes]]:
        for piece in reversed(self._extents.pieces):
            begin, stop = max(piece.offset, start), min(piece.end, end)
            if begin < stop:
                yield from self._reader.read(self._extents, begin, stop - begin, damaged=lambda _: None)


def notes(extents: Extents, torn: str) -> list[Note]:
    """What is to be told of a log beside its bytes, in order. `torn`: why there may be more of it."""
    told = [Note(mark.offset, text) for mark in extents.marks if (text := _sentence(mark))]
    told += [Note(damage.offset, f"segments differ here: {damage.detail}") for damage in extents.damage]
    told += [Note(extents.end, f"there may be more: {torn}")] if torn else []
    return sorted(told, key=lambda note: note.offset)


def _sentence(mark: Mark) -> str:
    amount = f"{mark.size:,} bytes" if mark.size else "some bytes"
    detail = f": {mark.detail}" if mark.detail else ""
    match mark.kind:
        case "gap":
            return f"{amount} are missing here{detail}"
        case "truncated":
            return f"the file was cut here{detail}" + (
                f"; {amount} were not read before" if mark.size else ""
            )
        case "continues":
            return f"this log began on the node {mark.detail}"
        case "rewritten":
            return ""


def _told(damage: Damage) -> Note:
    return Note(damage.offset, f"{damage.size:,} bytes can't be read: {damage.detail}")


def _marker(note: Note, *, at_line_start: bool) -> bytes:
    """A line of its own that tells what is missing where it stands."""
    return (b"" if at_line_start else b"\n") + line_of(note.text)


def line_of(text: str) -> bytes:
    """What this server says within a log, as a line of its own."""
    return f"[ray history: {text}]\n".encode()
