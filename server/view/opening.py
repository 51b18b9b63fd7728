"""Opening a session: the newest manifest, what was stored behind it, folded and laid over what was read.

Every step reads the archive or writes files of the cache; nothing here decides when. One opening of a session
runs at a time in a server; another server may do the same work beside it.
"""

import math
import shutil
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import duckdb

from archive.layout import SessionKey
from archive.store.base import Store
from server.fold.pool import PROCESSES, FoldPool
from server.fold.run import Run, SegmentRead
from server.view import coverage
from server.view.errors import SessionUnknown
from server.view.facts import Sighting, session_facts, sightings
from server.view.files import told
from server.view.listing import Listing
from server.view.manifest import Manifest, Part, digest_of, encoded, sentences
from server.view.merging import Files
from server.view.stored import Held, StoredViews
from server.view.view import SessionFacts, View, blank

Progress = Callable[[int, int], None]
EVERY_NODE_SECONDS: Final = 60.0
"""How often nodes of a running session are listed whose collectors have ended."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A view, and what it is of.

    `files`: the tables as they are read, leased by the view. `saved`: the newest manifest that the store is
    known to have, since `saved_at` by the monotonic clock; `tail`: the parts that `manifest` has beyond it.
    `unusable`: the store has manifests that cover up to this, and lacks files of theirs. `listed_at`: when
    every node was listed.
    """

    view: View
    manifest: Manifest
    files: Files
    saved: Manifest
    saved_at: float
    tail: tuple[Held, ...]
    unusable: int
    listed_at: float


@dataclass(slots=True)
class _Work:
    """One session while it is opened: what is known so far, and what it is done with."""

    key: SessionKey
    folder: Path
    progress: Progress
    manifest: Manifest
    files: Files
    saved: Manifest
    saved_at: float
    tail: tuple[Held, ...]
    unusable: int


