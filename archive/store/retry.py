"""Trying again: one rule of how long to wait, and a store that follows it.

Servers and commands wrap their store in `Retrying`. The collector doesn't: its flusher and its catalog build
what they put anew at each try, and have all the time there is, by the same `Backoff`.
"""

from __future__ import annotations

import itertools
import logging
import math
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

from archive.errors import TransientStoreError
from archive.store.base import Object, ObjectInfo, Store

T = TypeVar("T")
_STEPS: Final = 64
_BATCH: Final = 1000
"""Keys of a delete that are tried again together: what OSS takes in one request."""
_WORTH_TELLING: Final = 2.0
"""Seconds of a pause behind which somebody at a terminal wonders."""
_TELL_SECONDS: Final = 30.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits that grow from `first` to `most` seconds by `factor`, within `patience` seconds of the first try.

    Each is between half and the whole, so that those who failed together don't come back together.
    """

    first: float
    most: float
    factor: float = 2.0
    patience: float = math.inf

    def delay(self, failures: int, chance: float) -> float:
        """Seconds to wait after a failure, with `failures` before it. `chance`: a number from 0 to 1."""
        longest = min(self.most, self.first * self.factor ** min(failures, _STEPS))
        return longest * (0.5 + chance / 2)


SERVING: Final = Backoff(first=0.1, most=2.0, patience=15.0)
"""Of a server: somebody waits for the answer, and 15 s without one is all that a page will bear."""
WORKING: Final = Backoff(first=0.5, most=30.0, patience=300.0)
"""Of a command that has work of its own: it outlives a store's restart, and says so after five minutes."""


class Retrying:
    """A store that tries again what may pass, as long as `backoff` has patience; else as the store it wraps.

    Puts are tried again, too, whatever became of the first: what servers and commands put is named by its
    content, or is a manifest or an index, of which an older one that wins late costs work and no truth.
    """

    def __init__(
        self,
        store: Store,
        backoff: Backoff = SERVING,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`clock`: seconds, monotonic; `chance`: numbers from 0 to 1."""
        self._store = store
        self._backoff = backoff
        self._clock = clock
        self._sleep = sleep
        self._chance = chance
        self._lock = threading.Lock()
        self._retries = 0
        self._told_at = -math.inf

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self._store, self._backoff)

    @property
    def retries(self) -> int:
        """How many requests were tried again since this was made, in this process."""
        return self._retries

    def put(self, key: str, data: bytes) -> ObjectInfo:
        return self._insist(lambda: self._store.put(key, data))

    def get(
        self, key: str, *, start: int = 0, length: int | None = None, if_match: str | None = None
    ) -> Object:
        return self._insist(lambda: self._store.get(key, start=start, length=length, if_match=if_match))

    def get_suffix(self, key: str, length: int, *, if_match: str | None = None) -> Object:
        return self._insist(lambda: self._store.get_suffix(key, length, if_match=if_match))

    def list(self, prefix: str, *, after: str = "") -> Iterator[ObjectInfo]:
        """Goes on behind the last key that came: a long listing need not succeed at once."""
        tries, came = self._tries(), after
        while True:
            try:
                for info in self._store.list(prefix, after=came):
                    came = info.key
                    yield info
            except TransientStoreError as error:
                tries = tries if came == after else self._tries()
                after = came
                tries.again(error)
            else:
                return

    def list_folders(self, prefix: str) -> Iterator[str]:
        """Begins anew, and leaves out what came before."""
        tries, came = self._tries(), ""
        while True:
            try:
                for name in self._store.list_folders(prefix):
                    if f"{name}/" > came:
                        came = f"{name}/"
                        yield name
            except TransientStoreError as error:
                tries.again(error)
            else:
                return

    def delete(self, keys: Iterable[str]) -> None:
        """Missing ones are fine, so what a failed try did delete is."""
        waiting = iter(keys)
        while batch := tuple(itertools.islice(waiting, _BATCH)):
            self._insist(partial(self._store.delete, batch))

    def now(self) -> float:
        return self._insist(self._store.now)

    def _insist(self, ask: Callable[[], T]) -> T:
        tries = self._tries()
        while True:
            try:
                return ask()
            except TransientStoreError as error:
                tries.again(error)

    def _tries(self) -> _Tries:
        return _Tries(self._backoff, self._clock, self._pause, self._chance)

    def _pause(self, seconds: float, error: TransientStoreError) -> None:
        with self._lock:
            self._retries += 1
            now = self._clock()
            worth_telling = seconds > _WORTH_TELLING and now - self._told_at > _TELL_SECONDS
            if worth_telling:
                self._told_at = now
        if worth_telling:
            log.warning("the archive does not answer, so it is asked again for a while: %s", error)
        self._sleep(seconds)


class _Tries:
    """The tries of one request."""

    def __init__(
        self,
        backoff: Backoff,
        clock: Callable[[], float],
        pause: Callable[[float, TransientStoreError], None],
        chance: Callable[[], float],
    ) -> None:
        self._backoff = backoff
        self._clock = clock
        self._pause = pause
        self._chance = chance
        self._began = clock()
        self._failures = 0

    def again(self, error: TransientStoreError) -> None:
        """Waits, or raises the error where patience is at its end."""
        seconds = self._backoff.delay(self._failures, self._chance())
        if self._clock() + seconds - self._began > self._backoff.patience:
            raise error
        self._failures += 1
        self._pause(seconds, error)
