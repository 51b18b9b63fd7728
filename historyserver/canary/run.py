"""One run of the canary in one session: writes when told, reads back in a thread of its own."""

import logging
import math
import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from archive.errors import StoreError
from archive.layout import SessionKey
from historyserver.canary.ledger import Ledger
from historyserver.canary.message import Kind, Message
from historyserver.canary.reading import Reading, Sought
from historyserver.canary.report import Standing
from historyserver.canary.settings import CanarySettings
from historyserver.canary.trail import Found
from historyserver.canary.writing import Events, Lines

log = logging.getLogger(__name__)

_LONGEST_PAUSE: Final = 5.0
_LAST_LOOK: Final = 30.0
_TURN: Final = 0.1


class Run:
    """`write` and `finish` from one thread, `standing` from any."""

    def __init__(self, settings: CanarySettings, reading: Callable[[Sought], Reading], session: str) -> None:
        """Nothing is written yet. `reading`: where to look for what is sought. Raises NameInvalid."""
        self.session = session
        self._run = secrets.token_hex(4)
        self._began = time.monotonic()
        name = f"historyserver-canary-{self._run}.log"
        self._lines = Lines(Path(settings.ray_dir) / session / "logs" / name)
        self._events = Events(settings.collector, session)
        self._numbers = dict.fromkeys(Kind, 1)
        self._lock = threading.Lock()
        self._problems: dict[str, str] = {}
        self._damaged: set[str] = set()
        self._final = False
        key = SessionKey(settings.namespace, settings.cluster, session)
        sought = Sought(key, f"logs/{name}", self._run, int(time.time() * 1000))
        self._reading = reading(sought)
        self._ledgers = {
            kind: Ledger(settings.late_after if kind in self._reading.kinds else math.inf) for kind in Kind
        }
        self._pause = min(_LONGEST_PAUSE, settings.late_after / 3)
        self._stopped = threading.Event()
        self._reader = threading.Thread(target=self._read, name="canary-reader", daemon=True)
        self._reader.start()

    def write(self) -> None:
        """A line and an event; what can't be written is tried again under the same number the next time."""
        message = self._next(Kind.LINES)
        try:
            self._lines.write(message)
        except OSError as error:
            self._tell("log", f"the log can't be written: {error.strerror or error}")
        else:
            self._tell("log", "")
            self._sent(message)
        message = self._next(Kind.EVENTS)
        problem = self._events.post(message)
        self._tell("events", problem)
        if problem:
            with self._lock:
                self._ledgers[Kind.EVENTS].tried(message.number)
        else:
            self._sent(message)

    def finish(self, deadline: float, abandoned: threading.Event) -> bool:
        """Waits for what is not there yet until `deadline` (monotonic), and ends the run.

        Returns whether it could be told what is missing: the archive was readable at the end.
        """
        while time.monotonic() < deadline and not abandoned.is_set() and not self._settled():
            abandoned.wait(_TURN)
        self._stopped.set()
        while self._reader.is_alive() and time.monotonic() < deadline + _LAST_LOOK and not abandoned.is_set():
            self._reader.join(_TURN)
        self._events.close()
        self._lines.remove()
        with self._lock:
            self._final = not self._reader.is_alive() and not self._problems.get("archive")
            return self._final

    def standing(self) -> Standing:
        """How it stands."""
        now = self._now()
        with self._lock:
            return Standing(
                {
                    kind: ledger.verdict(now, final=self._final and kind in self._reading.kinds)
                    for kind, ledger in self._ledgers.items()
                },
                {kind: ledger.slowest for kind, ledger in self._ledgers.items()},
                len(self._damaged),
                "; ".join(problem for problem in self._problems.values() if problem),
            )

    def found(self, kind: Kind, found: Found) -> None:
        """Of the reading."""
        now = self._now()
        with self._lock:
            ledger = self._ledgers[kind]
            if found.message is None:
                ledger.wrong()
                return
            sent_at = found.message.after_ms / 1000
            number = found.message.number
            ledger.found(number, before=found.before, marked=found.marked, sent_at=sent_at, at=now)

    def lost(self, kind: Kind, amount: int) -> None:
        """Of the reading."""
        with self._lock:
            self._ledgers[kind].lost(amount)

    def damaged(self, sentence: str) -> None:
        """Of the reading."""
        with self._lock:
            self._damaged.add(sentence)

    def _read(self) -> None:
        while True:
            last = self._stopped.is_set()
            try:
                self._reading.look(self)
            except StoreError as error:
                self._tell("archive", f"the archive can't be read: {error}")
            except Exception as error:  # whatever it is, what is written goes on to be written
                log.exception("a look at the archive failed")
                self._tell("archive", f"a look at the archive failed: {type(error).__name__} {error}")
            else:
                self._tell("archive", self._reading.trouble)
            if last:
                return
            self._stopped.wait(self._pause)

    def _next(self, kind: Kind) -> Message:
        return Message(self._run, kind, self._numbers[kind], int(self._now() * 1000))

    def _sent(self, message: Message) -> None:
        self._numbers[message.kind] += 1
        with self._lock:
            self._ledgers[message.kind].sent(message.number, self._now())

    def _settled(self) -> bool:
        with self._lock:
            return all(self._ledgers[kind].settled for kind in self._reading.kinds)

    def _tell(self, part: str, problem: str) -> None:
        with self._lock:
            self._problems[part] = problem

    def _now(self) -> float:
        return time.monotonic() - self._began
