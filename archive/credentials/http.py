"""One question over HTTP, with an end in sight."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

from archive.errors import StoreMisconfigured, TransientStoreError
from archive.trust import trusted

SECONDS: Final = 5.0
_LARGEST: Final = 256 << 10


@dataclass(frozen=True, slots=True)
class Answer:
    """`headers`: by their names in small letters."""

    status: int
    body: bytes
    headers: Mapping[str, str]

    @property
    def date(self) -> float | None:
        """The answering clock in seconds since 1970, None if it doesn't say."""
        try:
            return parsedate_to_datetime(self.headers["date"]).timestamp()
        except (KeyError, ValueError):
            return None


def ask(
    method: str, url: str, headers: Mapping[str, str], body: bytes = b"", seconds: float = SECONDS
) -> Answer:
    """The answer, whatever its status, its last byte within `seconds`. Follows no redirect.

    Raises: TransientStoreError, StoreMisconfigured for a certificate that can't be trusted.
    """
    connection = _connection(url, seconds)
    address = urlsplit(url)
    try:
        with _deadline(connection, seconds):
            target = f"{address.path or '/'}{'?' if address.query else ''}{address.query}"
            connection.request(method, target, body, {**headers, "Connection": "close"})
            response = connection.getresponse()
            text = response.read(_LARGEST)
            if response.length:
                raise http.client.IncompleteRead(text, response.length)
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, text, headers)
    except ssl.SSLCertVerificationError as error:
        raise StoreMisconfigured(
            f"{address.netloc} shows a certificate that can't be trusted ({error.verify_message}): "
            "does a proxy stand between, or is the address wrong?"
        ) from error
    except (OSError, http.client.HTTPException) as error:
        raise TransientStoreError(f"{address.netloc} can't be reached: {_reason(error, seconds)}") from error
    finally:
        connection.close()


def checked_address(text: str) -> str:
    """`text` as a URL of scheme, host and port, https unless it says otherwise. Raises StoreMisconfigured."""
    url = text.rstrip("/") if "://" in text else f"https://{text.rstrip('/')}"
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path or parts.query:
        raise StoreMisconfigured(f"{text!r} is no address: give a host, or https:// and a host")
    return url


def _connection(url: str, seconds: float) -> http.client.HTTPConnection:
    address = urlsplit(url)
    host = address.hostname or ""
    if address.scheme == "http":
        return http.client.HTTPConnection(host, address.port, timeout=seconds)
    return http.client.HTTPSConnection(host, address.port, timeout=seconds, context=trusted())


@contextlib.contextmanager
def _deadline(connection: http.client.HTTPConnection, seconds: float) -> Iterator[None]:
    """A socket's timeout starts anew with every byte; this one doesn't. Raises TimeoutError."""
    ended = threading.Event()

    def end() -> None:
        ended.set()
        with contextlib.suppress(OSError):
            if connection.sock is not None:
                connection.sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (OSError, http.client.HTTPException):
        if not ended.is_set():
            raise
    finally:
        timer.cancel()
    if ended.is_set():
        raise TimeoutError


def _reason(error: Exception, seconds: float) -> str:
    match error:
        case TimeoutError():
            return f"no answer within {seconds:.0f} s"
        case socket.gaierror():
            return f"the name is not known here ({error.strerror})"
        case http.client.HTTPException():
            return f"it broke off its answer, or does not speak HTTP ({error or type(error).__name__})"
        case OSError(strerror=str(words)):
            return words
        case _:
            return str(error)
