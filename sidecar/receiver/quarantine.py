"""What can't be kept as events: a sample of it goes to the stream `quarantine`, one JSON object a line.

    {"t": Unix milliseconds, "reason": …, "items": …, "length": bytes, "sha256": of them all, "head": text}

`items` is more than 1 where a body held very many. `head` is the first 64 KiB, masked, with undecodable bytes
replaced.
"""

import hashlib
from typing import Final

import msgspec

from archive.losses import Loss
from sidecar.receiver.masking import mask_equal_length

STREAM: Final = "quarantine"
HEAD_LIMIT: Final = 64 << 10


class Sample:
    """The beginning, length and hash of bytes of any number. `items`: how many things these are."""

    def __init__(self, data: bytes = b"") -> None:
        self.head = bytearray()
        self.length = 0
        self.items = 1
        self._hash = hashlib.sha256()
        self.add(data)

    def add(self, data: bytes | bytearray | memoryview) -> None:
        self.head += data[: HEAD_LIMIT - len(self.head)]
        self.length += len(data)
        self._hash.update(data)

    def line(self, reason: Loss, now_ms: int) -> bytes:
        """The sample as a line of the stream."""
        entry = {
            "t": now_ms,
            "reason": reason,
            "items": self.items,
            "length": self.length,
            "sha256": self._hash.hexdigest(),
            "head": mask_equal_length(bytes(self.head)).decode(errors="replace"),
        }
        return msgspec.json.encode(entry) + b"\n"
