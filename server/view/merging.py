"""Merging files of the cache: leases follow the files, and few large merges run at once."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from server.view.cache import Cache
from server.view.files import MOST_LAZY, lay_over, merge_files, size
from server.view.manifest import FileRef, Part

LARGE_BYTES: Final = 16 << 20
LARGE_AT_ONCE: Final = 2

Files = dict[str, list[str]]
"""Digests of cached files by table, each leased."""
Paths = Mapping[str, Sequence[Path]]


class Merging:
    """Thread-safe."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._places = threading.Semaphore(LARGE_AT_ONCE)

    def merged(self, files: Paths, folder: Path, most_lazy: int = MOST_LAZY) -> Files:
        """One part of many files. Raises FoldFailed."""
        with self._place(files):
            return self._adopted(merge_files(files, folder, most_lazy=most_lazy), {})

    def laid_over(self, files: Files, fresh: Paths, folder: Path) -> Files:
        """Tables as they are read, with fresh files of the cache; `files` aren't leased any more.

        Raises FoldFailed.
        """
        with self._place(fresh):
            return self._adopted(lay_over(self.paths(files), fresh, folder), files)

    def paths(self, files: Files) -> dict[str, list[Path]]:
        """Where leased files are."""
        return {table: [self._cache.path(digest) for digest in some] for table, some in files.items()}

    def references(self, files: Files) -> Part:
        """Leased files as a manifest names them."""
        return tuple(
            FileRef(table, digest, self._cache.size(digest))
            for table, some in sorted(files.items())
            for digest in some
        )

    def _adopted(self, result: Paths, before: Files) -> Files:
        """Files of the working folder and of the cache, all leased; those of `before` keep their lease or
        lose it.
        """
        kept = {self._cache.path(digest): digest for some in before.values() for digest in some}
        adopted = {
            table: [kept.get(path) or self._cache.leased_at(path) or self._cache.adopt(path) for path in some]
            for table, some in result.items()
        }
        used = {path for some in result.values() for path in some}
        self._cache.release(digest for path, digest in kept.items() if path not in used)
        return adopted

    @contextmanager
    def _place(self, files: Paths) -> Iterator[None]:
        """Waits for one of few places, unless the merge is small: those never wait for a large one."""
        if size(path for some in files.values() for path in some) < LARGE_BYTES:
            yield
            return
        with self._places:
            yield
