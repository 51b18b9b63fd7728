"""One question to an issuer over HTTP, with an end in sight."""

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
    """`date`: the issuer's clock in seconds, None if it doesn't say."""

    status: int
    body: bytes
    date: float | None


def ask(
    method: str, url: str, headers: Mapping[str, str], body: bytes = b"", seconds: float = SECONDS
) -> Answer:
    """The answer, whatever its status, its last byte within `seconds`. Follows no redirect.

    Raises: TransientStoreError, StoreMisconfigured for an address or a certificate that can't be.
    """
    connection = _connection(url, seconds)
    address = urlsplit(url)
    try:
        with _deadline(connection, seconds):
            target = f"{address.path or '/'}{'?' if address.query else ''}{address.query}"
            connection.request(method, target, body, {**headers, "Connection": "close"})
            response = connection.getresponse()
            return Answer(response.status, response.read(_LARGEST), _date(response.getheader("Date")))
    except ssl.SSLCertVerificationError as error:
        raise StoreMisconfigured(
            f"{address.netloc} shows a certificate that can't be trusted ({error.verify_message}): "
            "does a proxy stand between, or is the address wrong?"
        ) from error
    except (OSError, http.client.HTTPException) as error:
        raise TransientStoreError(f"{address.netloc} can't be reached: {_reason(error, seconds)}") from error
    finally:
        connection.close()


def _connection(url: str, seconds: float) -> http.client.HTTPConnection:
    try:
        address = urlsplit(url)
        host, port = address.hostname, address.port
    except ValueError as error:
        raise StoreMisconfigured(f"{url!r} is no address: {error}") from None
    if address.scheme not in {"http", "https"} or not host:
        raise StoreMisconfigured(
            f"{url!r} is no address: it must be a host, or begin with https:// or http://"
        )
    if address.scheme == "http":
        return http.client.HTTPConnection(host, port, timeout=seconds)
    return http.client.HTTPSConnection(host, port, timeout=seconds, context=trusted())


@contextlib.contextmanager
def _deadline(connection: http.client.HTTPConnection, seconds: float) -> Iterator[None]:
    """A socket's timeout starts anew with every byte; this one doesn't."""

    def end() -> None:
        with contextlib.suppress(OSError):
            if connection.sock is not None:
                connection.sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _reason(error: Exception, seconds: float) -> str:
    match error:
        case TimeoutError():
            return f"no answer within {seconds:.0f} s"
        case socket.gaierror():
            return f"the name is not known here ({error.strerror})"
        case http.client.HTTPException():
            return f"it broke off its answer, or does not speak HTTP ({error or type(error).__name__})"
        case _:
            return str(error)


def _date(text: str | None) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp() if text else None
    except ValueError:
        return None
