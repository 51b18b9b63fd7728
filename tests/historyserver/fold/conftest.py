"""Small sessions in a folder, and what of them has a view."""

from collections.abc import Callable
from pathlib import Path

import pytest

from archive.catalog import CatalogEntry, encode
from archive.layout import Origin, Role, SegmentName, SessionKey
from archive.segment import Facts, Range, build
from archive.store.local import LocalStore
from server.view.manifest import manifests_prefix

NODE = "593fd952d75624efbbf93821c408b4a5b6ed6b4e138c1229c87eca3b"
EVENT = b'{"nodeDefinitionEvent": {"nodeId": "QU9UL1pVdFdKTzQ="}}\n'


class Archive:
    """A folder with sessions that have no view."""

    def __init__(self, root: Path) -> None:
        root.mkdir()
        self.url = root.as_uri()
        self.root = root
        self.store = LocalStore(root)

    def put(self, count: int, namespace: str = "team") -> list[SessionKey]:
        """Stores sessions; the newest first."""
        keys = [
            SessionKey(namespace, "folded", f"session_2026-11-23_02-{59 - number:02}-00_000000_1")
            for number in range(count)
        ]
        for key in keys:
            self.put_segment(key, 1)
            entry = CatalogEntry(
                namespace=namespace,
                cluster=key.cluster,
                session=key.session,
                role=Role.HEAD,
                state="ended",
                last_seen_ms=1_795_402_103_000,
            )
            self.store.put(entry.name.key, encode(entry))
        return keys

    def put_segment(self, key: SessionKey, sequence: int, data: bytes | None = None) -> None:
        name = SegmentName(key, NODE, Origin(1_795_401_810_000, "0123abcd"), sequence)
        facts = Facts(name, 1_795_402_103_000, "test", {"role": "head"}, {}, (), True, None)
        start = (sequence - 1) * len(EVENT)
        self.store.put(name.key, data or build(facts, [Range("events", start, EVENT)]))

    def viewed(self, keys: list[SessionKey]) -> list[SessionKey]:
        """Those that have a stored view."""
        return [key for key in keys if any(self.store.list(manifests_prefix(key)))]

    def views(self) -> list[str]:
        return [info.key for info in self.store.list("v1/views/")]


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path / "archive")


@pytest.fixture
def make_archive() -> Callable[[Path], Archive]:
    return Archive
