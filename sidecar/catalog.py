"""The session's catalog entry, put by a thread of its own: soon after Ray's start, then as a heartbeat.

A store that is slow or gone delays nothing but the entry: it is tried again, ever later, and the newest
state wins. The head's collector beats every `BEAT` seconds while the session lives; a worker's puts when it
starts and when it ends.
"""

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import msgspec

from archive.catalog import CatalogEntry, encode
from archive.errors import ArchiveError
from archive.layout import Role, SessionKey
from archive.store.base import Store
from sidecar.settings import CollectorSettings

log = logging.getLogger(__name__)

BEAT: Final = 30.0
FIRST_RETRY: Final = 0.5
LONGEST_RETRY: Final = 30.0


def entry_of(key: SessionKey, role: Role, settings: CollectorSettings) -> CatalogEntry:
    """What can be said of a session as soon as its folder is seen."""
    return CatalogEntry(
        namespace=key.namespace,
        cluster=key.cluster,
        session=key.session,
        role=role,
        cluster_uid=settings.cluster_uid,
        owner_kind=settings.owner_kind,
        owner_name=settings.owner_name,
        started_ms=_started_ms(key.started_ms),
    )


def _started_ms(named_ms: int | None) -> int:
    """Ray names a session by the wall clock of its place, which is ours; 0 where the name tells nothing."""
    if named_ms is None:
        return 0
    wall = datetime.fromtimestamp(named_ms / 1000, UTC).replace(tzinfo=None)
    return int(wall.astimezone().timestamp() * 1000)


class Catalog:
    """Puts the newest entry of whichever session is being collected, until stopped."""

    def __init__(self, store: Store, now: Callable[[], float] = time.time) -> None:
        self._store = store
        self._now = now
        self._changed = threading.Condition()
        self._entry: CatalogEntry | None = None
        self._urgent: list[CatalogEntry] = []
        self._stop = False
        self._thread = threading.Thread(target=self._run, name="catalog", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def show(self, entry: CatalogEntry) -> None:
        """Puts the entry now; a running head's also as heartbeat from now on. Returns at once."""
        with self._changed:
            self._entry = entry if entry.role is Role.HEAD and entry.state == "running" else None
            self._urgent = [one for one in self._urgent if one.name != entry.name]
            self._urgent.append(entry)
            self._changed.notify()

    def finish(self, seconds: float) -> bool:
        """Waits until everything shown is put, at most `seconds`, and stops; true if it all was."""
        deadline = time.monotonic() + seconds
        with self._changed:
            self._stop = True
            self._entry = None
            self._changed.notify()
            while self._urgent and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)
            return not self._urgent

    def _run(self) -> None:
        retry = FIRST_RETRY
        while (entry := self._next()) is not None:
            done = self._put(entry)
            with self._changed:
                if done:
                    retry = FIRST_RETRY
                    self._urgent = [one for one in self._urgent if one is not entry]
                    self._changed.notify_all()
                    continue
                if entry is self._entry and not self._urgent:
                    self._urgent.append(entry)
                self._changed.wait(retry)
            retry = min(retry * 2, LONGEST_RETRY)

    def _next(self) -> CatalogEntry | None:
        """Waits for the next entry to put; None when stopped and nothing is left."""
        beat = time.monotonic() + BEAT
        with self._changed:
            while not self._urgent:
                if self._stop:
                    return None
                left = beat - time.monotonic()
                if self._entry is not None and left <= 0:
                    return self._entry
                self._changed.wait(None if self._entry is None else left)
            return self._urgent[0]

    def _put(self, entry: CatalogEntry) -> bool:
        seen = msgspec.structs.replace(entry, last_seen_ms=int(self._now() * 1000))
        try:
            self._store.put(entry.name.key, encode(seen))
        except ArchiveError as error:
            log.warning("the catalog entry of %s could not be put: %s", entry.session, error)
            return False
        except Exception:  # nothing that goes wrong here may end the heartbeat
            log.exception("the catalog entry of %s could not be put", entry.session)
            return False
        return True
