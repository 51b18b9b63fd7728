"""Views of all sessions: opened once, shared by requests, kept fresh while somebody looks."""

import logging
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from archive.errors import StoreError
from archive.layout import SessionKey
from archive.store.base import Store
from server.fold.pool import FoldPool
from server.view.cache import Cache
from server.view.errors import FoldFailed, ViewPending
from server.view.facts import LOST_AFTER_SECONDS
from server.view.opening import Opened, Opening
from server.view.view import View

_log = logging.getLogger(__name__)

FRESH_SECONDS: Final = 10.0
"""How old a view may get before a request has it brought up to date."""
STORE_THREADS: Final = 24
OPEN_VIEWS: Final = 32


@dataclass(slots=True)
class _Session:
    """What this server knows of one session."""

    opened: Opened | None = None
    checked: float = 0.0
    asked: float = 0.0
    cost: float = 0.0
    flight: "Future[View] | None" = None
    progress: tuple[int, int] = (0, 0)


class Views:
    """Opens views. A context manager: leaving it ends fold processes and threads."""

    def __init__(
        self,
        store: Store,
        cache_folder: Path,
        cache_bytes: int,
        *,
        lost_after_seconds: float = LOST_AFTER_SECONDS,
    ) -> None:
        self._store = store
        self._pool = FoldPool()
        self._store_threads = ThreadPoolExecutor(STORE_THREADS, thread_name_prefix="store")
        self._openers = ThreadPoolExecutor(4, thread_name_prefix="opening")
        cache = Cache(cache_folder, cache_bytes)
        self._opening = Opening(store, cache, self._pool, self._store_threads, lost_after_seconds)
        self._lock = threading.Lock()
        self._sessions: dict[SessionKey, _Session] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends folds that run, without leaving processes behind."""
        self._pool.close()
        self._openers.shutdown(cancel_futures=True)
        self._store_threads.shutdown(cancel_futures=True)

    def open(self, key: SessionKey, wait_seconds: float) -> View:
        """The view of a session, brought up to date if it is older than some seconds.

        Raises SessionUnknown; ViewPending when there is none after `wait_seconds`; FoldFailed; StoreError. A view that
        can't be brought up to date in time is given as it is.
        """
        with self._lock:
            session = self._sessions.setdefault(key, _Session())
            session.asked = time.monotonic()
            if session.opened is not None and session.asked - session.checked < FRESH_SECONDS:
                return session.opened.view
            if session.flight is None:
                session.flight = self._openers.submit(self._open, key, session)
            flight = session.flight
        try:
            return flight.result(wait_seconds)
        except NotYet:
            if session.opened is not None:
                return session.opened.view
            raise ViewPending(*session.progress) from None
        except (StoreError, FoldFailed):
            if session.opened is None:
                raise
            return session.opened.view

    def _open(self, key: SessionKey, session: _Session) -> View:
        def progress(done: int, total: int) -> None:
            session.progress = done, total

        began = time.monotonic()
        try:
            opened = self._opening.up_to_date(key, session.opened, progress)
            with self._lock:
                session.opened, session.checked = opened, began
        finally:
            with self._lock:
                session.flight = None
                session.cost = time.monotonic() - began
                if session.opened is None:
                    self._sessions.pop(key, None)
        if not opened.saved:
            self._store_threads.submit(self._save, key, session, opened)
        return opened.view

    def _save(self, key: SessionKey, session: _Session, opened: Opened) -> None:
        try:
            self._opening.save(key, opened)
        except StoreError as error:
            _log.warning("the view of %s could not be stored, others will fold it again: %s", key.path, error)
