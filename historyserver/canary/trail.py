"""One stream of one origin as it is found bit by bit, holes and all: each line is looked at once. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from historyserver.canary.message import Message
from historyserver.canary.numbers import Numbers

_AT_ONCE: Final = 32 << 20


@dataclass(frozen=True, slots=True)
class Found:
    """A message in its place, None for one with wrong bytes; the rest as `Ledger.found` takes it."""

    message: Message | None
    before: int | None
    marked: bool


Read = Callable[[bytes], "Message | bool"]
"""What a line is: a message of this run, True for none of ours, False for what should have been one."""


class Trail:
    """`marked`: the offsets at which the archive says that something is missing before."""

    def __init__(self, read: Read, *, whole: bool) -> None:
        """`whole`: wherever there are bytes, a line begins."""
        self.marked: set[int] = set()
        self._read = read
        self._whole = whole
        self._covered = Numbers()
        self._cut: set[int] = set()
        self._ends: dict[int, tuple[int, int]] = {}
        """From where lines end that were looked at: the greatest number, and the offset behind its line."""

    def unread(self, pieces: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
        """Of ranges of offsets that there are, the beginning of each that was not looked at yet.

        Ask again after `take`, as long as it tells of something new.
        """
        there = Numbers()
        for start, stop in pieces:
            there.add(start, stop)
        for start, stop in there.without(self._covered).ranges():
            yield start, min(start + _AT_ONCE, stop)

    @property
    def looked_at(self) -> int:
        """How many bytes, in whole lines."""
        return len(self._covered)

    def has(self, start: int, stop: int) -> bool:
        """Whether all of these bytes were looked at."""
        return not any(self._covered.absent(start, stop))

    def skip(self, start: int, stop: int) -> None:
        """These bytes can't be read, and won't be."""
        self._covered.add(start, stop)
        self._cut.add(stop)

    def take(self, start: int, data: Iterable[bytes]) -> list[Found]:
        """The messages in adjacent pieces of bytes from `start` on; what has no line's end yet waits.

        Changes nothing when `data` raises.
        """
        joins = start not in self._cut and (self._whole or start == 0 or (start - 1) in self._covered)
        last = self._ends.get(start)
        found: list[Found] = []
        begin = at = start
        rest = b""
        for piece in data:
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                is_first, place, at = at == start, at, at + len(line) + 1
                message = self._read(line)
                if is_first and not joins and not isinstance(message, Message):
                    begin = at  # the end of a line whose beginning is not there
                elif isinstance(message, Message):
                    marked = any(last is None or mark >= last[1] for mark in self.marked if mark <= place)
                    found.append(Found(message, last[0] if last else None, marked))
                    last = (max(message.number, last[0] if last else 0), at)
                elif not message:
                    found.append(Found(None, None, marked=False))
        self._covered.add(begin, at)
        self._ends.pop(start, None)
        if last is not None:
            self._ends[at] = last
        return found
