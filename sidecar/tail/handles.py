"""The files that are kept open, so that what the ring deletes can still be read."""

import os
from collections import OrderedDict

from sidecar.tail.chain import Piece
from sidecar.tail.folder import Folder, Seen, seen_of


class FileReplaced(OSError):
    """Another file has the name by now; the next scan will tell which."""


class Handles:
    """At most `limit` open files: the one used longest ago goes first, files gone from their ring last."""

    def __init__(self, limit: int) -> None:
        self._limit = max(1, limit)
        self._open: OrderedDict[Piece, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    def __contains__(self, piece: Piece) -> bool:
        return piece in self._open

    @property
    def full(self) -> bool:
        return len(self._open) >= self._limit

    def open(self, folder: Folder | None, path: str, piece: Piece) -> int:
        """A descriptor of this very file. Raises OSError, FileReplaced if the path leads to another."""
        held = self._open.get(piece)
        if held is not None:
            self._open.move_to_end(piece)
            return held
        if folder is None:
            raise FileNotFoundError(path)
        descriptor = folder.open_file(path)
        seen = seen_of(descriptor)
        if seen is None or seen.identity != piece.identity:
            os.close(descriptor)
            raise FileReplaced(path)
        while self.full:
            self.drop(next((each for each in self._open if not each.gone), next(iter(self._open))))
        self._open[piece] = descriptor
        return descriptor

    def stat(self, piece: Piece) -> Seen | None:
        """The file as it is now, None if it isn't open."""
        held = self._open.get(piece)
        return None if held is None else seen_of(held)

    def drop(self, piece: Piece) -> None:
        held = self._open.pop(piece, None)
        if held is not None:
            os.close(held)

    def close(self) -> None:
        for piece in list(self._open):
            self.drop(piece)
