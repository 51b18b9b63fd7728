"""A folder as a store, for trials, tests and volumes.

A put writes a temp file under `.incoming` in the same tree, syncs it and renames it over the key: a reader
sees the old object or the new one. `.incoming` is never listed. The ETag is modification time and size; the
time is set to the nanosecond before the rename, so two puts differ, and a copy that keeps times keeps ETags.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from archive.errors import (
    NameInvalid,
    ObjectChanged,
    ObjectMissing,
    StoreError,
    StoreMisconfigured,
    StoreRefused,
    TransientStoreError,
)
from archive.store.base import Object, ObjectInfo
from archive.store.keys import require_key

_INCOMING: Final = ".incoming"
_ABANDONED_SECONDS: Final = 3600.0
_REFUSED: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})

# From an object's size to the first byte asked for and the one behind the last.
Span = Callable[[int], tuple[int, int]]


class LocalStore:
    """Objects are files below `root`, which must exist: a mistyped path must not become an archive."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._swept = False

    def put(self, key: str, data: bytes) -> ObjectInfo:
        path = self._path(key)
        temporary = self._root / _INCOMING / secrets.token_hex(16)
        with self._telling(key):
            self._require_root()
            self._sweep()
            temporary.parent.mkdir(exist_ok=True)
            try:
                written = _write(temporary, data)
                with self._telling(key, effect_unknown=True):
                    _rename_into(temporary, path)
            finally:
                temporary.unlink(missing_ok=True)
        return _info(key, written)

    def get(
        self, key: str, *, start: int = 0, length: int | None = None, if_match: str | None = None
    ) -> Object:
        if start < 0 or (length is not None and length < 0):
            raise ValueError("start and length count bytes from 0")
        return self._read(key, lambda size: (start, size if length is None else start + length), if_match)

    def get_suffix(self, key: str, length: int, *, if_match: str | None = None) -> Object:
        if length < 0:
            raise ValueError("length counts bytes from 0")
        return self._read(key, lambda size: (max(0, size - length), size), if_match)

    def list(self, prefix: str, *, after: str = "") -> Iterator[ObjectInfo]:
        folder, _, beginning = prefix.rpartition("/")
        if folder:
            self._path(folder)
        with self._telling(prefix):
            self._require_root()
            yield from self._walk(f"{folder}/" if folder else "", beginning, after)

    def list_folders(self, prefix: str) -> Iterator[str]:
        with self._telling(prefix):
            self._require_root()
            folder = self._path(prefix.removesuffix("/")) if prefix else self._root
            for name, is_folder in _entries(folder):
                if is_folder and (folder, name) != (self._root, f"{_INCOMING}/"):
                    yield name.removesuffix("/")

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            path = self._path(key)
            with self._telling(key):
                self._require_root()
                path.unlink(missing_ok=True)
                self._remove_empty(path.parent)

    def now(self) -> float:
        return time.time()

    def _path(self, key: str) -> Path:
        require_key(key)
        parts = key.split("/")
        if parts[0] == _INCOMING:
            raise NameInvalid(f"{key[:300]!r} can't be an object's key: puts under way are kept there")
        return self._root.joinpath(*parts)

    def _require_root(self) -> None:
        if not self._root.is_dir():
            raise StoreMisconfigured(
                f"the store's folder {str(self._root)!r} does not exist: create it, or correct the URL"
            )

    def _read(self, key: str, span: Span, if_match: str | None) -> Object:
        path = self._path(key)
        with self._telling(key):
            try:
                descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            except (FileNotFoundError, NotADirectoryError):
                self._require_root()
                raise ObjectMissing(f"there is no object {key!r}") from None
            with os.fdopen(descriptor, "rb", buffering=0) as file:
                status = os.fstat(descriptor)
                if not stat.S_ISREG(status.st_mode):
                    raise ObjectMissing(f"there is no object {key!r}: a folder has its name")
                info = _info(key, status)
                if if_match is not None and if_match != info.etag:
                    raise ObjectChanged(f"{key!r} was replaced: list it and read again")
                start, end = span(info.size)
                file.seek(start)
                return Object(info, _read_exactly(file.fileno(), max(0, min(end, info.size) - start)), start)

    def _walk(self, folder: str, beginning: str, after: str) -> Iterator[ObjectInfo]:
        for name, is_folder in _entries(self._root / folder):
            key = folder + name
            if not name.startswith(beginning) or key.split("/", 1)[0] == _INCOMING:
                continue
            if is_folder:
                if key > after or after.startswith(key):
                    yield from self._walk(key, "", after)
            elif key > after:
                # Gone since the folder was read: then it isn't there.
                with contextlib.suppress(FileNotFoundError):
                    yield _info(key, (self._root / key).stat(follow_symlinks=False))

    def _remove_empty(self, folder: Path) -> None:
        while folder != self._root:
            try:
                folder.rmdir()
            except OSError:
                return
            folder = folder.parent

    def _sweep(self) -> None:
        """Remove what killed writers left in `.incoming`, once in this store's life."""
        if self._swept:
            return
        self._swept = True
        with contextlib.suppress(OSError):
            for path in (self._root / _INCOMING).iterdir():
                if path.stat().st_mtime < time.time() - _ABANDONED_SECONDS:
                    path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _telling(self, key: str, *, effect_unknown: bool = False) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._told(key, error, effect_unknown=effect_unknown) from error

    def _told(self, key: str, error: OSError, *, effect_unknown: bool) -> StoreError:
        what = f"the store's folder {str(self._root)!r} failed at {key!r}: {error.strerror}"
        if error.errno in _REFUSED:
            return StoreRefused(f"{what}; give this process the right, or mount the folder writable")
        if error.errno == errno.ENAMETOOLONG:
            return StoreMisconfigured(f"{what}; use a file system with names of 255 bytes")
        return TransientStoreError(what, effect_unknown=effect_unknown)


def _write(path: Path, data: bytes) -> os.stat_result:
    with path.open("xb", buffering=0) as file:
        view = memoryview(data)
        while view:
            view = view[file.write(view) :]
        now = time.time_ns()
        os.utime(file.fileno(), ns=(now, now))
        os.fsync(file.fileno())
        return os.fstat(file.fileno())


def _rename_into(temporary: Path, path: Path) -> None:
    """Rename, making folders; a delete beside us may remove an empty one again, hence more than one try."""
    for _ in range(3):
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            temporary.rename(path)
            return
    temporary.rename(path)


def _entries(folder: Path) -> list[tuple[str, bool]]:
    """Name and whether it is a folder, in the order of keys: a folder sorts as its name with a slash."""
    try:
        with os.scandir(folder) as entries:
            found = [(entry.name, entry.is_dir(follow_symlinks=False), entry) for entry in entries]
    except (FileNotFoundError, NotADirectoryError):
        return []
    plain = [
        (f"{name}/" if is_folder else name, is_folder)
        for name, is_folder, entry in found
        if is_folder or entry.is_file(follow_symlinks=False)
    ]
    return sorted(plain)


def _read_exactly(descriptor: int, length: int) -> bytes:
    pieces = []
    while length:
        piece = os.read(descriptor, min(length, 1 << 30))
        if not piece:
            break
        pieces.append(piece)
        length -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _info(key: str, status: os.stat_result) -> ObjectInfo:
    return ObjectInfo(key, status.st_size, f"{status.st_mtime_ns:x}-{status.st_size:x}", status.st_mtime)
