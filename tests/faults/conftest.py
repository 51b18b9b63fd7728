"""The rig as a fixture: a made-up Ray node, and a collector beside it, with a folder or object storage."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_oss import FakeOss
from faults.rig.in_oss import rig_in
from faults.rig.rig import Rig

from archive.store.url import open_store


@pytest.fixture
def rig(tmp_path: Path, chance: random.Random) -> Iterator[Rig]:
    """Not begun yet. Its archive is a folder."""
    (tmp_path / "store").mkdir()
    url = f"file://{tmp_path / 'store'}"
    made = Rig(tmp_path / "node", url, open_store(url), chance)
    yield made
    made.close()


@pytest.fixture
def oss() -> Iterator[FakeOss]:
    """Object storage in this process."""
    with FakeOss() as running:
        yield running


@pytest.fixture
def oss_rig(tmp_path: Path, chance: random.Random, oss: FakeOss) -> Iterator[Rig]:
    """As `rig`, but its archive is object storage."""
    made = rig_in(oss, tmp_path / "node", chance, oss.environment("collector"))
    yield made
    made.close()
