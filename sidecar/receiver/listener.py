"""A TCP listener with a thread for each connection, for few clients on the same machine.

It keeps trying where the address is taken. With too many connections the one that has been silent longest
makes room, so that clients who leave theirs open can't lock Ray out.
"""

import contextlib
import socket
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BufferedReader
from typing import Final

SILENCE_LIMIT: Final = 60.0
"""Seconds without a byte after which a connection is closed."""

MOST_CONNECTIONS: Final = 32
_RETRY: Final = 0.5


@dataclass(eq=False)
class Connection:
    """One client. `reader` and `send` raise OSError; a silent client is a TimeoutError."""

    socket: socket.socket
    reader: BufferedReader = field(init=False)
    heard: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.socket.settimeout(SILENCE_LIMIT)
        self.reader = BufferedReader(socket.SocketIO(self.socket, "r"), 64 << 10)

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def touch(self) -> None:
        """Says that the client is at work, so that others make room before it."""
        self.heard = time.monotonic()

    def hang_up(self) -> None:
        """Takes no more from the client; an answer under way still goes out."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RD)


class Listener(ABC):
    """Serves connections on `address` (host, port) from `start` to `stop`."""

    def __init__(self, address: tuple[str, int], name: str, problem: Callable[[str], None]) -> None:
        """`problem` is told why it can't listen, and the empty text once it can."""
        self._wanted = address
        self._name = name
        self._problem = problem
        self._stopping = threading.Event()
        self._listening = threading.Event()
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()
        self._connections: dict[Connection, threading.Thread] = {}
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @abstractmethod
    def serve(self, connection: Connection) -> None:
        """One connection, to its end, in a thread of its own. May raise OSError."""

    def start(self) -> None:
        """Begins to listen; returns at once, and goes on trying where the address is taken."""
        self._thread.start()

    def wait_until_listening(self, seconds: float) -> bool:
        """Whether it listens, at the latest after so many seconds."""
        return self._listening.wait(seconds)

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens: the wanted address, with the port the system chose for 0."""
        if self._socket is None:
            return self._wanted
        host, port = self._socket.getsockname()[:2]
        return str(host), int(port)

    @property
    def connections(self) -> int:
        return len(self._connections)

    def stop(self, seconds: float = 1.0) -> None:
        """Takes no more requests; those under way get their answer within `seconds`."""
        self._stopping.set()
        self._wake()
        self._thread.join(seconds)
        deadline = time.monotonic() + seconds
        with self._lock:
            connections = dict(self._connections)
        for connection in connections:
            connection.hang_up()
        for thread in connections.values():
            thread.join(max(0.0, deadline - time.monotonic()))

    def _wake(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._socket = _bound(self._wanted)
            except OSError as error:
                host, port = self._wanted
                self._problem(
                    f"can't listen on {host}:{port} ({error.strerror}): is another collector running? "
                    f"Free the port or choose another; it is tried again"
                )
                self._stopping.wait(_RETRY)
                continue
            self._problem("")
            self._listening.set()
            with self._socket:
                self._accept(self._socket)

    def _accept(self, listening: socket.socket) -> None:
        while not self._stopping.is_set():
            try:
                client, _ = listening.accept()
            except OSError:
                # Stopped, or out of descriptors for now: the clients wait meanwhile.
                self._stopping.wait(_RETRY)
                continue
            connection = Connection(client)
            thread = threading.Thread(
                target=self._handle, args=(connection,), name=f"{self._name} connection", daemon=True
            )
            with self._lock:
                self._make_room()
                self._connections[connection] = thread
            try:
                thread.start()
            except RuntimeError:  # no more threads: this client has to come again
                self._forget(connection)
                client.close()

    def _make_room(self) -> None:
        if len(self._connections) >= MOST_CONNECTIONS:
            min(self._connections, key=lambda connection: connection.heard).hang_up()

    def _handle(self, connection: Connection) -> None:
        try:
            with connection.socket, contextlib.suppress(OSError):
                self.serve(connection)
        finally:
            self._forget(connection)

    def _forget(self, connection: Connection) -> None:
        with self._lock:
            del self._connections[connection]


def _bound(address: tuple[str, int]) -> socket.socket:
    host, port = address
    return socket.create_server((host, port), backlog=128, family=_family(host))


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
