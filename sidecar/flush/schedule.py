"""When to put, when to close, how long to wait after a failure: a state machine without I/O.

Times are seconds of one monotonic clock. Something new waits for the interval, then is put; after a failure
everything waits for the back-off; a backlog waits for nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

CLOSE_SIZE: Final = 1 << 20
CLOSE_PUTS: Final = 60

_SHORTEST: Final = 0.5
_LONGEST: Final = 60.0
_IDLE: Final = 1.0
_END_INTERVAL: Final = 1.0


class Schedule:
    """Of one flusher. `random` gives numbers from 0 to 1."""

    def __init__(self, interval: float, random: Callable[[], float]) -> None:
        self._interval = interval
        self._random = random
        self._new_since: float | None = None
        self._not_before = 0.0
        self._failures = 0
        self._puts = 0

    def begin_end(self) -> None:
        """The node's end has begun: flush every second from now on."""
        self._interval = min(self._interval, _END_INTERVAL)

    def noticed(self, now: float) -> None:
        """Something is there that no put has confirmed."""
        if self._new_since is None:
            self._new_since = now

    def due(self, now: float, *, backlog: bool) -> bool:
        """Whether to put now. `backlog`: more waits than went into the last segment."""
        return self.wait(now, backlog=backlog) <= 0 and (backlog or self._new_since is not None)

    def wait(self, now: float, *, backlog: bool) -> float:
        """Seconds until it is worth looking again; never negative."""
        ready = now if backlog else now + _IDLE
        if self._new_since is not None and not backlog:
            ready = self._new_since + self._interval
        return max(0.0, max(ready, self._not_before) - now)

    def closes(self, size: int, *, full: bool) -> bool:
        """Whether the next put, of `size` bytes, is to be the last of its number."""
        return full or size >= CLOSE_SIZE or self._puts + 1 >= CLOSE_PUTS

    def stored(self, *, closed: bool) -> None:
        """A put was confirmed."""
        self._puts = 0 if closed else self._puts + 1
        self._failures = 0
        self._not_before = 0.0
        self._new_since = None

    def failed(self, now: float, *, number_ended: bool) -> float:
        """A put failed; returns for how long to wait. What was new stays new."""
        self._puts = 0 if number_ended else self._puts + 1
        longest = min(_LONGEST, _SHORTEST * (1 << self._failures))
        delay = longest * (0.5 + self._random() / 2)
        self._failures = min(self._failures + 1, 16)
        self._not_before = now + delay
        return delay
