"""A collector's whole life, in steps that wait for each other: it dies at given points, and begins again."""

import random
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

from archive.layout import SEGMENTS, Role
from archive.store.url import open_store

from .aggregator import LARGE, Aggregator
from .collecting import arguments, free_port
from .judge import Archive, nothing_is_missing
from .points import launched
from .ray_node import NODE, RayNode

LONGEST = 20.0


class Life:
    """Bodies come before a session is known; a node lives, another takes its place, and the end is told.

    At every step the collector may die: then a new one follows on the same spool.
    """

    def __init__(
        self, folder: Path, chance: random.Random, points: list[str], *, followed: bool = True
    ) -> None:
        """`points`: where the first collector dies, where the second one dies, …

        `followed`: whether a second node takes the place of the first.
        """
        self._folder = folder / "node"
        (self._folder / "ray").mkdir(parents=True)
        (folder / "store").mkdir()
        url = f"file://{folder / 'store'}"
        self._store = open_store(url)
        chance_of_logs = random.Random(chance.random())
        self._node = RayNode(self._folder / "ray", chance_of_logs, ring_size=50_000, backups=100)
        self._points = points
        self._followed = followed
        events = free_port()
        self._aggregator = Aggregator(events, random.Random(chance.random()), large=0.0)
        self._flags = arguments(self._folder, url, events, free_port(), {"flush_seconds": 0.1})
        self._lives = 0
        self._ended = False
        self._collector = self._launched()

    def live(self) -> None:
        """All of it. Fails where anything is missing, or a point was not reached."""
        for _ in range(4):
            self._step(self._posted)
        self._node.begin()
        self._busy(20)
        self._aggregator.make(LARGE)
        self._busy(10)
        self._busy_until(lambda: self._segments(NODE) >= 3)
        if self._followed:
            self._follow()
        self._aggregator.close()
        self._step(self._told_to_end)
        for number in range(len(self._points)):
            assert self._reached(number).exists(), f"{self._points[number]} was not reached"
        nothing_is_missing(Archive(self._store), self._node, self._aggregator, again=200)
        (entry,) = (one for one in Archive(self._store).catalog if one.role is Role.HEAD)
        assert entry.state == "ended", f"{entry} {(self._folder / 'collect.log').read_text()}"

    def _follow(self) -> None:
        """Another node takes the place of the first, in the same session."""
        self._node.begin(NODE[::-1])
        self._busy(20)
        self._busy_until(lambda: self._segments(NODE[::-1]) >= 2)
        self._step(lambda: bool(Archive(self._store).finals(NODE)))

    def close(self) -> None:
        self._aggregator.close()
        self._collector.kill()
        self._collector.join()

    def _step(self, done: Callable[[], bool]) -> None:
        """Waits for something, with a living collector."""
        deadline = time.monotonic() + LONGEST
        while not done():
            assert time.monotonic() < deadline, f"not within {LONGEST} s"
            self._tend()
            time.sleep(0.005)

    def _busy(self, times: int) -> None:
        for _ in range(times):
            for _ in range(3):
                self._node.write()
            self._step(self._posted)

    def _busy_until(self, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + LONGEST
        while not done():
            assert time.monotonic() < deadline, f"not within {LONGEST} s"
            self._busy(1)
            time.sleep(0.01)

    def _posted(self) -> bool:
        return self._aggregator.post()

    def _segments(self, node_id: str) -> int:
        return sum(f"/{node_id}/" in info.key for info in self._store.list(SEGMENTS))

    def _told_to_end(self) -> bool:
        if self._collector.exitcode == 0:
            return True
        if self._collector.exitcode is None and not self._ended:
            self._ended = True
            self._collector.terminate()
        return False

    def _tend(self) -> None:
        """A collector that died is followed by the next one, which dies at the next point."""
        if self._collector.exitcode is None or self._collector.exitcode == 0:
            return
        assert self._collector.exitcode == -9, f"it ended by itself with {self._collector.exitcode}"
        assert self._reached(self._lives - 1).exists(), "something else killed it"
        self._ended = False
        self._collector = self._launched()

    def _launched(self) -> BaseProcess:
        point = self._points[self._lives] if self._lives < len(self._points) else None
        reached = self._reached(self._lives)
        self._lives += 1
        return launched(self._flags, self._folder / "collect.log", point, reached)

    def _reached(self, number: int) -> Path:
        return self._folder / f"reached-{number}"
