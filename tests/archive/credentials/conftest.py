"""What the tests of credentials share: the services, an issuer that does as it is told, and a clock."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from fake_oss import FakeOss

from archive.credentials import Credentials
from archive.credentials.fetched import Issued
from archive.errors import StoreError


@pytest.fixture
def services() -> Iterator[FakeOss]:
    with FakeOss() as oss:
        yield oss


class Clock:
    """Seconds that only the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Answering:
    """An Issuer of numbered credentials that fails or waits as it is told."""

    lifetime: float = 3600.0
    failure: StoreError | None = None
    gate: threading.Event = field(default_factory=threading.Event)
    asked: int = 0

    def __post_init__(self) -> None:
        self.gate.set()

    @property
    def description(self) -> str:
        return "the role of the test"

    def fetch(self) -> Issued:
        self.asked += 1
        number = self.asked
        assert self.gate.wait(30)
        if self.failure is not None:
            raise self.failure
        return Issued(Credentials(f"id-{number}", f"secret-{number}", f"token-{number}", None), self.lifetime)


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], None]:
    """Waits until something is so."""

    def wait(condition: Callable[[], bool]) -> None:
        end = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < end, "it never became so"
            time.sleep(0.002)

    return wait


class RawServer:
    """Answers each request with the bytes it is told to, a piece at a time, and closes."""

    def __init__(self) -> None:
        self.pieces: Callable[[], Iterator[bytes]] = lambda: iter(())
        self.requests: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def say(self, status: str, body: bytes, *headers: str) -> None:
        """From now on."""
        head = "\r\n".join((f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""))
        self.pieces = lambda: iter((head.encode() + body,))

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                connection.settimeout(10)
                self.requests.append(_request(connection))
                for piece in self.pieces():
                    connection.sendall(piece)


def _request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [
        line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")
    ]
    while lengths and len(body) < int(lengths[0]):
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


@pytest.fixture
def raw() -> Iterator[RawServer]:
    server = RawServer()
    yield server
    server.close()


@pytest.fixture
def issuer() -> Iterator[Answering]:
    answering = Answering()
    yield answering
    answering.gate.set()


@pytest.fixture
def clock() -> Clock:
    return Clock()
