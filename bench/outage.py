"""What the collector asks of object storage, and how it gets over an outage: 2,000 events/s, 5 MB/s of logs.

An outage of 30 minutes is made in less: the store is down while all that such a time brings is posted and
written as fast as this machine takes it, 3,600,000 events and 9 GB of logs. From then on the load goes on in
real time; what counts is the time until what is not stored is younger than 10 s. It begins with the store's
first answer, and the longest wait between two tries is added, since an outage made in less has a shorter one.
"""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle, islice

from bench.collector import LOGS, POST_EVERY, Client, Collector, collector
from bench.figure import Figure
from bench.generate import bodies

EVENTS_PER_SECOND = 2_000
LOG_BYTES_PER_SECOND = 5_000_000
OUTAGE_SECONDS = 1_800
STEADY_SECONDS = 60
IDLE_SECONDS = 60
FLUSH_SECONDS = 5
LONGEST_WAIT = 30
CAUGHT_UP = 10
TASKS = 10_000
BLOCK = 4_000_000


class Load:
    """Posts events and writes logs beside a collector: so many a second, or all at once."""

    def __init__(self, running: Collector) -> None:
        self._running = running
        self._client = Client(running.events)
        self._bodies = cycle(bodies(TASKS, int(EVENTS_PER_SECOND * POST_EVERY)))
        self._block = text(BLOCK)
        self._logs = cycle([running.logs / f"worker-{number:02d}.out" for number in range(LOGS)])

    def go_on(self, seconds: float) -> float:
        """In real time; the largest PSS in MiB."""
        largest = 0.0
        due = time.monotonic()
        for number in range(int(seconds / POST_EVERY)):
            self._client.post(next(self._bodies))
            self._write(int(LOG_BYTES_PER_SECOND * POST_EVERY))
            if number % 5 == 0:
                largest = max(largest, self._running.pss_mib())
            due += POST_EVERY
            time.sleep(max(0.0, due - time.monotonic()))
        return largest

    def in_haste(self, seconds: float) -> float:
        """What so many seconds bring, as fast as it goes; the largest PSS in MiB."""
        largest = 0.0
        for body in islice(self._bodies, int(seconds / POST_EVERY)):
            self._client.post(body)
        for number in range(int(seconds * LOG_BYTES_PER_SECOND / BLOCK)):
            self._write(BLOCK)
            if number % 50 == 0:
                self._client.post(next(self._bodies))  # an idle connection is closed
                largest = max(largest, self._running.pss_mib())
        return largest

    def caught_up(self) -> bool:
        """Whether what is not stored is young, and read as soon as it is written."""
        oldest = self._running.metric("historyserver_collector_oldest_unstored_seconds")
        lag = self._running.metric("historyserver_collector_lag_bytes")
        return oldest < CAUGHT_UP and lag < 2 * LOG_BYTES_PER_SECOND

    def p99(self) -> float:
        """Of the answers until now, in seconds."""
        return sorted(self._client.waits)[len(self._client.waits) * 99 // 100]

    def close(self) -> None:
        self._client.close()

    def _write(self, size: int) -> None:
        with next(self._logs).open("ab") as log:
            log.write(self._block[:size])


def text(size: int) -> bytes:
    """Lines of a training log, which compress to a fifth."""
    chance = random.Random(1)  # noqa: S311 - the same lines each time
    lines = []
    while size > 0:
        lines.append(
            b"2026-11-23 02:%02d:%02d,%03d INFO trainer.py:%d -- step %d: loss %.6f, %.1f samples/s\n"
            % (
                chance.randrange(60),
                chance.randrange(60),
                chance.randrange(1000),
                chance.randrange(900),
                len(lines),
                chance.random() * 4,
                chance.random() * 900,
            )
        )
        size -= len(lines[-1])
    return b"".join(lines)


@contextmanager
def load(running: Collector) -> Iterator[Load]:
    busy = Load(running)
    try:
        yield busy
    finally:
        busy.close()


def figures() -> Iterator[Figure]:
    yield from steady()
    yield from outage()


def steady() -> Iterator[Figure]:
    with collector() as running, load(running) as busy:
        running.oss.forget_requests()
        memory = busy.go_on(STEADY_SECONDS)
        requests = len(running.oss.requests()) / STEADY_SECONDS * FLUSH_SECONDS
        yield Figure("collector: requests a flush interval, 2,000 events/s, 5 MB/s logs", requests, "", 1)
        yield Figure("collector: with its supervisor, PSS meanwhile", memory, "MiB", 60)
        running.wait_until_stored()
        running.oss.forget_requests()
        time.sleep(IDLE_SECONDS)
        requests = len(running.oss.requests()) / IDLE_SECONDS * FLUSH_SECONDS
        yield Figure("collector: requests a flush interval, idle", requests, "", 1)


def outage() -> Iterator[Figure]:
    with collector() as running, load(running) as busy:
        before = busy.go_on(STEADY_SECONDS)
        running.oss.down()
        memory = max(busy.in_haste(OUTAGE_SECONDS), busy.go_on(10))
        yield Figure("collector: answers in an outage of 30 minutes, p99", busy.p99() * 1e3, "ms", 50)
        yield Figure("collector: PSS grows in it by", (memory / before - 1) * 100, "%", 10)
        dropped = running.metric("historyserver_collector_dropped_total")
        yield Figure("collector: events dropped in it", dropped, "", 0)
        running.oss.up()
        answered = time.monotonic()
        stored = running.metric("historyserver_collector_stored_bytes_total")
        memory = 0.0
        while not busy.caught_up():
            memory = max(memory, busy.go_on(1))
            if running.metric("historyserver_collector_stored_bytes_total") == stored:
                answered = time.monotonic()
        took = time.monotonic() - answered + LONGEST_WAIT
        yield Figure("collector: caught up after it, the longest wait included", took, "s", 180)
        yield Figure("collector: with its supervisor, PSS meanwhile", memory, "MiB", 60)
