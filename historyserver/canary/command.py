"""`historyserver canary`: runs in each session that comes, and now and then a line says how it stands."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final

from archive.errors import ArchiveError, StoreMisconfigured
from archive.layout import SessionKey
from archive.settings import read, usage
from archive.store.url import open_archive
from historyserver.canary.exposition import Exposition
from historyserver.canary.reading import ArchiveReading, Reading, Sought
from historyserver.canary.report import Standing, summary, table
from historyserver.canary.run import Run
from historyserver.canary.served import ServedReading
from historyserver.canary.settings import CanarySettings
from sidecar.discovery import look

_PURPOSE: Final = (
    "Writes known events and log lines beside a collector, reads them back from the archive, and tells\n"
    "what is missing, doubled or late. Exit code 0: all is well; 1: something is missing, doubled, wrong or\n"
    "out of order; 2: that could not be found out."
)


def main(arguments: Sequence[str]) -> int:
    """Runs until the time is over, or SIGINT or SIGTERM comes; a second one waits for nothing."""
    if "-h" in arguments or "--help" in arguments:
        sys.stdout.write(usage(CanarySettings, "historyserver canary", _PURPOSE))
        return 0
    reading = read(CanarySettings, arguments, os.environ)
    if reading.problems:
        return _refused(*reading.problems)
    settings = reading.values
    try:
        SessionKey(settings.namespace, settings.cluster, "session")
        canary = Canary(settings, _reading(settings))
    except ArchiveError as error:
        return _refused(str(error))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: canary.end())
    with ExitStack() as stack:
        try:
            if settings.metrics.port:
                stack.enter_context(Exposition(settings.metrics, canary.standing))
        except OSError as error:
            return _refused(f"--metrics {settings.metrics} can't be used: {error.strerror}")
        return canary.run()


def _reading(settings: CanarySettings) -> Callable[[Sought], Reading]:
    """Where a run looks for what it wrote. Raises StoreMisconfigured."""
    if settings.server:
        return partial(ServedReading, settings.server)
    if not settings.store:
        raise StoreMisconfigured("say where to read: give --store, or --server")
    return partial(ArchiveReading, open_archive(settings.store))


def _refused(*problems: str) -> int:
    sys.stderr.write("".join(f"historyserver canary: {problem}\n" for problem in problems))
    return 2


class Canary:
    """All runs, one after the other. `end` and `standing` for any thread."""

    def __init__(self, settings: CanarySettings, reading: Callable[[Sought], Reading]) -> None:
        self._settings = settings
        self._reading = reading
        self._over = threading.Event()
        self._abandoned = threading.Event()
        self._lock = threading.Lock()
        self._before = Standing()
        self._run: Run | None = None
        self._told_all = True
        self._next_report = 0.0

    def end(self) -> None:
        """Write no more, and wait for what is not there yet; the second time: wait for nothing."""
        if self._over.is_set():
            self._abandoned.set()
        self._over.set()

    def standing(self) -> Standing:
        """Of all runs so far."""
        with self._lock:
            run, before = self._run, self._before
        return before + (run.standing() if run else Standing(problem=self._absence))

    def run(self) -> int:
        """The exit code."""
        begun = time.monotonic()
        seconds = self._settings.seconds
        self._next_report = begun + self._settings.report_seconds
        while not self._over.is_set() and not (seconds and time.monotonic() - begun >= seconds):
            turn = time.monotonic()
            self._turn()
            self._report()
            self._over.wait(max(0.0, turn + self._settings.every - time.monotonic()))
        self._finish()
        standing = self._before
        sys.stdout.write(f"{summary(standing)}\n\n{table(standing)}")
        if standing.bad:
            return 1
        return 0 if self._told_all and all(verdict.sent for verdict in standing.verdicts.values()) else 2

    @property
    def _absence(self) -> str:
        """Why there is no run now."""
        return "" if self._over.is_set() else f"there is no session of Ray in {self._settings.ray_dir}"

    def _turn(self) -> None:
        session = look(Path(self._settings.ray_dir)).session
        if self._run is not None and session not in (None, self._run.session):
            self._finish()
        if self._run is None and session is not None:
            self._run = Run(self._settings, self._reading, session)
        if self._run is not None:
            self._run.write()

    def _finish(self) -> None:
        """Ends the run under way, if there is one."""
        run = self._run
        if run is not None:
            self._told_all &= run.finish(time.monotonic() + self._settings.wait_seconds, self._abandoned)
            with self._lock:
                self._before, self._run = self._before + run.standing(), None

    def _report(self) -> None:
        now = time.monotonic()
        if now >= self._next_report:
            self._next_report = now + self._settings.report_seconds
            sys.stdout.write(f"{time.strftime('%H:%M:%S')} {summary(self.standing())}\n")
            sys.stdout.flush()
