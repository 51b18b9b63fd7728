"""Views as the store keeps them: found, fetched, saved, and cleared of what newer ones replaced."""

import logging
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
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
    decoded,
    digest_of,
    encoded,
    manifest_key,
    manifests_prefix,
    part_key,
    prefix,
)

_log = logging.getLogger(__name__)

TRIED: Final = 3
"""How many manifests are tried before a session is folded afresh."""
SUPERSEDED_SECONDS: Final = 3600.0
"""How long what was replaced stays, for servers that still read it."""

Files = dict[str, list[str]]
"""Digests of cached files by table, each leased."""


class StoredViews:
    """Thread-safe. Servers that do the same at once put their objects beside each other's."""

    def __init__(self, store: Store, cache: Cache, threads: ThreadPoolExecutor) -> None:
        self._store = store
        self._cache = cache
        self._threads = threads

    def manifests(self, key: SessionKey, than: Manifest) -> Iterator[Manifest]:
        """Manifests that cover more than that one, the newest first; a few. Raises StoreError."""
        names = [info.key for info in self._store.list(manifests_prefix(key))]
        covered = f"{manifests_prefix(key)}{than.covered + 1:016d}"
        for name in reversed(names[-TRIED:]):
            if name < covered:
                break
            try:
                manifest = decoded(self._store.get(name).data, name)
            except (PartDamaged, ObjectMissing) as error:
                _log.warning("%s: %s", key.path, error)
            else:
                yield manifest

    def files(self, key: SessionKey, manifest: Manifest) -> Files | None:
        """A manifest's files; None if they can't be had. Raises StoreError."""
        try:
            return self._fetched_all(key, manifest)
        except (PartDamaged, ObjectMissing) as error:
            _log.warning("%s: %s", key.path, error)
            return None

    def _fetched_all(self, key: SessionKey, manifest: Manifest) -> Files:
        fetched = [self._threads.submit(self._fetched, key, file) for file in manifest.files]
        files: Files = {}
        trouble: Exception | None = None
        for file, future in zip(manifest.files, fetched, strict=True):
            try:
                future.result()
                files.setdefault(file.table, []).append(file.digest)
            except Exception as error:  # noqa: BLE001 - told below, when every lease is known
                trouble = error
        if trouble is not None:
            self.release(files)
            raise trouble
        return files

    def _fetched(self, key: SessionKey, file: FileRef) -> None:
        """Leases the file, fetched if need be. Raises PartDamaged, StoreError."""
        if self._cache.lease(file.digest) is not None:
            return
        data = self._store.get(part_key(key, file.digest)).data
        if digest_of(data) != file.digest:
            raise PartDamaged(f"the part {file.digest} was changed: its digest differs; it is not used")
        self._cache.add(data)

    def save(self, key: SessionKey, manifest: Manifest, digests: Iterable[str]) -> None:
        """Puts cached files that the store may lack, then the manifest. Raises StoreError."""
        for digest in digests:
            self._store.put(part_key(key, digest), self._cache.path(digest).read_bytes())
        self._store.put(manifest_key(key, manifest), encoded(manifest))
        self._clear(key)

    def _clear(self, key: SessionKey) -> None:
        """Removes manifests and parts that were replaced an hour ago and more."""
        manifests = list(self._store.list(manifests_prefix(key)))
        if len(manifests) < 2:
            return
        before = self._store.now() - SUPERSEDED_SECONDS
        old = {one.key for one, newer in pairwise(manifests) if newer.modified < before}
        used: set[str] = set()
        for info in manifests:
            if info.key in old:
                continue
            try:
                manifest = decoded(self._store.get(info.key).data, info.key)
            except (PartDamaged, ObjectMissing):
                continue
            used |= {part_key(key, file.digest) for file in manifest.files}
        parts = self._store.list(f"{prefix(key)}parts/")
        self._store.delete(old)
        self._store.delete([info.key for info in parts if info.key not in used and info.modified < before])

    def release(self, files: Files) -> None:
        """Ends the files' leases."""
        self._cache.release(digest for some in files.values() for digest in some)

    def lease(self, files: Files) -> Files:
        """Leases files once more that are leased already."""
        for some in files.values():
            for digest in some:
                self._cache.lease(digest)
        return files
