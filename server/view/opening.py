"""Opening a session: the newest manifest, what was stored behind it, folded and merged.

Every step reads the archive or writes files of the cache; nothing here decides when. One opening of a session runs at
a time in a server; another server doing the same work writes the same objects.
"""

import logging
import shutil
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from archive.errors import ObjectMissing, StoreError
from archive.layout import SessionKey, segments_prefix
from archive.store.base import Store
from server.fold.pool import PROCESSES, FoldPool
from server.fold.run import Run, RunResult, SegmentRead
from server.view import coverage
from server.view.cache import Cache
from server.view.errors import PartDamaged, SessionUnknown
from server.view.facts import Sighting, session_facts, sightings
from server.view.files import merge_files
from server.view.manifest import (
    FileRef,
    Manifest,
    decoded,
    digest_of,
    encoded,
    manifest_key,
    manifests_prefix,
    part_key,
    sentences,
)
from server.view.view import View

_log = logging.getLogger(__name__)

MOST_PARTS: Final = 8
_NEWEST: Final = 3
"""How many manifests are tried before a session is folded afresh."""

Progress = Callable[[int, int], None]
Files = dict[str, list[str]]
"""Digests by table."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A view, the manifest that it is of, and the cache's files in it. `saved`: the store has that manifest."""

    view: View
    manifest: Manifest
    files: Files
    saved: bool


