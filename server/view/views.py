"""Views of all sessions: opened once, shared by requests, kept fresh while somebody looks."""

import contextlib
import logging
import math
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass, field, replace
from itertools import accumulate
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from archive.errors import ArchiveError, NameInvalid, StoreError
from archive.layout import CATALOG, CatalogName, SessionKey
from archive.store.base import Store
from server.fold.pool import FoldPool
from server.view.cache import Cache
from server.view.errors import FoldFailed, ServerError, SessionUnknown, ViewPending
from server.view.facts import LOST_AFTER_SECONDS
from server.view.freshness import FORGET_SECONDS, Known, fresh, given, most_urgent, settled
from server.view.opening import Opened, Opening
from server.view.saving import Saving
from server.view.stored import SUPERSEDED_SECONDS, StoredViews
from server.view.view import View

_log = logging.getLogger(__name__)

STORE_THREADS: Final = 24
OPENERS: Final = 8
TICK_SECONDS: Final = 2.0
CATALOG_SECONDS: Final = 60.0
BACKGROUND_SESSIONS: Final = 1_000
"""How many sessions are kept folded before anybody asks, the newest ones."""
KEPT_AT_ONCE: Final = 3
"""How many sessions are brought up to date at once without anybody waiting; of new ones a single one."""
CLEAR_SECONDS: Final = SUPERSEDED_SECONDS
OPENED_BYTES: Final = 512 << 20
"""What all opened views may take of the memory together; those asked for longest ago are closed."""


@dataclass(slots=True)
class _Session:
    """What this server holds of one session; guarded by the lock of `Views`.

    `saved`: its stored view may have left something to clear, which was done last at `cleared`.
    """

    known: Known = field(default_factory=Known)
    opened: Opened | None = None
    flight: "Future[View] | None" = None
    progress: tuple[int, int] = (0, 0)
    gone: bool = False
    saved: bool = False
    cleared: float = -math.inf

    @property
    def idle(self) -> bool:
        """Whether nothing but what is known would be lost with it."""
        return self.opened is None and self.flight is None


