"""A demo that is interrupted while its cluster lives."""

import contextlib
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil
import pytest

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]


def test_an_interrupted_demo_leaves_no_process_and_no_folder(demo: Any) -> None:
    demo.wait_for("Ray runs", 150)
    processes = demo.members()
    folders = [folder for folder in Path("/tmp").glob("ray-demo-*") if uses(processes, folder)]
    assert len(processes) > 10
    assert len(folders) == 1
    assert demo.end(signal.SIGTERM) == 0
    assert demo.living(processes) == []
    assert demo.members() == []
    assert not folders[0].exists()


def uses(processes: Iterable[psutil.Process], folder: Path) -> bool:
    """Whether one of the processes was started with something in the folder."""
    for process in processes:
        with contextlib.suppress(psutil.Error):
            if any(str(folder) in argument for argument in process.cmdline()):
                return True
    return False
