"""The catalog, cached: what is new is seen at once, what is old within minutes, for few requests.

A catalog of tens of thousands of sessions takes a hundred requests to list. So a refresh lists the newest
thousand objects, where sessions begin, and one more stretch of a round through all of them; sessions that run
outside of both are asked for their heartbeats. Only entries whose ETag changed are read, the newest first, a
bounded number at once. The first refresh begins with the servers' shared index. Thread-safe.
"""

import heapq
import threading
import time
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Final

import msgspec

from archive.catalog import decode
from archive.errors import FormatError, ObjectMissing
from archive.layout import CATALOG, Role, SessionKey
from archive.store.base import ObjectInfo, Store
from server import catalog_index
from server.catalog_index import named
from server.catalog_listing import Group, Listed, Listings
from server.sessions import Entry, Session, Snapshot, entry_of

STRETCH: Final = 500
"""Sessions that a refresh lists of the round; most have two objects."""
READ_FIRST: Final = 128
READ_AT_ONCE: Final = 512
"""Sessions whose entries one refresh reads at most."""
HEARTBEAT_MS: Final = 30_000
ALIVE_MS: Final = 3_600_000
"""A session that was silent for so long is not asked for a heartbeat; the round through all will meet it."""
HEARTBEATS: Final = 16
"""Sessions that are asked for their heartbeat in one refresh."""
WORTH_AN_INDEX: Final = 500
SAVE_SECONDS: Final = 60.0
STALE_SECONDS: Final = 3600.0
"""How long fewer changes than are worth an index stay out of it."""
_READERS: Final = 16
_READ_ALONE: Final = 2


