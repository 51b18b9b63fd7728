"""How much of the disk the spool may take, over all its journals."""

from __future__ import annotations

import threading
from typing import Final

from sidecar.errors import SpoolFull

PROFILE: Final = "events.profile"
_PROFILE_SHARE: Final = 0.9


class Budget:
    """Bytes on disk, taken and given back by every journal of a spool. Thread-safe."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._taken = 0
        self._lock = threading.Lock()

    @property
    def taken(self) -> int:
        """Bytes on disk now."""
        return self._taken

    @property
    def left_for_profile(self) -> int:
        """Bytes until profile events, the first to go, find no room; never negative."""
        return max(0, int(self.limit * _PROFILE_SHARE) - self._taken)

    def check(self, stream: str, size: int) -> None:
        """Raises SpoolFull if `size` more bytes of this stream have no room."""
        if size > (self.left_for_profile if stream == PROFILE else self.limit - self._taken):
            raise SpoolFull(
                f"the spool holds {self._taken} of {self.limit} bytes, no room for {size} of {stream!r}: "
                "the store is out or slow, or the budget too small"
            )

    def take(self, size: int) -> None:
        """Count bytes written; a negative size gives bytes back."""
        with self._lock:
            self._taken += size
