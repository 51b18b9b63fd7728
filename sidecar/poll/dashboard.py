"""The head's dashboard: where it listens, and one bounded question to it."""

import http.client
import os
import re
import time
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from sidecar.errors import AnswerTooLarge, DashboardSilent
from sidecar.poll.answer import Answer

DEFAULT: Final = "http://127.0.0.1:8265"
LARGEST: Final = 16 << 20
"""A body beyond this is not read to its end: the collector has to stay small."""

_LOG_READ: Final = 256 * 1024
_ADDRESS: Final = re.compile(rb"Dashboard head http address: (\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+):(\d{1,5})\b")
_ANYWHERE: Final = {b"0.0.0.0": b"127.0.0.1", b"[::]": b"[::1]"}


def logged_address(logs: Path) -> str | None:
    """The dashboard's address as its newest start wrote it into `dashboard.log` (Ray 2.40 to 2.60)."""
    found: list[tuple[bytes, bytes]] = []
    try:
        with (logs / "dashboard.log").open("rb") as file:
            found += _ADDRESS.findall(file.read(_LOG_READ))
            size = file.seek(0, os.SEEK_END)
            file.seek(max(min(size, _LOG_READ), size - _LOG_READ))
            found += _ADDRESS.findall(file.read(_LOG_READ))
    except OSError:
        return None
    if not found:
        return None
    host, port = found[-1]
    return f"http://{_ANYWHERE.get(host, host).decode()}:{port.decode()}"


def token() -> str | None:
    """Ray's token, looked for where Ray's own clients look."""
    if given := os.environ.get("RAY_AUTH_TOKEN", "").strip():
        return given
    path = os.environ.get("RAY_AUTH_TOKEN_PATH", "")
    try:
        text = Path(path or "~/.ray/auth_token").expanduser().read_text(encoding="ascii").strip()
    except (OSError, ValueError, RuntimeError):
        return None
    return text or None


class Dashboard:
    """Asks the dashboard at `url` (http or https, a path prefix allowed)."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.url = url
        self._secure = parts.scheme == "https"
        self._host = parts.hostname or "127.0.0.1"
        self._port = parts.port
        self._prefix = parts.path.rstrip("/")

    def ask(self, question: str, seconds: float) -> Answer:
        """Asks for a path with query.

        Args:
            question: begins with "/".
            seconds: how long the whole answer may take.

        Raises:
            DashboardSilent: nobody listens, the answer came too slowly, or was no HTTP.
            AnswerTooLarge: it has more than `LARGEST` bytes.
        """
        # The name is not a browser's: Ray would hide more from one than the masking does.
        headers = {"User-Agent": "ray-history-server", "Accept": "application/json", "Connection": "close"}
        if secret := token():
            headers["Authorization"] = f"Bearer {secret}"
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        began = time.monotonic()
        connection = kind(self._host, self._port, timeout=seconds)
        try:
            connection.request("GET", self._prefix + question, headers=headers)
            with connection.getresponse() as response:
                body = _read(response, began + seconds)
                if len(body) > LARGEST:
                    took = time.monotonic() - began
                    raise AnswerTooLarge(f"{question}: more than {LARGEST} bytes", took=took)
                return Answer(response.status, body, time.monotonic() - began)
        except ConnectionRefusedError as error:
            raise DashboardSilent(f"nobody listens at {self.url}", took=0.0, absent=True) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            took = time.monotonic() - began
            raise DashboardSilent(f"{question}: {type(error).__name__} {error}", took=took) from error
        finally:
            connection.close()


def _read(response: http.client.HTTPResponse, deadline: float) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while piece := response.read1(256 * 1024):
        pieces.append(piece)
        size += len(piece)
        if size > LARGEST:
            return b"".join(pieces)
        if time.monotonic() > deadline:
            raise TimeoutError("the answer goes on too long")
    if response.length:
        raise http.client.IncompleteRead(b"", response.length)
    return b"".join(pieces)
