"""The files that are kept open, so that what the ring deletes can still be read."""

import os
from collections import OrderedDict

from sidecar.tail.folder import Folder, Identity, Seen, seen_of


class FileReplaced(OSError):
    """Another file has the name by now; the next scan will tell which."""


class Handles:
    """Open files by identity, at most `limit`: the one used longest ago goes first, deleted ones last."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open: OrderedDict[Identity, int] = OrderedDict()
        self._deleted: set[Identity] = set()

    def __len__(self) -> int:
        return len(self._open)

    def __contains__(self, identity: Identity) -> bool:
        return identity in self._open

    @property
    def full(self) -> bool:
        return len(self._open) >= self._limit

    def open(self, folder: Folder | None, path: str, identity: Identity) -> int:
        """A descriptor of this very file. Raises OSError, FileReplaced if the name leads to another."""
        held = self._open.get(identity)
        if held is not None:
            self._open.move_to_end(identity)
            return held
        if folder is None:
            raise FileNotFoundError(path)
        descriptor = folder.open_file(path)
        seen = seen_of(descriptor)
        if seen is None or seen.identity != identity:
            os.close(descriptor)
            raise FileReplaced(path)
        while self.full:
            self.drop(
                next((each for each in self._open if each not in self._deleted), next(iter(self._open)))
            )
        self._open[identity] = descriptor
        return descriptor

    def stat(self, identity: Identity) -> Seen | None:
        """The file as it is now, None if it isn't open."""
        held = self._open.get(identity)
        return None if held is None else seen_of(held)

    def deleted(self, identity: Identity) -> None:
        """Only this handle leads to the file now."""
        self._deleted.add(identity)

    def drop(self, identity: Identity) -> None:
        self._deleted.discard(identity)
        held = self._open.pop(identity, None)
        if held is not None:
            os.close(held)

    def close(self) -> None:
        for identity in list(self._open):
            self.drop(identity)
