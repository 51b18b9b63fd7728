"""The collector's process: settings, health, receiver, then the collector, as soon as its spool can be used.

Nothing that is wrong ends it: it says so in its log, in its metrics and in its health answer, thanks Ray for
every body, and tries again where that can help. Only SIGTERM ends it, or the death of its supervisor.
"""

import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from archive.errors import ArchiveError
from archive.layout import SessionKey
from archive.settings import Reading, read, usage
from archive.store.base import Store
from archive.store.url import open_store
from sidecar import memory
from sidecar.collector import Collector
from sidecar.errors import SpoolError, SpoolInUse, SpoolUnusable
from sidecar.health import Health, HealthServer
from sidecar.metrics import Metrics
from sidecar.receiver import Receiver
from sidecar.settings import CollectorSettings
from sidecar.spool import NodeSpool, Spool

log = logging.getLogger("sidecar")

END_SIGNALS: Final = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
SIGNALS: Final = END_SIGNALS | {signal.SIGUSR1}
TURN_SECONDS: Final = 1.0
HURRIED_SECONDS: Final = 0.4
"""Of a turn when logs are far behind, as after an outage."""
HANDOVER_SECONDS: Final = 3.0
"""How long another collector may hold the spool: one that has lost its supervisor goes within a turn."""
PID_FILE: Final = "supervisor.pid"
PURPOSE: Final = "Keeps what the Ray node on this machine does: runs beside it until it is told to end."


def main(arguments: Sequence[str], supervisor: int | None = None) -> int:
    """Collects until SIGTERM, or until `supervisor`, the parent's process id, is gone."""
    if "-h" in arguments or "--help" in arguments:
        sys.stdout.write(usage(CollectorSettings, "historyserver collect", PURPOSE))
        return 0
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    memory.spare()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    return Process(read(CollectorSettings, arguments, os.environ), supervisor).run()


class Process:
    """Everything that runs from the start to the end, whatever the settings are."""

    def __init__(self, reading: Reading[CollectorSettings], supervisor: int | None) -> None:
        self._settings = reading.values
        self._supervisor = supervisor
        self._metrics = Metrics()
        self._health = Health(self._metrics)
        self._said: dict[str, str] = {}
        self._collector: Collector | None = None
        self._end_begun = False
        self._in_use = False
        self._health.tell("settings", reading.problems)
        for problem in reading.problems:
            log.error("settings: %s", problem)
        self._store = self._opened_store()
        self._receiver = Receiver(
            self._settings.listen, self._sink, self._metrics, lambda problem: self._tell("receiver", problem)
        )
        self._health_server = HealthServer(self._settings.health, self._metrics, self._health)

    def run(self) -> int:
        """Returns when told to end."""
        self._health_server.start()
        self._open_soon()  # before the receiver: what comes while there is no spool is lost
        self._receiver.start()
        while True:
            began = time.monotonic()
            self._turn()
            hurried = self._collector is not None and self._collector.far_behind
            number = self._wait(began + (HURRIED_SECONDS if hurried else TURN_SECONDS))
            if number is not None:
                return self._end(number)

    def _wait(self, until: float) -> int | None:
        """Waits for the next turn, and takes signals meanwhile; the signal that ends, if one came."""
        while True:
            info = signal.sigtimedwait(SIGNALS, max(0.0, until - time.monotonic()))
            if info is None:
                return None
            if info.si_signo in END_SIGNALS:
                return info.si_signo
            self._begin_end()

    def _turn(self) -> None:
        if self._supervisor not in (None, os.getppid()):
            os._exit(1)  # nobody would start or end this process any more; the spool keeps what it holds
        self._open()
        if self._collector is not None:
            self._collector.turn()
            self._receiver.settle()

    def _open(self) -> None:
        """Opens the spool and starts the collector, unless that is done or can't be."""
        if self._collector is None and self._store is not None:
            self._collector = self._started(self._store)
            if self._collector is not None:
                self._tell("spool", "")

    def _open_soon(self) -> None:
        """Opens, and waits for a collector before this one that has lost its supervisor and is just going."""
        deadline = time.monotonic() + HANDOVER_SECONDS
        self._open()
        while self._in_use and time.monotonic() < deadline:
            time.sleep(HANDOVER_SECONDS / 100)
            self._open()

    def _started(self, store: Store) -> Collector | None:
        folder = Path(self._settings.spool_folder)
        if not self._settings.spool and not folder.parent.is_dir():
            return None  # Ray's folder is Ray's to make: ours could shut out Ray's user
        with contextlib.ExitStack() as stack:
            self._in_use = False
            try:
                budget = self._settings.spool_budget
                log_room = int(budget * self._settings.log_share)
                spool = stack.enter_context(Spool(folder, budget, log_room=log_room))
                collector = Collector(self._settings, spool, store, self._metrics, self._tell)
            except SpoolError as error:
                self._in_use = isinstance(error, SpoolInUse)
                self._tell("spool", f"{error}. What Ray posts is dropped until it can be used; tried again.")
                return None
            stack.pop_all()  # it stays open as long as the process lives
        self._write_pid(folder)
        collector.start()
        if self._end_begun:
            collector.begin_end()
        return collector

    def _begin_end(self) -> None:
        log.info("the end has begun")
        self._end_begun = True
        if self._collector is not None:
            self._collector.begin_end()

    def _end(self, number: int) -> int:
        name = signal.Signals(number).name
        log.info("told to end by %s", name)
        self._receiver.stop()
        if self._collector is not None:
            self._collector.end(f"told to end by {name}")
        return 0

    def _sink(self) -> NodeSpool:
        if self._collector is None:
            raise SpoolUnusable("there is no spool")
        return self._collector.sink()

    def _opened_store(self) -> Store | None:
        """The store, or None where the settings leave nothing to collect for: that can't change any more."""
        settings = self._settings
        try:
            SessionKey(settings.namespace, settings.cluster, "session")
            return open_store(settings.store)
        except ArchiveError as error:
            self._tell("archive", f"{error}. Nothing is kept until this is set right.")
            return None

    def _write_pid(self, folder: Path) -> None:
        """The pid that a preStop hook signals: with shared process names the supervisor isn't process 1."""
        try:
            (folder / PID_FILE).write_text(f"{self._supervisor or os.getpid()}\n")
        except OSError as error:
            self._tell("pid", f"{folder / PID_FILE} can't be written: {error.strerror}")

    def _tell(self, part: str, problem: str) -> None:
        """Says what is wrong with a part, "" when nothing is; in the log only when that changes."""
        if self._said.get(part, "") != problem:
            self._said[part] = problem
            self._health.tell(part, [problem] if problem else [])
            log.log(logging.WARNING if problem else logging.INFO, "%s: %s", part, problem or "well again")
