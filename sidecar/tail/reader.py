"""Takes one log's next bytes from the disk into the spool."""

import errno
import hashlib
import os
from dataclasses import dataclass, field

from archive.losses import Loss
from sidecar.spool import NodeSpool, Source
from sidecar.tail.chain import Chain, Note, Piece, RingFile
from sidecar.tail.folder import Folder, Identity
from sidecar.tail.handles import FileReplaced, Handles
from sidecar.tail.lines import cut
from sidecar.tail.names import Kind, backup, shown
from sidecar.tail.settings import PIECE, TailSettings

GUARDED = 64
"""Bytes before the position that are compared before each read."""

CAPPED = b"capped"
"""The guard of a source that says: of this log nothing more is kept."""

NOWHERE = Source(path="", device=0, inode=0, position=0, guard=b"")
"""The source of a log of which every file was read to its end and is gone."""

_NO_FILE = Identity(0, 0)
_RETRY_SCANS = 10


def guard_of(data: bytes) -> bytes:
    """The digest of the last bytes before a position; of none at the start of a file."""
    return hashlib.blake2b(data[-GUARDED:], digest_size=8).digest() if data else b""


def places_of(ring: list[RingFile]) -> dict[str, Identity]:
    """Which file has which path."""
    return {file.path: file.seen.identity for file in ring}


@dataclass(slots=True, eq=False)
class Log:
    """One log: its stream, its chain, and what the spool knows of it."""

    stream: str
    base: str
    """Its path below the logs folder."""
    kind: Kind
    chain: Chain = field(default_factory=Chain)
    members: dict[str, int] = field(default_factory=dict)
    """The paths of its ring, each with its index."""
    ring: dict[str, Identity] = field(default_factory=dict)
    """Its ring as it was last seen, by path."""
    recorded: Identity | None = None
    """The file that the newest source in the spool names."""
    continues: str | None = None
    """The node that kept the bytes before, until that is marked."""
    capped: bool = False
    blanking: bool = False
    """It is within a line that is blanked, and marked as such."""
    served: int = 0
    retry: int = 0
    """The scan from which a file that can't be read is tried again."""
    unreadable: bool = False
    """It was marked as unreadable at the end."""

    @property
    def busy(self) -> bool:
        if self.capped:
            return False
        return not self.chain.idle or not self.on_record

    @property
    def on_record(self) -> bool:
        """Whether the spool knows which file the log is at.

        A file without a byte read has no guard to know it by, so the one before it stays named while it is
        there.
        """
        head = self.chain.head
        if head is None:
            return self.recorded == _NO_FILE
        return self.recorded == head.identity or (head.position == 0 and self.recorded in self.ring.values())

    @property
    def lag(self) -> int:
        return 0 if self.capped else self.chain.unread

    def resume(self, source: Source) -> None:
        """Goes on where the spool says."""
        self.recorded = Identity(source.device, source.inode)
        self.capped = source.guard == CAPPED
        if self.recorded != _NO_FILE:
            was = backup(source.path)
            piece = Piece(
                source.path, self.recorded, position=source.position, guard=source.guard, resumed=True
            )
            piece.index = 0 if was is None or was.base != shown(self.base) else was.index
            self.chain.items.append(piece)

    def go_on(self, source: Source, node_id: str) -> None:
        """Goes on where another node stopped."""
        self.resume(source)
        self.recorded, self.continues = None, node_id

    def forget(self) -> None:
        """The file where the other node stopped is gone: what is here has nothing to do with it."""
        self.chain.items.clear()
        self.continues = None


