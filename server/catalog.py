"""The catalog for request handlers: at most seconds old, but never waited for long once it is known.

In steady state it takes at most 60 requests to list a minute while somebody looks, and 30 while nobody does.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import Final

from archive.errors import NameInvalid, StoreError
from archive.layout import SEGMENTS, SessionKey, segments_prefix
from archive.store.base import Store
from server.session_index import SessionIndex
from server.sessions import Session, Snapshot
from server.view.errors import SessionUnknown

_log = logging.getLogger(__name__)

_FRESH_SECONDS: Final = 1.2
"""How old what is shown gets, for each request to list that a refresh takes; views list a little, too."""
_UNASKED_SECONDS: Final = 2.0
"""The same while nobody asks."""
_TROUBLE_SECONDS: Final = 5.0
_PATIENCE_SECONDS: Final = 0.2
_RARITY: Final = 5


class Catalog:
    """One refresh at a time, off the event loop. `forget` is called with each session that is gone."""

    def __init__(self, store: Store, forget: Callable[[SessionKey], None]) -> None:
        self._store = store
        self._forget = forget
        self._index = SessionIndex(store)
        self._flight: asyncio.Task[Snapshot] | None = None
        self._begun_at = self._landed_at = float("-inf")
        self._cost = 0.0
        self._trouble: StoreError | None = None

    async def snapshot(self) -> Snapshot:
        """All sessions: as of now, or of the last refresh where a new one takes long.

        Raises: StoreError when the store could not be read lately.
        """
        known = self._index.snapshot
        if self._trouble is None:
            if known is None:
                return await asyncio.shield(self._refresh())
            if self._fresh():
                return known
        flight = self._refresh()
        done, _ = await asyncio.wait({flight}, timeout=_PATIENCE_SECONDS)
        if done:
            return flight.result()
        if self._trouble is not None:  # known from the last try, so nobody waits for the next one to fail
            raise self._trouble
        return known if known is not None else await asyncio.shield(flight)

    async def keep(self) -> None:
        """Refresh for ever: at once while something is not read yet, else every few seconds."""
        while True:
            try:
                await asyncio.shield(self._refresh())
                rest = max(_UNASKED_SECONDS * self._index.requests, _RARITY * self._cost)
                pause = 0.0 if self._index.behind else rest
            except StoreError:  # told where it lands, and to whoever asks
                pause = _TROUBLE_SECONDS
            except Exception:  # noqa: BLE001 - the next one may go well
                _log.exception("the catalog was not refreshed this time")
                pause = _TROUBLE_SECONDS
            await asyncio.sleep(pause)

    def known(self, key: SessionKey) -> Session | None:
        """A session as the last refresh found it; None if no catalog entry tells of it."""
        known = self._index.snapshot
        return known.by_key.get(key) if known is not None else None

    async def require(self, key: SessionKey) -> None:
        """Return if the archive holds the session; known ones are found even while the store is away.

        Raises: SessionUnknown, StoreError.
        """
        if self.known(key) is not None:
            return
        if key in (await self.snapshot()).by_key:
            return
        if not await asyncio.to_thread(self._has_segments, key):
            await asyncio.to_thread(self._forget, key)
            raise SessionUnknown(
                f"The archive holds no session {key.path}: its name is mistyped, or it was deleted."
                " The list of sessions shows what there is."
            )

    async def newest(self, namespace: str, cluster: str) -> SessionKey:
        """The newest session of a cluster. Raises: SessionUnknown, StoreError."""
        snapshot = await self.snapshot()
        keys = (session.key for session in snapshot.sessions)
        newest = next((key for key in keys if (key.namespace, key.cluster) == (namespace, cluster)), None)
        if newest is None or not snapshot.complete or snapshot.unread:
            stored = await asyncio.to_thread(self._newest_stored, namespace, cluster)
            newest = max((key for key in (newest, stored) if key is not None), key=_start, default=None)
        if newest is not None:
            return newest
        raise SessionUnknown(f"The archive holds no session of the cluster {namespace}/{cluster}.")

    def _has_segments(self, key: SessionKey) -> bool:
        """Whether a session that no catalog entry tells of has left segments."""
        return next(self._store.list_folders(segments_prefix(key)), None) is not None

    def _newest_stored(self, namespace: str, cluster: str) -> SessionKey | None:
        """The newest session of a cluster that has segments; for as long as the catalog is not all known."""
        found = []
        for session in self._store.list_folders(f"{SEGMENTS}{namespace}/{cluster}/"):
            with contextlib.suppress(NameInvalid):
                found.append(SessionKey(namespace, cluster, session))
        return max(found, key=_start, default=None)

    def _fresh(self) -> bool:
        """Whether the last look is recent; where a look takes long, looks are rarer."""
        return time.monotonic() - self._landed_at < max(
            _FRESH_SECONDS * self._index.requests, _RARITY * self._cost
        )

    def _refresh(self) -> asyncio.Task[Snapshot]:
        if self._flight is None:
            self._begun_at = time.monotonic()
            self._flight = asyncio.create_task(asyncio.to_thread(self._step))
            self._flight.add_done_callback(self._landed)
        return self._flight

    def _step(self) -> Snapshot:
        snapshot = self._index.refresh()
        for key in self._index.taken_gone():
            self._forget(key)
        return snapshot

    def _landed(self, flight: asyncio.Task[Snapshot]) -> None:
        self._flight = None
        self._landed_at = time.monotonic()
        self._cost = self._landed_at - self._begun_at
        error = None if flight.cancelled() else flight.exception()
        trouble = error if isinstance(error, StoreError) else None
        if trouble is not None and type(trouble) is not type(self._trouble):
            _log.warning("the archive can't be read; it is asked again and again: %s", trouble)
        elif trouble is None and self._trouble is not None:
            _log.info("the archive can be read again")
        self._trouble = trouble


def _start(key: SessionKey) -> tuple[int, str]:
    return key.started_ms or 0, key.session
