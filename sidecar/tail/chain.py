"""What one log is made of, and what of it comes next. Pure: told what a look at the disk found, it does no
I/O.

A log is one stream although its ring renames, and at last deletes, the files it is written to. The chain
holds those files in the order in which they were written, the one being read first, and between them notes
on what is known to be missing. Files are followed by identity, not by name.
"""

from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from archive.losses import Loss
from archive.segment import MarkKind
from sidecar.tail.folder import Identity, Seen

QUIET = 10
"""Scans without growth after which a deleted file, that its writer may still have open, is let go."""


@dataclass(frozen=True, slots=True)
class RingFile:
    """One file of a log's ring; index counts its renames, 0 is the one with the log's own name."""

    path: str
    index: int
    seen: Seen


@dataclass(frozen=True, slots=True)
class Note:
    """A mark for the stream, and what is to be counted as lost with it."""

    kind: MarkKind
    detail: str
    size: int = 0
    lost: Loss | None = None


@dataclass(slots=True, eq=False)
class Piece:
    """One file of the chain. Everything before the position is in the spool; guard is the digest of its
    last bytes.
    """

    path: str
    identity: Identity
    size: int = 0
    modified: int = 0
    position: int = 0
    guard: bytes = b""
    index: int = 0
    since: int = 0
    """The scan that saw it first."""
    changed: int = 0
    """The scan that saw it change last."""
    unverified: bool = True
    """It changed since the bytes before the position were compared."""
    behind: int = 0
    """Bytes that were unread before the last change: lost if the file turns out to be cut."""
    cut_off: int = 0
    """Bytes by which it was seen to shrink since it was last read."""
    resumed: bool = False
    """Known from the spool, not yet seen on the disk."""
    gone: bool = False
    """No longer in the ring; only an open handle leads to it."""

    @property
    def unread(self) -> int:
        return max(0, self.size - self.position)

    @property
    def drained(self) -> bool:
        return not self.unverified and self.unread == 0

    def restart(self) -> None:
        """It holds other bytes than those that were read: it is read again from its start."""
        self.position, self.guard, self.behind, self.cut_off = 0, b"", 0, 0


