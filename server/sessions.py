"""Sessions as the catalog tells them: merged from the head's and the workers' entries, newest first.

A refresh lists the catalog and reads only the entries that changed. A session's last sign of life is the
modification time of its entry, by the store's own clock. Thread-safe.
"""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from archive.catalog import CatalogEntry, decode
from archive.errors import FormatError, NameInvalid, ObjectMissing
from archive.layout import CATALOG, CatalogName, Role, SessionKey
from archive.store.base import ObjectInfo, Store
from server import catalog_index
from server.catalog_index import Row

_READERS: Final = 16
_READ_ALONE: Final = 2
_WORTH_AN_INDEX: Final = 500
END_MISSING: Final = "Its end, and up to 10 s before it"
"""What is missing of every lost session."""


class State(StrEnum):
    """What a session does, in the words of the pages."""

    RUNNING = "running"
    ENDED = "ended"
    LOST = "lost"


@dataclass(frozen=True)
class Session:
    """One session. Times are milliseconds since the epoch; `seen_ms` is its last sign of life.

    `order`: where it stands in the catalog, newest first: its key without prefix and role.
    """

    key: SessionKey
    order: str
    ended: bool
    reason: str
    started_ms: int | None
    seen_ms: int
    ray_version: str
    python_version: str
    owner_kind: str
    owner_name: str
    unreadable: tuple[str, ...]
    has_head: bool

    def state(self, now_ms: int, lost_after_ms: int) -> State:
        """Ended if it said so, lost if it has been silent for too long, else running."""
        if self.ended:
            return State.ENDED
        return State.LOST if now_ms - self.seen_ms > lost_after_ms else State.RUNNING

    def duration_ms(self, now_ms: int, lost_after_ms: int) -> int | None:
        """From the start to the end, the last sign of life, or now."""
        if self.started_ms is None:
            return None
        running = self.state(now_ms, lost_after_ms) is State.RUNNING
        return max(0, (now_ms if running else self.seen_ms) - self.started_ms)

    def missing(self, state: State) -> tuple[str, ...]:
        """Sentences on what the catalog alone knows to be missing."""
        sentences = list(self.unreadable)
        if not self.has_head:
            sentences.append("No collector on the head node")
        if state is State.LOST:
            sentences.append(END_MISSING)
        return tuple(sentences)


@dataclass(frozen=True)
class Entry:
    """One catalog object, read: `told` is None, and `trouble` says why, when it could not be."""

    name: CatalogName
    info: ObjectInfo
    told: CatalogEntry | None
    trouble: str = ""


@dataclass(frozen=True)
class Snapshot:
    """All sessions at one moment, newest first. `clock_ms` is the store's clock then."""

    sessions: tuple[Session, ...]
    by_key: dict[SessionKey, Session]
    namespaces: tuple[str, ...]
    owner_kinds: tuple[str, ...]
    clock_ms: int


def merge(entries: Sequence[Entry]) -> Session:
    """One session from its entries (head and workers, in any order; at least one)."""
    entries = sorted(entries, key=lambda entry: entry.name.role is not Role.HEAD)
    told = [entry.told for entry in entries if entry.told is not None]
    leading = told[0] if told else None
    key = entries[0].name.session
    # The head's word counts where there is one: workers come and go while the session lives.
    voices = [entry for entry in entries if entry.name.role is Role.HEAD] or list(entries)
    seen_ms = max(int(entry.info.modified * 1000) for entry in voices)
    ended = leading is not None and leading.role is Role.HEAD and leading.state == "ended"
    if ended and leading is not None and leading.last_seen_ms:
        seen_ms = leading.last_seen_ms

    def first(field: str) -> str:
        return next((value for entry in told if (value := getattr(entry, field))), "")

    return Session(
        key=key,
        order=entries[0].info.key.removeprefix(CATALOG).rpartition("~")[0],
        ended=ended,
        reason=leading.reason if ended and leading is not None else "",
        started_ms=(leading.started_ms if leading else 0) or key.started_ms,
        seen_ms=seen_ms,
        ray_version=first("ray_version"),
        python_version=first("python_version"),
        owner_kind=first("owner_kind"),
        owner_name=first("owner_name"),
        unreadable=tuple(entry.trouble for entry in entries if entry.trouble),
        has_head=any(entry.name.role is Role.HEAD for entry in entries),
    )


