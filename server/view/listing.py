"""Listing a session's segments: in one request where they are few, else node by node behind what is folded.

A node of a running session whose origins have all ended is listed now and then only: another collector may
still begin an origin there, but of a long session most nodes are gone.
"""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Final

from archive.errors import NameInvalid
from archive.layout import SessionKey, segments_prefix
from archive.store.base import ObjectInfo, Store
from server.view import coverage
from server.view.coverage import Listed
from server.view.manifest import Manifest

FEW: Final = 1_000
"""As many objects as a store tells at once."""


class Listing:
    """Begins at once, beside what else opening a session asks for. `known`: what of it is folded already.

    `every_node`: also those whose origins have all ended. Its methods raise StoreError.
    """

    def __init__(
        self,
        store: Store,
        threads: ThreadPoolExecutor,
        key: SessionKey,
        known: Manifest,
        *,
        every_node: bool = True,
    ) -> None:
        self._store = store
        self._threads = threads
        self._key = key
        self._every_node = every_node
        self._nodes = threads.submit(lambda: list(store.list_folders(segments_prefix(key))))
        self._few = threads.submit(self._all_of_few) if coverage.segments(known) < FEW else None

    def behind(self, manifest: Manifest) -> "Iterator[Listed]":
        """What may not be in the manifest yet. Asked for now, told when the first one is taken."""
        few = self._few.result() if self._few is not None else None
        if few is not None:
            return iter(few)
        over = frozenset() if self._every_node else coverage.over(manifest)
        nodes = [node for node in self._nodes.result() if node not in over]
        return _told([self._threads.submit(self._of_node, manifest, node) for node in nodes])

    def _all_of_few(self) -> list[Listed] | None:
        """None if there are more than one request tells."""
        infos: list[ObjectInfo] = list(islice(self._store.list(segments_prefix(self._key)), FEW))
        return coverage.parsed(infos) if len(infos) < FEW else None

    def _of_node(self, manifest: Manifest, node_id: str) -> list[Listed]:
        try:
            prefix = segments_prefix(self._key, node_id)
        except NameInvalid:
            return []  # a folder that no collector made
        after = coverage.begin_after(manifest, self._key, node_id)
        return coverage.parsed(self._store.list(prefix, after=after))


def _told(nodes: list[Future[list[Listed]]]) -> Iterator[Listed]:
    for node in nodes:
        yield from node.result()
