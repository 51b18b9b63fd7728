"""What every store can do. Nothing here depends on append, compare-and-swap, versions or tags."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One object as the store tells it. `size` in bytes; `modified` in seconds by the store's own clock."""

    key: str
    size: int
    etag: str
    modified: float


@dataclass(frozen=True, slots=True)
class Object:
    """Bytes of an object: `data` begins at byte `start` of it; `info` tells the version they are of."""

    info: ObjectInfo
    data: bytes
    start: int


class Store(Protocol):
    """Synchronous and thread-safe. Everything raises StoreError, or NameInvalid for a key that can't be."""

    def put(self, key: str, data: bytes) -> ObjectInfo:
        """Replace the object whole, atomically: a reader sees the old bytes or the new."""
        ...

    def get(
        self, key: str, *, start: int = 0, length: int | None = None, if_match: str | None = None
    ) -> Object:
        """Bytes from `start`, at most `length` of them; none where `start` lies behind the end.

        Raises ObjectMissing, and ObjectChanged when the ETag is no longer `if_match`.
        """
        ...

    def get_suffix(self, key: str, length: int, *, if_match: str | None = None) -> Object:
        """The last `length` bytes, the whole object if it is shorter. Raises as `get` does."""
        ...

    def list(self, prefix: str, *, after: str = "") -> Iterator[ObjectInfo]:
        """Objects whose key begins with `prefix` and is greater than `after`, by code point and in order."""
        ...

    def list_folders(self, prefix: str) -> Iterator[str]:
        """Names directly below `prefix` that have objects below, in order; `prefix` ends with a slash."""
        ...

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects; missing ones are fine."""
        ...

    def now(self) -> float:
        """The clock that `modified` is read from, in seconds."""
        ...
