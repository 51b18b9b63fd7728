"""A demo that is interrupted while its cluster lives."""

import signal
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]


def test_an_interrupted_demo_leaves_no_process_and_no_folder(demo: Any) -> None:
    demo.wait_for("Ray runs", 150)
    mine = [folder for folder in Path("/tmp").glob("ray-demo-*") if belongs(folder, demo.members())]
    assert mine
    assert demo.end(signal.SIGTERM) == 0
    assert demo.members() == set()
    assert not any(folder.exists() for folder in mine)


def belongs(folder: Path, processes: set[int]) -> bool:
    """Whether one of the processes was started with something in the folder."""
    return any(str(folder).encode() in Path(f"/proc/{pid}/cmdline").read_bytes() for pid in processes)
