"""The threads around the flushers: one for the node that lives, one for the nodes that have ended."""

import random
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from sidecar.flush import Flusher, Puts, Rest
from sidecar.metrics import Metrics
from sidecar.spool import NodeSpool

FINISH_SECONDS: Final = 30.0
"""How long one try to finish an ended node may take before the next ended one has its turn."""
PAUSE_SECONDS: Final = 5.0
HANGS_AFTER: Final = 30.0
"""Seconds without an answer after which the store counts as hanging."""


@dataclass(frozen=True)
class Ended:
    """A node that is to be finished, and why it ended."""

    flusher: Flusher
    reason: str


class Counts(NamedTuple):
    """What flushers did."""

    puts: int = 0
    failures: int = 0
    stored_bytes: int = 0


class Flushing:
    """Flushes until stopped, all nodes with one back-off. `tell` is told what is wrong, "" for nothing."""

    def __init__(
        self, store: Puts, interval: float, collector: str, metrics: Metrics, tell: Callable[[str], None]
    ) -> None:
        self._store = store
        self._interval = interval
        self._collector = collector
        self._metrics = metrics
        self._tell = tell
        self._rest = Rest(random.random)
        self._lock = threading.Lock()
        self._live: Flusher | None = None
        self._ended: list[Ended] = []
        self._end_begun = False
        self._stopped = False
        self._gone = Counts()
        self._wake = threading.Event()
        self._work = threading.Event()
        metrics.refresh_with(self._refresh)

    def start(self) -> None:
        threading.Thread(target=self._run_live, name="flusher", daemon=True).start()
        threading.Thread(target=self._run_ended, name="finisher", daemon=True).start()

    def begin(self, node: NodeSpool) -> None:
        """The node lives now; the one before, if any, was handed over by `end`."""
        flusher = self._flusher(node)
        if self._end_begun:
            flusher.begin_end()
        with self._lock:
            self._live = flusher
        self._wake.set()

    def begin_end(self) -> None:
        """From now on everything is flushed every second."""
        self._end_begun = True
        self._rest.begin_anew()
        with self._lock:
            if self._live is not None:
                self._live.begin_end()
        self._wake.set()

    def end(self, reason: str) -> None:
        """The living node has ended: it is finished in the background."""
        with self._lock:
            if self._live is not None:
                self._ended.append(Ended(self._live, reason))
                self._live = None
        self._work.set()

    def take(self, nodes: Iterable[tuple[NodeSpool, str]]) -> None:
        """Nodes of earlier lives, and why they ended: they are finished in the background."""
        with self._lock:
            self._ended += [Ended(self._flusher(node), reason) for node, reason in nodes]
        self._work.set()

    def watch(self) -> None:
        """Tells of a store that hangs, since whoever waits for it can't: call it now and then."""
        with self._lock:
            hangs = self._live is not None and self._live.waiting_seconds() >= HANGS_AFTER
        if hangs:
            self._tell(
                f"no answer to a put for {HANGS_AFTER:g} s: the store hangs, or the way to it; see whether "
                "others reach it. What comes meanwhile waits in the spool"
            )

    def finish(self, reason: str, deadline: float) -> bool:
        """Finishes the living node, then the ended ones, and stops; gives up at `deadline` (monotonic).

        A store that hangs holds up a thread of its own, which dies with the process: the spool has it all.
        """
        self._rest.begin_anew()
        with self._lock:
            live, self._live = self._live, None
            self._stopped = True
        self._wake.set()
        self._work.set()
        nodes = [*([Ended(live, reason)] if live is not None else []), *self._ended]
        stored: list[bool] = []

        def finish() -> None:
            stored.extend([one.flusher.finish(one.reason, deadline) for one in nodes])

        thread = threading.Thread(target=finish, name="last flush", daemon=True)
        thread.start()
        thread.join(max(0.0, deadline - time.monotonic()))
        return len(stored) == len(nodes) and all(stored)

    def _flusher(self, node: NodeSpool) -> Flusher:
        return Flusher(node, self._store, collector=self._collector, interval=self._interval, rest=self._rest)

    def _run_live(self) -> None:
        while not self._stopped:
            pause = PAUSE_SECONDS
            with self._lock:
                flusher = self._live
            if flusher is not None:
                pause = flusher.step()
                self._tell(self._problem())
            self._wake.wait(pause)
            self._wake.clear()

    def _run_ended(self) -> None:
        while not self._stopped:
            with self._lock:
                ended = self._ended[0] if self._ended else None
            resting = self._rest.wait(time.monotonic())
            if ended is None:
                self._work.wait()
            elif resting:
                self._work.wait(resting)
            elif not self._finish_ended(ended):
                self._work.wait(PAUSE_SECONDS)
            self._work.clear()

    def _finish_ended(self, ended: Ended) -> bool:
        done = ended.flusher.finish(ended.reason, time.monotonic() + FINISH_SECONDS)
        with self._lock:
            self._ended.remove(ended)
            if done:
                self._gone = _sum([self._gone, _count(ended.flusher)])
            else:
                self._ended.append(ended)
        self._tell(self._problem())
        return done

    def _problem(self) -> str:
        """What is wrong, of the living node first."""
        with self._lock:
            flushers = [*([self._live] if self._live else []), *(ended.flusher for ended in self._ended)]
        return next((flusher.last_error for flusher in flushers if flusher.last_error), "")

    def _refresh(self) -> None:
        """Sets the metrics that are only worth knowing when somebody asks."""
        with self._lock:
            flushers = [ended.flusher for ended in self._ended] + ([self._live] if self._live else [])
            total = _sum([self._gone, *map(_count, flushers)])
        self._metrics.flushes.set(total.puts, "stored")
        self._metrics.flushes.set(total.failures, "failed")
        self._metrics.stored_bytes.set(total.stored_bytes)
        self._metrics.unstored_seconds.set(
            max((one.oldest_unstored_seconds() for one in flushers), default=0.0)
        )
        if flushers:
            self._metrics.flush_seconds.set(flushers[-1].last_put_seconds)


def _count(flusher: Flusher) -> Counts:
    return Counts(flusher.puts, flusher.failures, flusher.stored_bytes)


def _sum(counts: Iterable[Counts]) -> Counts:
    return Counts(*map(sum, zip(*counts, strict=True)))
