"""One service on a port of 127.0.0.1: a thread a connection, and faults between socket and service."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from email.utils import formatdate
from typing import Final, Literal, Protocol

from fake_oss import faults
from fake_oss.errors import ServiceError
from fake_oss.faults import Act, Script, Subject
from fake_oss.journal import Asked, Journal
from fake_oss.wire import Answer, Connection, Gone, Request

_MOST_BODY: Final = 5 << 30
_PORTAL: Final = (
    b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>Sign in to go on.</body></html>"
)


class Service(Protocol):
    """What a port speaks. `asks_in_body`: what is asked stands in the body, so a fault can't break that."""

    name: str
    asks_in_body: bool

    def subject(self, request: Request) -> Subject:
        """What the request is about, as far as its head tells."""
        ...

    def answer(self, request: Request, subject: Subject, act: Act | None) -> Answer | None:
        """Do it. None: there is no answer now. Raises ServiceError."""
        ...

    def refusal(self, request: Request, error: ServiceError) -> Answer: ...

    def common_headers(self) -> dict[str, str]: ...


class Server:
    """Listens from the start until close(); down() and up() are what the network does meanwhile."""

    def __init__(self, service: Service, script: Script, journal: Journal, latency: float) -> None:
        self.latency = latency
        self._service = service
        self._script = script
        self._journal = journal
        self._ending = threading.Event()
        self._cut = threading.Event()  # the network is cut: connections stay, nothing comes through
        self._lock = threading.Lock()
        self._connections: set[Connection] = set()
        self._threads: set[threading.Thread] = set()
        self._listener = _bound(0)
        self.port: int = self._listener.getsockname()[1]
        self._accepting: threading.Thread | None = None
        self._listen()

    def down(self, how: Literal["refused", "cut"]) -> None:
        """Refuse connections and reset those there are, or keep all of them and let nothing through."""
        if how == "cut":
            self._cut.set()
            return
        if self._accepting is not None:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._accepting.join()
            self._accepting = None
            self._listener.close()
            # Bound and not listening: connections are refused, and the port stays ours.
            self._listener = _bound(self.port)
        self._end_connections()

    def up(self) -> None:
        """What waited at a cut network is lost."""
        if self._cut.is_set():
            self._cut.clear()
            self._end_connections()
        if self._accepting is None:
            self._listen()

    def close(self) -> None:
        self._ending.set()
        self.down("refused")
        self._listener.close()
        while True:
            with self._lock:
                threads = list(self._threads)
            if not threads:
                return
            for thread in threads:
                thread.join()

    def _listen(self) -> None:
        self._listener.listen(512)
        self._accepting = threading.Thread(
            target=self._accept, name=f"{self._service.name} accepts", daemon=True
        )
        self._accepting.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = Connection(client, self._ending)
            thread = threading.Thread(target=self._serve, args=(connection,), name="connection", daemon=True)
            with self._lock:
                self._connections.add(connection)
                self._threads.add(thread)
            thread.start()

    def _end_connections(self) -> None:
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            connection.reset()
            connection.end()

    def _serve(self, connection: Connection) -> None:
        try:
            with contextlib.suppress(Gone):
                while (request := connection.read_request()) is not None:
                    self._take(connection, request)
                    if request.headers.get("connection", "").lower() == "close":
                        return
        finally:
            with self._lock:
                self._connections.discard(connection)
                self._threads.discard(threading.current_thread())
            connection.close()

    def _take(self, connection: Connection, request: Request) -> None:
        """Serve one request and note it, whatever becomes of it."""
        started, clock = time.time(), time.perf_counter()
        self._wait_while_cut()
        if self._service.asks_in_body:
            self._read_body(connection, request, None)
        subject = self._service.subject(request)
        act = self._script.act_for(subject)

        def asked(answer: Answer | None, sent: int) -> Asked:
            return Asked(
                subject.service,
                subject.method,
                subject.operation,
                subject.key,
                subject.identity,
                0 if answer is None else answer.status,
                "" if answer is None else answer.code,
                len(request.body),
                sent,
                started,
                time.perf_counter() - clock,
                "" if act is None else type(act).__name__,
            )

        try:
            answer = self._perform(connection, request, subject, act)
        except Gone:
            self._journal.add(asked(None, 0))
            raise
        told = asked(answer, 0 if request.method == "HEAD" else answer.length)
        self._journal.add(told)
        sent = 0
        try:
            sent = self._send(connection, request, answer, act)
        finally:
            self._journal.replace(told, asked(answer, sent))

    def _perform(self, connection: Connection, request: Request, subject: Subject, act: Act | None) -> Answer:
        if not self._service.asks_in_body:
            self._read_body(connection, request, act)
        if self.latency:
            self._pause(self.latency)
        self._wait_while_cut()
        answer = self._instead(request, act)
        if answer is not None:
            return answer
        try:
            answer = self._service.answer(request, subject, act)
        except ServiceError as error:
            answer = self._service.refusal(request, error)
        if isinstance(act, faults.ApplyLater) and answer is None:
            self._ending.wait(act.hang)
        if answer is None or isinstance(act, faults.LoseAnswer):
            raise Gone
        return answer

    def _instead(self, request: Request, act: Act | None) -> Answer | None:
        """What is answered in the service's place, if anything."""
        match act:
            case faults.Withhold(seconds):
                self._ending.wait(seconds)
                raise Gone
            case faults.Wait(seconds):
                self._pause(seconds)
            case faults.Html(status, dated):
                date = {"Date": formatdate(usegmt=True)} if dated else {}
                return Answer(status, {"Content-Type": "text/html", "Server": "portal", **date}, _PORTAL)
            case faults.Redirect(location, status):
                return Answer(status, {"Location": location, "Date": formatdate(usegmt=True)})
            case faults.Refuse(status, code, message, ec):
                return self._service.refusal(request, ServiceError(status, code, message, ec))
        return None

    def _read_body(self, connection: Connection, request: Request, act: Act | None) -> None:
        length = request.headers.get("content-length", "0")
        if "transfer-encoding" in request.headers or not length.isdigit() or int(length) > _MOST_BODY:
            raise Gone
        if request.headers.get("expect", "").lower() == "100-continue":
            connection.proceed()
        if isinstance(act, faults.ResetRequest):
            connection.read_body(min(act.after, int(length)))
            connection.reset()
            raise Gone
        pace = act.bytes_per_second if isinstance(act, faults.Trickle) and act.request else None
        request.body = connection.read_body(int(length), pace=pace)
        if isinstance(act, faults.FlipBit) and act.where == "request":
            request.body = _flipped(request.body, act.place)

    def _send(self, connection: Connection, request: Request, answer: Answer, act: Act | None) -> int:
        self._wait_while_cut()
        if not isinstance(act, faults.Html | faults.Redirect):
            answer.headers = {**self._service.common_headers(), **answer.headers}
        pace = None
        match act:
            case faults.ResetAnswer(after):
                connection.write_part(answer, after)
                connection.reset()
                raise Gone
            case faults.WrongChecksum() if "x-oss-hash-crc64ecma" in answer.headers:
                answer.headers["x-oss-hash-crc64ecma"] = str(int(answer.headers["x-oss-hash-crc64ecma"]) ^ 1)
            case faults.FlipBit("answer", place):
                answer.body = _flipped(answer.whole(), place)
            case faults.Trickle(answer=True):
                pace = act.bytes_per_second
        return connection.write(answer, bodiless=request.method == "HEAD", pace=pace)

    def _wait_while_cut(self) -> None:
        if self._cut.is_set():
            while self._cut.is_set() and not self._ending.wait(0.01):
                pass
            raise Gone

    def _pause(self, seconds: float) -> None:
        if self._ending.wait(seconds):
            raise Gone


def _bound(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    return listener


def _flipped(data: bytes, place: int) -> bytes:
    if not data:
        return data
    changed = bytearray(data)
    changed[place % len(changed)] ^= 1
    return bytes(changed)
