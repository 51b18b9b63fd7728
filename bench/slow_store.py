"""A store that takes its time, as one at the other end of a network does."""

import time
from collections.abc import Iterable, Iterator

from archive.store.base import Object, ObjectInfo, Store


class SlowStore:
    """Every request takes `seconds` longer than with the store behind; a page of a listing is a request."""

    def __init__(self, store: Store, seconds: float) -> None:
        self._store = store
        self._seconds = seconds

    def _wait(self) -> None:
        if self._seconds:
            time.sleep(self._seconds)

    def put(self, key: str, data: bytes) -> ObjectInfo:
        self._wait()
        return self._store.put(key, data)

    def get(
        self, key: str, *, start: int = 0, length: int | None = None, if_match: str | None = None
    ) -> Object:
        self._wait()
        return self._store.get(key, start=start, length=length, if_match=if_match)

    def get_suffix(self, key: str, length: int, *, if_match: str | None = None) -> Object:
        self._wait()
        return self._store.get_suffix(key, length, if_match=if_match)

    def list(self, prefix: str, *, after: str = "") -> Iterator[ObjectInfo]:
        self._wait()
        return self._store.list(prefix, after=after)

    def list_folders(self, prefix: str) -> Iterator[str]:
        self._wait()
        return self._store.list_folders(prefix)

    def delete(self, keys: Iterable[str]) -> None:
        self._wait()
        self._store.delete(keys)

    def now(self) -> float:
        return self._store.now()
