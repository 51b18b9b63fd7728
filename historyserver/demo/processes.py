"""A family of processes that can be killed whole, however far its members have wandered.

Ray's processes become daemons and start others, so parents tell nothing. Each family puts a mark of its own
into the environment, which every descendant inherits: whoever has it in `/proc/<pid>/environ` belongs.
"""

import contextlib
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from historyserver.demo.errors import DemoError

MARK = "RAY_HISTORY_SERVER_DEMO_FAMILY"


class Family:
    """Starts processes with `environment`, each with its output in `logs/<name>.log`."""

    def __init__(self, logs: Path, environment: Mapping[str, str]) -> None:
        self.logs = logs
        self._mark = secrets.token_hex(16)
        self._environment = {**environment, MARK: self._mark}
        self._children: list[subprocess.Popen[bytes]] = []

    def start(
        self, name: str, command: Sequence[str], *, folder: Path, extra: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Starts a process in a terminal session of its own, so that a Ctrl-C is ours alone to handle."""
        self.logs.mkdir(parents=True, exist_ok=True)
        with self.log(name).open("ab") as log:
            child = subprocess.Popen(  # noqa: S603 - our own commands
                command,
                cwd=folder,
                env={**self._environment, **(extra or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._children.append(child)
        return child

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def members(self) -> list[int]:
        """The ids of every living process of the family."""
        wanted = f"{MARK}={self._mark}".encode()
        return [pid for pid in _pids() if wanted in _environment_of(pid)]

    def kill(self, deadline_seconds: float = 20) -> None:
        """SIGKILL to all, again until none is left; nobody gets a chance to say farewell."""
        deadline = time.monotonic() + deadline_seconds
        while members := self.members():
            if time.monotonic() > deadline:
                raise DemoError(
                    f"{len(members)} processes don't end.",
                    f"SIGKILL did not end {', '.join(map(str, members))} within {deadline_seconds:.0f} s.",
                    "Look at them with ps; a process that waits for a broken disk ends only with it.",
                )
            for pid in members:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)
        for child in self._children:
            child.wait()
        self._children.clear()

    def stop(self, patience_seconds: float = 5) -> None:
        """SIGTERM, and SIGKILL to whoever is left after the patience."""
        for child in self._children:
            child.terminate()
        deadline = time.monotonic() + patience_seconds
        for child in self._children:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(max(0.0, deadline - time.monotonic()))
        self.kill()


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]


def _environment_of(pid: int) -> bytes:
    """Empty for those that are gone, dead but not reaped, or not ours to read."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""
