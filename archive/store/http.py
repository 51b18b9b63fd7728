"""A server that owns a volume as a store, for trials without object storage: it takes puts and nothing else.

The token is read from its file at each use, since the kubelet replaces it. What counts as stored, and what a
failure tells, is in `archive.store.putting`. Nothing is tried again here.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import select
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from email.message import Message
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final, NoReturn
from urllib.parse import quote, urlsplit

from archive.errors import StoreError, StoreMisconfigured, StoreRefused, TransientStoreError
from archive.store.base import Object, ObjectInfo
from archive.store.keys import require_key
from archive.store.putting import DIGEST, OUTCOME, PATH, Outcome, digest_of

_CONNECT_SECONDS: Final = 10.0
_SILENCE_SECONDS: Final = 30.0
_ANSWER_SECONDS: Final = 60.0
"""From the beginning of a request to the last byte of its answer."""
_IDLE_SECONDS: Final = 20.0
"""For how long an unused connection is trusted; the server closes it after 30 s."""
_LONGEST_ANSWER: Final = 8 << 10
_LONGEST_TOKEN: Final = 64 << 10
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/=-]+")
_ONLY_PUTS: Final = "a history server takes puts over HTTP and gives nothing back: read its own folder"


class HttpStore:
    """Puts below `base`, as `http://ray-history-server.ray-system` or `https://host/path`.

    `token_file`: holds what tells the server who we are. Touches nothing until used. Thread-safe.
    """

    def __init__(self, base: str, token_file: Path | None = None) -> None:
        """Raises StoreMisconfigured."""
        self._base = base.rstrip("/")
        self._token_file = token_file
        self._connections = _Connections(self._base)
        self._path = urlsplit(self._base).path

    def __reduce__(self) -> tuple[type[HttpStore], tuple[str, Path | None]]:
        return HttpStore, (self._base, self._token_file)

    def put(self, key: str, data: bytes) -> ObjectInfo:
        require_key(key)
        digest = digest_of(data)
        headers = {DIGEST: digest, "Content-Type": "application/octet-stream", **self._authorization()}
        answer = self._ask("PUT", key, data, headers)
        if answer.status != 200:
            raise self._told(key, answer)
        if answer.outcome is not Outcome.STORED or "ETag" not in answer.headers:
            raise self._no_taker(f"answers {answer.status} as no such server does")
        if answer.headers[DIGEST] != digest:
            raise TransientStoreError(
                f"{self._base} stored other bytes under {key!r} than were sent", effect_unknown=True
            )
        return ObjectInfo(
            key, len(data), answer.headers["ETag"].strip('"'), _seconds(answer, "Last-Modified")
        )

    def get(
        self, key: str, *, start: int = 0, length: int | None = None, if_match: str | None = None
    ) -> Object:
        self._refuse(f"{key!r} can't be read")

    def get_suffix(self, key: str, length: int, *, if_match: str | None = None) -> Object:
        self._refuse(f"{key!r} can't be read")

    def list(self, prefix: str, *, after: str = "") -> Iterator[ObjectInfo]:
        self._refuse(f"{prefix!r} can't be listed")

    def list_folders(self, prefix: str) -> Iterator[str]:
        self._refuse(f"{prefix!r} can't be listed")

    def delete(self, keys: Iterable[str]) -> None:
        self._refuse("nothing can be deleted")

    def now(self) -> float:
        answer = self._ask("HEAD", "", b"", {})
        if (now := _seconds(answer, "Date")) == 0.0:
            raise self._no_taker("does not tell its time")
        return now

    def close(self) -> None:
        """Closes what is open and unused; it can be used on."""
        self._connections.close()

    def _refuse(self, what: str) -> NoReturn:
        raise StoreRefused(f"{what} at {self._base}: {_ONLY_PUTS}")

    def _authorization(self) -> dict[str, str]:
        if self._token_file is None:
            return {}
        try:
            with self._token_file.open("rb") as file:
                token = file.read(_LONGEST_TOKEN).decode("ascii", "replace").strip()
        except OSError as error:
            raise StoreMisconfigured(
                f"the token file {str(self._token_file)!r} can't be read ({error.strerror}): correct "
                "token_file= in the store's URL, or mount the token there"
            ) from error
        if not _TOKEN.fullmatch(token):
            raise StoreMisconfigured(
                f"the token file {str(self._token_file)!r} holds no token: write one into it"
            )
        return {"Authorization": f"Bearer {token}"}

    def _ask(self, method: str, key: str, data: bytes, headers: dict[str, str]) -> _Answer:
        sent = False
        connection = self._connections.take()
        deadline = time.monotonic() + _ANSWER_SECONDS
        try:
            if connection.sock is None:
                connection.connect()
            connection.sock.settimeout(_SILENCE_SECONDS)
            with _cut_off_after(connection.sock, deadline - time.monotonic()):
                # A server that refuses before it has all may close: then its answer tells more than that.
                with contextlib.suppress(ConnectionError):
                    connection.request(method, f"{self._path}{PATH}{quote(key)}", data or None, headers)
                    sent = True
                response = connection.getresponse()
                text = response.read(_LONGEST_ANSWER)
        except (OSError, http.client.HTTPException, ValueError) as error:
            connection.close()
            raise self._failed(error, sent=sent, late=time.monotonic() >= deadline) from error
        except BaseException:
            connection.close()
            raise
        self._connections.give(connection, whole=response.isclosed())
        return _Answer(response.status, response.headers, text.decode("utf-8", "replace").strip())

    def _failed(self, error: Exception, *, sent: bool, late: bool) -> StoreError:
        if isinstance(error, ssl.SSLCertVerificationError):
            return StoreMisconfigured(
                f"the certificate of {self._base} can't be trusted ({error.verify_message}): give the "
                "name that is in it, or let this machine know who signed it (SSL_CERT_FILE)"
            )
        in_time = not (late or isinstance(error, TimeoutError))
        what = str(error) or type(error).__name__ if in_time else "no answer in time"
        done = "the connection broke" if sent else "it could not be sent"
        return TransientStoreError(f"{self._base} took no put: {done} ({what})", effect_unknown=sent)

    def _told(self, key: str, answer: _Answer) -> StoreError:
        """What an answer other than 200 means."""
        said = f": {answer.text}" if answer.outcome is not None and answer.text else ""
        if answer.status in {408, 429} or answer.status >= 500:
            unknown = answer.outcome in {None, Outcome.STORED, Outcome.UNKNOWN}
            return TransientStoreError(
                f"{self._base} could not store {key!r} now ({answer.status}){said}", effect_unknown=unknown
            )
        if answer.outcome is Outcome.DAMAGED:
            return TransientStoreError(f"{key!r} was changed on its way to {self._base}{said}")
        if answer.status == 401:
            return StoreRefused(self._unknown_token(said))
        if answer.outcome is not None:
            return StoreRefused(f"{self._base} refuses {key!r} ({answer.status}){said}")
        if answer.status == 413:
            return StoreMisconfigured(
                f"something before the history server at {self._base} takes no body as large as {key!r}: "
                "raise its limit (nginx: client_max_body_size) to 64 MiB"
            )
        if answer.status == 403:
            return StoreRefused(
                f"something before the history server at {self._base} refuses puts (403): let them in"
            )
        where = f" to {answer.headers['Location']}" if "Location" in answer.headers else ""
        return self._no_taker(f"answers {answer.status}{where}")

    def _unknown_token(self, said: str) -> str:
        if self._token_file is None:
            return f"{self._base} asks for a token{said}: add ?token_file=/path to the store's URL"
        return f"{self._base} does not know the token in {str(self._token_file)!r}{said}"

    def _no_taker(self, what: str) -> StoreMisconfigured:
        return StoreMisconfigured(
            f"{self._base} is no history server that takes puts, it {what}: correct the store's URL, or "
            "start the server there with --put-tokens"
        )


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Message
    text: str

    @property
    def outcome(self) -> Outcome | None:
        """None if it is no answer of ours."""
        with contextlib.suppress(ValueError):
            return Outcome(self.headers.get(OUTCOME, ""))
        return None


def _seconds(answer: _Answer, header: str) -> float:
    """A date in a header as Unix seconds; 0 where there is none."""
    try:
        return parsedate_to_datetime(answer.headers.get(header, "")).timestamp()
    except (TypeError, ValueError):
        return 0.0


class _Connections:
    """Connections that are open and unused, for the next request of any thread."""

    def __init__(self, base: str) -> None:
        try:
            parts = urlsplit(base)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise StoreMisconfigured(f"the store {base!r} is no URL: {error}") from None
        if parts.scheme not in {"http", "https"} or not host:
            raise StoreMisconfigured(f"the store {base!r} names no host: give http://host/ or https://host/")
        self._host, self._port = host, port
        self._tls = parts.scheme == "https"
        self._context: ssl.SSLContext | None = None
        self._lock = threading.Lock()
        self._idle: list[tuple[float, http.client.HTTPConnection]] = []

    def take(self) -> http.client.HTTPConnection:
        """One that is open, as far as can be told, else one that is yet to be opened."""
        with self._lock:
            idle, self._idle = self._idle, []
            oldest = time.monotonic() - _IDLE_SECONDS
            alive = [(since, each) for since, each in idle if since > oldest and _is_quiet(each)]
            taken = alive.pop()[1] if alive else None
            self._idle = alive
            kept = {id(each) for _, each in alive} | {id(taken)}
        for _, each in idle:
            if id(each) not in kept:
                each.close()
        return taken or self._new()

    def give(self, connection: http.client.HTTPConnection, *, whole: bool) -> None:
        """Back again. `whole`: its last answer was read to the end."""
        if not whole or connection.sock is None:
            connection.close()
            return
        with self._lock:
            self._idle.append((time.monotonic(), connection))

    def close(self) -> None:
        """Closes those that are unused."""
        with self._lock:
            idle, self._idle = self._idle, []
        for _, each in idle:
            each.close()

    def _new(self) -> http.client.HTTPConnection:
        if not self._tls:
            return http.client.HTTPConnection(self._host, self._port, timeout=_CONNECT_SECONDS)
        with self._lock:
            self._context = self._context or ssl.create_default_context()
        return http.client.HTTPSConnection(
            self._host, self._port, timeout=_CONNECT_SECONDS, context=self._context
        )


def _is_quiet(connection: http.client.HTTPConnection) -> bool:
    """Whether nothing came since its last answer: what could come is its end."""
    if connection.sock is None:
        return False
    poll = select.poll()
    poll.register(connection.sock, select.POLLIN)
    return not poll.poll(0)


@contextlib.contextmanager
def _cut_off_after(connection: socket.socket, seconds: float) -> Iterator[None]:
    """Ends the connection then: its own time limit counts from byte to byte, and a trickle never ends."""

    def cut_off() -> None:
        with contextlib.suppress(OSError):  # closed already
            socket.socket.shutdown(connection, socket.SHUT_RDWR)

    timer = threading.Timer(max(0.0, seconds), cut_off)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
