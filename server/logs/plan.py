"""Where the bytes of one log lie: extents in segments, holes, notes. Pure.

A place in a log is an offset in its stream, so that Ray's task log offsets fit. Several origins of a node, or
a node that goes on where another of the same folder ended, follow each other in one line of offsets.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from archive.segment import FrameEntry, Mark
from archive.store.base import ObjectInfo


@dataclass(frozen=True, slots=True)
class Extent:
    """The bytes [start, end) of a log are those of a frame from `skip` on."""

    start: int
    end: int
    skip: int
    entry: FrameEntry
    segment: ObjectInfo


@dataclass(frozen=True, slots=True)
class Note:
    """What a reader has to be told at an offset; `size` bytes are missing there (0: not known)."""

    offset: int
    text: str
    size: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """One log: its bytes are [begin, end), less the holes between extents; each hole has a note."""

    begin: int
    end: int
    extents: tuple[Extent, ...]
    notes: tuple[Note, ...]

    def offset_in_file(self, place: int) -> int:
        """The offset here of what lies at that offset of the file that Ray wrote: gaps take no room here."""
        missing = 0
        for note in self.notes:
            if not note.size or place <= note.offset + missing:
                continue
            missing += min(note.size, place - note.offset - missing)
        return place - missing


def plan_origin(
    frames: Iterable[tuple[ObjectInfo, FrameEntry]], marks: Iterable[Mark], torn: str = ""
) -> Plan:
    """One origin's part of a log. `torn`: why a last segment of it can't be read, if so."""
    extents: list[Extent] = []
    notes: list[Note] = []
    place = 0
    for segment, entry in sorted(frames, key=lambda one: (one[1].start, -one[1].end)):
        if entry.end <= place:
            continue
        if entry.start > place:
            notes.append(Note(place, f"{entry.start - place:,} bytes can't be read from the archive"))
            place = entry.start
        extents.append(Extent(place, entry.end, place - entry.start, entry, segment))
        place = entry.end
    begin = 0
    for mark in sorted(set(marks), key=lambda mark: mark.offset):
        if mark.kind == "rewritten":
            begin = max(begin, min(mark.offset, place))
        elif mark.kind != "continues":
            notes.append(_note(mark))
    if torn:
        notes.append(Note(place, f"there may be more: {torn}"))
    ordered = sorted((note for note in notes if note.offset >= begin), key=lambda note: note.offset)
    return Plan(begin, place, tuple(extent for extent in extents if extent.end > begin), tuple(ordered))


def _note(mark: Mark) -> Note:
    amount = f"{mark.size:,} bytes" if mark.size else "some bytes"
    why = f": {mark.detail}" if mark.detail else ""
    if mark.kind == "truncated":
        lost = f", {amount} before it were not read" if mark.size else ""
        return Note(mark.offset, f"the file was cut here{lost}{why}")
    return Note(mark.offset, f"{amount} are missing here{why}", mark.size)


def follow(first: Plan, second: Plan, note: str = "") -> Plan:
    """The second log behind the first, with a note between them if there is one to make."""
    shift = first.end
    extents = [
        replace(extent, start=extent.start + shift, end=extent.end + shift) for extent in second.extents
    ]
    notes = [replace(other, offset=other.offset + shift) for other in second.notes]
    between = [Note(shift, note)] if note else []
    return Plan(first.begin, second.end + shift, (*first.extents, *extents), (*first.notes, *between, *notes))
