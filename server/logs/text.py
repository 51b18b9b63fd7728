"""What happens to a log's bytes on their way out: colour codes, and where the last lines begin. Pure."""

import re
from collections.abc import Iterator
from typing import Final

COLOUR: Final = re.compile(rb"\x1b\[[(0-9;]+m")
_BEGUN: Final = re.compile(rb"\x1b(?:\[[(0-9;]*)?\Z")
_LONGEST_CODE: Final = 64


class ColourFilter:
    """Drops `ESC[…m` from pieces of a text, also where a code lies across two pieces."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, piece: bytes) -> bytes:
        """The piece without colour codes; the beginning of one at its end waits for the next piece."""
        text = self._held + piece
        begun = _BEGUN.search(text, max(0, len(text) - _LONGEST_CODE))
        kept = text[: begun.start()] if begun else text
        self._held = text[begun.start() :] if begun else b""
        return COLOUR.sub(b"", kept)

    def finish(self) -> bytes:
        """What was held back and turned out to be no code."""
        return self._held


def last_lines_start(pieces_backwards: Iterator[tuple[int, bytes]], lines: int, begin: int, end: int) -> int:
    """Where the last `lines` lines before `end` begin, as Ray counts: an unfinished last line is one.

    `pieces_backwards` gives adjacent (offset, bytes) from `end` towards `begin`; it is read as far as needed.
    """
    if lines <= 0:
        return end
    wanted = lines
    for offset, piece in pieces_backwards:
        if offset + len(piece) == end and not piece.endswith(b"\n"):
            wanted -= 1
        count = piece.count(b"\n")
        if count > wanted:
            place = len(piece)
            for _ in range(wanted + 1):
                place = piece.rindex(b"\n", 0, place)
            return offset + place + 1
        wanted -= count
    return begin
