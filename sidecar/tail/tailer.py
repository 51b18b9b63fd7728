"""The tailer's shell: a look at the folder each second, what changed since the last one, and fair reading
of it.
"""

import contextlib
import math
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from archive.errors import NameInvalid
from archive.losses import Loss
from sidecar.errors import SpoolFull
from sidecar.spool import NodeSpool, Source
from sidecar.tail import latest, names
from sidecar.tail.chain import Piece, RingFile
from sidecar.tail.folder import Folder, Identity, Listing, Seen
from sidecar.tail.handles import Handles
from sidecar.tail.latest import Latest
from sidecar.tail.names import Kind
from sidecar.tail.reader import Log, Reader, places_of
from sidecar.tail.settings import TailSettings

_SLICE = 4096

_LOOKS = 10
"""Tries to see a turning ring as it was at one moment. What it drops before the next scan will be marked."""


@dataclass(frozen=True, slots=True)
class ScanResult:
    """What one scan did: bytes appended; bytes known to be unread, and of how many logs; files seen;
    handles open.
    """

    bytes_read: int
    lag_bytes: int
    lagging: int
    files: int
    handles: int


@dataclass(frozen=True, slots=True)
class Continuation:
    """Where the node that wrote into the same folder before stopped: its logs go on from there under the
    new node.
    """

    node_id: str
    sources: dict[str, Source]


