"""Sessions as the catalog tells them: put together from the head's and the workers' entries. Pure.

A session's last sign of life is the modification time of its entry, by the store's own clock.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import msgspec

from archive.catalog import CatalogEntry
from archive.layout import SessionKey
from archive.store.base import ObjectInfo

END_MISSING: Final = "Its end, and up to 10 s before it"
"""What is missing of every lost session."""


class State(StrEnum):
    """What a session does, in the words of the pages."""

    RUNNING = "running"
    ENDED = "ended"
    LOST = "lost"


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One catalog object as it was listed, and what it said; `trouble` says why, if it can't be read.

    `modified`: seconds by the store's clock; other times are milliseconds by the writer's.
    """

    etag: str
    modified: float
    ended: bool = False
    reason: str = ""
    started_ms: int = 0
    last_seen_ms: int = 0
    ray_version: str = ""
    python_version: str = ""
    owner_kind: str = ""
    owner_name: str = ""
    trouble: str = ""


def entry_of(info: ObjectInfo, told: CatalogEntry) -> Entry:
    """What is kept of a catalog entry."""
    return Entry(
        etag=info.etag,
        modified=info.modified,
        ended=told.state == "ended",
        reason=told.reason,
        started_ms=told.started_ms,
        last_seen_ms=told.last_seen_ms,
        ray_version=told.ray_version,
        python_version=told.python_version,
        owner_kind=told.owner_kind,
        owner_name=told.owner_name,
    )


@dataclass(frozen=True, slots=True)
class Session:
    """One session, from its one or two entries. Times are milliseconds since the epoch.

    `order`: where it stands in the catalog, newest first: what its entries' keys begin with, without the
    catalog's prefix. `looked_ms`: when its entries were last looked at, by the store's clock; not kept up for
    sessions that ended.
    """

    key: SessionKey
    order: str
    head: Entry | None
    worker: Entry | None
    looked_ms: int

    @property
    def ended(self) -> bool:
        """Whether it said so: only a head's entry can, since workers come and go while a session lives."""
        return self.head is not None and self.head.ended

    @property
    def reason(self) -> str:
        """Why it ended, as its collector says it."""
        return self.head.reason if self.head is not None and self.head.ended else ""

    @property
    def started_ms(self) -> int | None:
        """Its start; None where neither an entry nor its name tells."""
        told = (self.head.started_ms if self.head else 0) or (self.worker.started_ms if self.worker else 0)
        return told or self.key.started_ms

    @property
    def seen_ms(self) -> int:
        """Its end if it told that, else its last sign of life: the head's word where there is one."""
        if self.head is not None and self.head.ended and self.head.last_seen_ms:
            return self.head.last_seen_ms
        voice = self.head or self.worker
        return int(voice.modified * 1000) if voice is not None else 0

    # An entry that can't be read says nothing, so the other one's word counts where there is one.

    @property
    def ray_version(self) -> str:
        return (self.head.ray_version if self.head else "") or (
            self.worker.ray_version if self.worker else ""
        )

    @property
    def python_version(self) -> str:
        head, worker = self.head, self.worker
        return (head.python_version if head else "") or (worker.python_version if worker else "")

    @property
    def owner_kind(self) -> str:
        return (self.head.owner_kind if self.head else "") or (self.worker.owner_kind if self.worker else "")

    @property
    def owner_name(self) -> str:
        return (self.head.owner_name if self.head else "") or (self.worker.owner_name if self.worker else "")

    def state(self, now_ms: int, lost_after_ms: int) -> State:
        """Ended if it said so, lost if it had been silent for too long when it was last looked at."""
        if self.ended:
            return State.ENDED
        silent_ms = min(now_ms, self.looked_ms) - self.seen_ms
        return State.LOST if silent_ms > lost_after_ms else State.RUNNING

    def duration_ms(self, now_ms: int, lost_after_ms: int) -> int | None:
        """From the start to the end, the last sign of life, or now."""
        started_ms = self.started_ms
        if started_ms is None:
            return None
        running = self.state(now_ms, lost_after_ms) is State.RUNNING
        return max(0, (now_ms if running else self.seen_ms) - started_ms)

    def missing(self, state: State) -> tuple[str, ...]:
        """Sentences on what the catalog alone knows to be missing."""
        entries = [entry for entry in (self.head, self.worker) if entry is not None]
        sentences = [entry.trouble for entry in entries if entry.trouble]
        if self.head is None:
            sentences.append("No collector on the head node")
        if state is State.LOST:
            sentences.append(END_MISSING)
        return tuple(sentences)


@dataclass(frozen=True)
class Snapshot:
    """Sessions at one moment, newest first. `clock_ms` is the store's clock then.

    `unread`: how many more are known by name only, so far; `complete`: whether all of the catalog has been
    listed since the server began.
    """

    sessions: tuple[Session, ...]
    by_key: dict[SessionKey, Session]
    namespaces: tuple[str, ...]
    owner_kinds: tuple[str, ...]
    clock_ms: int
    unread: int = 0
    complete: bool = True
