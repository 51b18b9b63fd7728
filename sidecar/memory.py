"""Keeps the process small: what large blocks took goes back to the system as soon as they are freed.

glibc learns from the blocks that are freed, and keeps ever larger ones for later: after some segments that is
20 MiB nobody uses. And it gives every thread an arena.
"""

import ctypes
from typing import Final

_MMAP_THRESHOLD: Final = -3
_ARENA_MAX: Final = -8


def spare() -> None:
    """Call it before threads start. Does nothing where the C library is another."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    mallopt(_MMAP_THRESHOLD, 256 << 10)
    mallopt(_ARENA_MAX, 2)
