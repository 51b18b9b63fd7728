"""`historyserver collect` as the processes that it is, to be killed and started again on the same spool."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import psutil

ROOT = Path(__file__).parents[3]

_Value = TypeVar("_Value")


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def until(holds: Callable[[], _Value], seconds: float = 30.0) -> _Value:
    """The condition's first true value; fails when none comes in time."""
    deadline = time.monotonic() + seconds
    while not (value := holds()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.01)
    return value


def arguments(
    folder: Path, store: str, events: int, health: int, settings: Mapping[str, object]
) -> list[str]:
    """The command's flags: Ray's folder and the spool lie in `folder`."""
    given = {
        "store": store,
        "ray-dir": folder / "ray",
        "spool": folder / "spool",
        "namespace": "ns",
        "cluster": "c",
        "listen": f"127.0.0.1:{events}",
        "health": f"127.0.0.1:{health}",
    } | {name.replace("_", "-"): value for name, value in settings.items()}
    return [part for name, value in given.items() for part in (f"--{name}", str(value))]


class Collecting:
    """Supervisor and collector in `folder`. What they print is in its `collect.log`."""

    def __init__(
        self, folder: Path, store: str, environment: Mapping[str, str] | None = None, **settings: object
    ) -> None:
        self.events, self.health = free_port(), free_port()
        self.spool = folder / "spool"
        self._folder = folder
        self._store = store
        self._environment = {**os.environ, **(environment or {})}
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """A new supervisor, as after the container's restart."""
        flags = arguments(self._folder, self._store, self.events, self.health, self._settings)
        with (self._folder / "collect.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "historyserver", "collect", *flags],
                cwd=ROOT,
                env=self._environment,
                stderr=log,
            )

    @property
    def supervisor(self) -> "subprocess.Popen[bytes]":
        assert self._process is not None
        return self._process

    def collector(self) -> int | None:
        """The collector's process id, if there is one now."""
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self.supervisor.pid).children():
                return child.pid
        return None

    def kill_collector(self) -> None:
        """The supervisor starts it again."""
        if (pid := self.collector()) is not None:
            _kill(pid)

    def kill_supervisor(self) -> None:
        """The collector goes by itself, within a second."""
        self.supervisor.kill()
        self.supervisor.wait()

    def kill(self) -> None:
        """Everything at once, as a container dies."""
        pid = self.collector()
        self.kill_supervisor()
        if pid is not None:
            _kill(pid)
            until(lambda: gone(pid))

    def end(self, seconds: float = 30.0) -> int:
        """SIGTERM, as soon as there is somebody to take it, and the exit code."""
        until(self.collector)
        self.supervisor.terminate()
        return self.supervisor.wait(seconds)

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()

    def said(self) -> str:
        return (self._folder / "collect.log").read_text()


def gone(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
