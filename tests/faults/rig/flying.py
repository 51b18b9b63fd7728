"""The canary as the command that it is."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .collecting import ROOT, until

LONGEST_END = 240
"""Seconds; how long it waits for what is not there yet is a setting of its own."""


@dataclass(frozen=True)
class Outcome:
    """What the canary said at its end."""

    code: int
    lines: Mapping[str, int]
    events: Mapping[str, int]
    text: str

    def is_whole(self) -> bool:
        """Everything that was sent was found, once, in order, and as it was."""
        bad = ("missing", "doubled", "out of order", "wrong", "overdue", "told")
        return self.code == 0 and not any(
            column[name] or column["seen"] < column["sent"]
            for column in (self.lines, self.events)
            for name in bad
        )


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

    def seen(self) -> int:
        """Of how many lines and events it says that it found them, whichever are fewer."""
        assert self._process.poll() is None, self.said()
        counts = re.findall(r"(\d+) of \d+ seen", self.said().rpartition("lines: ")[2])
        return min(map(int, counts)) if len(counts) == 2 else 0

    def until_seen(self, number: int, seconds: float = 30.0) -> None:
        """So many lines and events were found."""
        until(lambda: self.seen() >= number, seconds)

    def end(self) -> Outcome:
        """Ctrl-C, and what it says then."""
        self._process.send_signal(signal.SIGINT)
        return self.outcome()

    def outcome(self) -> Outcome:
        code = self._process.wait(LONGEST_END)
        rows = re.findall(r"^([a-z ]+?) +(\d+) +(\d+)  ", self.said(), re.MULTILINE)
        columns = [{name: int(row[column]) for name, *row in rows} for column in (0, 1)]
        return Outcome(code, *columns, self.said())

    def close(self) -> None:
        self._said.close()
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
