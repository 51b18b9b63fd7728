"""The one place that knows the compression library.

Frames are plain zstd with content size and content checksum. The checksum is the low 32 bits of XXH64 of the
raw bytes, little-endian, and the frame's last four bytes: it costs nothing to learn, and `zstd -t` verifies
it too.
"""

from __future__ import annotations

from typing import Final

import zstandard

# What Ray writes is repetitive: level 3 takes a third longer, and saves nothing on events and 3 % on logs.
LEVEL: Final = 1

_CHECKSUM_SIZE: Final = 4
_CHECKSUM_FLAG: Final = 0x04
_DESCRIPTOR: Final = 4

Buffer = bytes | bytearray | memoryview


class CompressionDamaged(Exception):
    """Bytes that are not the whole zstd frame they should be; the sentence says why."""


class Compressor:
    """Compresses one piece at a time with one reused context.

    Not thread-safe: one for each thread or lock.
    """

    def __init__(self) -> None:
        self._compressor = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True, write_content_size=True)

    def compress(self, data: Buffer) -> bytes:
        """One whole frame. The same bytes give the same frame."""
        return self._compressor.compress(data)


def checksum_of(frame: bytes) -> int:
    """The checksum of the raw bytes, as the frame carries it.

    Raises CompressionDamaged if it carries none.
    """
    if len(frame) <= _DESCRIPTOR + _CHECKSUM_SIZE or not frame[_DESCRIPTOR] & _CHECKSUM_FLAG:
        raise CompressionDamaged("it carries no checksum")
    return int.from_bytes(frame[-_CHECKSUM_SIZE:], "little")


def decompress(frame: bytes, *, longest: int) -> bytes:
    """The raw bytes of one whole frame, its checksum verified. `longest`: how many raw bytes are accepted.

    Raises CompressionDamaged.
    """
    checksum_of(frame)
    try:
        length = zstandard.frame_content_size(frame)
        if not 0 <= length <= longest:
            raise CompressionDamaged(f"it tells a length of {length}, not one between 0 and {longest}")
        return zstandard.ZstdDecompressor().decompress(frame, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise CompressionDamaged(str(error)) from error