class Opening:
    """Brings sessions up to date. Thread-safe, but for two calls with one session."""

    def __init__(
        self,
        store: Store,
        pool: FoldPool,
        threads: ThreadPoolExecutor,
        stored: StoredViews,
        lost_after: float,
    ) -> None:
        self._store = store
        self._cache = stored.cache
        self._pool = pool
        self._threads = threads
        self._stored = stored
        self._merging = stored.merging
        self._lost_after = lost_after

    def up_to_date(self, key: SessionKey, before: Opened | None, progress: Progress) -> Opened:
        """The session as it is stored now. Raises SessionUnknown, FoldFailed, StoreError."""
        catalog = self._threads.submit(sightings, self._store, key)
        listed_at = _listed_at(before, time.monotonic())
        every_node = before is None or listed_at != before.listed_at
        known = before.manifest if before else Manifest()
        listing = Listing(self._store, self._threads, key, known, every_node=every_node)
        database = (
            None if before else self._threads.submit(blank, self._cache.spill_folder())
        )  # takes as long as a request
        work = self._work(key, before, progress)
        try:
            listed = self._begin(work, listing)
            left = coverage.left_to_fold(work.manifest, list(listed))
            found = catalog.result()
            _require(key, found or left or work.manifest.origins)
            if left:
                self._fold(work, left)
            facts = self._facts(key, work.manifest, found)
            if before and before.manifest == work.manifest and before.view.facts == facts:
                self._stored.release(work.files)
                return replace(before, listed_at=listed_at)
            return Opened(
                self._view(work, facts, database.result() if database else self._blank()),
                work.manifest,
                work.files,
                work.saved,
                work.saved_at,
                work.tail,
                work.unusable,
                listed_at,
            )
        except BaseException:
            self._stored.release(work.files)
            if database is not None:
                database.result().close()
            raise
        finally:
            shutil.rmtree(work.folder, ignore_errors=True)

    def _work(self, key: SessionKey, before: Opened | None, progress: Progress) -> _Work:
        folder = self._cache.working_folder()
        if before is None:
            return _Work(key, folder, progress, Manifest(), {}, Manifest(), -math.inf, (), 0)
        files = self._stored.lease(dict(before.files))
        return _Work(
            key,
            folder,
            progress,
            before.manifest,
            files,
            before.saved,
            before.saved_at,
            before.tail,
            before.unusable,
        )

    def _begin(self, work: _Work, listing: Listing) -> Iterator[coverage.Listed]:
        """Goes on from a newer manifest, if the store has one whose files can be had; gives what is stored
        behind it, which is listed while the files are fetched.
        """
        for manifest in self._stored.manifests(work.key, max(work.saved.covered, work.unusable)):
            behind = listing.behind(manifest)
            parts = self._stored.parts(
                work.key, [part for part in manifest.parts if part not in work.saved.parts]
            )
            if parts is not None:
                self._take(work, parts)
                if work.saved.origins:  # another server keeps this session's view fresh, too
                    work.saved_at = time.monotonic()
                work.manifest = work.saved = manifest
                work.tail = ()
                return behind
            work.unusable = max(work.unusable, manifest.covered)
        return listing.behind(work.manifest)

    def _take(self, work: _Work, parts: Sequence[Files]) -> None:
        """Adds leased parts to what is read, which keeps or ends their leases."""
        rest = sorted(parts, key=self._size)
        if not work.files and rest:
            work.files = rest.pop()
        fresh: dict[str, list[Path]] = {}
        try:
            for part in rest:
                for table, paths in self._merging.paths(part).items():
                    fresh.setdefault(table, []).extend(paths)
            if fresh:
                work.files = self._merging.laid_over(work.files, fresh, work.folder)
        finally:
            for part in rest:
                self._stored.release(part)

    def _size(self, files: Files) -> int:
        return sum(self._cache.size(digest) for some in files.values() for digest in some)

    def folded(self, key: SessionKey) -> SessionFacts | None:
        """The facts of a session whose newest manifest covers all of it, else None. Raises StoreError."""
        manifest = next(self._stored.manifests(key), None)
        if manifest is None:
            return None
        listing = Listing(self._store, self._threads, key, manifest)
        if coverage.left_to_fold(manifest, list(listing.behind(manifest))):
            return None
        return self._facts(key, manifest, sightings(self._store, key))

    def discard(self, opened: Opened) -> None:
        """Removes an opened session's files from the cache, as soon as nobody reads them."""
        parts = [opened.files, *(held.files for held in opened.tail)]
        self._cache.discard(digest for files in parts for some in files.values() for digest in some)

    def _facts(self, key: SessionKey, manifest: Manifest, found: Sequence[Sighting]) -> SessionFacts:
        seen = max((origin.written_ms for origin in manifest.origins), default=None)
        return session_facts(key, found, self._store.now(), seen, self._lost_after)

    def _fold(self, work: _Work, left: Sequence[coverage.Listed]) -> None:
        """Folds what was left into one more part, and adds it to what is read."""
        reads: list[SegmentRead] = []

        def told(read: SegmentRead) -> None:
            reads.append(read)
            work.progress(len(reads), len(left))

        work.progress(0, len(left))
        runs = [
            Run(self._store, tuple(infos), (), work.folder, f"run{place}")
            for place, infos in enumerate(coverage.runs(left, PROCESSES))
        ]
        results = self._pool.run_all(runs, told)
        lines, carried = coverage.edges(work.manifest, results)
        if lines:
            results.append(self._pool.run(Run(self._store, (), tuple(lines), work.folder, "edges"), told))
        fresh: dict[str, list[Path]] = {}
        for result in results:
            for table, path in result.files:
                fresh.setdefault(table, []).append(path)
        origins, damaged = coverage.advanced(work.manifest, left, reads)
        parts = (*work.manifest.parts, *([self._added(work, fresh)] if fresh else []))
        work.manifest = Manifest(parts=parts, origins=origins, carried=tuple(carried), damaged=damaged)

    def _added(self, work: _Work, fresh: dict[str, list[Path]]) -> Part:
        """One more part of what was folded, read and held until it is saved."""
        part = self._merging.merged(fresh, work.folder)
        work.tail = (*work.tail, self._stored.held(part))
        self._take(work, [self._stored.lease(dict(part))])
        return self._merging.references(part)

    def _blank(self) -> duckdb.DuckDBPyConnection:
        return blank(self._cache.spill_folder())

    def _view(self, work: _Work, facts: SessionFacts, database: duckdb.DuckDBPyConnection) -> View:
        told_apart = Manifest(origins=work.manifest.origins, damaged=work.manifest.damaged)
        version = digest_of(encoded(told_apart) + repr(facts).encode())
        with told():
            paths = self._merging.paths(work.files)
            view = View(work.key, version, facts, (), paths, database=database)
            view.gaps = tuple(sentences(work.manifest, view.rows(_UNREADABLE)))
        leases = weakref.finalize(view, self._stored.release, work.files)
        leases.atexit = False
        return view


def _listed_at(before: Opened | None, now: float) -> float:
    """When every node was listed, once that is done which is to be done now."""
    if before is None or before.view.facts.state != "running":
        return now
    return now if now - before.listed_at >= EVERY_NODE_SECONDS else before.listed_at


_UNREADABLE: Final = (
    "SELECT reason, string_agg(DISTINCT detail, ', ' ORDER BY detail), sum(amount)::BIGINT "
    "FROM completeness GROUP BY reason ORDER BY reason"
)


def _require(key: SessionKey, anything: object) -> None:
    if not anything:
        raise SessionUnknown(f"the archive holds no session {key.path}; the list of sessions tells which")
