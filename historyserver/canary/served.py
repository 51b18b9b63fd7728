"""Reads back, from a history server, what the canary wrote to its log: for who may not read the archive.

A server shows logs, and none of the canary's events. The end of the log is asked for, as far back as the last
line that was found; what the server says within the log (`[ray history: …]`) counts as the archive's word.
"""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from typing import Final
from urllib.parse import quote, urlencode

import msgspec

from archive.errors import TransientStoreError
from historyserver.canary.message import Kind, Message
from historyserver.canary.reading import Sink, Sought, read_line
from historyserver.canary.trail import Found

_ANSWER_SECONDS: Final = 30.0
_LINES: Final = 500
_MOST_LINES: Final = 1_000_000
_SERVERS_WORD: Final = b"[ray history: "


class _Hit(msgspec.Struct):
    node_id: str


class _Hits(msgspec.Struct):
    hits: list[_Hit] = []


class _Search(msgspec.Struct):
    data: _Hits


class ServedReading:
    """Of one run, on the node that had its first lines. Not thread-safe."""

    kinds = frozenset({Kind.LINES})
    trouble = ""

    def __init__(self, server: str, sought: Sought) -> None:
        """`server`: its address, with its base path."""
        self._site = f"{server}/clusters/{quote(sought.session.path)}"
        self._file = sought.log.removeprefix("logs/")
        self._run = sought.run
        self._node = ""
        self._last = 0
        self._behind = 0
        """How many lines behind the first with the last number were looked at."""

    def look(self, sink: Sink) -> None:
        """Tells what is new. Raises TransientStoreError."""
        self._node = self._node or self._found_node()
        if not self._node:
            return
        before, marked = self._last or None, False
        for line in self._new_lines():
            self._behind += 1
            if line.startswith(_SERVERS_WORD):
                before, marked = None, True
                continue
            message = read_line(self._run, line)
            if isinstance(message, Message):
                sink.found(Kind.LINES, Found(message, before, marked))
                before, marked = max(message.number, before or 0), False
                if message.number > self._last:
                    self._last, self._behind = message.number, 0
            elif not message:
                sink.found(Kind.LINES, Found(None, None, marked=False))

    def _new_lines(self) -> list[bytes]:
        wanted = _LINES
        while True:
            lines, whole = self._tail(wanted)
            numbers = [
                message.number if isinstance(message, Message) else 0 for message in map(self._read, lines)
            ]
            if self._last and self._last in numbers:
                return lines[numbers.index(self._last) + 1 + self._behind :]
            if whole or wanted >= _MOST_LINES:
                return lines
            wanted *= 4

    def _tail(self, lines: int) -> tuple[list[bytes], bool]:
        """The last lines that have an end, without the server's word about what may follow; whether all."""
        asked = urlencode({"node_id": self._node, "filename": self._file, "lines": lines})
        told = self._asked(f"api/v0/logs/file?{asked}").split(b"\n")[:-1]
        whole = len(told) < lines - 1  # one may be without its end
        while told and told[-1].startswith(_SERVERS_WORD):
            told.pop()
        return told, whole

    def _read(self, line: bytes) -> Message | bool:
        return read_line(self._run, line)

    def _found_node(self) -> str:
        """The node whose log has a line of this run; "" while there is none."""
        asked = urlencode({"q": self._run, "glob": self._file, "limit": 1})
        answer = self._asked(f"api/history/logs/search?{asked}")
        try:
            hits = msgspec.json.decode(answer, type=_Search).data.hits if answer else []
        except msgspec.DecodeError as error:
            raise TransientStoreError(f"{self._site} answers as no history server does: {error}") from error
        return hits[0].node_id if hits else ""

    def _asked(self, path: str) -> bytes:
        """The answer; b"" while the server knows no such session."""
        try:
            with urllib.request.urlopen(f"{self._site}/{path}", timeout=_ANSWER_SECONDS) as answer:  # noqa: S310 - checked in settings
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 404:
                    return b""
                raise TransientStoreError(f"{self._site}/{path} answers {error.code}") from error
        except (OSError, http.client.HTTPException) as error:
            raise TransientStoreError(f"{self._site} does not answer: {error}") from error
