"""Fold processes die with the server, and one that dies takes nothing along but its run."""

import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from archive.store.local import LocalStore
from server.fold.pool import FoldPool
from server.fold.run import Run, RunResult
from server.view.errors import FoldFailed


def workers() -> set[int]:
    """Processes of every pool in this process."""
    found = psutil.Process().children()
    return {child.pid for child in found if "server.fold.worker" in child.cmdline()}


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 20
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, f"process {pid} is still there"
        time.sleep(0.02)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(LocalStore(tmp_path), (), (), tmp_path, "run")


def test_a_run_of_nothing_gives_nothing(run: Run) -> None:
    with closing(FoldPool(1)) as pool:
        assert pool.run(run, lambda _: None) == RunResult()


def test_a_process_that_dies_is_replaced(run: Run) -> None:
    before = workers()
    with closing(FoldPool(1)) as pool:
        pool.warm()
        (worker,) = workers() - before
        os.kill(worker, signal.SIGKILL)
        wait_until_gone(worker)
        with pytest.raises(FoldFailed):
            pool.run(run, lambda _: None)
        assert pool.run(run, lambda _: None) == RunResult()


def test_closing_ends_every_process_and_refuses_further_runs(run: Run) -> None:
    before = workers()
    with closing(FoldPool(2)) as pool:
        pool.warm()
        assert len(workers() - before) == 2
    assert workers() == before
    with pytest.raises(FoldFailed):
        pool.run(run, lambda _: None)


def test_a_server_that_is_killed_leaves_no_process_behind() -> None:
    script = (
        "import sys; from server.fold.pool import FoldPool; FoldPool(1).warm(); "
        "print('warm', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == b"warm\n"
        (worker,) = psutil.Process(server.pid).children()
        server.kill()
        wait_until_gone(worker.pid)
