"""Whole lines from pieces of one stream, which may overlap, repeat, have gaps, or cut a line anywhere.

Logs are stored as they were read, so the first and the last line of a run of segments may be halves. They
are handed back as fragments: joined with those of the runs before and behind they are lines again.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, order=True)
class Fragment:
    """Bytes of one stream from an offset. `begins`: a line is known to begin here; it may be empty then."""

    start: int
    data: bytes
    begins: bool

    @property
    def end(self) -> int:
        return self.start + len(self.data)


@dataclass(slots=True)
class LineStream:
    """One stream while a run of segments is read."""

    pending: Fragment | None = None
    loose: list[Fragment] = field(default_factory=list)

    def feed(self, start: int, data: bytes, *, begins: bool = False) -> tuple[int, bytes]:
        """Takes the bytes at an offset; gives the whole lines that are now known, with their offset.

        `begins`: a line is known to begin here.
        """
        begins = begins or start == 0
        pending = self.pending
        if pending is not None:
            if start > pending.end:
                self.loose.append(pending)
            elif start + len(data) <= pending.end:
                return start, b""
            else:
                data = pending.data + data[pending.end - start :]
                start, begins = pending.start, pending.begins
        if not begins:
            cut = data.find(b"\n") + 1
            if not cut:
                self.pending = Fragment(start, data, begins=False)
                return start, b""
            self.loose.append(Fragment(start, data[:cut], begins=False))
            start, data = start + cut, data[cut:]
        cut = data.rfind(b"\n") + 1
        self.pending = Fragment(start + cut, data[cut:], begins=True)
        return start, data[:cut]

    def fragments(self) -> list[Fragment]:
        """What is left over so far."""
        return [*self.loose, self.pending] if self.pending is not None else list(self.loose)


def numbered(start: int, lines: bytes) -> Iterator[tuple[int, bytes]]:
    """Each line that isn't blank, with its offset."""
    for line in lines.split(b"\n"):
        if line.strip():
            yield start, line
        start += len(line) + 1


def joined(fragments: Iterable[Fragment]) -> list[Fragment]:
    """Fragments of one stream with neighbours joined; bytes that come twice count once."""
    result: list[Fragment] = []
    for piece in sorted(fragments, key=lambda piece: piece.start):
        last = result[-1] if result else None
        if last is None or piece.start > last.end:
            result.append(piece)
            continue
        begins = last.begins or (piece.begins and piece.start == last.start)
        data = last.data + piece.data[last.end - piece.start :] if piece.end > last.end else last.data
        result[-1] = Fragment(last.start, data, begins)
    return result


def settled(fragment: Fragment) -> tuple[Fragment, Fragment]:
    """The whole lines of joined fragments, and what waits for the bytes behind."""
    cut = fragment.data.rfind(b"\n") + 1
    rest = Fragment(fragment.start + cut, fragment.data[cut:], begins=cut > 0 or fragment.begins)
    return Fragment(fragment.start, fragment.data[:cut], fragment.begins), rest
