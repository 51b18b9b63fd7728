"""Sending a log: off the event loop, piece by piece, and on and on while the session runs."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Final

from server.logs.errors import LogMissing
from server.logs.question import ALL_LINES
from server.logs.reading import line_of
from server.logs.resolve import Whereabouts
from server.logs.session import SessionLogs
from server.opening import OpenSession

_LOOK_SECONDS: Final = 1.0
_TERMINAL: Final = frozenset({"SUCCEEDED", "FAILED", "STOPPED"})


@dataclass(frozen=True)
class Sending:
    """The bytes [start, end) of one log, behind a note if there is one."""

    logs: SessionLogs
    node_id: str
    path: str
    start: int
    end: int
    note: str = ""

    @classmethod
    async def of(cls, logs: SessionLogs, found: Whereabouts, lines: int) -> "Sending":
        """The last `lines` lines of what was found. Raises: LogMissing, StoreError."""
        return await asyncio.to_thread(cls._of, logs, found, lines)

    @classmethod
    def _of(cls, logs: SessionLogs, found: Whereabouts, lines: int) -> "Sending":
        reader = logs.reader(found.node_id, found.path)
        if reader is None:
            node = logs.node(found.node_id)
            folder = node.logs_folder if node is not None else "logs"
            troubles = (
                f" It may lie in what can't be read: {node.troubles[0]}." if node and node.troubles else ""
            )
            raise LogMissing(f"A file is not found at: {folder}/{found.path}{troubles}")
        start = max(reader.begin, found.start)
        end = reader.end if found.end is None else min(reader.end, found.end)
        if lines != ALL_LINES:
            start = max(start, logs.last_lines(found.node_id, found.path, lines, (start, end)))
        return cls(logs, found.node_id, found.path, start, end, found.note)

    async def bytes(self) -> AsyncIterator[bytes]:
        """The bytes, each piece read in a thread."""
        if self.note:
            yield line_of(self.note)
        if self.start > self.end:
            return
        async for piece in in_threads(self.logs.read(self.node_id, self.path, self.start, self.end)):
            yield piece


async def in_threads(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """The pieces, each made in a thread, none before the last was sent."""
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        yield piece


@dataclass(frozen=True)
class Follow:
    """A log and what is added to it, until the session, or the job that writes it, has ended."""

    session: OpenSession
    sending: Sending
    job: str | None = None

    async def bytes(self) -> AsyncIterator[bytes]:
        """The bytes so far, then new ones within a second of their arrival in the archive."""
        sending = self.sending
        while True:
            goes_on = await self._goes_on()
            async for piece in sending.bytes():
                yield piece
            place = max(sending.end, sending.start)
            reader = await asyncio.to_thread(sending.logs.reader, sending.node_id, sending.path)
            end = reader.end if reader is not None else place
            if end <= place:
                if not goes_on:
                    return
                await asyncio.sleep(_LOOK_SECONDS)
            sending = Sending(sending.logs, sending.node_id, sending.path, place, max(end, place))

    async def _goes_on(self) -> bool:
        """Whether more may come: asked before the last look, so that nothing written in between is missed."""
        if not await self.session.is_running():
            return False
        if self.job is None:
            return True
        view = await self.session.view()
        rows = await asyncio.to_thread(
            view.rows, "SELECT status FROM submissions WHERE submission_id = ?", (self.job,)
        )
        return not rows or rows[0][0] not in _TERMINAL