@dataclass(slots=True)
class Chain:
    """The files of one log, and the notes between them, oldest first."""

    items: deque[Piece | Note] = field(default_factory=deque)
    turns: bool = False
    """The log has had backups."""
    _done: dict[Identity, RingFile] = field(default_factory=dict)
    """What was read to its end and is still in the ring."""
    _followed: bool = False
    """The last look met the log."""
    _astray: bool = False
    """A ring was left of which nothing is known any more."""

    @property
    def pieces(self) -> Iterator[Piece]:
        return (item for item in self.items if isinstance(item, Piece))

    @property
    def head(self) -> Piece | None:
        """The file being read, once the notes before it are taken."""
        first = self.items[0] if self.items else None
        return first if isinstance(first, Piece) else None

    @property
    def idle(self) -> bool:
        """Nothing to do until the disk changes."""
        if not self.items:
            return True
        head = self.head
        return len(self.items) == 1 and head is not None and head.drained and not head.gone

    @property
    def unread(self) -> int:
        return sum(piece.unread for piece in self.pieces)

    @property
    def modified(self) -> int:
        return max((piece.modified for piece in self.pieces), default=0)

    def see(
        self,
        ring: Sequence[RingFile],
        scan: int,
        *,
        held: Mapping[Identity, Seen],
        strangers: Collection[Identity] = (),
    ) -> None:
        """Takes in one look: the ring, oldest first, and what the handles say of the files they lead to.

        Strangers have the identity of a file of ours, and other bytes: their inode is used again.
        """
        here = {file.seen.identity: file for file in ring if file.seen.identity not in strangers}
        self.turns = self.turns or any(file.index for file in ring)
        changed = self._forget(here)
        for piece in list(self.pieces):
            self._refresh(piece, here, held, scan)
        known = {piece.identity for piece in self.pieces if not piece.gone} | self._done.keys()
        places = [place for place, file in enumerate(ring) if file.seen.identity in known]
        self._note_turns(ring, known=bool(places))
        for file in ring[: places[-1]] if places else ():
            self._note_late(file, changed)
        for file in ring[places[-1] + 1 :] if places else ring:
            self.items.append(
                Piece(
                    file.path,
                    file.seen.identity,
                    size=file.seen.size,
                    modified=file.seen.modified,
                    index=file.index,
                    since=scan,
                    changed=scan,
                )
            )

    def advance(self, scan: int, *, final: bool) -> Iterator[Note]:
        """Takes away the files that are read to their end for good, and yields the notes between them.

        A note is taken away when the next is asked for, so that one that couldn't be written stays.
        """
        while self.items:
            first = self.items[0]
            if isinstance(first, Piece):
                if not (first.drained and self.closing(scan, final=final)):
                    return
                if len(self.items) == 1 and not first.gone:
                    return
                if not first.gone:
                    seen = Seen(first.identity, first.size, first.modified)
                    self._done[first.identity] = RingFile(first.path, first.index, seen)
            if isinstance(first, Note):
                yield first
            self.items.popleft()

    def closing(self, scan: int, *, final: bool) -> bool:
        """Whether no more bytes are to be expected in the file being read.

        A writer may write its last bytes just after the rename, so a file whose successor is new gets one
        more scan.
        """
        pieces = list(self.pieces)
        if final or len(pieces) > 2:
            return True
        if len(pieces) == 2:
            return pieces[1].since < scan
        return bool(pieces) and pieces[0].gone and scan - pieces[0].changed >= QUIET

    def _forget(self, here: Mapping[Identity, RingFile]) -> dict[Identity, RingFile]:
        """A file that was read to its end only moves up the ring; anything else is another with its inode, or
        was written to once more. Returns what was known of those.
        """
        before = self._done
        self._done = {
            identity: here[identity]
            for identity, was in before.items()
            if identity in here and here[identity].index >= was.index and here[identity].seen == was.seen
        }
        return {identity: was for identity, was in before.items() if identity not in self._done}

    def _note_late(self, file: RingFile, changed: Mapping[Identity, RingFile]) -> None:
        """What comes to a file when those behind it are being read has no place in the stream any more."""
        was = changed.get(file.seen.identity)
        if was is None or file.index < was.index:
            return
        late = file.seen.size - was.seen.size
        if late > 0:
            detail = "a turned file was written to after it had been read to its end"
            self.items.appendleft(Note("gap", detail, late, Loss.LOGS_LATE))
        self._done[file.seen.identity] = file

    def _note_turns(self, ring: Sequence[RingFile], *, known: bool) -> None:
        """A ring of which nothing is known any more may have had files that nobody saw."""
        if known:
            self._astray = False
        elif self._followed:
            self._astray = self.turns
        if ring and self._astray:
            detail = "the ring may have dropped files before they were seen"
            self.items.append(Note("gap", detail, lost=Loss.LOGS_TURNED))
            self._astray = False
        self._followed = bool(ring)

    def _refresh(
        self, piece: Piece, here: Mapping[Identity, RingFile], held: Mapping[Identity, Seen], scan: int
    ) -> None:
        file = here.get(piece.identity)
        # What a handle says is younger than the look.
        seen = held.get(piece.identity) or (file.seen if file is not None else None)
        if seen is None:
            self._lose(piece)
            return
        if file is not None:
            piece.path, piece.index, piece.gone = file.path, file.index, False
        elif not piece.gone:
            piece.gone, piece.changed = True, scan
        if piece.resumed or (seen.size, seen.modified) != (piece.size, piece.modified):
            piece.behind = piece.unread
            piece.cut_off += max(0, piece.size - seen.size)
            piece.size, piece.modified = seen.size, seen.modified
            piece.changed, piece.unverified, piece.resumed = scan, True, False

    def _lose(self, piece: Piece) -> None:
        place = self.items.index(piece)
        del self.items[place]
        if piece.resumed:
            detail = (
                "the file was gone when the collector came back; what its ring holds is read from the start"
            )
            self.items.insert(place, Note("gap", detail, lost=Loss.LOGS_VANISHED))
        elif piece.unread:
            detail = "deleted before it was read to its end"
            self.items.insert(place, Note("gap", detail, size=piece.unread, lost=Loss.LOGS_DELETED))
