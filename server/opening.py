"""A session as request handlers meet it: its key, what the catalog says, and its view when asked.

Opening waits in threads of its own, one per session and patience, so that a slow session holds up no other.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Protocol

from archive.layout import SessionKey
from server.catalog import Catalog
from server.logs.session import SessionLogs
from server.sessions import State
from server.view.view import View

_THREADS: Final = 64


class OpensViews(Protocol):
    """What opens views: `server.view.Views`."""

    def open(self, key: SessionKey, wait_seconds: float) -> View:
        """The view of a session. Raises: SessionUnknown, ViewPending, StoreError."""
        ...

    def forget(self, key: SessionKey) -> None:
        """Let go of a session that the archive holds no longer."""
        ...


class Openings:
    """Opens views off the event loop; requests for the same session share one waiting thread."""

    def __init__(self, views: OpensViews, patience_seconds: float) -> None:
        self._views = views
        self.patience_seconds = patience_seconds
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="open")
        self._flights: dict[tuple[SessionKey, float], asyncio.Future[View]] = {}

    async def view(self, key: SessionKey, wait_seconds: float) -> View:
        """The view of a session. Raises: SessionUnknown, ViewPending (after `wait_seconds`), StoreError."""
        flight = self._flights.get((key, wait_seconds))
        if flight is None:
            loop = asyncio.get_running_loop()
            flight = loop.run_in_executor(self._threads, self._views.open, key, wait_seconds)
            self._flights[key, wait_seconds] = flight
            flight.add_done_callback(lambda done: self._landed(key, wait_seconds, done))
        return await asyncio.shield(flight)

    def _landed(self, key: SessionKey, wait_seconds: float, flight: asyncio.Future[View]) -> None:
        del self._flights[key, wait_seconds]
        if not flight.cancelled():
            flight.exception()  # whoever waited has it; a flight that nobody waits for any more is no news

    def close(self) -> None:
        """Let go of the threads; those still waiting end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)


@dataclass(frozen=True)
class OpenSession:
    """What `request.state.session` holds below a session's address."""

    key: SessionKey
    logs: SessionLogs
    openings: Openings
    catalog: Catalog
    lost_after_ms: int

    async def is_running(self) -> bool:
        """Whether the session is still alive, as the catalog tells. Raises: StoreError."""
        snapshot = await self.catalog.snapshot()
        told = snapshot.by_key.get(self.key)
        return told is not None and told.state(snapshot.clock_ms, self.lost_after_ms) is State.RUNNING

    async def view(self, wait_seconds: float | None = None) -> View:
        """The session's view, folded first if need be. Raises: SessionUnknown, ViewPending, StoreError."""
        patience = self.openings.patience_seconds if wait_seconds is None else wait_seconds
        return await self.openings.view(self.key, patience)
