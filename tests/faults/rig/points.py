"""Named points at which a collector kills itself, and the launcher that installs them.

The product knows nothing of them: the launcher wraps the named function in the process that it starts. A
point is `module:name:moment:nth`. The moment is `before` or `after` the call, or `half`: of an `os.write` or
`os.pwrite` half the bytes are written, of an `rmtree` the folder's first file is removed.
"""

import importlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

QUICK = {
    "sidecar.main": {"TURN_SECONDS": 0.05},
    "sidecar.flushing": {"PAUSE_SECONDS": 0.1},
    "sidecar.flush.schedule": {"CLOSE_PUTS": 2, "_LOOK": 0.05},
    "sidecar.spool.journal": {"_ROLL_SIZE": 64 << 10},
    "sidecar.spool.node": {"_ENOUGH_TO_ROLL": 8 << 10},
}
"""Sizes and times of the started collector, so that it comes to every point soon."""

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["sidecar.main", "archive.store.local"])


@dataclass(frozen=True)
class Point:
    """Where to die: at the `nth` call."""

    module: str
    name: str
    moment: str
    nth: int

    @classmethod
    def parse(cls, text: str) -> "Point":
        module, name, moment, nth = text.split(":")
        return cls(module, name, moment, int(nth))

    def found(self) -> Callable[..., Any]:
        """The function it names. Raises AttributeError, ImportError."""
        owner: Any = importlib.import_module(self.module)
        for part in self.name.split("."):
            owner = getattr(owner, part)
        assert callable(owner)
        return owner  # type: ignore[no-any-return]


def launched(arguments: list[str], log: Path, point: str | None, reached: Path) -> BaseProcess:
    """A running collector, without supervisor, that writes `reached` and dies where `point` says."""
    listens = _CONTEXT.Event()
    process = _CONTEXT.Process(target=_collect, args=(arguments, log, point, reached, listens), daemon=True)
    process.start()
    assert listens.wait(20), "it does not start"  # a signal that came earlier would kill it
    return process


def _collect(arguments: list[str], log: Path, point: str | None, reached: Path, listens: Event) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    listens.set()
    os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
    for name, constants in QUICK.items():
        module = importlib.import_module(name)
        for constant, value in constants.items():
            getattr(module, constant)
            setattr(module, constant, value)
    if point is not None:
        _install(Point.parse(point), lambda: _die(reached))
    sys.exit(importlib.import_module("sidecar.main").main(arguments))


def _die(reached: Path) -> None:
    reached.touch()
    os.kill(os.getpid(), signal.SIGKILL)
    threading.Event().wait()


def _install(point: Point, die: Callable[[], None]) -> None:
    owner: Any = importlib.import_module(point.module)
    *above, last = point.name.split(".")
    for part in above:
        inner = getattr(owner, part)
        if isinstance(inner, ModuleType):  # only for this module, not for everybody who uses that one
            inner = SimpleNamespace(**vars(inner))
            setattr(owner, part, inner)
        owner = inner
    setattr(owner, last, _deadly(getattr(owner, last), point, die))


def _deadly(function: Callable[..., Any], point: Point, die: Callable[[], None]) -> Callable[..., Any]:
    calls = 0
    lock = threading.Lock()

    def wrapped(*positional: Any, **named: Any) -> Any:
        nonlocal calls
        with lock:
            calls += 1
            now = calls == point.nth
        if now and point.moment == "before":
            die()
        if now and point.moment == "half":
            _half(function, positional)
            die()
        result = function(*positional, **named)
        if now:
            die()
        return result

    return wrapped


def _half(function: Callable[..., Any], positional: tuple[Any, ...]) -> None:
    if isinstance(positional[0], Path):
        min(path for path in positional[0].rglob("*") if path.is_file()).unlink()
        return
    descriptor, data, *place = positional
    function(descriptor, data[: len(data) // 2], *place)
