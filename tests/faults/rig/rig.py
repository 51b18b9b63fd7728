"""All of it together: a busy Ray node, its collector, its archive."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from archive.store.base import Store

from .aggregator import Aggregator
from .collecting import Collecting, until
from .judge import Archive, nothing_is_missing
from .ray_node import RayNode, Repeated


@dataclass
class Rig:
    """One node. `folder` is what its containers share: Ray's folder and the spool."""

    folder: Path
    url: str
    store: Store
    """Another way to the same archive, for the judge."""
    chance: random.Random
    environment: Mapping[str, str] = field(default_factory=dict)
    _busy: list[Repeated] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ray_dir = self.folder / "ray"
        self.ray_dir.mkdir(parents=True)
        self.node = RayNode(self.ray_dir, random.Random(self.chance.random()))

    def begin(self, **settings: object) -> None:
        """Ray starts, and the collector."""
        self.collecting = Collecting(self.folder, self.url, self.environment, **settings)
        self.aggregator = Aggregator(self.collecting.events, random.Random(self.chance.random()))
        self.node.begin()
        self.collecting.start()

    def keep_busy(self) -> None:
        """Logs are written and events posted from now on."""
        self._busy = [Repeated(self.node.write, 0.005), Repeated(self.aggregator.post, 0.01)]

    def answered(self, events: int, seconds: float = 30.0) -> None:
        """Waits until Ray is thanked for that many more; fails when that takes longer."""
        before = len(self.aggregator.acknowledged)
        until(lambda: len(self.aggregator.acknowledged) > before + events, seconds)

    def rest(self) -> None:
        """Nothing is written any more, and the last body is answered."""
        self.fall_silent()
        self.aggregator.settle()

    def fall_silent(self) -> None:
        """Nothing is written or posted any more."""
        for deed in self._busy:
            deed.stop()
        self._busy.clear()
        self.aggregator.close()

    def judge(self) -> None:
        """Fails unless the archive has everything."""
        nothing_is_missing(Archive(self.store), self.node, self.aggregator)

    def close(self) -> None:
        if hasattr(self, "collecting"):
            self.fall_silent()
            self.collecting.close()
