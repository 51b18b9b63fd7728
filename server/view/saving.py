"""Saving views: when what a fold brought is worth storing, and which parts become one on the way.

A server stores a session's first view at once; then what came since, when it is much or some minutes old, as
one part more. Parts are merged size-tiered, those of a session that grows no more into one. What another
server stored meanwhile comes first: the next opening goes on from there.
"""

import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec

from archive.layout import SessionKey
from server.view.errors import PartDamaged
from server.view.manifest import Part
from server.view.merging import Files
from server.view.opening import Opened
from server.view.stored import StoredViews
from server.view.tiers import to_merge

SAVE_BYTES: Final = 8 << 20
"""How many bytes of segments are folded before they are stored as one part more."""
SAVE_SECONDS: Final = 300.0
"""How long what was folded waits to be stored."""
MOST_LAZY: Final = 4
"""Files of a table that only the timeline reads, in a part merged of others."""


class Saving:
    """Stores views. Thread-safe, but for two calls with one session."""

    def __init__(self, stored: StoredViews) -> None:
        self._stored = stored
        self._merging = stored.merging

    def due(self, opened: Opened, *, final: bool) -> bool:
        """Whether to save now. `final`: the session grows no more."""
        if opened.manifest == opened.saved:
            return final and len(opened.saved.parts) > 1
        return (
            final
            or not opened.saved.origins
            or opened.view.facts.state != "running"
            or opened.manifest.covered - opened.saved.covered >= SAVE_BYTES
            or time.monotonic() - opened.saved_at >= SAVE_SECONDS
        )

    def save(self, key: SessionKey, opened: Opened, *, final: bool) -> Opened:
        """Stores it, unless the store has something newer; gives what is opened now. Raises StoreError,
        FoldFailed, and PartDamaged when parts that become one can't be had: open afresh.
        """
        known = max(opened.saved.covered, opened.unusable)
        if next(self._stored.manifests(key, known), None) is not None:
            return opened
        folder = self._stored.cache.working_folder()
        files: Files | None = None
        try:
            chosen = _to_merge(opened, final=final)
            files = self._one(key, [opened.manifest.parts[place] for place in chosen], folder)
            manifest = opened.manifest
            if files is not None:
                kept = [part for place, part in enumerate(manifest.parts) if place not in chosen]
                parts = (*kept, self._merging.references(files))
                manifest = msgspec.structs.replace(manifest, parts=parts)
            self._stored.save(key, manifest, opened.saved)
        finally:
            self._stored.release(files or {})
            shutil.rmtree(folder, ignore_errors=True)
        return replace(opened, manifest=manifest, saved=manifest, saved_at=time.monotonic(), tail=())

    def _one(self, key: SessionKey, parts: Sequence[Part], folder: Path) -> Files | None:
        """One part of several, leased; None if they stay as they are."""
        if len(parts) < 2:
            return None
        fetched = self._stored.parts(key, parts)
        if fetched is None:
            raise PartDamaged("parts of the stored view are gone; the session is opened afresh")
        gathered: dict[str, list[Path]] = {}
        try:
            for files in fetched:
                for table, paths in self._merging.paths(files).items():
                    gathered.setdefault(table, []).extend(paths)
            return self._merging.merged(gathered, folder, MOST_LAZY)
        finally:
            for files in fetched:
                self._stored.release(files)


def _to_merge(opened: Opened, *, final: bool) -> list[int]:
    """Places of the parts that become one: all at the end, else the tail and what the tiers say."""
    parts = opened.manifest.parts
    if final:
        return list(range(len(parts)))
    first = len(parts) - len(opened.tail)
    tail = list(range(first, len(parts)))
    sizes = [sum(file.size for file in part) for part in parts]
    chosen = to_merge([*sizes[:first], sum(sizes[first:])])
    return [place for place in chosen if place < first] + tail
