"""What of some bytes of a masked log can go into its stream. Pure.

A secret must not slip through because a read cut it in two, so only whole lines are masked and taken. A
line longer than a read can't be judged: it is blanked, byte for byte, so that offsets stay true. Where a
line begins is told by the byte before, so nothing has to be remembered across a restart.
"""

from dataclasses import dataclass

from sidecar.receiver.masking import mask_equal_length

BLANK = b"*"


@dataclass(frozen=True, slots=True)
class Cut:
    """The bytes to keep, as many as were taken; blanked counts those of lines that were too long to be
    masked.
    """

    data: bytes
    blanked: int = 0


def cut(data: bytes, *, before: bytes, limit: int, allowance: int, closing: bool) -> Cut:
    """Takes whole lines from the start of data, at most `allowance` bytes.

    before: the byte before data, empty at the start of the file. limit: the length from which a line is too
    long.
    closing: no more bytes will come, so the last line is whole as it is.
    """
    if before not in (b"", b"\n"):
        return _blank(data, allowance)
    end = len(data) if closing and len(data) <= allowance else data.rfind(b"\n", 0, allowance) + 1
    if end:
        return Cut(mask_equal_length(data[:end]))
    first = data.find(b"\n")
    if first < 0 and len(data) >= limit:
        return _blank(data, allowance)
    return Cut(b"")


def _blank(data: bytes, allowance: int) -> Cut:
    """Blanks up to the end of the line."""
    end = data.find(b"\n") + 1 or len(data)
    taken = min(end, allowance)
    if taken == end and data[end - 1 : end] == b"\n":
        return Cut(BLANK * (taken - 1) + b"\n", taken - 1)
    return Cut(BLANK * taken, taken)
