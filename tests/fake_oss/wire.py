"""HTTP/1.1 over a socket, no more than the services need, and slow or broken where a fault asks for it."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
from dataclasses import dataclass, field
from http.client import responses
from pathlib import Path
from typing import Final
from urllib.parse import unquote

_PIECE: Final = 1 << 18
_MOST_HEAD: Final = 1 << 16
_TICK: Final = 0.02


class Gone(Exception):
    """The connection has ended, on either side."""


@dataclass(frozen=True, slots=True)
class FileSpan:
    """Bytes of a file, sent without passing through this process."""

    path: Path
    start: int
    length: int


@dataclass(slots=True)
class Request:
    """`path` as it was sent, `query` as pairs still escaped, `headers` by lower-case name."""

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: dict[str, str]
    body: bytes = b""

    def parameters(self) -> dict[str, str]:
        return {unquote(name): unquote(value.replace("+", "%20")) for name, value in self.query}


@dataclass(slots=True)
class Answer:
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | memoryview | FileSpan = b""
    code: str = ""

    @property
    def length(self) -> int:
        return self.body.length if isinstance(self.body, FileSpan) else len(self.body)

    def whole(self) -> bytes:
        if not isinstance(self.body, FileSpan):
            return bytes(self.body)
        with self.body.path.open("rb") as file:
            file.seek(self.body.start)
            return file.read(self.body.length)

    def head(self) -> bytes:
        lines = [f"HTTP/1.1 {self.status} {responses.get(self.status, 'Other')}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if "Content-Length" not in self.headers and self.status not in {204, 304}:
            lines.append(f"Content-Length: {self.length}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class Connection:
    """One client. `pace` limits a direction to that many bytes a second; `ending` cuts waits short."""

    def __init__(self, client: socket.socket, ending: threading.Event) -> None:
        self._socket = client
        self._buffer = b""
        self._ending = ending

    def read_request(self) -> Request | None:
        """The head of the next request; None when the client is done."""
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if len(self._buffer) > _MOST_HEAD:
                raise Gone
            piece = self._receive(_PIECE)
            if not piece:
                return None
            self._buffer += piece
        head, self._buffer = self._buffer[:end].decode("latin-1"), self._buffer[end + 4 :]
        first, *lines = head.split("\r\n")
        try:
            method, target, _ = first.split(" ")
            headers = {}
            for line in lines:
                name, value = line.split(":", 1)
                headers[name.lower()] = value.strip()
        except ValueError:
            raise Gone from None
        path, _, query = target.partition("?")
        pairs = [
            (name, value) for name, _, value in (pair.partition("=") for pair in query.split("&")) if name
        ]
        return Request(method, path, pairs, headers)

    def read_body(self, length: int, *, pace: float | None = None) -> bytes:
        taken, self._buffer = self._buffer[:length], self._buffer[length:]
        if pace is not None:
            self._wait(len(taken) / pace)
        if len(taken) == length:
            return taken
        body = bytearray(length)
        body[: len(taken)] = taken
        view, got = memoryview(body), len(taken)
        while got < length:
            most = length - got
            if pace is not None:
                most = min(most, _step(pace))
                self._wait(most / pace)
            try:
                count = self._socket.recv_into(view[got:], most)
            except OSError:
                raise Gone from None
            if not count:
                raise Gone
            got += count
        return bytes(body)

    def write(self, answer: Answer, *, bodiless: bool = False, pace: float | None = None) -> int:
        """Send it all; gives the bytes of the body sent."""
        head = answer.head()
        try:
            if bodiless or not answer.length:
                self._socket.sendall(head)
                return 0
            if pace is not None:
                self._trickle(head + answer.whole(), pace)
            elif isinstance(answer.body, FileSpan):
                self._socket.sendall(head)
                self._send_file(answer.body)
            elif answer.length < _PIECE:
                self._socket.sendall(head + bytes(answer.body))
            else:
                self._socket.sendall(head)
                self._socket.sendall(answer.body)
        except OSError:
            raise Gone from None
        return answer.length

    def write_part(self, answer: Answer, length: int) -> None:
        """The head and the first `length` bytes of the body; where there is no body, half of the head."""
        head = answer.head()
        with contextlib.suppress(OSError):
            self._socket.sendall(head + answer.whole()[:length] if answer.length else head[: len(head) // 2])

    def proceed(self) -> None:
        """Tell a client that waits for leave to send its body."""
        with contextlib.suppress(OSError):
            self._socket.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")

    def reset(self) -> None:
        """End with RST rather than FIN."""
        with contextlib.suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def close(self) -> None:
        self._socket.close()

    def end(self) -> None:
        """Wake the thread that serves this connection: for it, the client is gone."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def _receive(self, most: int) -> bytes:
        try:
            return self._socket.recv(most)
        except OSError:
            return b""

    def _wait(self, seconds: float) -> None:
        if self._ending.wait(seconds):
            raise Gone

    def _trickle(self, data: bytes, pace: float) -> None:
        step = _step(pace)
        for start in range(0, len(data), step):
            self._socket.sendall(data[start : start + step])
            self._wait(step / pace)

    def _send_file(self, span: FileSpan) -> None:
        with span.path.open("rb") as file:
            place, left = span.start, span.length
            while left:
                sent = os.sendfile(self._socket.fileno(), file.fileno(), place, left)
                if not sent:
                    raise Gone
                place, left = place + sent, left - sent


def _step(pace: float) -> int:
    """Bytes to move at a time."""
    return max(1, int(pace * _TICK))
