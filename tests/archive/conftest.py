"""What the archive's tests share."""

from pathlib import Path

import pytest

from archive.layout import Origin, SegmentName, SessionKey
from archive.segment import Facts
from archive.store.local import LocalStore

SESSION = SessionKey("team", "raycluster", "session_2026-11-23_02-43-27_490622_12278")
NODE = "ab" * 28
ORIGIN = Origin(1795402103123, "9f3ac210")


@pytest.fixture
def name() -> SegmentName:
    return SegmentName(SESSION, NODE, ORIGIN, 1)


@pytest.fixture
def facts(name: SegmentName) -> Facts:
    return Facts(name, 1795402110000, "0.1.0", {"role": "head"}, {}, (), closed=True, final=None)


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    root = tmp_path / "store"
    root.mkdir()
    return LocalStore(root)
