"""The objects of one bucket, in memory or in a folder.

In a folder every object is a file named by a number, and `index.jsonl` has a line for each put and delete,
written when the file is complete; a restart reads it, and drops a torn last line.
"""

from __future__ import annotations

import bisect
import hashlib
import json
import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import crcmod

from fake_oss.wire import FileSpan

_CRC64: Final = crcmod.mkCrcFun(0x142F0E1EBA9EA3693, initCrc=0, rev=True, xorOut=0xFFFFFFFFFFFFFFFF)

_KEPT: Final = 64


def crc64(data: bytes | memoryview) -> int:
    return int(_CRC64(data))


@dataclass(frozen=True, slots=True)
class Stored:
    """One version of an object. Times in seconds by the service's clock, whole ones as OSS tells them."""

    key: str
    size: int
    md5: str
    crc: int
    modified: int
    first_put: float
    content_type: str
    place: bytes | Path

    @property
    def etag(self) -> str:
        return f'"{self.md5.upper()}"'

    def span(self, start: int, length: int) -> memoryview | FileSpan:
        if isinstance(self.place, Path):
            return FileSpan(self.place, start, length)
        return memoryview(self.place)[start : start + length]

    def read(self) -> bytes:
        return self.place.read_bytes() if isinstance(self.place, Path) else self.place


class Objects:
    """Thread-safe; a reader keeps the version it found."""

    def __init__(self, folder: Path | None) -> None:
        self._lock = threading.Lock()
        self._by_key: dict[str, Stored] = {}
        self._keys: list[str] = []
        self._folder = folder
        self._number = 0
        self._replaced: deque[Path] = deque()
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            self._load(folder)
            self._index = (folder / "index.jsonl").open("a", encoding="utf-8")

    def get(self, key: str) -> Stored | None:
        return self._by_key.get(key)

    def put(self, key: str, data: bytes, content_type: str, now: float) -> Stored:
        with self._lock:
            self._number += 1
            number = self._number
        md5, crc = hashlib.md5(data, usedforsecurity=False).hexdigest(), crc64(data)
        place: bytes | Path = data
        if self._folder is not None:
            place = self._folder / f"{number // 1000:06d}" / f"{number:09d}"
            place.parent.mkdir(exist_ok=True)
            place.write_bytes(data)
        with self._lock:
            old = self._by_key.get(key)
            first_put = now if old is None else old.first_put
            stored = Stored(key, len(data), md5, crc, int(now), first_put, content_type, place)
            if old is None:
                bisect.insort(self._keys, key)
            self._by_key[key] = stored
            if self._folder is not None:
                self._note(number, stored)
        self._discard(old)
        return stored

    def delete(self, key: str) -> None:
        with self._lock:
            old = self._by_key.pop(key, None)
            if old is None:
                return
            del self._keys[bisect.bisect_left(self._keys, key)]
            if self._folder is not None:
                self._index.write(json.dumps({"deleted": key}) + "\n")
                self._index.flush()
        self._discard(old)

    def following(self, key: str, *, including: bool = False) -> Stored | None:
        """The object next in order of keys, by code point, which is the order of UTF-8 too."""
        with self._lock:
            find = bisect.bisect_left if including else bisect.bisect_right
            place = find(self._keys, key)
            return self._by_key[self._keys[place]] if place < len(self._keys) else None

    def keys(self, prefix: str = "") -> list[str]:
        with self._lock:
            return [key for key in self._keys if key.startswith(prefix)]

    def close(self) -> None:
        if self._folder is not None:
            self._index.close()
        for place in self._replaced:
            place.unlink()

    def _note(self, number: int, stored: Stored) -> None:
        row = {
            "number": number,
            "key": stored.key,
            "size": stored.size,
            "md5": stored.md5,
            "crc": stored.crc,
            "modified": stored.modified,
            "first_put": stored.first_put,
            "content_type": stored.content_type,
        }
        self._index.write(json.dumps(row) + "\n")
        self._index.flush()

    def _load(self, folder: Path) -> None:
        path = folder / "index.jsonl"
        if not path.exists():
            return
        complete = path.read_bytes().rpartition(b"\n")[0]
        for line in complete.splitlines():
            row = json.loads(line)
            if "deleted" in row:
                self._by_key.pop(row["deleted"], None)
                continue
            number = row.pop("number")
            self._number = max(self._number, number)
            place = folder / f"{number // 1000:06d}" / f"{number:09d}"
            self._by_key[row["key"]] = Stored(place=place, **row)
        path.write_bytes(complete + b"\n" if complete else b"")
        self._keys = sorted(self._by_key)

    def _discard(self, old: Stored | None) -> None:
        """Remove a file, a little later: who has just found it may be about to open it."""
        with self._lock:
            if old is not None and isinstance(old.place, Path):
                self._replaced.append(old.place)
            if len(self._replaced) > _KEPT:
                self._replaced.popleft().unlink()
