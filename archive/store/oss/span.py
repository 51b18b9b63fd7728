"""Which bytes of an object a read asks for, and what answers may say they are."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_CONTENT_RANGE: Final = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})")


class Span(NamedTuple):
    """`length` bytes from `start`; all from there without a length; the last `length` without a start."""

    start: int | None
    length: int | None

    @property
    def header(self) -> str | None:
        """The Range header; None where the whole object is asked for. The length is not 0."""
        if self.start is None:
            return f"bytes=-{self.length}"
        if self.length is not None:
            return f"bytes={self.start}-{self.start + self.length - 1}"
        return f"bytes={self.start}-" if self.start else None

    def place(self, size: int) -> tuple[int, int]:
        """From where to where it is in an object of this size; both are the same where nothing is."""
        if self.start is None:
            return max(0, size - (self.length or 0)), size
        end = size if self.length is None else min(size, self.start + self.length)
        return self.start, max(self.start, end)


def answered(content_range: str) -> tuple[int, int, int] | None:
    """From where to where an answer's bytes are, and the object's size; None if the header can't be read."""
    match = _CONTENT_RANGE.fullmatch(content_range)
    return None if match is None else (int(match[1]), int(match[2]) + 1, int(match[3]))
