"""A made-up Ray node with a real collector beside it, and the canary as the command that it is."""

import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from faults.rig.collecting import ROOT, Collecting, until
from faults.rig.ray_node import RayNode


@dataclass(frozen=True)
class Outcome:
    """What the canary said at its end."""

    code: int
    lines: Mapping[str, int]
    events: Mapping[str, int]
    text: str


class Canary:
    """One run of the command."""

    def __init__(
        self, folder: Path, url: str, events: int, environment: Mapping[str, str], **settings: object
    ):
        given = {
            "store": url,
            "ray-dir": folder / "ray",
            "namespace": "ns",
            "cluster": "c",
            "collector": f"http://127.0.0.1:{events}",
            "every": 0.1,
            "report-seconds": 0.5,
            "wait-seconds": 30,
            "late-after": 1.5,
        } | {name.replace("_", "-"): value for name, value in settings.items()}
        flags = [part for name, value in given.items() for part in (f"--{name}", str(value))]
        self._said = (folder / "canary.log").open("w+")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "historyserver", "canary", *flags],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=self._said,
            stderr=subprocess.STDOUT,
        )
        self._path = folder / "canary.log"

    def said(self) -> str:
        return self._path.read_text()

    def until_seen(self, number: int) -> None:
        """So many lines and events were found."""

        def seen() -> bool:
            assert self._process.poll() is None, self.said()
            counts = re.findall(r"(\d+) of \d+ seen", self.said().rpartition("lines: ")[2])
            return len(counts) == 2 and min(map(int, counts)) >= number

        until(seen)

    def end(self) -> Outcome:
        """Ctrl-C, and what it says then."""
        self._process.send_signal(signal.SIGINT)
        return self.outcome()

    def outcome(self) -> Outcome:
        code = self._process.wait(60)
        rows = re.findall(r"^([a-z ]+?) +(\d+) +(\d+)  ", self.said(), re.MULTILINE)
        columns = [{name: int(row[column]) for name, *row in rows} for column in (0, 1)]
        return Outcome(code, *columns, self.said())

    def close(self) -> None:
        self._said.close()
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


@pytest.fixture
def ray_node(tmp_path: Path) -> RayNode:
    """In `tmp_path / "ray"`."""
    (tmp_path / "ray").mkdir()
    node = RayNode(tmp_path / "ray", random.Random(1))
    node.begin()
    return node


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    (tmp_path / "store").mkdir()
    return f"file://{tmp_path / 'store'}"


@pytest.fixture
def collect(tmp_path: Path, ray_node: RayNode) -> Iterator[Callable[..., Collecting]]:
    """Starts a collector; give the store's URL, credentials and settings."""
    started: list[Collecting] = []

    def start(url: str, environment: Mapping[str, str] | None = None, **settings: object) -> Collecting:
        started.append(Collecting(tmp_path, url, environment, **({"flush_seconds": 0.2} | settings)))
        started[-1].start()
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.fixture
def fly(tmp_path: Path, ray_node: RayNode) -> Iterator[Callable[..., Canary]]:
    """Starts a canary beside a collector."""
    started: list[Canary] = []

    def start(
        url: str, collecting: Collecting, environment: Mapping[str, str] | None = None, **settings: object
    ) -> Canary:
        started.append(Canary(tmp_path, url, collecting.events, environment or {}, **settings))
        return started[-1]

    yield start
    for one in started:
        one.close()
