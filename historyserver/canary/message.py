"""What the canary writes: numbered, timed, and telling of each byte whether it is right. Pure."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_TEXT: Final = re.compile(
    r"historyserver canary ([0-9a-f]{8}) (lines|events) (\d{1,15}) after (\d{1,15}) ms \.* ([0-9a-f]{8})",
    re.ASCII,
)
_LENGTHS: Final = 61


class Kind(StrEnum):
    """The two ways into the archive."""

    LINES = "lines"
    EVENTS = "events"


@dataclass(frozen=True, slots=True)
class Message:
    """`run`: eight hex digits of one run. `number` counts from 1; `after_ms` from the run's beginning."""

    run: str
    kind: Kind
    number: int
    after_ms: int

    @property
    def text(self) -> str:
        """In one line, without its end; of changing length."""
        dots = "." * (self.number % _LENGTHS)
        text = f"historyserver canary {self.run} {self.kind} {self.number} after {self.after_ms} ms {dots} "
        return f"{text}{_checksum(text)}"


def parse(text: str) -> Message | None:
    """The message; None where a byte is wrong."""
    found = _TEXT.fullmatch(text)
    if found is None or found[5] != _checksum(text[: -len(found[5])]):
        return None
    message = Message(found[1], Kind(found[2]), int(found[3]), int(found[4]))
    return message if message.text == text else None


def _checksum(text: str) -> str:
    return f"{zlib.crc32(text.encode()):08x}"
