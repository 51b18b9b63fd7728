"""Looking into the logs folder, and never out of it.

Every step down opens the next folder relative to the one above and refuses links, so that no link, however
it is swapped in, leads a read out of the folder. Only regular files are seen.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

_DOWN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_DEPTH = 16


class Identity(NamedTuple):
    """One file, whatever its name. The inode may be used again once the file is gone."""

    device: int
    inode: int


class Seen(NamedTuple):
    """A regular file as one look found it; modified is in nanoseconds."""

    identity: Identity
    size: int
    modified: int


@dataclass(frozen=True, slots=True)
class Listing:
    """Path below the logs folder -> file. What lies below a blind folder ("serve/") couldn't be seen this
    time.
    """

    files: dict[str, Seen]
    blind: tuple[str, ...]
    overflow: bool


class Folder:
    """The logs folder during one scan."""

    def __init__(self, root: int) -> None:
        self._root = root

    @classmethod
    def open(cls, path: Path) -> Self | None:
        """None while there is no such folder. Raises OSError if it can't be looked into."""
        try:
            return cls(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def close(self) -> None:
        os.close(self._root)

    def list(self, limit: int) -> Listing:
        """All regular files, at most `limit` of them."""
        files: dict[str, Seen] = {}
        blind: list[str] = []
        pending = [""]
        while pending:
            below = pending.pop()
            if below.count("/") > _DEPTH:
                continue
            try:
                folder = self._descend(below)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError:
                blind.append(below)
                continue
            try:
                pending.extend(f"{below}{name}/" for name in _look(folder, below, files, limit))
            except OSError:
                blind.append(below)
            finally:
                os.close(folder)
        return Listing(files, tuple(blind), len(files) >= limit)

    def stat(self, path: str) -> Seen | None:
        """The file of this name now, None if there is no regular one."""
        above, _, name = path.rpartition("/")
        try:
            folder = self._descend(above)
            try:
                return _seen(os.stat(name, dir_fd=folder, follow_symlinks=False))
            finally:
                os.close(folder)
        except OSError:
            return None

    def open_file(self, path: str) -> int:
        """A descriptor for reading. Raises OSError; a link on the way, or at its end, is one."""
        above, _, name = path.rpartition("/")
        folder = self._descend(above)
        try:
            return os.open(name, _READ, dir_fd=folder)
        finally:
            os.close(folder)

    def _descend(self, below: str) -> int:
        folder = os.dup(self._root)
        for name in below.split("/"):
            if name:
                above = folder
                try:
                    folder = os.open(name, _DOWN, dir_fd=above)
                finally:
                    os.close(above)
        return folder


def seen_of(descriptor: int) -> Seen | None:
    """The file behind a descriptor, None if it is no regular one."""
    return _seen(os.fstat(descriptor))


def _seen(found: os.stat_result) -> Seen | None:
    if not stat.S_ISREG(found.st_mode):
        return None
    return Seen(Identity(found.st_dev, found.st_ino), found.st_size, found.st_mtime_ns)


def _look(folder: int, below: str, files: dict[str, Seen], limit: int) -> Iterator[str]:
    """Adds the folder's regular files and yields the names of its folders."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_file(follow_symlinks=False):
                if len(files) >= limit:
                    return
                try:
                    found = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                identity = Identity(found.st_dev, found.st_ino)
                files[below + entry.name] = Seen(identity, found.st_size, found.st_mtime_ns)
            elif entry.is_dir(follow_symlinks=False):
                yield entry.name