class Tailer:
    """Tails one logs folder into one node's spool. `scan` each second, `finish` at the end, then `close`.

    logs_dir may be missing, come late and go again. The clock gives seconds and only paces `debug_state.txt`.
    Disk errors of single files are counted and tried again; only errors of the spool other than SpoolFull
    pass through.
    """

    def __init__(
        self,
        logs_dir: Path,
        spool: NodeSpool,
        settings: TailSettings | None = None,
        *,
        continues: Continuation | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._logs_dir = logs_dir
        self._spool = spool
        self._settings = settings or TailSettings()
        self._clock = clock
        self._handles = Handles(self._settings.handles)
        self._reader = Reader(spool, self._handles, self._settings)
        self._scan = 0
        self._files: dict[str, Seen] = {}
        self._owners: dict[str, Log | Latest | None] = {}
        self._logs: dict[str, Log] = {}
        self._latest: dict[str, Latest] = {}
        self._busy: dict[Log, None] = {}
        self._unsteady: dict[Log, None] = {}
        self._orphans: set[str] = set()
        self._overflown = False
        self._resumed = dict(spool.sources())
        self._continues = continues
        self._continued = {
            stream: source
            for stream, source in (continues.sources.items() if continues else ())
            if stream not in self._resumed
        }

    def scan(self) -> ScanResult:
        """Takes what the logs gained, within the room the spool has and the bytes a scan may read."""
        return self._pass(self._settings.bytes_per_scan, math.inf, final=False)

    def finish(self, deadline: float = math.inf) -> ScanResult:
        """Drains everything as far as the spool takes it, newest activity first, until the clock shows the
        deadline.
        """
        return self._pass(None, deadline, final=True)

    def close(self) -> None:
        self._handles.close()

    def _pass(self, limit: int | None, deadline: float, *, final: bool) -> ScanResult:
        self._scan += 1
        taken = 0
        try:
            folder = Folder.open(self._logs_dir)
        except OSError:
            return self._result(taken)
        try:
            self._look(folder, final=final)
            self._hold(folder)
            taken = self._read(folder, limit, deadline, final=final)
            if folder is not None:
                taken += self._take_latest(folder, final=final)
        finally:
            if folder is not None:
                folder.close()
        return self._result(taken)

    def _result(self, taken: int) -> ScanResult:
        lags = [log.lag for log in self._busy if log.lag]
        return ScanResult(taken, sum(lags), len(lags), len(self._files), len(self._handles))

    def _look(self, folder: Folder | None, *, final: bool) -> None:
        """Lists the folder and tells each log what changed of it."""
        listing = self._list(folder)
        files, before = listing.files, self._files
        touched = self._busy | self._unsteady
        self._unsteady.clear()
        for path in [path for path, seen in files.items() if before.get(path) != seen]:
            owner = self._owner(folder, path, files, final=final)
            if isinstance(owner, Log):
                touched[owner] = None
            elif isinstance(owner, Latest):
                owner.seen = files[path]
        for path in before.keys() - files.keys():
            owner = self._owners.pop(path, None)
            self._latest.pop(path, None)
            self._orphans.discard(path)
            if isinstance(owner, Log):
                owner.members.pop(path, None)
                touched[owner] = None
        self._files = files
        if folder is not None and self._resumed:
            touched.update(dict.fromkeys(self._vanished(listing)))
        for log in touched:
            self._see(folder, log)
            if log.busy:
                self._busy[log] = None

    def _list(self, folder: Folder | None) -> Listing:
        """What can't be seen this time counts as unchanged."""
        if folder is None:
            return Listing({}, (), overflow=False)
        listing = folder.list(self._settings.files)
        blind = ("",) if listing.overflow else listing.blind
        if blind:
            kept = {path: seen for path, seen in self._files.items() if path.startswith(blind)}
            listing.files.update(kept | listing.files)
        if listing.overflow and not self._overflown:
            self._overflown = True
            self._spool.count_loss(Loss.LOGS_BEYOND_LIMIT)
        return listing

    def _owner(
        self, folder: Folder | None, path: str, files: dict[str, Seen], *, final: bool
    ) -> Log | Latest | None:
        """The log that this path belongs to, made if it is new; None if the path isn't wanted, or not yet."""
        if path in self._owners:
            return self._owners[path]
        try:
            names.stream(path)
        except NameInvalid:
            self._spool.count_loss(Loss.LOGS_UNNAMEABLE)
            self._owners[path] = None
            return None
        base, index = path, 0
        backup = names.backup(path)
        if backup is not None and not self._known(path):
            there = folder is not None and folder.stat(backup.base) is not None
            if there or backup.base in files or self._known(backup.base):
                base, index = backup.base, backup.index
            elif not final and path not in self._orphans:
                # Between two renames of a ring its first name is free; whether this is a backup shows next
                # time.
                self._orphans.add(path)
                del files[path]
                return None
        owner: Log | Latest | None = None
        if names.wanted(base, self._settings):
            kind = names.kind(base, self._settings)
            owner = self._latest_of(path, files[path]) if kind is Kind.REWRITTEN else self._log(base, kind)
        if isinstance(owner, Log):
            owner.members[path] = index
        self._owners[path] = owner
        return owner

    def _known(self, base: str) -> bool:
        stream = names.stream(base)
        return stream in self._logs or stream in self._resumed or stream in self._continued

    def _latest_of(self, path: str, seen: Seen) -> Latest:
        stream = names.stream(path)
        source = self._resumed.pop(stream, None)
        self._latest[path] = Latest(stream, path, seen, guard=source.guard if source else None)
        return self._latest[path]

    def _log(self, base: str, kind: Kind) -> Log:
        stream = names.stream(base)
        log = self._logs.get(stream)
        if log is None:
            log = self._logs[stream] = Log(stream, base, kind)
            if stream in self._resumed:
                log.resume(self._resumed.pop(stream))
            elif stream in self._continued and self._continues is not None:
                log.go_on(self._continued.pop(stream), self._continues.node_id)
        return log

    def _vanished(self, listing: Listing) -> Iterable[Log]:
        """Logs that the spool knows and of which no file is left."""
        blind = ("",) if listing.overflow else listing.blind
        for stream, source in list(self._resumed.items()):
            if source.inode == 0 or not stream.startswith(("logs/", "exports/")):
                del self._resumed[stream]
            elif not (blind and source.path.startswith(blind)):
                kind = names.kind(source.path, self._settings)
                if kind is Kind.REWRITTEN or not names.wanted(source.path, self._settings):
                    del self._resumed[stream]
                else:
                    log = self._logs[stream] = Log(stream, source.path, kind)
                    log.resume(self._resumed.pop(stream))
                    yield log

    def _see(self, folder: Folder | None, log: Log) -> None:
        """Shows the chain its ring, and the files of the chain that handles lead to."""
        ring = [RingFile(path, index, self._files[path]) for path, index in log.members.items()]
        log.chain.turns = log.chain.turns or any(log.members.values())
        strangers: list[Identity] = []
        if folder is not None and places_of(ring) != log.ring:
            looked = self._look_again(folder, log)
            if looked is None:
                self._unsteady[log] = None
                return
            ring = looked
            strangers = self._strangers(folder, log, ring) if len(ring) > 1 else []
        ring.sort(key=lambda file: -file.index)
        log.ring = places_of(ring)
        held = {}
        for piece in log.chain.pieces:
            seen = self._handles.stat(piece)
            if seen is not None:
                held[piece.identity] = seen
        if log.continues is not None and not any(
            piece.identity in log.ring.values() for piece in log.chain.pieces
        ):
            log.forget()
        log.chain.see(ring, self._scan, held=held, strangers=strangers)

    def _strangers(self, folder: Folder, log: Log, ring: list[RingFile]) -> list[Identity]:
        """Which files of the ring only have the inode of one that was known."""
        return [
            piece.identity
            for piece in log.chain.pieces
            for file in ring
            if file.seen.identity == piece.identity and self._reader.is_stranger(folder, file, piece)
        ]

    def _look_again(self, folder: Folder, log: Log) -> list[RingFile] | None:
        """The ring as it was at one moment, None if it turned too fast for that.

        A listing of a ring that is just turning can miss a file, and a look at name by name can meet files in
        an order they were never in. Files only move up, so what two looks find alike was there between them.
        """
        before = self._names_upwards(folder, log)
        for _ in range(_LOOKS):
            ring = self._names_upwards(folder, log)
            if _steady(before, ring):
                return ring
            before = ring
        return None

    def _names_upwards(self, folder: Folder, log: Log) -> list[RingFile]:
        """A file that has several names counts with the last."""
        found: dict[Identity, RingFile] = {}
        index, top = 0, max(log.members.values(), default=0)
        # While a ring turns, one of its names is free.
        while index <= top + 1:
            for path in names.backup_names(log.base, index) if index else (log.base,):
                seen = folder.stat(path) if self._owners.get(path, log) is log else None
                if seen is not None:
                    found[seen.identity] = RingFile(path, index, seen)
                    top = max(top, index + 1)
            index += 1
        return list(found.values())

    def _hold(self, folder: Folder | None) -> None:
        """Opens what is unread while it has a name, and lets go what holds too much of the node's disk."""
        deleted: list[Piece] = []
        for log in self._busy:
            for piece in log.chain.pieces:
                if piece.gone:
                    deleted.append(piece)
                elif not piece.drained and not self._handles.full:
                    with contextlib.suppress(OSError):
                        self._handles.open(folder, piece.path, piece)
        excess = sum(piece.unread for piece in deleted) - self._settings.deleted_bytes
        for piece in sorted(deleted, key=lambda piece: -piece.unread):
            if excess <= 0:
                return
            self._handles.drop(piece)
            excess -= piece.unread

    def _read(self, folder: Folder | None, limit: int | None, deadline: float, *, final: bool) -> int:
        """Reads the busy logs round by round, so that none starves: longest unserved first, at the end
        newest first.
        """
        if final:
            queue = deque(sorted(self._busy, key=lambda log: -log.chain.modified))
        else:
            queue = deque(sorted(self._busy, key=lambda log: log.served))
        taken = 0
        while queue and (not final or self._clock() < deadline):
            budget = self._spool.room_for_logs()
            if limit is not None:
                budget = min(budget, limit - taken)
            if budget <= 0:
                break
            log = queue.popleft()
            share = budget if final or log.kind is Kind.MASKED else max(_SLICE, budget // (len(queue) + 1))
            head = log.chain.head
            try:
                gained = self._reader.read(folder, log, min(share, budget), self._scan, final=final)
            except SpoolFull:
                break
            log.served = self._scan
            taken += gained
            if gained or log.chain.head is not head:
                queue.append(log)
        self._rest()
        return taken

    def _rest(self) -> None:
        """Drops from the round what has nothing to do, and forgets logs of which nothing is left."""
        for log in [log for log in self._busy if not log.busy]:
            del self._busy[log]
            if not log.members and not log.chain.items:
                del self._logs[log.stream]

    def _take_latest(self, folder: Folder, *, final: bool) -> int:
        taken = 0
        for each in self._latest.values():
            now = self._clock()
            if each.seen == each.taken or not (final or now >= each.due):
                continue
            try:
                gained = latest.take(self._spool, folder, each, self._spool.room_for_logs())
            except OSError:
                continue
            except SpoolFull:
                break
            if gained:
                each.due = now + self._settings.rewritten_every_s
            taken += gained
        return taken


def _steady(before: list[RingFile], after: list[RingFile]) -> bool:
    """Whether each name leads to the same file, of which only the one being written may have changed."""
    return places_of(before) == places_of(after) and all(
        one.index == 0 or one.seen == other.seen for one, other in zip(before, after, strict=True)
    )
