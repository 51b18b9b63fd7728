"""Opening a session: the newest manifest, what was stored behind it, folded and merged.

Every step reads the archive or writes files of the cache; nothing here decides when. One opening of a session
runs at a time in a server; another server may do the same work beside it.
"""

import shutil
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb

from archive.layout import SessionKey, segments_prefix
from archive.store.base import Store
from server.fold.pool import PROCESSES, FoldPool
from server.fold.run import Run, SegmentRead
from server.view import coverage
from server.view.cache import Cache
from server.view.errors import SessionUnknown
from server.view.facts import Sighting, session_facts, sightings
from server.view.files import merge_files, told
from server.view.manifest import FileRef, Manifest, digest_of, encoded, sentences
from server.view.stored import Files, StoredViews
from server.view.view import SessionFacts, View, blank

MOST_PARTS: Final = 8
SMALL_PART: Final = 4
"""A new part is kept apart while the others are that many times as large together."""

Progress = Callable[[int, int], None]
Listing = list[Future[list[coverage.Listed]]]
"""Segments node by node, while they are listed."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A view, and what it is of.

    `unsaved`: files that the store may lack, leased until the manifest is saved; None if the store has it.
    """

    view: View
    manifest: Manifest
    files: Files
    unsaved: Files | None


@dataclass(frozen=True, slots=True)
class _Work:
    """What folding one session needs beside the opening's own."""

    folder: Path
    progress: Progress
    ended: bool


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
        self._stored = StoredViews(store, cache, threads)

    def up_to_date(self, key: SessionKey, before: Opened | None, progress: Progress) -> Opened:
        """The session as it is stored now. Raises SessionUnknown, FoldFailed, StoreError."""
        catalog = self._threads.submit(sightings, self._store, key)
        nodes = self._threads.submit(lambda: list(self._store.list_folders(segments_prefix(key))))
        database = None if before else self._threads.submit(blank)  # takes as long as a request
        files: Files = {}
        unsaved: Files | None = None
        folder = self._cache.working_folder()
        try:
            manifest, files, listing = self._begin(key, before, nodes)
            apart = len(manifest.parts) > 1 and not (before and manifest == before.manifest)
            left = coverage.left_to_fold(manifest, listed(listing))
            found = catalog.result()
            _require(key, found or left or manifest.origins)
            facts = self._facts(key, manifest, found)
            if left:
                work = _Work(folder, progress, ended=facts.state == "ended")
                manifest, files, unsaved = self._folded(manifest, files, left, work)
            elif apart:
                files = self._merged(files, {}, folder)
            facts = self._facts(key, manifest, found)
            if before and before.manifest == manifest and before.view.facts == facts:
                self._stored.release(files)
                return before
            view = self._view(key, manifest, files, facts, database.result() if database else None)
            return Opened(view, manifest, files, unsaved)
        except BaseException:
            self._stored.release(files)
            if database is not None:
                database.result().close()
            raise
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _begin(
        self, key: SessionKey, before: Opened | None, nodes: Future[list[str]]
    ) -> tuple[Manifest, Files, Listing]:
        """The newest manifest whose files can be had, with them, and a listing of what is stored behind it.

        The listing goes on while the files are fetched.
        """
        known = before.manifest if before else Manifest()
        for manifest in self._stored.manifests(key, known):
            listing = self._listing(key, manifest, nodes.result())
            files = self._stored.files(key, manifest)
            if files is not None:
                return manifest, files, listing
        listing = self._listing(key, known, nodes.result())
        return known, self._stored.lease(before.files) if before else {}, listing

    def folded(self, key: SessionKey) -> SessionFacts | None:
        """The facts of a session whose newest manifest covers all of it, else None. Raises StoreError."""
        manifest = next(self._stored.manifests(key, Manifest()), None)
        if manifest is None:
            return None
        nodes = list(self._store.list_folders(segments_prefix(key)))
        if coverage.left_to_fold(manifest, listed(self._listing(key, manifest, nodes))):
            return None
        return self._facts(key, manifest, sightings(self._store, key))

    def save(self, key: SessionKey, opened: Opened) -> None:
        """Stores what a fold brought. Raises StoreError."""
        unsaved = opened.unsaved
        if unsaved is None:
            return
        try:
            self._stored.save(key, opened.manifest, [digest for some in unsaved.values() for digest in some])
        finally:
            self._stored.release(unsaved)

    def leave(self, opened: Opened) -> None:
        """Lets go of what a fold brought without storing it."""
        if opened.unsaved is not None:
            self._stored.release(opened.unsaved)

    def discard(self, opened: Opened) -> None:
        """Removes an opened session's files from the cache, as soon as nobody reads them."""
        self._cache.discard(digest for some in opened.files.values() for digest in some)

    def _listing(self, key: SessionKey, manifest: Manifest, nodes: Sequence[str]) -> Listing:
        def of_node(node_id: str) -> list[coverage.Listed]:
            after = coverage.begin_after(manifest, key, node_id)
            return coverage.parsed(self._store.list(segments_prefix(key, node_id), after=after))

        return [self._threads.submit(of_node, node_id) for node_id in nodes]

    def _facts(self, key: SessionKey, manifest: Manifest, found: Sequence[Sighting]) -> SessionFacts:
        seen = max((origin.written_ms for origin in manifest.origins), default=None)
        return session_facts(key, found, self._store.now(), seen, self._lost_after)

    def _folded(
        self, manifest: Manifest, files: Files, left: Sequence[coverage.Listed], work: _Work
    ) -> tuple[Manifest, Files, Files]:
        """The manifest and files with what was left, and the files that the store lacks."""
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
        lines, carried = coverage.edges(manifest, results)
        if lines:
            results.append(self._pool.run(Run(self._store, (), tuple(lines), work.folder, "edges"), told))
        fresh: dict[str, list[Path]] = {}
        for result in results:
            for table, path in result.files:
                fresh.setdefault(table, []).append(path)
        origins, damaged = coverage.advanced(manifest, left, reads)
        parts, files, unsaved = self._with_part(manifest, files, fresh, work)
        return Manifest(parts=parts, origins=origins, carried=tuple(carried), damaged=damaged), files, unsaved

    def _with_part(
        self, manifest: Manifest, files: Files, fresh: Mapping[str, Sequence[Path]], work: _Work
    ) -> tuple[tuple[tuple[FileRef, ...], ...], Files, Files]:
        """The parts with a new one, the merged files, and the new part's files.

        A small part stays apart, so that a running session isn't written again and again as a whole.
        """
        if not fresh:
            return manifest.parts, files, {}
        part = self._merged({}, fresh, work.folder)
        if not files:
            return (self._references(part),), part, self._stored.lease(part)
        paths = {table: [self._cache.path(digest) for digest in some] for table, some in part.items()}
        known = {file.digest for file in manifest.files}
        whole = self._merged(files, paths, work.folder)
        references = self._references(part)
        added, rest = (sum(file.size for file in some) for some in (references, manifest.files))
        if not work.ended and added * SMALL_PART < rest and len(manifest.parts) < MOST_PARTS:
            return (*manifest.parts, references), whole, part
        self._stored.release(part)
        lacking = {table: [digest for digest in some if digest not in known] for table, some in whole.items()}
        return (self._references(whole),), whole, self._stored.lease(lacking)

    def _references(self, files: Files) -> tuple[FileRef, ...]:
        return tuple(
            FileRef(table, digest, self._cache.size(digest))
            for table, some in sorted(files.items())
            for digest in some
        )

    def _merged(self, files: Files, fresh: Mapping[str, Sequence[Path]], folder: Path) -> Files:
        """Merges cached files with fresh ones; the result is leased, and `files` are not any more."""
        kept = {self._cache.path(digest): digest for some in files.values() for digest in some}
        gathered = {table: [self._cache.path(digest) for digest in some] for table, some in files.items()}
        for table, some in fresh.items():
            gathered.setdefault(table, []).extend(some)
        unchanged = {table for table, some in files.items() if table not in fresh and len(some) == 1}
        result: Files = {table: files[table] for table in unchanged}
        changed = {table: some for table, some in gathered.items() if table not in unchanged}
        for table, paths in merge_files(changed, folder).items():
            result[table] = [kept.get(path) or self._adopted(path) for path in paths]
        used = {digest for some in result.values() for digest in some}
        self._cache.release(digest for digest in kept.values() if digest not in used)
        return result

    def _adopted(self, path: Path) -> str:
        """A file of the working folder, or one that the cache has already, leased."""
        return self._cache.leased_at(path) or self._cache.adopt(path)

    def _view(
        self,
        key: SessionKey,
        manifest: Manifest,
        files: Files,
        facts: SessionFacts,
        database: duckdb.DuckDBPyConnection | None,
    ) -> View:
        paths = {table: [self._cache.path(digest) for digest in some] for table, some in files.items()}
        told_apart = Manifest(origins=manifest.origins, damaged=manifest.damaged)
        version = digest_of(encoded(told_apart) + repr(facts).encode())
        with told():
            view = View(key, version, facts, (), paths, database=database)
            view.gaps = tuple(sentences(manifest, view.rows(_UNREADABLE)))
        leases = weakref.finalize(view, self._stored.release, files)
        leases.atexit = False
        return view


def listed(listing: Listing) -> list[coverage.Listed]:
    """What was listed, when it all is. Raises StoreError."""
    return [one for of_node in listing for one in of_node.result()]


_UNREADABLE: Final = (
    "SELECT reason, string_agg(DISTINCT detail, ', ' ORDER BY detail), sum(amount)::BIGINT "
    "FROM completeness GROUP BY reason ORDER BY reason"
)


def _require(key: SessionKey, anything: object) -> None:
    if not anything:
        raise SessionUnknown(f"the archive holds no session {key.path}; the list of sessions tells which")