class Reader:
    """Reads logs piece by piece. SpoolFull passes through; the log then waits where it is."""

    def __init__(self, spool: NodeSpool, handles: Handles, settings: TailSettings) -> None:
        self._spool = spool
        self._handles = handles
        self._settings = settings

    def read(self, folder: Folder | None, log: Log, allowance: int, scan: int, *, final: bool) -> int:
        """Appends at most `allowance` bytes of the log's next file, and returns their number."""
        self._advance(log, scan, final=final)
        head = log.chain.head
        taken = 0
        if head is not None and not head.drained and not log.capped and (final or scan >= log.retry):
            try:
                descriptor = self._handles.open(folder, head.path, head)
                taken = self._take(descriptor, log, head, allowance, scan, final=final)
            except (FileNotFoundError, FileReplaced):
                pass
            except OSError as error:
                self._unreadable(log, head, error, scan, final=final)
            self._advance(log, scan, final=final)
        self._record(log)
        return taken

    def _take(self, descriptor: int, log: Log, head: Piece, allowance: int, scan: int, *, final: bool) -> int:
        left = self._left(log)
        if left == 0 and head.unread:
            self._cap(log)
            return 0
        back = min(GUARDED, head.position)
        allowance = min(allowance, PIECE, left)
        wanted = PIECE if log.kind is Kind.MASKED else allowance
        window = os.pread(descriptor, back + wanted, head.position - back)
        if guard_of(window[:back]) != head.guard:
            lost = Loss.LOGS_CUT if head.behind else None
            self._note(log, Note("truncated", "the file was cut or written anew", head.behind, lost))
            head.restart()
            log.recorded = None
            return self._take(descriptor, log, head, allowance, scan, final=final)
        if head.cut_off:
            self._note(log, Note("gap", "cut before it was read to its end", head.cut_off, Loss.LOGS_CUT))
            head.cut_off = 0
        kept = data = window[back:]
        head.unverified = False
        if len(data) < wanted:
            head.size = head.position + len(data)
        if log.kind is Kind.MASKED:
            closing = len(data) < PIECE and log.chain.closing(scan, final=final)
            kept = self._masked(
                log, data, window[back - 1 : back] if back else b"", allowance, closing=closing
            )
            if not kept and allowance == left and b"\n" in data:
                self._cap(log)
        if kept:
            self._append(log, head, kept, guard_of(window[: back + len(kept)]))
        return len(kept)

    def _masked(self, log: Log, data: bytes, before: bytes, allowance: int, *, closing: bool) -> bytes:
        lines = cut(data, before=before, limit=PIECE, allowance=allowance, closing=closing)
        if lines.blanked and not log.blanking:
            detail = "a line too long to be masked, or begun before, is blanked"
            self._note(log, Note("gap", detail, size=lines.blanked, lost=Loss.LOGS_UNMASKED))
        log.blanking = lines.blanked > 0 and not lines.data.endswith(b"\n")
        return lines.data

    def _append(self, log: Log, head: Piece, kept: bytes, guard: bytes) -> None:
        self._mark_continued(log)
        position = head.position + len(kept)
        source = Source(shown(head.path), *head.identity, position, guard)
        self._spool.append(log.stream, kept, source=source)
        head.position, head.guard, log.recorded = position, guard, head.identity

    def _record(self, log: Log) -> None:
        """Lets the spool know which file the log is at, although there is no byte of it: empty logs are
        listed.
        """
        head = log.chain.head
        if log.capped or (head is None and log.chain.items):
            return
        if log.on_record:
            return
        self._mark_continued(log)
        source = NOWHERE
        if head is not None:
            source = Source(shown(head.path), *head.identity, head.position, head.guard)
        self._spool.append(log.stream, b"", source=source)
        log.recorded = Identity(source.device, source.inode)

    def is_stranger(self, folder: Folder, file: RingFile, piece: Piece) -> bool:
        """Whether the inode of the piece is used again: there are other bytes, or it moved down the ring."""
        if piece in self._handles:
            return False
        if file.index < piece.index:
            return True
        back = min(GUARDED, piece.position)
        try:
            descriptor = self._handles.open(folder, file.path, piece)
            if guard_of(os.pread(descriptor, back, piece.position - back)) == piece.guard:
                return False
        except OSError:
            return False
        self._handles.drop(piece)
        return True

    def _advance(self, log: Log, scan: int, *, final: bool) -> None:
        before = log.chain.head
        for note in log.chain.advance(scan, final=final):
            self._note(log, note)
        if before is not None and before is not log.chain.head:
            self._handles.drop(before)

    def _note(self, log: Log, note: Note) -> None:
        self._mark_continued(log)
        self._spool.mark(log.stream, note.kind, note.detail, note.size)
        if note.lost is not None:
            self._spool.count_loss(note.lost, max(note.size, 1))

    def _mark_continued(self, log: Log) -> None:
        if log.continues is not None:
            self._spool.mark(log.stream, "continues", log.continues)
            log.continues = None

    def _left(self, log: Log) -> int:
        cap = self._settings.bytes_per_log
        return PIECE if cap is None else max(0, cap - self._spool.end(log.stream))

    def _cap(self, log: Log) -> None:
        note = Note(
            "gap",
            f"no more than {self._settings.bytes_per_log} bytes are kept of one log",
            lost=Loss.LOGS_CAPPED,
        )
        self._note(log, note)
        self._spool.append(log.stream, b"", source=Source("", 0, 0, 0, CAPPED))
        log.capped = True

    def _unreadable(self, log: Log, head: Piece, error: OSError, scan: int, *, final: bool) -> None:
        log.retry = scan + _RETRY_SCANS
        if final and not log.unreadable:
            log.unreadable = True
            detail = f"cannot be read: {os.strerror(error.errno or errno.EIO)}"
            self._note(log, Note("gap", detail, size=head.unread, lost=Loss.LOGS_UNREADABLE))