class Opening:
    """Brings sessions up to date. Thread-safe, but for two calls with one session."""

    def __init__(
        self, store: Store, cache: Cache, pool: FoldPool, threads: ThreadPoolExecutor, lost_after: float
    ) -> None:
        self._store = store
        self._cache = cache
        self._pool = pool
        self._threads = threads
        self._lost_after = lost_after

    def up_to_date(self, key: SessionKey, before: Opened | None, progress: Progress) -> Opened:
        """The session as it is stored now. Raises SessionUnknown, FoldFailed, StoreError."""
        catalog = self._threads.submit(sightings, self._store, key)
        nodes = self._threads.submit(lambda: list(self._store.list_folders(segments_prefix(key))))
        manifest, files = (before.manifest, self._again(before.files)) if before else self._stored(key)
        folder = self._cache.working_folder()
        try:
            listed = self._listed(key, manifest, nodes.result())
            found = catalog.result()
            if not found and not listed and not manifest.origins:
                raise SessionUnknown(f"the archive holds no session {key.path}")
            left = coverage.left_to_fold(manifest, listed)
            saved = before.saved if before else bool(manifest.origins)
            if left:
                manifest, files = self._folded(key, manifest, files, left, folder, progress)
                saved = False
            elif any(len(some) > 1 for some in files.values()):
                files = self._merged(files, {}, folder)
            return Opened(self._view(key, manifest, files, found), manifest, files, saved)
        except BaseException:
            self._cache.release(digest for some in files.values() for digest in some)
            raise
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def save(self, key: SessionKey, opened: Opened) -> None:
        """Stores the parts and then the manifest. Raises StoreError."""
        for some in opened.files.values():
            for digest in some:
                path = self._cache.lease(digest)
                if path is None:
                    return
                try:
                    self._store.put(part_key(key, digest), path.read_bytes())
                finally:
                    self._cache.release([digest])
        self._store.put(manifest_key(key, opened.manifest), encoded(opened.manifest))

    def _stored(self, key: SessionKey) -> tuple[Manifest, Files]:
        """The newest manifest whose parts can be had, and its files; an empty one if there is none."""
        names = [info.key for info in self._store.list(manifests_prefix(key))]
        for name in reversed(names[-_NEWEST:]):
            files: Files = {}
            try:
                manifest = decoded(self._store.get(name).data, name)
                fetched = [self._threads.submit(self._fetched, key, file) for file in manifest.files]
                for file, future in zip(manifest.files, fetched, strict=True):
                    files.setdefault(file.table, []).append(future.result())
            except (PartDamaged, ObjectMissing) as error:
                _log.warning("%s: %s", key.path, error)
                self._cache.release(digest for some in files.values() for digest in some)
                continue
            return manifest, files
        return Manifest(), {}

    def _fetched(self, key: SessionKey, file: FileRef) -> str:
        """The file in the cache, leased; from the store if need be. Raises PartDamaged, StoreError."""
        if self._cache.lease(file.digest) is None:
            data = self._store.get(part_key(key, file.digest)).data
            if digest_of(data) != file.digest:
                raise PartDamaged(
                    f"the part {file.digest} was changed: its digest differs; the session is folded afresh"
                )
            self._cache.add(data)
        return file.digest

    def _again(self, files: Files) -> Files:
        """Leases the files once more, for a view that follows. They are leased already, so they are here."""
        for some in files.values():
            for digest in some:
                self._cache.lease(digest)
        return files

    def _listed(self, key: SessionKey, manifest: Manifest, nodes: Sequence[str]) -> list[coverage.Listed]:
        listings: list[Future[list[coverage.Listed]]] = []
        for node_id in nodes:
            after = coverage.begin_after(manifest, key, node_id)
            prefix = segments_prefix(key, node_id)
            listings.append(self._threads.submit(partial(self._node_listed, prefix, after)))
        return [one for listing in listings for one in listing.result()]

    def _node_listed(self, prefix: str, after: str) -> list[coverage.Listed]:
        return coverage.parsed(self._store.list(prefix, after=after))

    def _folded(
        self,
        key: SessionKey,
        manifest: Manifest,
        files: Files,
        left: Sequence[coverage.Listed],
        folder: Path,
        progress: Progress,
    ) -> tuple[Manifest, Files]:
        reads: list[SegmentRead] = []

        def told(read: SegmentRead) -> None:
            reads.append(read)
            progress(len(reads), len(left))

        progress(0, len(left))
        waiting = [
            self._threads.submit(
                self._pool.run, Run(self._store, tuple(infos), (), folder, f"run{place}"), told
            )
            for place, infos in enumerate(coverage.runs(left, PROCESSES))
        ]
        results: list[RunResult] = [one.result() for one in waiting]
        lines, carried = coverage.edges(manifest, results)
        if lines:
            results.append(self._pool.run(Run(self._store, (), tuple(lines), folder, "edges"), told))
        fresh: dict[str, list[Path]] = {}
        for result in results:
            for table, path in result.files:
                fresh.setdefault(table, []).append(path)
        files = self._merged(files, fresh, folder)
        origins, damaged = coverage.advanced(manifest, left, reads)
        part = tuple(
            FileRef(table, digest, self._cache.size(digest))
            for table, some in sorted(files.items())
            for digest in some
        )
        return Manifest(parts=(part,), origins=origins, carried=tuple(carried), damaged=damaged), files

    def _merged(self, files: Files, fresh: Mapping[str, Sequence[Path]], folder: Path) -> Files:
        """Merges the cache's files with fresh ones; the result is leased instead of what went in."""
        kept = {self._cache.path(digest): digest for some in files.values() for digest in some}
        gathered = {table: [self._cache.path(digest) for digest in some] for table, some in files.items()}
        for table, some in fresh.items():
            gathered.setdefault(table, []).extend(some)
        unchanged = {table for table in files if table not in fresh and len(files[table]) == 1}
        merged = merge_files(
            {table: some for table, some in gathered.items() if table not in unchanged}, folder
        )
        result: Files = {table: list(files[table]) for table in unchanged}
        used = {digest for some in result.values() for digest in some}
        for table, paths in merged.items():
            result[table] = []
            for path in paths:
                digest = kept.get(path) or self._cache.adopt(path)
                result[table].append(digest)
                used.add(digest)
        self._cache.release(digest for digest in kept.values() if digest not in used)
        return result

    def _view(self, key: SessionKey, manifest: Manifest, files: Files, found: Sequence[Sighting]) -> View:
        last_seen_ms = max((origin.written_ms for origin in manifest.origins), default=None)
        facts = session_facts(key, found, self._store.now(), last_seen_ms, self._lost_after)
        paths = {table: [self._cache.path(digest) for digest in some] for table, some in files.items()}
        version = digest_of(encoded(manifest) + repr(facts).encode())
        view = View(key, version, facts, (), paths)
        unreadable = view.rows(
            "SELECT reason, any_value(detail), sum(amount)::BIGINT FROM completeness GROUP BY 1 ORDER BY 1"
        )
        view.gaps = tuple(sentences(manifest, unreadable))
        leases = weakref.finalize(
            view, self._cache.release, [digest for some in files.values() for digest in some]
        )
        leases.atexit = False
        return view


def stale(error: StoreError) -> str:
    """Why a view could not be brought up to date, as one of its gaps."""
    return f"what was stored since could not be read: {error}"
