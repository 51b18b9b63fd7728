"""What must be kept even when the disk is full: one block, allocated at the start and written over in place.

Layout: crc32 of the rest (u32), length of the msgpack (u32), msgpack of Checkpoint, zeros. One `pwrite` of
one block, so SIGKILL leaves the old or the new. A block that can't be read is damage: without the last
sequence, numbers of the origin could be used twice, so the origin ends.
"""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path
from typing import Final

import msgspec

from sidecar.spool.record import JournalDamaged, Position

_HEADER: Final = struct.Struct("<II")
_BLOCK: Final = 8192


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Where an origin stands.

    `sequence`: the last number begun. `stored`: everything before it is in closed segments. `losses`:
    cumulative, by reason. `facts`: for the footers.
    """

    sequence: int = 0
    stored: Position = Position(0, 0)
    losses: dict[str, int] = {}
    facts: dict[str, str] = {}


class CheckpointFile:
    """The block on disk. Not thread-safe."""

    def __init__(self, path: Path) -> None:
        """Raises JournalDamaged, OSError."""
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except IsADirectoryError as error:
            raise JournalDamaged("there is a folder in the checkpoint's place") from error

    def read(self) -> Checkpoint | None:
        """The checkpoint, None if none was written yet. Raises JournalDamaged."""
        block = os.pread(self._descriptor, 1 << 20, 0)
        if not block:
            return None
        if len(block) < _HEADER.size:
            raise JournalDamaged("the checkpoint is cut short")
        expected, length = _HEADER.unpack_from(block)
        if zlib.crc32(block[4 : _HEADER.size + length]) != expected:
            raise JournalDamaged("the checkpoint was changed: its checksum differs")
        try:
            return msgspec.msgpack.decode(block[_HEADER.size : _HEADER.size + length], type=Checkpoint)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise JournalDamaged(f"the checkpoint can't be read: {error}") from error

    def write(self, checkpoint: Checkpoint) -> None:
        """Replace the block. Raises OSError."""
        data = msgspec.msgpack.encode(checkpoint)
        rest = len(data).to_bytes(4, "little") + data
        block = (zlib.crc32(rest).to_bytes(4, "little") + rest).ljust(_BLOCK, b"\0")
        os.pwrite(self._descriptor, block, 0)

    def close(self) -> None:
        os.close(self._descriptor)
