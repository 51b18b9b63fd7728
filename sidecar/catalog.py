"""Catalog entries, put by a thread of their own: soon after Ray's start, then as a heartbeat.

A store that is slow or gone delays nothing but the entry: it is tried again, ever later, and the newest
state wins. A heartbeat of unknown outcome may take effect after the end was put, and hide it, which nobody
could tell who may only put: so the end is put again `LATE` seconds after, or at the last moment there is.

The head's collector beats every `BEAT` seconds while the session lives; a worker's puts when it starts and
when it ends.
"""

import logging
import math
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import msgspec

from archive.catalog import CatalogEntry, encode
from archive.errors import ArchiveError, PermanentStoreError, TransientStoreError
from archive.layout import CatalogName, Role
from sidecar.flush import Puts, Rest

log = logging.getLogger(__name__)

BEAT: Final = 30.0
LATE: Final = 60.0
"""Seconds after which a put whose answer never came has taken effect, if ever."""
LAST_MOMENT: Final = 1.0
"""Seconds before the end's deadline that are enough for a put."""
THREADS: Final = 2
"""One may wait for a heartbeat that hangs when the end is to be put."""
NEVER: Final = math.inf


@dataclass
class _Shown:
    """What is to be told of one session by one role. Times are monotonic seconds."""

    entry: CatalogEntry
    due: float
    """When to put it next; never, if it is put for good."""
    doubtful_until: float = 0.0
    """Until when an older state may still arrive in the store."""
    stored: bool = False
    under_way: list[CatalogEntry] = field(default_factory=list)

    @property
    def ready(self) -> bool:
        """Whether it may be put, once it is due: the end waits for no heartbeat that hangs."""
        return not self.under_way or (
            self.entry.state == "ended" and not any(one is self.entry for one in self.under_way)
        )


class Catalog:
    """Puts the newest entry of each session shown, and beats for the one that lives, until stopped.

    `tell` is told what is wrong, "" when nothing is.
    """

    def __init__(
        self,
        store: Puts,
        now: Callable[[], float] = time.time,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._now = now
        self._tell = tell
        self._rest = Rest(random.random)
        self._changed = threading.Condition()
        self._shown: dict[CatalogName, _Shown] = {}
        self._deadline: float | None = None
        self._threads = [
            threading.Thread(target=self._run, name=f"catalog {number}", daemon=True)
            for number in range(THREADS)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def show(self, entry: CatalogEntry) -> None:
        """Puts the entry now; a running head's also as heartbeat from now on. Returns at once."""
        if entry.state == "ended" and not entry.last_seen_ms:
            entry = self._seen_now(entry)
        with self._changed:
            shown = self._shown.setdefault(entry.name, _Shown(entry, NEVER))
            shown.entry, shown.stored, shown.due = entry, False, time.monotonic()
            self._rest.begin_anew()
            self._changed.notify_all()

    def finish(self, seconds: float) -> bool:
        """Waits until everything shown is put, at most `seconds`, and stops; true if it all was."""
        with self._changed:
            self._deadline = time.monotonic() + seconds
            for shown in self._shown.values():
                shown.due = self._due_at_the_end(shown, self._deadline)
            self._changed.notify_all()
            while self._owed() and (left := self._deadline - time.monotonic()) > 0:
                self._changed.wait(left)
            return all(shown.stored for shown in self._shown.values())

    def _owed(self) -> bool:
        return any(shown.due < NEVER for shown in self._shown.values())

    def _due_at_the_end(self, shown: _Shown, deadline: float) -> float:
        """Nothing beats any more, and what is to be put again is, at the last moment."""
        if not shown.stored or shown.due == NEVER:
            return shown.due
        return min(shown.due, deadline - LAST_MOMENT) if shown.entry.state == "ended" else NEVER

    def _run(self) -> None:
        while (found := self._next()) is not None:
            shown, entry = found
            error = self._put(entry)
            with self._changed:
                self._done(shown, entry, error)
                self._changed.notify_all()
            self._tell(str(error) if error is not None else "")

    def _next(self) -> tuple[_Shown, CatalogEntry] | None:
        """Waits for the next entry to put; None when stopped and nothing is left."""
        with self._changed:
            while self._deadline is None or self._owed():
                now = time.monotonic()
                resting = self._rest.wait(now)
                waiting = [shown for shown in self._shown.values() if shown.ready and shown.due < NEVER]
                first = min(waiting, key=lambda shown: shown.due, default=None)
                if first is not None and first.due <= now and not resting:
                    first.under_way.append(first.entry)
                    return first, first.entry
                self._changed.wait(None if first is None else max(first.due - now, resting))
            return None

    def _done(self, shown: _Shown, entry: CatalogEntry, error: ArchiveError | None) -> None:
        now = time.monotonic()
        shown.under_way = [one for one in shown.under_way if one is not entry]
        newest = entry is shown.entry
        if error is None:
            self._rest.begin_anew()
            shown.stored = shown.stored or newest
            if newest:
                shown.due = self._due_after(shown, now)
            else:
                shown.due, shown.doubtful_until = now, 0.0
        else:
            self._rest.failed(now, lasting=isinstance(error, PermanentStoreError))
            unknown = isinstance(error, TransientStoreError) and error.effect_unknown
            if unknown and entry.state == "running":
                shown.doubtful_until = now + LATE
            if not shown.stored or newest:
                shown.due = now
            elif unknown:
                shown.due = min(shown.due, shown.doubtful_until)
        if self._deadline is not None:
            too_late = shown.stored and now >= self._deadline - LAST_MOMENT
            shown.due = NEVER if too_late else self._due_at_the_end(shown, self._deadline)

    def _due_after(self, shown: _Shown, now: float) -> float:
        """When to put again what was just put."""
        if shown.entry.state == "running":
            return now + BEAT if shown.entry.role is Role.HEAD else NEVER
        if shown.under_way:
            shown.doubtful_until = now + LATE
        return shown.doubtful_until if shown.doubtful_until > now else NEVER

    def _put(self, entry: CatalogEntry) -> ArchiveError | None:
        seen = entry if entry.last_seen_ms else self._seen_now(entry)
        try:
            self._store.put(entry.name.key, encode(seen))
        except ArchiveError as error:
            return error
        except Exception as error:  # nothing that goes wrong here may end the heartbeat
            log.exception("the catalog entry of %s could not be put", entry.session)
            return PermanentStoreError(
                f"the entry of {entry.session} can't be put: {type(error).__name__} {error}; tried again"
            )
        return None

    def _seen_now(self, entry: CatalogEntry) -> CatalogEntry:
        return msgspec.structs.replace(entry, last_seen_ms=int(self._now() * 1000))