class SessionIndex:
    """`refresh` brings it up to date by a step, `snapshot` never waits for the store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._refreshing = threading.Lock()
        self._snapshot: Snapshot | None = None
        self._sessions: dict[str, Session] = {}
        self._by_key: dict[SessionKey, Session] = {}
        self._orders: list[str] = []  # of the sessions, sorted; emptied when they change
        self._open: set[str] = set()
        self._unread: dict[str, Listed] = {}
        self._listings = Listings(store, self._sessions)
        self._round_began_ms = 0
        self._complete = self._whole = False
        self._unsaved = 0
        self._saved_at = time.monotonic()
        self._whole_before = False  # whether all was read already
        self._gone: list[SessionKey] = []
        self._regrouped = False  # whether sessions came, went or were read since the last snapshot

    @property
    def snapshot(self) -> Snapshot | None:
        """What the last refresh found; None before the first."""
        return self._snapshot

    @property
    def behind(self) -> bool:
        """Whether the next refresh should not be waited with: something is not listed or read yet."""
        return not self._complete or bool(self._unread)

    @property
    def requests(self) -> int:
        """How many requests to list a refresh takes at most."""
        return 1 if self._whole else 2

    def taken_gone(self) -> list[SessionKey]:
        """Sessions that were found to be gone since this was asked last."""
        gone, self._gone = self._gone, []
        return gone

    def refresh(self) -> Snapshot:
        """One step, of at most three requests to list. Raises: StoreError."""
        with self._refreshing:
            first = self._snapshot is None
            if first and not self._sessions:
                self._keep_all(catalog_index.load(self._store))
            clock_ms = self._clock_ms()
            groups, end = self._listings.newest()
            self._take(groups, "", end, clock_ms, since_ms=clock_ms)
            self._whole = end is None
            if self._whole:
                self._complete = True
            elif not first:
                self._go_round(clock_ms)
            self._ask_for_heartbeats(clock_ms)
            self._read(READ_FIRST if first else READ_AT_ONCE, clock_ms)
            self._snapshot = self._built(clock_ms)
            self._save()
            return self._snapshot

    def _go_round(self, clock_ms: int) -> None:
        if self._listings.at_the_beginning:
            self._round_began_ms = clock_ms
        groups, behind, end = self._listings.stretch(STRETCH)
        self._take(groups, behind, end, clock_ms, since_ms=self._round_began_ms)
        self._complete = self._complete or end is None

    def _take(
        self, groups: Sequence[Group], behind: str, end: str | None, clock_ms: int, *, since_ms: int
    ) -> None:
        """Take in all that is listed from behind one order to another (None: to the last).

        What is known there and not listed is gone, unless it was seen after the listing began at `since_ms`.
        """
        orders = self._sorted()
        last = len(orders) if end is None else bisect_right(orders, end)
        before = orders[bisect_right(orders, behind) : last]
        listed = {order for order, _ in groups}
        for order in before:
            if order not in listed and self._sessions[order].looked_ms <= since_ms:
                self._drop(order)
        for order in [order for order in self._unread if order > behind and (end is None or order <= end)]:
            if order not in listed:
                del self._unread[order]
        for order, objects in groups:
            self._compare(order, objects, clock_ms)

    def _compare(self, order: str, objects: Listed, clock_ms: int) -> None:
        """Note a session to be read if it changed, else that it was looked at."""
        session = self._sessions.get(order)
        if session is None:
            self._unread[order] = objects
            return
        entries = {role: _same(entry, objects.get(role)) for role, entry in _entries(session)}
        if any(entries.get(role) is None for role in objects):
            self._unread[order] = objects
        elif not session.ended or any(entries[role] is not entry for role, entry in _entries(session)):
            self._keep(_with(session, entries, clock_ms))

    def _ask_for_heartbeats(self, clock_ms: int) -> None:
        """Read the entries of sessions that run and were not looked at for longer than a heartbeat."""
        waiting = [
            session
            for order in self._open
            if (session := self._sessions[order]).looked_ms + HEARTBEAT_MS < clock_ms
            and session.looked_ms - session.seen_ms < ALIVE_MS
        ]
        asked = heapq.nsmallest(HEARTBEATS, waiting, key=lambda session: session.looked_ms)
        roles = [(one.order, Role.WORKER if one.head is None else Role.HEAD, None) for one in asked]
        for order, role, entry in self._read_all(roles):
            session = self._sessions[order]
            if entry is None and (session.head is None or session.worker is None):
                self._drop(order)
            else:
                known: dict[Role, Entry | None] = dict(_entries(session))
                self._keep(_with(session, known | {role: entry}, clock_ms))

    def _read(self, most: int, clock_ms: int) -> None:
        """Read the newest of the sessions that changed."""
        wanted: list[tuple[str, Role, ObjectInfo | None]] = []
        orders = heapq.nsmallest(most, self._unread)
        for order in orders:
            known = dict(_entries(self._sessions[order])) if order in self._sessions else {}
            wanted += [
                (order, role, info)
                for role, info in self._unread[order].items()
                if _same(known.get(role), info) is None
            ]
        read: dict[str, dict[Role, Entry | None]] = {}
        for order, role, entry in self._read_all(wanted):
            read.setdefault(order, {})[role] = entry
        for order in orders:
            session = self._sessions.get(order) or Session(named(order), order, None, None, clock_ms)
            objects = self._unread.pop(order)
            entries = {role: _same(entry, objects.get(role)) for role, entry in _entries(session)} | read.get(
                order, {}
            )
            if not any(entries.values()):  # retention was faster
                if order in self._sessions:
                    self._drop(order)
                continue
            fresh = _with(session, entries, clock_ms)
            if fresh.ended or order not in self._sessions:  # heartbeats alone are not worth an index
                self._unsaved += 1
            self._keep(fresh)
            self._regrouped = True

    def _read_all(
        self, wanted: Sequence[tuple[str, Role, ObjectInfo | None]]
    ) -> list[tuple[str, Role, Entry | None]]:
        if len(wanted) <= _READ_ALONE:
            return [self._read_one(*one) for one in wanted]
        with ThreadPoolExecutor(_READERS, thread_name_prefix="catalog") as readers:
            return list(readers.map(lambda one: self._read_one(*one), wanted))

    def _read_one(self, order: str, role: Role, info: ObjectInfo | None) -> tuple[str, Role, Entry | None]:
        """One entry; None if it is gone. `info`: as it was listed, if it was."""
        try:
            stored = self._store.get(f"{CATALOG}{order}{role}.json")
        except ObjectMissing:
            return order, role, None
        info = info or stored.info
        try:
            return order, role, entry_of(info, decode(stored.data))
        except FormatError as error:
            trouble = f"Its catalog entry can't be read: {error}"
            return order, role, Entry(info.etag, info.modified, trouble=trouble)

    def _keep_all(self, sessions: Iterable[Session]) -> None:
        for session in sessions:
            self._keep(session)

    def _keep(self, session: Session) -> None:
        if session.order not in self._sessions:
            self._orders.clear()
        self._sessions[session.order] = self._by_key[session.key] = session
        if session.ended:
            self._open.discard(session.order)
        else:
            self._open.add(session.order)

    def _drop(self, order: str) -> None:
        session = self._sessions.pop(order)
        del self._by_key[session.key]
        self._open.discard(order)
        self._orders.clear()
        self._regrouped = True
        self._unsaved += 1
        self._gone.append(session.key)

    def _sorted(self) -> list[str]:
        if not self._orders:
            self._orders = sorted(self._sessions)
        return self._orders

    def _built(self, clock_ms: int) -> Snapshot:
        before = self._snapshot
        sessions = tuple([self._sessions[order] for order in self._sorted()])
        if before is not None and not self._regrouped:
            namespaces, kinds = before.namespaces, before.owner_kinds
        else:
            namespaces = tuple(sorted({session.key.namespace for session in sessions}))
            kinds = tuple(sorted({kind for session in sessions if (kind := session.owner_kind)}))
        self._regrouped = False
        return Snapshot(
            sessions=sessions,
            by_key=self._by_key.copy(),
            namespaces=namespaces,
            owner_kinds=kinds,
            clock_ms=clock_ms,
            unread=sum(1 for order in self._unread if order not in self._sessions),
            complete=self._complete,
        )

    def _save(self) -> None:
        """Put the shared index when enough has changed: at once when all is read first, else now and then."""
        waited = time.monotonic() - self._saved_at
        whole = not self.behind and not self._whole_before
        self._whole_before = self._whole_before or whole
        worth = self._unsaved >= WORTH_AN_INDEX and (whole or waited > SAVE_SECONDS)
        if worth or (self._unsaved and waited > STALE_SECONDS):
            catalog_index.save(self._store, (self._sessions[order] for order in self._sorted()))
            self._unsaved, self._saved_at = 0, time.monotonic()

    def _clock_ms(self) -> int:
        return int(self._store.now() * 1000)


def _entries(session: Session) -> list[tuple[Role, Entry]]:
    pairs = ((Role.HEAD, session.head), (Role.WORKER, session.worker))
    return [(role, entry) for role, entry in pairs if entry is not None]


def _same(entry: Entry | None, info: ObjectInfo | None) -> Entry | None:
    """The entry as it is listed now; None if it has to be read again, or is gone."""
    if entry is None or info is None or entry.etag != info.etag:
        return None
    if entry.modified == info.modified:
        return entry
    return msgspec.structs.replace(entry, modified=info.modified)


def _with(session: Session, entries: dict[Role, Entry | None], clock_ms: int) -> Session:
    return replace(session, head=entries.get(Role.HEAD), worker=entries.get(Role.WORKER), looked_ms=clock_ms)
