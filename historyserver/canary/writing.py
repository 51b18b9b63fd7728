"""What the canary does to a node: posts events as Ray does, and writes a log that turns as Ray's logs do."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from archive.canary import CANARY_EVENT
from historyserver.canary.message import Message

_TURN_AT: Final = 32 << 10
_BACKUPS: Final = 10
_ANSWER_SECONDS: Final = 5.0


class Lines:
    """A log: appended to in whole lines, and renamed to `.1`, `.2`, … when it is long."""

    def __init__(self, path: Path, *, turn_at: int = _TURN_AT) -> None:
        """`turn_at`: bytes."""
        self._path = path
        self._turn_at = turn_at

    def write(self, message: Message) -> None:
        """Raises OSError: then it is not written, for a short write is undone."""
        line = f"{message.text}\n".encode()
        self._turn(len(line))
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            written = os.write(descriptor, line)
            if written < len(line):
                os.ftruncate(descriptor, os.fstat(descriptor).st_size - written)
                raise OSError("the disk took half a line")
        finally:
            os.close(descriptor)

    def remove(self) -> None:
        """The log and its backups."""
        for number in range(_BACKUPS + 1):
            with contextlib.suppress(OSError):
                self._backup(number).unlink()

    def _turn(self, more: int) -> None:
        try:
            if self._path.stat().st_size + more <= self._turn_at:
                return
        except FileNotFoundError:
            return
        for number in range(_BACKUPS, 0, -1):
            with contextlib.suppress(FileNotFoundError):
                self._backup(number - 1).replace(self._backup(number))

    def _backup(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}") if number else self._path


class Events:
    """The collector's address for events."""

    def __init__(self, address: str, session: str) -> None:
        parts = urlsplit(address)
        self._path = f"{parts.path}/events"
        self._session = session
        connect = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = connect(parts.hostname or "", parts.port, timeout=_ANSWER_SECONDS)

    def post(self, message: Message) -> str:
        """ "" once the collector has it, else why nobody knows."""
        event = {
            "eventId": f"canary-{message.run}-{message.number}",
            "sourceType": "HISTORYSERVER",
            "eventType": CANARY_EVENT,
            "timestamp": datetime.now(UTC).isoformat(),
            "severity": "INFO",
            "message": message.text,
            "sessionName": self._session,
        }
        headers = {"Content-Type": "application/json"}
        try:
            self._connection.request("POST", self._path, json.dumps([event]), headers)
            response = self._connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            return f"the collector does not take events: {str(error) or type(error).__name__}"
        return "" if response.status < 300 else f"the collector answers events with {response.status}"

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()
