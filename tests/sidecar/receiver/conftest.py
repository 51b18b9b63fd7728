"""A receiver on a free port that writes into a real spool, and a raw client for it."""

import gzip
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sidecar.metrics import Metrics
from sidecar.receiver import Receiver
from sidecar.spool import NodeSpool, Spool
from sidecar.spool.record import raw_bytes

EVENTS = Path(__file__).parents[2] / "fixtures" / "ray" / "events"


def stream(node: NodeSpool, name: str) -> bytes:
    """Everything that the spool holds of a stream."""
    found = []
    position = node.stored
    while position < node.written:
        reads, position = node.reads(position)
        found += [raw_bytes(record, payload) for record, _, payload in reads if record.stream == name]
    return b"".join(found)


def lines(node: NodeSpool, name: str) -> list[bytes]:
    data = stream(node, name)
    assert not data or data.endswith(b"\n")
    return data.splitlines()


class Client:
    """Speaks plain bytes, so that it can misbehave."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, timeout=20)
        self._reader = self.socket.makefile("rb")

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def post(self, body: bytes, headers: bytes = b"") -> int:
        self.send(
            b"POST /any/path HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n" % len(body)
            + headers
            + b"\r\n"
            + body
        )
        return self.status()

    def status(self) -> int:
        """Reads one answer; 0 if the connection ended instead."""
        return self.answer()[0]

    def answer(self) -> tuple[int, bytes]:
        first = self._reader.readline()
        if not first:
            return 0, b""
        length = 0
        while (line := self._reader.readline().strip()) != b"":
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        return int(first.split()[1]), self._reader.read(length)

    def close(self) -> None:
        self._reader.close()
        self.socket.close()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    with Spool(tmp_path / "spool", 1 << 30) as spool:
        yield spool


@pytest.fixture
def node(spool: Spool) -> NodeSpool:
    return spool.unassigned()


@pytest.fixture
def receiver(spool: Spool, metrics: Metrics) -> Iterator[Receiver]:
    receiver = Receiver(("127.0.0.1", 0), spool.unassigned, metrics)
    receiver.start()
    assert receiver.wait_until_listening(10)
    yield receiver
    receiver.stop()


@pytest.fixture
def connect(receiver: Receiver) -> Iterator[Callable[[], Client]]:
    clients: list[Client] = []

    def new() -> Client:
        clients.append(Client(receiver.address))
        return clients[-1]

    yield new
    for client in clients:
        client.close()


@pytest.fixture
def client(connect: Callable[[], Client]) -> Client:
    return connect()


@pytest.fixture(scope="session")
def recorded_posts() -> list[list[dict[str, Any]]]:
    """The events of every body that a real session posted."""
    with gzip.open(EVENTS / "session_2026-11-23_02-43-27_all_posts.jsonl.gz") as file:
        return [json.loads(line)["body"] for line in file]