class SessionIndex:
    """The catalog, cached; `refresh` brings it up to date, `snapshot` never waits for the store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._refreshing = threading.Lock()
        self._entries: dict[str, Entry] = {}
        self._snapshot: Snapshot | None = None

    @property
    def snapshot(self) -> Snapshot | None:
        """What the last refresh found; None before the first."""
        return self._snapshot

    def refresh(self) -> Snapshot:
        """List the catalog and read what changed. Raises: StoreError."""
        with self._refreshing:
            if self._snapshot is None:
                self._entries = self._indexed()
            known = self._entries
            listed = {info.key: info for info in self._store.list(CATALOG)}
            wanted = [
                info for info in listed.values() if info.key not in known or known[info.key].info != info
            ]
            fresh = {entry.info.key: entry for entry in self._read_all(wanted)}
            gone = known.keys() - listed.keys()
            if not fresh and not gone and self._snapshot is not None:
                self._snapshot = replace(self._snapshot, clock_ms=self._clock_ms())
                return self._snapshot
            entries = {key: entry for key, entry in known.items() if key not in gone} | fresh
            touched = {entry.name.session for entry in fresh.values()} | {
                known[key].name.session for key in gone
            }
            self._snapshot = self._build(entries, touched)
            self._entries = entries
            if len(fresh) >= _WORTH_AN_INDEX:
                rows = (Row(entry.info, entry.told) for entry in entries.values() if entry.told is not None)
                catalog_index.save(self._store, rows)
            return self._snapshot

    def _indexed(self) -> dict[str, Entry]:
        """What the servers' shared index tells, to begin with."""
        rows = catalog_index.load(self._store)
        found = ((row, _parsed(row.info.key)) for row in rows)
        return {row.info.key: Entry(name, row.info, row.entry) for row, name in found if name is not None}

    def _read_all(self, wanted: Sequence[ObjectInfo]) -> list[Entry]:
        """The entries of those objects that have a collector's names and are still there."""
        named = [(name, info) for info in wanted if (name := _parsed(info.key)) is not None]
        if len(named) <= _READ_ALONE:
            read = [self._read(name, info) for name, info in named]
        else:
            with ThreadPoolExecutor(_READERS, thread_name_prefix="catalog") as readers:
                read = list(readers.map(lambda pair: self._read(*pair), named))
        return [entry for entry in read if entry is not None]

    def _read(self, name: CatalogName, info: ObjectInfo) -> Entry | None:
        try:
            return Entry(name, info, decode(self._store.get(info.key).data))
        except ObjectMissing:
            return None  # retention was faster
        except FormatError as error:
            return Entry(name, info, None, f"Its catalog entry can't be read: {error}")

    def _build(self, entries: dict[str, Entry], touched: set[SessionKey]) -> Snapshot:
        groups: dict[SessionKey, list[Entry]] = {}
        for entry in entries.values():
            groups.setdefault(entry.name.session, []).append(entry)
        old = self._snapshot.by_key if self._snapshot is not None else {}
        by_key = {
            key: merge(group) if key in touched or key not in old else old[key]
            for key, group in groups.items()
        }
        sessions = tuple(sorted(by_key.values(), key=lambda session: session.order))
        return Snapshot(
            sessions=sessions,
            by_key=by_key,
            namespaces=tuple(sorted({session.key.namespace for session in sessions})),
            owner_kinds=tuple(sorted({session.owner_kind for session in sessions if session.owner_kind})),
            clock_ms=self._clock_ms(),
        )

    def _clock_ms(self) -> int:
        return int(self._store.now() * 1000)


def _parsed(key: str) -> CatalogName | None:
    """The name behind a catalog key; None for what no collector of ours would write."""
    try:
        return CatalogName.parse(key)
    except NameInvalid:
        return None
