"""A node that dies with its volume loses its last seconds, ten at most, and readers are told."""

import json
import random
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from faults.rig.collecting import ROOT, free_port, until
from faults.rig.force_kill import killed_with_its_volume, lost_by, stalls
from faults.rig.judge import Archive
from faults.rig.ray_node import NODE
from faults.rig.rig import Rig

from archive.store.url import open_store

PROMISED = 10.0
"""Seconds, with the settings that nobody changed."""


@pytest.fixture
def make_rig(tmp_path: Path, chance: random.Random) -> Iterator[Callable[[int], Rig]]:
    made: list[Rig] = []

    def make(number: int) -> Rig:
        store = tmp_path / f"store-{number}"
        store.mkdir()
        url = f"file://{store}"
        made.append(Rig(tmp_path / f"node-{number}", url, open_store(url), chance))
        return made[-1]

    yield make
    for rig in made:
        rig.close()


def test_a_node_that_dies_with_its_volume_loses_ten_seconds_at_most(
    make_rig: Callable[[int], Rig], chance: random.Random, rounds: Callable[[int, int], int]
) -> None:
    lost = []
    with stalls() as stalled:
        for number in range(rounds(1, 8)):
            rigs = [make_rig(3 * number + place) for place in range(3)]
            lost += lost_by(rigs, chance, (12.0, rounds(13, 25)))
    print(f"lost {sorted(round(each, 1) for each in lost)} s, stalls of {stalled.longest:.1f} s")
    assert max(lost) < PROMISED + stalled.longest
    assert max(lost) > 0


def test_a_session_is_listed_within_five_seconds_of_rays_start(rig: Rig) -> None:
    rig.begin()
    until(lambda: Archive(rig.store).catalog, 5)


def test_what_is_written_and_posted_is_stored_within_ten_seconds(rig: Rig) -> None:
    rig.begin()
    until(rig.aggregator.post)
    rig.node.append("raylet.out", b"a line\n")
    rig.aggregator.close()
    until(lambda: "events" in Archive(rig.store).streams(NODE), PROMISED)
    until(lambda: Archive(rig.store).read(NODE, "logs/raylet.out") == b"it begins\na line\n", PROMISED)


def test_a_session_that_died_with_its_volume_is_listed_as_lost_and_its_end_as_missing(rig: Rig) -> None:
    rig.begin(flush_seconds=0.2)
    rig.keep_busy()
    until(lambda: "events" in Archive(rig.store).streams(NODE))
    killed_at = killed_with_its_volume(rig)
    with serving(rig.url) as sessions:
        (session,) = until(lambda: [one for one in sessions() if one["state"] == "lost"])
    assert session["missing"] == ["Its end, and up to 10 s before it"]
    assert session["seen_ms"] <= killed_at * 1000


@contextmanager
def serving(url: str) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """A server for which two seconds of silence are enough; gives a question for its sessions."""
    port = free_port()
    command = [sys.executable, "-m", "historyserver", "serve", f"--store={url}", "--lost-seconds=2"]
    process = subprocess.Popen([*command, f"--listen=127.0.0.1:{port}"], cwd=ROOT, stderr=subprocess.DEVNULL)

    def sessions() -> list[dict[str, Any]]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/sessions", timeout=5) as answer:
                return list(json.load(answer)["sessions"])
        except OSError:
            return []

    try:
        yield sessions
    finally:
        process.terminate()
        process.wait(20)
