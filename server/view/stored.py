"""Views as the store keeps them: found, fetched, saved, and cleared of what newer ones replaced."""

import logging
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from archive.errors import ObjectMissing
from archive.layout import SessionKey
from archive.store.base import Store
from server.view.cache import Cache
from server.view.errors import PartDamaged
from server.view.manifest import (
    FileRef,
    Manifest,
    Part,
    decoded,
    digest_of,
    encoded,
    manifest_key,
    manifests_prefix,
    part_key,
    prefix,
)
from server.view.merging import Files, Merging

_log = logging.getLogger(__name__)

TRIED: Final = 3
"""How many manifests are tried before a session is folded afresh."""
SUPERSEDED_SECONDS: Final = 3600.0
"""How long what was replaced stays, for servers that still read it."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Held:
    """Files of one part in the cache."""

    files: Files


class StoredViews:
    """Thread-safe. Servers that do the same at once put their objects beside each other's."""

    def __init__(self, store: Store, cache: Cache, threads: ThreadPoolExecutor) -> None:
        self.cache = cache
        self.merging = Merging(cache)
        self._store = store
        self._threads = threads

    def manifests(self, key: SessionKey, than: int = 0) -> Iterator[Manifest]:
        """Manifests that cover more bytes of segments, the newest first; a few. Raises StoreError."""
        names = [info.key for info in self._store.list(manifests_prefix(key))]
        covered = f"{manifests_prefix(key)}{than + 1:016d}"
        for name in reversed(names[-TRIED:]):
            if name < covered:
                break
            try:
                manifest = decoded(self._store.get(name).data, name)
            except (PartDamaged, ObjectMissing) as error:
                _log.warning("%s: %s", key.path, error)
            else:
                yield manifest

    def parts(self, key: SessionKey, parts: Sequence[Part]) -> list[Files] | None:
        """The files of stored parts, leased; None if they can't be had. Raises StoreError."""
        try:
            return self._fetched_all(key, parts)
        except (PartDamaged, ObjectMissing) as error:
            _log.warning("%s: %s; the session is folded afresh", key.path, error)
            return None

    def _fetched_all(self, key: SessionKey, parts: Sequence[Part]) -> list[Files]:
        fetched = [[self._threads.submit(self._fetched, key, file) for file in part] for part in parts]
        result: list[Files] = []
        trouble: Exception | None = None
        for part, futures in zip(parts, fetched, strict=True):
            result.append({})
            for file, future in zip(part, futures, strict=True):
                try:
                    future.result()
                    result[-1].setdefault(file.table, []).append(file.digest)
                except Exception as error:  # noqa: BLE001 - told below, when every lease is known
                    trouble = error
        if trouble is not None:
            for files in result:
                self.release(files)
            raise trouble
        return result

    def _fetched(self, key: SessionKey, file: FileRef) -> None:
        """Leases the file, fetched if need be. Raises PartDamaged, StoreError."""
        if self.cache.lease(file.digest) is not None:
            return
        data = self._store.get(part_key(key, file.digest)).data
        if digest_of(data) != file.digest:
            raise PartDamaged(f"the part {file.digest} was changed: its digest differs; it is not used")
        self.cache.add(data)

    def save(self, key: SessionKey, manifest: Manifest, than: Manifest) -> None:
        """Puts what the store lacks that has `than`, then the manifest. Raises StoreError."""
        stored = {file.digest for file in than.files}
        lacking = {file.digest for file in manifest.files} - stored
        puts = [self._threads.submit(self._put, key, digest) for digest in sorted(lacking)]
        for put in puts:
            put.result()
        self._store.put(manifest_key(key, manifest), encoded(manifest))

    def _put(self, key: SessionKey, digest: str) -> None:
        self._store.put(part_key(key, digest), self.cache.path(digest).read_bytes())

    def clear(self, key: SessionKey) -> None:
        """Removes manifests and parts that were replaced an hour ago and more, and parts of no manifest that
        old: what a server left that ended before its manifest. Raises StoreError.
        """
        manifests = list(self._store.list(manifests_prefix(key)))
        before = self._store.now() - SUPERSEDED_SECONDS
        old = {one.key for one, newer in pairwise(manifests) if newer.modified < before}
        parts = [info.key for info in self._store.list(f"{prefix(key)}parts/") if info.modified < before]
        if not old and not parts:
            return
        used: set[str] = set()
        for info in manifests:
            if info.key in old:
                continue
            try:
                manifest = decoded(self._store.get(info.key).data, info.key)
            except PartDamaged:
                old |= {info.key} if info.modified < before else set()
            except ObjectMissing:
                continue
            else:
                used |= {part_key(key, file.digest) for file in manifest.files}
        self._store.delete(old)
        self._store.delete([part for part in parts if part not in used])

    def release(self, files: Files) -> None:
        """Ends the files' leases."""
        self.cache.release(digest for some in files.values() for digest in some)

    def lease(self, files: Files) -> Files:
        """Leases files once more that are leased already."""
        for some in files.values():
            for digest in some:
                self.cache.lease(digest)
        return files

    def held(self, files: Files) -> Held:
        """Leased files that stay in the cache as long as somebody has this."""
        held = Held(files)
        weakref.finalize(held, self.release, files).atexit = False
        return held
