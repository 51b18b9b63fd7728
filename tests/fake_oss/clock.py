"""The services' clock, which may be wrong."""

from __future__ import annotations

import time


class Clock:
    """Seconds since 1970, `offset` ahead of this machine's."""

    def __init__(self) -> None:
        self.offset = 0.0

    def now(self) -> float:
        return time.time() + self.offset
