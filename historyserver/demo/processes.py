"""A family of processes that can be killed whole, however far its members have wandered.

Ray's processes become daemons and start others, and its workers write their names over their environment. So
whoever carries the family's mark in `/proc/<pid>/environ` is a member; so are members' children, for good.
"""

import contextlib
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from historyserver.demo.errors import DemoError

MARK = "RAY_HISTORY_SERVER_DEMO_FAMILY"


# A process that is just being replaced by another (exec) shows no environment for a moment.
QUIET_LOOKS = 5


@dataclass(frozen=True)
class Process:
    """Process ids are used again one day, so the start (in clock ticks since boot) is part of it."""

    pid: int
    parent: int = field(compare=False)
    started: int


class Family:
    """Starts processes with `environment`, each with its output in `logs/<name>.log`."""

    def __init__(self, logs: Path, environment: Mapping[str, str]) -> None:
        self.logs = logs
        self._mark = secrets.token_hex(16)
        self._environment = {**environment, MARK: self._mark}
        self._known: set[Process] = set()
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

    def members(self) -> set[Process]:
        """Every living process of the family."""
        living = {process.pid: process for process in _living()}
        wanted = f"{MARK}={self._mark}".encode()
        self._known &= set(living.values())
        self._known |= {living[child.pid] for child in self._children if child.pid in living}
        self._known |= {process for process in living.values() if wanted in _environment_of(process.pid)}
        grown = True
        while grown:
            pids = {process.pid for process in self._known}
            children = {process for process in living.values() if process.parent in pids}
            grown = not children <= self._known
            self._known |= children
        return set(self._known)

    def kill(self, deadline_seconds: float = 20) -> None:
        """SIGKILL to all, until none is left; nobody gets a chance to say farewell."""
        deadline = time.monotonic() + deadline_seconds
        quiet = 0
        while quiet < QUIET_LOOKS:
            members = self.members()
            if members and time.monotonic() > deadline:
                raise DemoError(
                    f"{len(members)} processes don't end.",
                    f"SIGKILL did not end {sorted(each.pid for each in members)} in {deadline_seconds} s.",
                    "Look at them with ps; a process that waits for a broken disk ends only with it.",
                )
            for process in members:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
            quiet = 0 if members else quiet + 1
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


def _living() -> Iterator[Process]:
    """All processes of the machine but those that are dead and wait for their parent."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                state, parent, *rest = (entry / "stat").read_text().rpartition(")")[2].split()
                if state not in "ZX":
                    yield Process(int(entry.name), int(parent), int(rest[17]))


def _environment_of(pid: int) -> bytes:
    """Empty for those that are gone, dead but not reaped, or not ours to read."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""
