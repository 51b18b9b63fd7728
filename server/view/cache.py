"""Files of views on the local disk: named by content, leased while a view uses them, the longest unused go
first.
"""

import os
import secrets
import shutil
import threading
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from server.view.manifest import digest_of

_TEMPORARY: Final = "working"


class Cache:
    """A folder with a byte limit. Leased files stay whatever the limit; what is left over of a crash is
    removed.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder = folder / "parts"
        self._working = folder / _TEMPORARY
        self._limit = limit
        self._lock = threading.Lock()
        self._leases: Counter[str] = Counter()
        self._trusted: set[str] = set()  # a crash may have left files that aren't what they are called
        self._unwanted: set[str] = set()
        shutil.rmtree(self._working, ignore_errors=True)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._working.mkdir(parents=True)

    def working_folder(self) -> Path:
        """An empty folder of the caller's own; it removes it."""
        folder = self._working / secrets.token_hex(8)
        folder.mkdir()
        return folder

    def lease(self, digest: str) -> Path | None:
        """The file, kept until it is released as often; None if it isn't here."""
        path = self.path(digest)
        with self._lock:
            try:
                os.utime(path)
                if digest not in self._trusted and digest_of(path.read_bytes()) != digest:
                    path.unlink()
                    return None
            except FileNotFoundError:
                return None
            self._trusted.add(digest)
            self._leases[digest] += 1
            return path

    def add(self, data: bytes) -> str:
        """Keeps bytes; gives their digest, leased."""
        temporary = self._working / secrets.token_hex(8)
        temporary.write_bytes(data)
        return self.adopt(temporary, digest_of(data))

    def adopt(self, file: Path, digest: str | None = None) -> str:
        """Moves a file in; gives the digest of its content, leased."""
        name = digest or digest_of(file.read_bytes())
        with self._lock:
            file.replace(self.path(name))
            self._trusted.add(name)
            self._leases[name] += 1
        self._evict()
        return name

    def leased_at(self, path: Path) -> str | None:
        """Leases a file of this cache by its path; None for a file that is elsewhere."""
        return path.stem if path.parent == self._folder and self.lease(path.stem) else None

    def release(self, digests: Iterable[str]) -> None:
        """Ends one lease of each."""
        with self._lock:
            self._leases.subtract(digests)
            self._leases = +self._leases
        self._evict()

    def discard(self, digests: Iterable[str]) -> None:
        """Removes files that nobody will ask for again; leased ones when they are released."""
        with self._lock:
            self._unwanted.update(digests)
        self._evict()

    def _evict(self) -> None:
        with self._lock:
            for digest in [digest for digest in self._unwanted if digest not in self._leases]:
                self.path(digest).unlink(missing_ok=True)
                self._trusted.discard(digest)
                self._unwanted.discard(digest)
            found = []
            for entry in os.scandir(self._folder):
                with suppress(FileNotFoundError):
                    found.append((entry.stat().st_mtime_ns, entry.stat().st_size, entry.name))
            used = sum(size for _, size, _ in found)
            for _, size, name in sorted(found):
                if used <= self._limit:
                    return
                if name.removesuffix(".parquet") not in self._leases:
                    (self._folder / name).unlink(missing_ok=True)
                    self._trusted.discard(name.removesuffix(".parquet"))
                    used -= size

    def size(self, digest: str) -> int:
        """Bytes of a leased file."""
        return self.path(digest).stat().st_size

    def path(self, digest: str) -> Path:
        """Where the file is while it is leased."""
        return self._folder / f"{digest}.parquet"
