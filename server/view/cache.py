"""Files of views on the local disk: named by content, leased while a view uses them, the longest unused go
first.

    parts/<digest>.parquet                      what is kept, for every server that uses the folder
    working/<server>/                           of one server, locked as long as it lives
    working/<server>/leased/<digest>.parquet    the same file once more, while this server uses it
    working/<server>/<name>/                    what is being made

A lease is a link, so that no server can take away what another one reads. What ended servers left in
`working` goes when the next one starts.
"""

import fcntl
import os
import secrets
import shutil
import threading
import weakref
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from server.view.manifest import digest_of


class Cache:
    """A folder with a byte limit, which leased files may exceed. Thread-safe, and servers may share it."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._parts = folder / "parts"
        self._limit = limit
        self._lock = threading.Lock()
        self._leases: Counter[str] = Counter()
        self._trusted: set[str] = set()  # a crash may have left files that aren't what they are called
        self._parts.mkdir(parents=True, exist_ok=True)
        self._own, descriptor = _own_folder(folder / "working")
        self._leased = self._own / "leased"
        self._leased.mkdir()
        weakref.finalize(self, os.close, descriptor)

    def working_folder(self) -> Path:
        """An empty folder of the caller's own; it removes it."""
        folder = self._own / secrets.token_hex(8)
        folder.mkdir()
        return folder

    def spill_folder(self) -> Path:
        """Where a database may put what doesn't fit into memory; not there yet."""
        return self._own / f"spilled-{secrets.token_hex(8)}"

    def lease(self, digest: str) -> Path | None:
        """The file, kept until it is released as often; None if it isn't here."""
        path = self.path(digest)
        with self._lock:
            if digest not in self._leases:
                try:
                    path.hardlink_to(self._part(digest))
                except FileNotFoundError:
                    return None
                if digest not in self._trusted and digest_of(path.read_bytes()) != digest:
                    path.unlink()
                    self._part(digest).unlink(missing_ok=True)
                    return None
            os.utime(path)
            self._trusted.add(digest)
            self._leases[digest] += 1
            return path

    def add(self, data: bytes) -> str:
        """Keeps bytes; gives their digest, leased."""
        temporary = self._own / secrets.token_hex(8)
        temporary.write_bytes(data)
        return self.adopt(temporary, digest_of(data))

    def adopt(self, file: Path, digest: str | None = None) -> str:
        """Moves a file in; gives the digest of its content, leased."""
        name = digest or digest_of(file.read_bytes())
        with self._lock:
            if name not in self._leases:
                self.path(name).hardlink_to(file)
            file.replace(self._part(name))
            self._trusted.add(name)
            self._leases[name] += 1
        self._evict()
        return name

    def leased_at(self, path: Path) -> str | None:
        """Leases a file of this cache by its path; None for a file that is elsewhere."""
        return path.stem if path.parent == self._leased and self.lease(path.stem) else None

    def release(self, digests: Iterable[str]) -> None:
        """Ends one lease of each."""
        with self._lock:
            for digest in digests:
                self._leases[digest] -= 1
                if self._leases[digest] <= 0:
                    del self._leases[digest]
                    self.path(digest).unlink(missing_ok=True)
        self._evict()

    def discard(self, digests: Iterable[str]) -> None:
        """Removes files that nobody will ask for again; leased ones are there until they are released."""
        for digest in digests:
            self._part(digest).unlink(missing_ok=True)

    def _evict(self) -> None:
        with self._lock:
            found = []
            for entry in os.scandir(self._parts):
                with suppress(FileNotFoundError):
                    found.append((entry.stat().st_mtime_ns, entry.stat().st_size, entry.name))
            used = sum(size for _, size, _ in found)
            for _, size, name in sorted(found):
                if used <= self._limit:
                    return
                if name.removesuffix(".parquet") not in self._leases:
                    (self._parts / name).unlink(missing_ok=True)
                    used -= size

    def size(self, digest: str) -> int:
        """Bytes of a leased file."""
        return self.path(digest).stat().st_size

    def path(self, digest: str) -> Path:
        """Where the file is while it is leased."""
        return self._leased / f"{digest}.parquet"

    def _part(self, digest: str) -> Path:
        return self._parts / f"{digest}.parquet"


def _own_folder(working: Path) -> tuple[Path, int]:
    """A new folder of this process, and the descriptor that locks it; those that nobody locks are removed."""
    working.mkdir(parents=True, exist_ok=True)
    starting = os.open(working, os.O_RDONLY)
    try:
        fcntl.flock(starting, fcntl.LOCK_EX)  # or a folder could be removed before it is locked
        for left in working.iterdir():
            _remove_unlocked(left)
        own = working / secrets.token_hex(8)
        own.mkdir()
        descriptor = os.open(own, os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        return own, descriptor
    finally:
        os.close(starting)


def _remove_unlocked(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    finally:
        os.close(descriptor)
    shutil.rmtree(folder, ignore_errors=True)
