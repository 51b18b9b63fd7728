"""The store's clock, kept by the Date headers of its answers."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from typing import Final

_CUT: Final = 1.5
"""Seconds by which dates lie behind when they are heard: they are cut to the second, and travel."""


def seconds_of(date: str) -> float | None:
    """An HTTP date as seconds since 1970; None if it is none."""
    try:
        return parsedate_to_datetime(date).timestamp()
    except ValueError:
        return None


class StoreClock:
    """Runs by this machine's monotonic clock between answers; by its wall clock before the first one.

    Threads may share it: what they set is one float.
    """

    def __init__(self) -> None:
        self._offset: float | None = None

    def now(self) -> float:
        offset = self._offset
        return time.time() if offset is None else time.monotonic() + offset

    def ahead(self) -> float:
        """Seconds by which the store's clock is ahead of this machine's; 0 where they are about the same."""
        ahead = self.now() - time.time()
        return ahead if abs(ahead) > 2 * _CUT else 0.0

    def heard(self, date: str) -> None:
        """An answer's date. The furthest of those that agree is the least cut."""
        seconds = seconds_of(date)
        if seconds is None:
            return
        offset = seconds - time.monotonic()
        known = self._offset
        if known is None or not 0 <= known - offset <= _CUT:
            self._offset = offset
