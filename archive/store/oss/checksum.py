"""CRC-64 as OSS computes it (ECMA-182, reflected), in C."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import crcmod

crc64: Final[Callable[[bytes], int]] = crcmod.mkCrcFun(
    0x142F0E1EBA9EA3693, initCrc=0, rev=True, xorOut=(1 << 64) - 1
)
