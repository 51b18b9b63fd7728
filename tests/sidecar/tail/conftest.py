"""A logs folder as Ray fills it, and a collector over it that can be killed and started again."""

import ctypes
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from archive.layout import SessionKey
from sidecar.spool import Spool
from sidecar.spool.record import Kind, MarkPayload, Position, Read, raw_bytes, records
from sidecar.tail import Continuation, Tailer, TailSettings
from sidecar.tail.tailer import ScanResult

SESSION = SessionKey("default", "demo", "session_2026-11-23_02-43-27_490622_12278")


class Collector:
    """A tailer with its spool, by hand: each scan is asked for, time stands still until it is moved."""

    def __init__(
        self, logs: Path, folder: Path, settings: TailSettings, budget: int, continues: Continuation | None
    ) -> None:
        self.logs = logs
        self.now = 0.0
        self._folder = folder
        self._settings = settings
        self._budget = budget
        self._continues = continues
        self._stored: list[Read] = []
        self._stored_until = Position(0, 0)
        self._start()

    def _start(self) -> None:
        self._open = True
        self._whole = Spool(self._folder, self._budget)
        self.spool = self._whole.node(SESSION, "ab" * 28)
        self.tailer = Tailer(
            self.logs, self.spool, self._settings, continues=self._continues, clock=lambda: self.now
        )

    def scan(self, times: int = 1) -> ScanResult:
        for _ in range(times):
            result = self.tailer.scan()
        return result

    def finish(self) -> ScanResult:
        return self.tailer.finish()

    def restart(self) -> None:
        """Nothing is told to the tailer: what it knows afterwards is what SIGKILL would have left."""
        self.close()
        self._continues = None
        self._start()

    def close(self) -> None:
        self.tailer.close()
        if self._open:
            self._whole.close()
        self._open = False

    def store(self) -> None:
        """As if all of it were in closed segments."""
        size = sum(len(data) for stream, data in self._data() if stream.startswith("logs/"))
        self.spool.store_until(self.spool.written, size)

    def store_and_remember(self) -> None:
        """As `store`; what the journal may drop then is still part of what is asked for here."""
        until = self.spool.written
        self._stored, self._stored_until = list(self._journal()), until
        self.store()

    def let_be(self, *, full: bool) -> None:
        """The store is out and the spool full, or it is not any more."""
        self._whole.budget.limit = 0 if full else self._budget

    def text(self, stream: str) -> bytes:
        return b"".join(data for of, data in self._data() if of == stream)

    def order(self) -> list[str]:
        """The streams as bytes of them came."""
        return [stream for stream, data in self._data() if data]

    def marks(self, stream: str) -> list[tuple[str, int]]:
        return [(kind, start) for kind, start, _ in self.notes(stream)]

    def notes(self, stream: str) -> list[tuple[str, int, str]]:
        found = []
        for read in self._journal():
            if read.record.kind is Kind.MARK and read.record.stream == stream:
                mark = msgspec.msgpack.decode(read.payload, type=MarkPayload)
                found.append((mark.kind, read.record.start, mark.detail))
        return found

    @property
    def losses(self) -> dict[str, int]:
        return self.spool.losses

    @property
    def streams(self) -> set[str]:
        return {read.record.stream for read in self._journal()}

    def _data(self) -> Iterator[tuple[str, bytes]]:
        for read in self._journal():
            if read.record.kind is Kind.DATA:
                yield read.record.stream, raw_bytes(read.record, read.payload)

    def _journal(self) -> Iterator[Read]:
        yield from self._stored
        for path in sorted(self.spool.folder.glob("journal-*.log")):
            number = int(path.stem.removeprefix("journal-"))
            for read in records(path.read_bytes(), Position(number, 0)):
                if read.record.kind is not Kind.STATE and read.record.position >= self._stored_until:
                    yield read


class Ring:
    """A log written through a ring of renames, as Ray's loggers do it."""

    def __init__(self, path: Path, backups: int, *, cpp: bool = False) -> None:
        self.path = path
        self.backups = backups
        self.cpp = cpp

    def name(self, index: int) -> Path:
        if index == 0:
            return self.path
        return (
            self.path.with_suffix(f".{index}{self.path.suffix}") if self.cpp else Path(f"{self.path}.{index}")
        )

    def turn(self) -> None:
        self.name(self.backups).unlink(missing_ok=True)
        for index in range(self.backups - 1, -1, -1):
            if self.name(index).exists():
                self.name(index).rename(self.name(index + 1))
        self.path.touch()


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    folder = tmp_path / "session" / "logs"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def write(logs: Path) -> Callable[[str, str], Path]:
    """Appends to a log as Ray does, and makes its folder if it must."""

    def append(name: str, text: str) -> Path:
        path = logs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write(text)
        return path

    return append


@pytest.fixture
def ring(logs: Path) -> Callable[..., Ring]:
    """A ring of some backups; cpp: named as Ray's C++ logger does."""
    return lambda name, backups, cpp=False: Ring(logs / name, backups, cpp=cpp)


@pytest.fixture
def collect(tmp_path: Path) -> Iterator[Callable[..., Collector]]:
    """Starts a collector over a folder, with settings of the tailer by name."""
    started: list[Collector] = []

    def start(
        logs: Path, *, budget: int = 1 << 30, continues: Continuation | None = None, **settings: Any
    ) -> Collector:
        folder = tmp_path / f"spool-{len(started)}"
        started.append(Collector(logs, folder, TailSettings(**settings), budget, continues))
        return started[-1]

    yield start
    for each in started:
        each.close()


@pytest.fixture
def collector(collect: Callable[..., Collector], logs: Path) -> Collector:
    return collect(logs)


@pytest.fixture
def open_files() -> Callable[[], int]:
    """How many this process has open."""
    return lambda: sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.fixture
def ordinary() -> Callable[[], AbstractContextManager[None]]:
    """Within it, the rights of files bind this thread, even if it is root's."""
    return bound


@contextmanager
def bound() -> Iterator[None]:
    before = _capabilities()
    _set_capabilities(before[0] & ~_OVER_FILES, *before[1:])
    try:
        yield
    finally:
        _set_capabilities(*before)


_LIBC = ctypes.CDLL(None, use_errno=True)
_OVER_FILES = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
_VERSION_3 = 0x20080522


def _capabilities() -> tuple[int, ...]:
    """Effective, permitted and inheritable, of the lower half and of the upper one."""
    header, data = (ctypes.c_uint32 * 2)(_VERSION_3, 0), (ctypes.c_uint32 * 6)()
    assert _LIBC.capget(header, data) == 0, os.strerror(ctypes.get_errno())
    return tuple(data)


def _set_capabilities(*values: int) -> None:
    header, data = (ctypes.c_uint32 * 2)(_VERSION_3, 0), (ctypes.c_uint32 * 6)(*values)
    assert _LIBC.capset(header, data) == 0, os.strerror(ctypes.get_errno())


@pytest.fixture
def few_files() -> Callable[[int], AbstractContextManager[None]]:
    """Within it, this process can open only so many files more."""

    @contextmanager
    def limited(free: int) -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        probes = [os.dup(0) for _ in range(free + 1)]
        for probe in probes:
            os.close(probe)
        resource.setrlimit(resource.RLIMIT_NOFILE, (probes[-1], hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    return limited
