"""A set of whole numbers that takes little room where they lie side by side. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator


class Numbers:
    """Numbers from 0 on, kept as ranges: memory and time grow with the gaps, not with the numbers."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._stops: list[int] = []

    def add(self, start: int, stop: int | None = None) -> None:
        """A number, or those from `start` to before `stop`."""
        stop = start + 1 if stop is None else stop
        if start >= stop:
            return
        first = bisect_left(self._stops, start)
        last = bisect_right(self._starts, stop)
        if first < last:
            start = min(start, self._starts[first])
            stop = max(stop, self._stops[last - 1])
        self._starts[first:last] = [start]
        self._stops[first:last] = [stop]

    def __contains__(self, number: int) -> bool:
        place = bisect_right(self._starts, number) - 1
        return place >= 0 and number < self._stops[place]

    def __len__(self) -> int:
        return sum(self._stops) - sum(self._starts)

    def ranges(self) -> Iterator[tuple[int, int]]:
        """In order, apart: from each range's first number to the one behind its last."""
        return zip(self._starts, self._stops, strict=True)

    def absent(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Ranges of those from `start` to before `stop` that are not in it."""
        place = max(0, bisect_right(self._starts, start) - 1)
        while start < stop:
            if place < len(self._starts) and self._starts[place] <= start:
                start = max(start, self._stops[place])
                place += 1
                continue
            end = min(stop, self._starts[place]) if place < len(self._starts) else stop
            yield start, end
            start = end

    def without(self, *others: Numbers) -> Numbers:
        """Those that are in none of the others."""
        left = self
        for other in others:
            kept = Numbers()
            for start, stop in left.ranges():
                for begin, end in other.absent(start, stop):
                    kept.add(begin, end)
            left = kept
        return left
