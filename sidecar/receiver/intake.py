"""From a body to the spool: splits, keeps, and counts what could not be kept. Nothing here ever fails."""

import threading
import time
from collections.abc import Callable
from typing import Protocol

from archive.losses import Loss, dropped
from sidecar.errors import SpoolError
from sidecar.metrics import Metrics
from sidecar.receiver import quarantine
from sidecar.receiver.quarantine import Sample
from sidecar.receiver.splitter import EVENTS, PROFILE, BodyInPieces, Split, Splitter


class Sink(Protocol):
    """What the receiver needs of a node's spool. Both methods raise SpoolError."""

    def append(self, stream: str, data: bytes) -> int:
        """Keep bytes at the stream's end."""

    def count_loss(self, reason: str, amount: int = 1) -> None:
        """Add to what is known to be missing."""


class Intake:
    """Takes bodies of any thread, one at a time.

    `sink` gives the spool to write to now; it may raise SpoolError. What is lost is counted there as soon as
    it can be written to again.
    """

    def __init__(self, sink: Callable[[], Sink], metrics: Metrics) -> None:
        self._sink = sink
        self._metrics = metrics
        self._splitter = Splitter()
        self._lock = threading.Lock()
        self._uncounted: dict[str, int] = {}

    def whole(self, body: bytes) -> None:
        """Keeps a body that is all there."""
        with self._lock:
            began = time.monotonic()
            self._keep(self._splitter.whole(body))
            self._count_body(len(body), began)

    def begin(self) -> "Pieces":
        """Keeps a body that comes in pieces, never held whole."""
        return Pieces(self, self._splitter.begin())

    def keep_piece(self, split: Callable[[], Split], size: int, *, last: bool) -> None:
        """One step of a body in pieces."""
        with self._lock:
            began = time.monotonic()
            self._keep(split())
            if last:
                self._count_body(size, began)

    def broken(self) -> None:
        """Counts a body whose end could not be told, so that nothing of it was kept."""
        with self._lock:
            self._lost({Loss.BODY_UNDECODABLE: 1})

    def settle(self) -> None:
        """Counts what was lost while the spool could not be written to, if it can be now."""
        with self._lock:
            if self._uncounted:
                self._lost({})

    def _count_body(self, size: int, began: float) -> None:
        self._metrics.bodies.add()
        self._metrics.body_bytes.add(size)
        self._metrics.receive_seconds.add(time.monotonic() - began)

    def _keep(self, split: Split) -> None:
        lost: dict[str, int] = {}
        for stream, lines in ((EVENTS, split.events), (PROFILE, split.profile)):
            if not lines:
                continue
            if self._append(stream, lines):
                self._metrics.events.add(len(lines), stream)
            else:
                lost[dropped(stream)] = len(lines)
        if split.odd:
            self._set_apart(split.odd)
            for reason, sample in split.odd:
                lost[reason] = lost.get(reason, 0) + sample.items
        if lost or self._uncounted:
            self._lost(lost)

    def _set_apart(self, odd: list[tuple[Loss, Sample]]) -> None:
        now_ms = time.time_ns() // 1_000_000
        self._append(quarantine.STREAM, [sample.line(reason, now_ms)[:-1] for reason, sample in odd])
        for reason, sample in odd:
            self._metrics.quarantined.add(sample.items, reason)

    def _append(self, stream: str, lines: list[bytes]) -> bool:
        try:
            self._sink().append(stream, b"\n".join((*lines, b"")))
        except SpoolError:
            return False
        return True

    def _lost(self, lost: dict[str, int]) -> None:
        for reason, amount in lost.items():
            self._metrics.dropped.add(amount, reason)
            self._uncounted[reason] = self._uncounted.get(reason, 0) + amount
        try:
            for reason in list(self._uncounted):
                self._sink().count_loss(reason, self._uncounted[reason])
                del self._uncounted[reason]
        except SpoolError:
            return  # counted with the next body


class Pieces:
    """One body in pieces. Leaving it unfinished drops the event that was under way."""

    def __init__(self, intake: Intake, body: BodyInPieces) -> None:
        self._intake = intake
        self._body = body
        self._size = 0

    def feed(self, piece: bytes) -> None:
        self._size += len(piece)
        self._intake.keep_piece(lambda: self._body.feed(piece), self._size, last=False)

    def finish(self) -> None:
        self._intake.keep_piece(self._body.finish, self._size, last=True)
