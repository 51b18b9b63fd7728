"""A made-up Ray node with a real collector beside it, and the canary."""

import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from faults.rig.collecting import Collecting
from faults.rig.flying import Canary
from faults.rig.ray_node import RayNode


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
