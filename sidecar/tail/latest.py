"""Files that Ray writes anew in place (`debug_state.txt`, every 10 s): their latest content is kept."""

import hashlib
import os
from dataclasses import dataclass

from sidecar.spool import NodeSpool, Source
from sidecar.tail.folder import Folder, Seen, seen_of
from sidecar.tail.names import shown
from sidecar.tail.settings import PIECE

_TRIES = 3


@dataclass(slots=True, eq=False)
class Latest:
    """One such file: what of it is in the spool. The source's guard is the digest of all its content."""

    stream: str
    path: str
    seen: Seen
    guard: bytes | None = None
    taken: Seen | None = None
    due: float = 0.0
    """Seconds by the tailer's clock."""


def take(spool: NodeSpool, folder: Folder, latest: Latest, allowance: int) -> int:
    """Appends the file's content if it is another than the last, and returns its length. Raises OSError,
    SpoolFull.

    A file larger than a piece is cut, and the mark says so. Nothing is taken while there is no room for all
    of it.
    """
    if latest.taken == latest.seen:
        return 0
    content, seen = _stable(folder, latest.path)
    if len(content) > allowance:
        return 0
    guard = hashlib.blake2b(content, digest_size=8).digest()
    if guard != latest.guard:
        if content:
            detail = "" if seen.size <= PIECE else f"the first {PIECE} of {seen.size} bytes"
            spool.mark(latest.stream, "rewritten", detail)
        source = Source(shown(latest.path), *seen.identity, len(content), guard)
        spool.append(latest.stream, content, source=source)
        latest.guard = guard
    latest.taken = seen
    return len(content)


def _stable(folder: Folder, path: str) -> tuple[bytes, Seen]:
    """Content that didn't change while it was read; the last try counts, whatever it met."""
    descriptor = folder.open_file(path)
    try:
        for _ in range(_TRIES):
            before = seen_of(descriptor)
            content = os.pread(descriptor, PIECE, 0)
            after = seen_of(descriptor)
            if content and before == after:
                break
        if after is None:
            raise IsADirectoryError(path)
        return content, after
    finally:
        os.close(descriptor)
