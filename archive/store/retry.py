"""Trying again: one rule of how long to wait, and a store that follows it.

A server's and a command's stores are wrapped in `Retrying`. A collector's is not: its flusher and its catalog have
the time to wait for, and must build what they put anew, by the same `Backoff`.
"""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

from archive.errors import TransientStoreError
from archive.store.base import Object, ObjectInfo, Store

T = TypeVar("T")
_STEPS: Final = 64


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits that grow from `first` to `most` seconds by `factor`; `patience`: of all waits and tries together.

    Each is somewhere between half and the whole, so that those who failed together don't come back together.
    """

    first: float
    most: float
    factor: float = 2.0
    patience: float = math.inf

    def delay(self, failures: int, chance: float) -> float:
        """Seconds to wait after `failures` earlier ones and this one. `chance`: a number from 0 to 1."""
        longest = min(self.most, self.first * self.factor ** min(failures, _STEPS))
        return longest * (0.5 + chance / 2)