class Views:
    """Opens views. A context manager: inside, views are kept fresh by themselves; leaving ends every fold."""

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
        self._openers = ThreadPoolExecutor(OPENERS, thread_name_prefix="opening")
        self._stored = StoredViews(store, Cache(cache_folder, cache_bytes), self._store_threads)
        self._saving = Saving(self._stored)
        self._opening = Opening(store, self._pool, self._store_threads, self._stored, lost_after_seconds)
        self._lock = threading.Lock()
        self._sessions: dict[SessionKey, _Session] = {}
        self._ending = threading.Event()
        self._keeper = threading.Thread(target=self._keep_fresh, name="freshness")
        self._catalog: list[SessionKey] = []
        self._catalog_read = 0.0
        self._kept: list[_Session] = []

    def __enter__(self) -> Self:
        self._pool.warm(self._store)
        self._keeper.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends folds that run, without leaving processes behind."""
        self._ending.set()
        self._pool.close()
        if self._keeper.ident is not None:
            self._keeper.join()
        self._openers.shutdown(cancel_futures=True)
        self._store_threads.shutdown()
        with self._lock:
            flights = [session.flight for session in self._sessions.values() if session.flight is not None]
        for flight in flights:  # those that nobody began
            if not flight.done():
                flight.set_exception(FoldFailed("the server is ending; ask another one"))

    def open(self, key: SessionKey, wait_seconds: float) -> View:
        """The view of a session. One older than some seconds is brought up to date; who asks waits for that
        only if it is much older, and gets it as it is if that can't be done in that time.

        Raises SessionUnknown; ViewPending when there is none after `wait_seconds`; FoldFailed; StoreError.
        """
        now = time.monotonic()
        with self._lock:
            session = self._sessions.setdefault(key, _Session())
            known = session.known
            session.known = Known(now, known.checked, known.cost, known.settled)
            opened = session.opened
            if opened is not None and fresh(known, now):
                return opened.view
            flight = self._flight(key, session)
            if opened is not None and given(known, now):
                return opened.view
        try:
            return flight.result(wait_seconds)
        except NotYet:
            if opened is not None:
                return opened.view
            raise ViewPending(*session.progress) from None
        except (StoreError, ServerError):
            if opened is not None:
                return opened.view
            raise

    def forget(self, key: SessionKey) -> None:
        """Closes a session's view, and removes its files from the cache: the archive holds it no longer."""
        with self._lock:
            session = self._sessions.pop(key, None)
            self._catalog = [one for one in self._catalog if one != key]
        if session is None:
            return
        session.gone, opened, session.opened = True, session.opened, None
        if opened is not None:
            self._opening.discard(opened)

    def _flight(self, key: SessionKey, session: _Session) -> "Future[View]":
        """The opening under way, or a new one. The lock is held."""
        if session.flight is None:
            session.flight = Future()
            self._openers.submit(self._fly, key, session, session.flight)
        return session.flight

    def _fly(self, key: SessionKey, session: _Session, flight: "Future[View]") -> None:
        """Opens and hands out the view, then saves what it brought."""
        before = kept = session.opened
        began = time.monotonic()
        is_settled = False
        try:
            kept = opened = self._open(key, session)
            is_settled = settled(opened.view.facts, self._store.now() * 1000)
            flight.set_result(opened.view)
            kept = self._saved(key, session, opened, final=is_settled)
        except BaseException as error:  # noqa: BLE001 - it is for whoever waits
            if not flight.done():
                flight.set_exception(error)
            else:
                _log.exception("the view of %s could not be saved", key.path)
        finally:
            cost = time.monotonic() - began if before is not None else 0.0  # a first time is none of many
            with self._lock:
                session.flight = None
                session.known = Known(session.known.asked, began, cost, is_settled)
                session.opened = kept if session.known.asked and not session.gone else None

    def _open(self, key: SessionKey, session: _Session) -> Opened:
        def progress(done: int, total: int) -> None:
            session.progress = done, total

        try:
            opened = self._opening.up_to_date(key, session.opened, progress)
        except SessionUnknown:
            with self._lock:
                self._sessions.pop(key, None)
            raise
        with self._lock:
            session.known = replace(session.known, checked=time.monotonic())
            session.saved |= session.opened is None  # by whomever, and whatever became of it
            if session.known.asked and not session.gone:
                session.opened = opened
        return opened

    def _saved(self, key: SessionKey, session: _Session, opened: Opened, *, final: bool) -> Opened | None:
        """What is opened when all is stored that is due; None if it has to be opened afresh."""
        if session.gone or not self._saving.due(opened, final=final):
            return opened  # nothing may be put beside a session that was removed
        try:
            opened = self._saving.save(key, opened, final=final)
            self._clear(key, session)
            session.saved = True
        except ArchiveError as error:
            _log.warning("the view of %s could not be stored, so others fold it again: %s", key.path, error)
        except ServerError as error:
            _log.warning("the view of %s could not be stored: %s", key.path, error)
            return None
        return opened

    def _clear(self, key: SessionKey, session: _Session) -> None:
        """Removes what was replaced long ago, once in a while."""
        now = time.monotonic()
        if now - session.cleared >= CLEAR_SECONDS:
            session.cleared = now
            self._stored.clear(key)
            session.saved = False

    def _keep_fresh(self) -> None:
        while not self._ending.wait(TICK_SECONDS):
            try:
                self._refresh_catalog()
                until = time.monotonic() + TICK_SECONDS
                while self._open_most_urgent() and time.monotonic() < until:
                    pass
                self._clear_one()
                self._forget()
            except ArchiveError as error:
                _log.warning("views were not kept fresh this time: %s", error)
            except Exception:  # noqa: BLE001 - the next round may go well, and requests open views by themselves
                _log.exception("views were not kept fresh this time")

    def _refresh_catalog(self) -> None:
        now = time.monotonic()
        if self._catalog and now - self._catalog_read < CATALOG_SECONDS:
            return
        keys: dict[SessionKey, None] = {}
        for info in self._store.list(CATALOG):
            with contextlib.suppress(NameInvalid):
                keys[CatalogName.parse(info.key).session] = None
            if len(keys) >= BACKGROUND_SESSIONS:
                break
        self._catalog, self._catalog_read = list(keys), now

    def _open_most_urgent(self) -> bool:
        """Begins to open the session that needs it most; False if none does, or enough are under way."""
        now = time.monotonic()
        with self._lock:
            self._kept = [session for session in self._kept if session.flight is not None]
            keys = dict.fromkeys([*self._sessions, *self._catalog])
            known = [
                (key, self._sessions[key].known if key in self._sessions else Known())
                for key in keys
                if key not in self._sessions or self._sessions[key].flight is None
            ]
            key = most_urgent(known, now)
            if key is None:
                return False
            session = self._sessions.setdefault(key, _Session())
            seen = bool(session.known.asked)
            if len(self._kept) >= (KEPT_AT_ONCE if seen else 1):
                return False
        if not seen and self._folded_already(key, session):
            return True
        with self._lock:
            self._flight(key, session)
            self._kept.append(session)
        return True

    def _clear_one(self) -> None:
        """Removes what one of the sessions replaced long ago, or left behind when a server ended too soon."""
        now = time.monotonic()
        with self._lock:
            due = [
                (key, session)
                for key, session in self._sessions.items()
                if session.saved and now - session.cleared >= CLEAR_SECONDS
            ]
        for key, session in due[:1]:
            self._clear(key, session)

    def _folded_already(self, key: SessionKey, session: _Session) -> bool:
        """Whether the stored view holds all that is stored, so that nobody needs to open it now."""
        began = time.monotonic()
        session.known = replace(session.known, checked=began)  # whatever comes, others have their turn first
        facts = self._opening.folded(key)
        if facts is None:
            return False
        with self._lock:
            is_settled = settled(facts, self._store.now() * 1000)
            session.known = Known(session.known.asked, began, 0.0, is_settled)
            session.saved = True
        return True

    def _forget(self) -> None:
        """Closes views that nobody looks at, and forgets sessions that are neither open nor new."""
        now = time.monotonic()
        with self._lock:
            for session in self._sessions.values():
                if session.flight is None and now - session.known.asked > FORGET_SECONDS:
                    session.opened = None
            kept = set(self._catalog)
            for key in [key for key, one in self._sessions.items() if one.idle and key not in kept]:
                del self._sessions[key]
            opened = sorted(
                (session for session in self._sessions.values() if session.opened is not None),
                key=lambda session: session.known.asked,
                reverse=True,
            )
        for session in over_budget(opened, OPENED_BYTES):
            session.opened = None


def over_budget(opened: "Sequence[_Session]", limit: int) -> "list[_Session]":
    """Those behind the first ones that take `limit` bytes together; the first stays whatever it takes."""
    sizes = accumulate(one.opened.view.memory() if one.opened is not None else 0 for one in opened)
    return [one for one, size in list(zip(opened, sizes, strict=True))[1:] if size > limit]
