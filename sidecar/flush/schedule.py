"""When to put, how much, when to close, how long to wait after a failure: state machines without I/O.

Times are seconds of one monotonic clock. Something new waits for the interval, then is put, all of it in one
request where it isn't more than `LARGEST_SIZE`; a put of `CLOSE_SIZE` or more ends its number. So the
requests of a node grow with time, not with what it writes, and an open segment stays small. After a failure
everything waits for the back-off, and goes out in small pieces until the store has taken some: a way too slow
for a large put takes a small one. A backlog waits for nothing else.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from archive.store.retry import Backoff

CLOSE_SIZE: Final = 1 << 20
CLOSE_PUTS: Final = 60
LARGEST_SIZE: Final = 8 << 20
"""A flusher holds it twice while it joins the frames."""

_PASSING: Final = Backoff(first=0.5, most=30.0)
_LASTING: Final = Backoff(first=0.5, most=120.0)
_LOOK: Final = 1.0
_END_INTERVAL: Final = 1.0


class Rest:
    """The back-off of all who put the same kind of thing into one store. Thread-safe.

    Between half and the whole of a time that doubles: 0.5 s to 30 s, and to 120 s where only people can put
    things right, so that such a store is asked once a minute at most. `random` gives numbers from 0 to 1.
    """

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._lock = threading.Lock()
        self._failures = 0
        self._until = 0.0

    def failed(self, now: float, *, lasting: bool = False) -> float:
        """Someone failed; returns for how long everybody waits."""
        with self._lock:
            delay = (_LASTING if lasting else _PASSING).delay(self._failures, self._random())
            self._failures += 1
            self._until = now + delay
            return delay

    def begin_anew(self) -> None:
        """Someone succeeded, or there is a reason to hurry: the next wait is none, the one after it short."""
        with self._lock:
            self._failures = 0
            self._until = 0.0

    def wait(self, now: float) -> float:
        """Seconds to wait now; never negative."""
        return max(0.0, self._until - now)


class Schedule:
    """Of one flusher. `rest` is shared by all flushers of the store; faults of the spool have their own."""

    def __init__(self, interval: float, random: Callable[[], float], rest: Rest) -> None:
        self._interval = interval
        self._rest = rest
        self._trouble = Rest(random)
        self._new_since: float | None = None
        self._puts = 0
        self.largest = LARGEST_SIZE

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
        ready = 0.0 if backlog else _LOOK
        if self._new_since is not None and not backlog:
            # No longer than a look takes to come: meanwhile it can become more than a put takes.
            ready = min(_LOOK, self._new_since + self._interval - now)
        return max(0.0, ready, self._rest.wait(now), self._trouble.wait(now))

    def closes(self, size: int, *, full: bool) -> bool:
        """Whether the next put, of `size` bytes, is to be the last of its number."""
        return full or size >= CLOSE_SIZE or self._puts + 1 >= CLOSE_PUTS

    def stored(self, *, closed: bool) -> None:
        """A put was confirmed."""
        self._puts = 0 if closed else self._puts + 1
        self._rest.begin_anew()
        self._trouble.begin_anew()
        self.largest = min(LARGEST_SIZE, self.largest * 2)
        self._new_since = None

    def refused(self, now: float, *, number_ended: bool, lasting: bool) -> None:
        """The store failed. What was new stays new."""
        self._puts = 0 if number_ended else self._puts + 1
        self.largest = CLOSE_SIZE
        self._rest.failed(now, lasting=lasting)

    def troubled(self, now: float) -> None:
        """Something on this node failed, before the store was asked."""
        self._trouble.failed(now)
