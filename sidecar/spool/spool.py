"""The whole spool volume: which nodes have bytes in it, and what waits for its node to be known.

<folder>/lock                                               held by the collector that uses the folder
<folder>/unassigned/<origin>/                               bodies that came before session and node
<folder>/nodes/<namespace>/<cluster>/<session>/<node id>/<origin>/
<folder>/youngest                                           when the youngest origin began, Unix milliseconds
….discarded                                                 an origin that was just being removed
<folder>/reserve                                            given up where a full disk lets no origin begin
<folder>/damaged/                                           the newest journal that was not whole
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from archive.errors import NameInvalid
from archive.layout import Origin, SessionKey, checked
from archive.losses import Loss
from archive.segment.format import is_file
from sidecar.errors import SpoolError, SpoolInUse
from sidecar.spool.budget import Budget
from sidecar.spool.checkpoint import Checkpoint, CheckpointFile
from sidecar.spool.journal import NO_ROOM, Journal, told
from sidecar.spool.node import DISCARDED, Identity, NodeSpool, discard
from sidecar.spool.record import JournalDamaged, Position

log = logging.getLogger(__name__)

_NOWHERE: Final = SessionKey("unassigned", "unassigned", "unassigned")
_NOBODY: Final = "unassigned"
_RESERVE: Final = 64 << 10


class Spool:
    """Everything accepted and not yet stored, in `folder`, within `budget` bytes of disk. Thread-safe.

    `log_room`: how many raw bytes of a node's logs may wait at most; the tailer waits beyond.
    Every method raises SpoolUnusable when the folder can't be used.
    """

    def __init__(
        self,
        folder: Path,
        budget: int,
        *,
        log_room: int = 32 << 20,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Takes the folder. Raises SpoolInUse when another collector has it."""
        self.budget = Budget(budget)
        self._folder = folder
        self._log_room = log_room
        self._wall = wall
        self._lock = threading.RLock()
        self._unassigned: NodeSpool | None = None
        self._open: dict[Identity, NodeSpool] = {}
        with self._telling():
            folder.mkdir(parents=True, exist_ok=True)
            self._held = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(self._held)
                raise SpoolInUse(
                    f"another collector uses the spool {str(folder)!r}: end it, or choose another folder"
                ) from None
        for half_gone in folder.glob(f"**/*{DISCARDED}"):
            shutil.rmtree(half_gone, ignore_errors=True)
        with contextlib.suppress(OSError):
            (folder / "reserve").write_bytes(bytes(_RESERVE))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the folder; what it holds stays."""
        with self._lock:
            for spool in [*self._open.values(), *([self._unassigned] if self._unassigned else [])]:
                spool.close()
            self._open.clear()
            self._unassigned = None
            os.close(self._held)

    def unassigned(self) -> NodeSpool:
        """Where bytes wait until session and node are known. It is never flushed, only assigned."""
        with self._lock, self._telling():
            if self._unassigned is None:
                folder = self._folder / "unassigned"
                self._unassigned = self._newest(folder, _NOWHERE, _NOBODY, logs=True)
            return self._unassigned

    def node(self, session: SessionKey, node_id: str) -> NodeSpool:
        """The node's spool: its origin goes on, or a new one begins if there is none or it is damaged."""
        with self._lock, self._telling():
            for identity, spool in self._open.items():
                if identity[:2] == (session, node_id) and not spool.removed:
                    return spool
            folder = self._folder / "nodes" / session.path / checked(node_id, "node id")
            # The tailer reads logs again from their files when the origin is new: salvage would double them.
            spool = self._newest(folder, session, node_id, logs=False)
            self._open[Identity(session, node_id, spool.origin)] = spool
            return spool

    def assign(self, node: NodeSpool) -> None:
        """Move what waited into the node's spool, in order. Whoever still appends to the old one appends
        there.

        Raises SpoolFull when the disk has no room for it; then it waits on.
        """
        with self._lock:
            self.unassigned().move_into(node)
            self._unassigned = None

    def left_over(self) -> list[NodeSpool]:
        """Spools of nodes that `node` was not asked for since the start: to be flushed, finished, removed.

        Call it when the current node is known, since that one would be among them otherwise. What can't be
        opened is told in the log and stays.
        """
        with self._lock, self._telling():
            found = []
            for session, node_id, folder in self._folders():
                for origin in _origins(folder):
                    identity = Identity(session, node_id, origin)
                    if identity in self._open:
                        continue
                    try:
                        spool = self._opened(folder / str(origin), identity, logs=True)
                    except (OSError, SpoolError) as error:
                        # One that can't be read must not keep the others waiting.
                        log.warning("what is left of node %s waits for the next start: %s", node_id, error)
                        continue
                    self._open[Identity(session, node_id, spool.origin)] = spool
                    found.append(spool)
            return found

    def _folders(self) -> Iterator[tuple[SessionKey, str, Path]]:
        for folder in sorted((self._folder / "nodes").glob("*/*/*/*")):
            namespace, cluster, session, node_id = folder.parts[-4:]
            with contextlib.suppress(NameInvalid):
                yield SessionKey(namespace, cluster, session), checked(node_id, "node id"), folder

    def _newest(self, folder: Path, session: SessionKey, node_id: str, *, logs: bool) -> NodeSpool:
        origins = _origins(folder)
        origin = origins[-1] if origins else self._new_origin(folder)
        identity = Identity(session, node_id, origin)
        try:
            return self._opened(folder / str(origin), identity, logs=logs)
        except OSError as error:
            # A new origin is little, and before there is one nothing that is left over can be stored and go.
            if error.errno not in NO_ROOM or not self._reserve_given_up():
                raise
            return self._opened(folder / str(origin), identity, logs=logs)

    def _reserve_given_up(self) -> bool:
        """Whether there was one."""
        try:
            (self._folder / "reserve").unlink()
        except FileNotFoundError:
            return False
        return True

    def _new_origin(self, folder: Path) -> Origin:
        """A new one, younger than all that this volume ever had, whatever the clock says."""
        youngest = max((origin.started_ms for origin in _origins(folder)), default=0)
        file = self._folder / "youngest"
        with contextlib.suppress(OSError, ValueError):
            youngest = max(youngest, int(file.read_text()))
        origin = Origin.new(max(int(self._wall() * 1000), youngest + 1))
        with contextlib.suppress(OSError):
            file.write_text(str(origin.started_ms))
        return origin

    def _opened(self, folder: Path, identity: Identity, *, logs: bool) -> NodeSpool:
        try:
            return NodeSpool(folder, identity, self.budget, self._log_room, self._wall)
        except JournalDamaged:
            return self._salvaged(folder, identity, logs=logs)

    def _salvaged(self, folder: Path, identity: Identity, *, logs: bool) -> NodeSpool:
        """A new origin with what can still be read of a damaged one, whose bad files are set aside."""
        identity = identity._replace(origin=self._new_origin(folder.parent))
        new = folder.parent / str(identity.origin)
        spool = NodeSpool(new, identity, self.budget, self._log_room, self._wall)
        stored, losses, facts = _checkpoint(folder)
        journal = Journal(folder, self.budget)
        bad: list[int] = []
        spool.take_over(
            (
                read
                for read in journal.readable(stored, bad.append)
                if logs or not is_file(read.record.stream)
            ),
            losses,
            lambda _: None,
        )
        spool.set_facts(**facts)
        spool.count_loss(Loss.JOURNAL_DAMAGED, max(1, len(bad)))
        for number in bad:
            self._set_aside(journal.path(number))
        journal.close()
        discard(folder)
        return spool

    def _set_aside(self, path: Path) -> None:
        damaged = self._folder / "damaged"
        shutil.rmtree(damaged, ignore_errors=True)
        damaged.mkdir()
        path.rename(damaged / path.name)

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise told(self._folder, error) from error


def _origins(folder: Path) -> list[Origin]:
    found = []
    for path in folder.glob("*"):
        with contextlib.suppress(NameInvalid):
            if path.is_dir():
                found.append(Origin.parse(path.name))
    return sorted(found)


def _checkpoint(folder: Path) -> tuple[Position, dict[str, int], dict[str, str]]:
    """What a damaged origin's checkpoint still tells.

    Replays are harmless, so nothing counts as stored without.
    """
    try:
        with contextlib.closing(CheckpointFile(folder / "checkpoint")) as file:
            checkpoint = file.read() or Checkpoint()
    except JournalDamaged:
        return Position(0, 0), {}, {}
    return checkpoint.stored, checkpoint.losses, checkpoint.facts
