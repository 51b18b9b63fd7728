"""A store that fails as told, and a clock that only moves when told."""

from collections.abc import Callable
from pathlib import Path

import pytest

from archive.errors import StoreRefused, TransientStoreError
from archive.store import ObjectInfo
from archive.store.local import LocalStore
from sidecar.flush import Clock


class FaultyStore(LocalStore):
    """A folder whose next puts go as `script` says; what a `late` put wrote appears with `arrive`.

    `fails`: nothing was written, and that is known; `refused`: likewise, for good; `lost`: written, but the
    answer got lost; `never`: not written, but nobody knows; `late`: written later.
    """

    def __init__(self, root: Path) -> None:
        root.mkdir(exist_ok=True)
        super().__init__(root)
        self.script: list[str] = []
        self.puts: list[str] = []
        self._under_way: list[tuple[str, bytes]] = []

    def put(self, key: str, data: bytes) -> ObjectInfo:
        self.puts.append(key)
        outcome = self.script.pop(0) if self.script else "works"
        if outcome == "fails":
            raise TransientStoreError("the store is out")
        if outcome == "refused":
            raise StoreRefused("no right to put")
        if outcome == "late":
            self._under_way.append((key, data))
        if outcome in {"works", "lost"}:
            info = super().put(key, data)
            if outcome == "works":
                return info
        raise TransientStoreError("the answer didn't come", effect_unknown=True)

    def arrive(self) -> None:
        """Whatever was late takes effect."""
        for key, data in self._under_way:
            super().put(key, data)
        self._under_way.clear()


class HandClock:
    """Time that moves when told or slept through."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.now, lambda: self.now, self.sleep, lambda: 0.5)


@pytest.fixture
def store(tmp_path: Path) -> FaultyStore:
    return FaultyStore(tmp_path / "store")


@pytest.fixture(scope="session")
def make_store() -> Callable[[Path], FaultyStore]:
    return FaultyStore


@pytest.fixture
def time() -> HandClock:
    return HandClock()
