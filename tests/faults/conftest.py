"""The rig as a fixture: a made-up Ray node, and a collector beside it."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
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
