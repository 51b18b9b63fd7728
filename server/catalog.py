"""The catalog for request handlers: at most a second old, but never waited for long once it is known."""

import asyncio
import time
from typing import Final

from archive.errors import StoreError
from archive.layout import SessionKey, segments_prefix
from archive.store.base import Store
from server.sessions import Session, SessionIndex, Snapshot
from server.view.errors import SessionUnknown

_FRESH_SECONDS: Final = 1.0
_PATIENCE_SECONDS: Final = 0.2
_RARITY: Final = 5


class Catalog:
    """One refresh at a time, off the event loop."""

    def __init__(self, store: Store) -> None:
        self._store = store
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
        if known is None:
            return await asyncio.shield(self._refresh())
        if self._trouble is None and self._fresh():
            return known
        flight = self._refresh()
        done, _ = await asyncio.wait({flight}, timeout=_PATIENCE_SECONDS)
        if done:
            return flight.result()
        if self._trouble is not None:
            raise self._trouble
        return known

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
            raise SessionUnknown(
                f"The archive holds no session {key.path}: its name is mistyped, or it was deleted."
                " The list of sessions shows what there is."
            )

    async def newest(self, namespace: str, cluster: str) -> Session:
        """The newest session of a cluster. Raises: SessionUnknown, StoreError."""
        for session in (await self.snapshot()).sessions:
            if session.key.cluster == cluster and session.key.namespace == namespace:
                return session
        raise SessionUnknown(f"The archive holds no session of the cluster {namespace}/{cluster}.")

    def _has_segments(self, key: SessionKey) -> bool:
        """Whether a session that no catalog entry tells of has left segments."""
        return next(self._store.list_folders(segments_prefix(key)), None) is not None

    def _fresh(self) -> bool:
        """Whether the last look is recent; where a look takes long, looks are rarer."""
        return time.monotonic() - self._landed_at < max(_FRESH_SECONDS, _RARITY * self._cost)

    def _refresh(self) -> asyncio.Task[Snapshot]:
        if self._flight is None:
            self._begun_at = time.monotonic()
            self._flight = asyncio.create_task(asyncio.to_thread(self._index.refresh))
            self._flight.add_done_callback(self._landed)
        return self._flight

    def _landed(self, flight: asyncio.Task[Snapshot]) -> None:
        self._flight = None
        self._landed_at = time.monotonic()
        self._cost = self._landed_at - self._begun_at
        error = None if flight.cancelled() else flight.exception()
        self._trouble = error if isinstance(error, StoreError) else None
