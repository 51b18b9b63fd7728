"""The container's first process: it starts the collector, starts it again, and ends only when told to.

A native sidecar whose first process ends makes the pod unready; one that ends at once keeps Ray from
starting. So nothing here reads a setting, opens a file or imports more than the interpreter already holds:
whatever can go wrong goes wrong in the child. The fork comes before the heavy imports, so that parent and
child share their memory.

SIGTERM, SIGINT and SIGHUP are passed on as SIGTERM and end the supervisor once the collector has ended, at
the latest after `END_LIMIT`. SIGUSR1 ("the end has begun") is passed on, also to a collector that starts only
afterwards. All of them stay blocked and are taken with `sigtimedwait`; the child inherits them blocked and
takes them likewise, so a signal that arrives before the child is ready waits for it instead of killing it.
"""

import gc
import os
import signal
import time
from collections.abc import Callable
from typing import Final, NamedTuple

END_SIGNALS: Final = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
SIGNALS: Final = END_SIGNALS | {signal.SIGUSR1, signal.SIGCHLD}

END_LIMIT: Final = 30.0
"""Seconds after which a collector that was told to end is killed."""
KILL_LIMIT: Final = 2.0
"""Seconds that a killed collector may take to die: while it waits for a dead mount it can't."""

FIRST_DELAY: Final = 0.25
LONGEST_DELAY: Final = 30.0
HEALTHY_AFTER: Final = 60.0
"""Seconds of life after which the delay of the next restart begins anew."""


class Child(NamedTuple):
    pid: int
    started: float


def supervise(collect: Callable[[], int]) -> int:
    """Runs `collect` in a child for ever, until told to end. Returns the exit code of the whole command."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    gc.collect()
    gc.freeze()
    return _Supervisor(collect).run()


class _Supervisor:
    def __init__(self, collect: Callable[[], int]) -> None:
        self._collect = collect
        self._child: Child | None = None
        self._start_at = 0.0
        self._delay = FIRST_DELAY
        self._end_begun = False
        self._deadline: float | None = None
        self._lives_after_end = 0

    def run(self) -> int:
        while True:
            now = time.monotonic()
            if self._child is None and now >= self._start_at:
                self._start(now)
            if self._deadline is not None and now >= self._deadline:
                self._kill()
                return 0
            info = signal.sigtimedwait(SIGNALS, max(0.0, self._next(now) - now))
            if info is not None and self._handle(info.si_signo):
                return 0

    def _next(self, now: float) -> float:
        """When to look again without a signal."""
        times = [now + 3600.0]
        if self._child is None:
            times.append(self._start_at)
        if self._deadline is not None:
            times.append(self._deadline)
        return min(times)

    def _handle(self, number: int) -> bool:
        """Acts on one signal; true when the supervisor has nothing left to do."""
        if number == signal.SIGCHLD:
            return self._reap()
        if number == signal.SIGUSR1:
            self._end_begun = True
            self._pass_on(signal.SIGUSR1)
        elif self._deadline is None:
            self._deadline = time.monotonic() + END_LIMIT
            self._start_at = (
                0.0  # a collector that is down starts once more: what it spooled wants to be stored
            )
            self._pass_on(signal.SIGTERM)
        return False

    def _reap(self) -> bool:
        """Collects every dead child (as the first process: other people's too)."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return False
            if self._child is not None and pid == self._child.pid and self._ended(self._child, status):
                return True

    def _ended(self, child: Child, status: int) -> bool:
        self._child = None
        code = os.waitstatus_to_exitcode(status)
        if self._deadline is not None and (code == 0 or self._lives_after_end > 0):
            return True
        now = time.monotonic()
        if self._deadline is not None:
            self._start_at = now
            return False
        if now - child.started >= HEALTHY_AFTER:
            self._delay = FIRST_DELAY
        self._start_at = now + self._delay
        _say(f"the collector ended with {code} after {now - child.started:.0f} s; again in {self._delay:g} s")
        self._delay = min(self._delay * 2, LONGEST_DELAY)
        return False

    def _start(self, now: float) -> None:
        try:
            pid = os.fork()
        except OSError as error:
            _say(f"the collector could not be started ({error}); again in {LONGEST_DELAY:g} s")
            self._start_at = now + LONGEST_DELAY
            return
        if pid == 0:
            _become_collector(self._collect)
        self._child = Child(pid, now)
        if self._end_begun:
            self._pass_on(signal.SIGUSR1)
        if self._deadline is not None:
            self._lives_after_end += 1
            self._pass_on(signal.SIGTERM)

    def _pass_on(self, number: signal.Signals) -> None:
        if self._child is not None:
            os.kill(self._child.pid, number)  # not yet reaped, so the id is still the child's

    def _kill(self) -> None:
        if self._child is None:
            return
        _say(f"the collector did not end within {END_LIMIT:g} s; killed")
        os.kill(self._child.pid, signal.SIGKILL)
        deadline = time.monotonic() + KILL_LIMIT
        while os.waitpid(self._child.pid, os.WNOHANG)[0] == 0:
            left = deadline - time.monotonic()
            if left <= 0:
                _say("it does not die: it waits for a disk or a mount that does not answer")
                return
            signal.sigtimedwait({signal.SIGCHLD}, left)


def _become_collector(collect: Callable[[], int]) -> None:
    """The child's side of the fork: never returns into the supervisor's frames."""
    code = 1
    try:
        code = collect()
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    except BaseException:  # noqa: BLE001 - the last frame of a process: whatever it is, it is printed and ends here
        import traceback  # noqa: PLC0415 - only the child that dies pays for it

        _say(traceback.format_exc())
    finally:
        os._exit(code)


def _say(text: str) -> None:
    """One line on standard error; a closed one is no reason to end."""
    try:
        os.write(2, f"historyserver supervisor: {text}\n".encode())
    except OSError:
        return
