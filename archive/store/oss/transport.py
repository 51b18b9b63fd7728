"""How the official client's requests travel: urllib3, with limits of our own.

The client's own transport would do but for three things: a body that trickles would never end, a `.netrc` may
replace the signature, and a small request takes twice the time.

Time limits: 5 s to connect, then 15 s without a byte either way, and 15 s of grace for a body that comes or
goes at less than 32 KiB/s. On the slowest line that counts as one, 1 MiB takes 32 s.
"""

from __future__ import annotations

import ssl
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from email.utils import formatdate
from typing import Final, Self
from urllib.parse import urlsplit

import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NewConnectionError,
    ProxyError,
    ReadTimeoutError,
)

from archive.store.oss.answers import REQUEST_ID
from archive.store.oss.errors import Trouble
from archive.store.oss.sdk import HttpClient, HttpRequest, HttpResponse
from archive.trust import trusted

CONNECT_SECONDS: Final = 5.0
SILENT_SECONDS: Final = 15.0
SLOWEST: Final = 32 << 10
"""Bytes a second."""
CONNECTIONS: Final = 32
"""Kept open at most; the server reads with 24 threads."""
BLOCK: Final = 64 << 10


class Answered(HttpResponse):  # type: ignore[misc]  # the client has no types
    """An answer whose body is here, whole."""

    def __init__(self, request: HttpRequest, response: urllib3.BaseHTTPResponse, content: bytes) -> None:
        self._request = request
        self._response = response
        self._content = content

    @property
    def request(self) -> HttpRequest:
        return self._request

    @property
    def is_closed(self) -> bool:
        return True

    @property
    def is_stream_consumed(self) -> bool:
        return True

    @property
    def status_code(self) -> int:
        return self._response.status

    @property
    def headers(self) -> urllib3.HTTPHeaderDict:
        return self._response.headers

    @property
    def reason(self) -> str:
        return self._response.reason or ""

    @property
    def content(self) -> bytes:
        return self._content

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def read(self) -> bytes:
        return self._content

    def close(self) -> None:
        """Nothing is open: the connection went back when the body was read."""

    def iter_bytes(self, **_: object) -> Iterator[bytes]:
        return iter((self._content,))


class Transport(HttpClient):  # type: ignore[misc]  # as above
    """Thread-safe. Of one process: connections don't survive a fork."""

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pool = _pool(url)

    def open(self) -> None:
        """Connections are opened as they are needed."""

    def close(self) -> None:
        self._pool.clear()

    def send(self, request: HttpRequest, **_: object) -> Answered:
        """Raises LineFailed, NotOss."""
        body = _Paced(request.body, self._clock)
        try:
            response = self._pool.urlopen(
                request.method,
                request.url,
                body=body if request.body else None,
                headers={**request.headers, "Content-Length": str(len(request.body))},
                redirect=False,
                retries=False,
                preload_content=False,
                decode_content=False,
            )
            content = self._read(response)
        except (HTTPError, OSError) as error:
            found, detail = trouble(error)
            if found is Trouble.LOST and not body.gone:
                found = Trouble.CUT
            raise LineFailed(found, detail) from error
        if REQUEST_ID not in response.headers:
            raise NotOss(response.status, response.headers.get("Content-Type", ""))
        response.headers.setdefault("Date", formatdate(usegmt=True))  # the client can't read errors without
        return Answered(request, response, content)

    def _read(self, response: urllib3.BaseHTTPResponse) -> bytes:
        began, had = self._clock(), 0
        pieces = []
        try:
            while piece := response.read1(4 * BLOCK):
                pieces.append(piece)
                had += len(piece)
                _require_pace(self._clock() - began, had)
        except BaseException:
            response.close()
            raise
        response.release_conn()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


class _Paced:
    """A body in blocks, since a limit on the socket is one for each of them. `gone`: the last was taken."""

    def __init__(self, body: bytes, clock: Callable[[], float]) -> None:
        self._body = body
        self._clock = clock
        self.gone = not body

    def __iter__(self) -> Iterator[memoryview]:
        view, began = memoryview(self._body), self._clock()
        for at in range(0, len(view), BLOCK):
            _require_pace(self._clock() - began, at)
            self.gone = at + BLOCK >= len(view)
            yield view[at : at + BLOCK]


def _require_pace(seconds: float, done: int) -> None:
    if seconds > SILENT_SECONDS + done / SLOWEST:
        raise TooSlow(f"slower than {SLOWEST >> 10} KiB a second")


class TooSlow(HTTPError):
    """Bytes come or go, but hardly."""


class LineFailed(Exception):
    """No answer, or half of one. `detail`: a few words about it."""

    def __init__(self, trouble: Trouble, detail: str) -> None:
        super().__init__(detail)
        self.trouble = trouble
        self.detail = detail


class NotOss(Exception):
    """Somebody else answered: the client would take any answer for one of OSS, and choke on it."""

    def __init__(self, status: int, content_type: str) -> None:
        super().__init__(f"status {status}")
        self.status = status
        self.content_type = content_type


def trouble(error: BaseException) -> tuple[Trouble, str]:
    """What an exception of urllib3 or the system means, and a few words about it."""
    causes = list(_causes(error))
    detail = _words(causes)
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return Trouble.UNTRUSTED, cause.verify_message
        if isinstance(cause, ssl.SSLError) and cause.reason in {"WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL"}:
            return Trouble.NO_TLS, detail
    if any(isinstance(cause, ConnectTimeoutError | ProxyError) for cause in causes):
        return Trouble.UNREACHABLE, detail
    return Trouble.LOST, detail


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The exception and what it wraps: urllib3 keeps that among the arguments, or as the cause."""
    waiting: list[object] = [error]
    seen: set[int] = set()
    while waiting:
        cause = waiting.pop()
        if isinstance(cause, BaseException) and id(cause) not in seen:
            seen.add(id(cause))
            yield cause
            waiting += [*cause.args, cause.__context__, cause.__cause__]


def _words(causes: Sequence[BaseException]) -> str:
    """The system's own words, where there are any; else the kind of exception."""
    for cause in causes:
        if isinstance(cause, ConnectTimeoutError) and not isinstance(cause, NewConnectionError):
            return f"no connection in {CONNECT_SECONDS:g} s"
        if isinstance(cause, ReadTimeoutError | TimeoutError):
            return "nothing came or went in time"
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
    return " ".join(str(causes[-1]).split())[:200] or type(causes[-1]).__name__


def _pool(url: str) -> urllib3.PoolManager:
    """The connections to where `url` is, by the proxy of the environment where there is one for it."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    proxies = urllib.request.getproxies()
    proxy = None if urllib.request.proxy_bypass(host) else proxies.get(parts.scheme) or proxies.get("all")
    timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=SILENT_SECONDS)
    context = trusted() if parts.scheme == "https" else None
    if proxy:
        return urllib3.ProxyManager(proxy, maxsize=CONNECTIONS, timeout=timeout, ssl_context=context)
    return urllib3.PoolManager(maxsize=CONNECTIONS, timeout=timeout, ssl_context=context)
