"""What was sent, what was found of it, and what that means: a state machine without I/O.

A place is one stream of one origin. In it, what comes one after the other was written one after the other:
a number that is passed over there is missing, and one that comes again is doubled. Elsewhere it may come
late, or once more: readers show an event once, and tell where a log begins anew.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, fields
from typing import Final, Self

from historyserver.canary.numbers import Numbers

_REMEMBERED: Final = 10_000
_THINNED_TO: Final = 1.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """Numbers of messages.

    `sent`: accepted by the collector, or written to the log. `seen`: found. `told`: not there, and the
    archive says so. `missing`: not there, without a word. `doubled`: a reader would show it twice.
    `repeated`: kept twice, and shown once or told. `out_of_order`: behind a later one. `wrong`: not the bytes
    that were sent. `late`: found, but not in time. `overdue`: not found yet, and no longer in time.
    """

    sent: int = 0
    seen: int = 0
    told: int = 0
    missing: int = 0
    doubled: int = 0
    repeated: int = 0
    out_of_order: int = 0
    wrong: int = 0
    late: int = 0
    overdue: int = 0

    def __add__(self, other: Self) -> Verdict:
        return Verdict(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))

    @property
    def bad(self) -> int:
        """How many should not be."""
        return self.missing + self.doubled + self.out_of_order + self.wrong


class Ledger:
    """Of one kind of message of one run. Times are seconds from the run's beginning."""

    def __init__(self, late_after: float) -> None:
        self.slowest = 0.0
        self._late_after = late_after
        self._sent = 0
        self._times: deque[tuple[int, float]] = deque()
        self._seen = Numbers()
        self._passed = Numbers()
        self._told = Numbers()
        self._doubled = Numbers()
        self._again: dict[int, int] = {}
        self._lost = 0
        self._repeated = self._out_of_order = self._wrong = self._late = 0

    @property
    def settled(self) -> bool:
        """Whether nothing is to be waited for: all are there, or the last is and others were counted lost."""
        still_open = len(self._open(self._sent + 1))
        return not still_open or (self._sent in self._seen and still_open <= self._lost)

    def sent(self, number: int, at: float) -> None:
        """The next one is on its way."""
        self._sent = number
        if not self._times or at - self._times[-1][1] >= _THINNED_TO:
            self._times.append((number, at))

    def tried(self, number: int) -> None:
        """It is about to be sent once more: nobody knows whether the time before was in vain."""
        self._again[number] = self._again.get(number, 0) + 1
        while len(self._again) > _REMEMBERED:
            del self._again[next(iter(self._again))]

    def found(self, number: int, *, before: int | None, marked: bool, sent_at: float, at: float) -> None:
        """It was found behind numbers up to `before` in its place; None where it isn't known what is there.

        `marked`: the archive says there that something is missing between the two.
        """
        known = number in self._seen
        if before is not None and number <= before:
            if not known:
                self._out_of_order += 1
            elif self._again.get(number, 0):
                self._again[number] -= 1
                self._repeated += 1
            else:
                self._doubled.add(number)
        elif known:
            self._repeated += 1
        self._note_passed(number, before, marked=marked)
        if not known:
            self._seen.add(number)
            self.slowest = max(self.slowest, at - sent_at)
            self._late += at - sent_at > self._late_after

    def wrong(self) -> None:
        """Something was found that nobody sent like that."""
        self._wrong += 1

    def lost(self, amount: int) -> None:
        """So many in all may be missing by the collector's own count."""
        self._lost = max(self._lost, amount)

    def verdict(self, now: float, *, final: bool = False) -> Verdict:
        """`final`: nothing will come any more, so what is not there is missing."""
        gone = self._passed.without(self._seen, self._told)
        still_open = self._open(self._sent + 1)
        missing = len(gone) + (len(still_open) if final else 0)
        by_count = min(missing, self._lost)
        while self._times and not len(self._open(self._times[0][0] + 1)):
            self._times.popleft()
        due = max((number for number, at in self._times if now - at > self._late_after), default=0)
        return Verdict(
            sent=self._sent,
            seen=len(self._seen),
            told=len(self._told.without(self._seen)) + by_count,
            missing=missing - by_count,
            doubled=len(self._doubled),
            repeated=self._repeated,
            out_of_order=self._out_of_order,
            wrong=self._wrong,
            late=self._late,
            overdue=0 if final else len(self._open(due + 1)),
        )

    def _note_passed(self, number: int, before: int | None, *, marked: bool) -> None:
        if marked:
            begin = before + 1 if before is not None else self._last_seen_before(number) + 1
            for start, stop in self._seen.absent(begin, number):
                self._told.add(start, stop)
        elif before is not None:
            self._passed.add(before + 1, number)

    def _last_seen_before(self, number: int) -> int:
        return max(
            (min(stop, number) - 1 for start, stop in self._seen.ranges() if start < number), default=0
        )

    def _open(self, stop: int) -> Numbers:
        """Those sent before `stop` of which nothing is known."""
        sent = Numbers()
        sent.add(1, stop)
        return sent.without(self._seen, self._told, self._passed)
