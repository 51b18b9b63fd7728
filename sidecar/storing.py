"""The store as the collector's threads use it: every put ends in time, is counted, and fails as a StoreError.

A client's time limits count from byte to byte, and a folder on a dead mount knows none: so each put has a
thread of its own, which is left behind when it takes too long. As long as `MOST_LEFT` of those live, no put
is begun, since each may hold a segment.
"""

import threading
import time
from collections.abc import Callable
from typing import Final

from archive.errors import (
    NameInvalid,
    PermanentStoreError,
    StoreError,
    StoreMisconfigured,
    StoreRefused,
    TransientStoreError,
)
from archive.layout import CATALOG
from archive.store.base import ObjectInfo, Store
from sidecar.metrics import Metrics

PATIENCE: Final = 90.0
"""Seconds after which nobody waits for a put any more."""
MOST_LEFT: Final = 2

REFUSED: Final = "refused"
MISCONFIGURED: Final = "misconfigured"
TRANSIENT: Final = "transient"
KINDS: Final = (REFUSED, MISCONFIGURED, TRANSIENT)


class Storing:
    """Puts only, from any thread. Raises nothing but StoreError."""

    def __init__(
        self,
        store: Store,
        metrics: Metrics,
        *,
        patience: float = PATIENCE,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._patience = patience
        self._wall = wall
        self._lock = threading.Lock()
        self._left: list[_Put] = []
        self._problems: dict[str, str] = {}
        self._count()

    def put(self, key: str, data: bytes) -> ObjectInfo:
        """As archive.store.base.Store's; no answer within the patience is an unknown outcome."""
        what = "catalog" if key.startswith(CATALOG) else "segments"
        try:
            info = self._put(key, data)
        except StoreError as error:
            self._tell(what, kind_of(error))
            raise
        self._tell(what, None)
        return info

    def _put(self, key: str, data: bytes) -> ObjectInfo:
        with self._lock:
            self._left = [put for put in self._left if put.is_alive()]
            left = len(self._left)
        if left >= MOST_LEFT:
            raise TransientStoreError(
                f"{left} puts have had no answer for more than {self._patience:g} s, so no other is begun: "
                "see whether anybody reaches the store"
            )
        put = _Put(self._store, key, data)
        put.start()
        put.join(self._patience)
        if put.is_alive():
            with self._lock:
                self._left.append(put)
            raise TransientStoreError(
                f"no whole answer to a put within {self._patience:g} s: the store hangs, or the way to it",
                effect_unknown=True,
            )
        return put.outcome()

    def _tell(self, what: str, kind: str | None) -> None:
        with self._lock:
            self._problems.pop(what, None)
            if kind is not None:
                self._problems[what] = kind
            self._count()
        if kind is None:
            self._metrics.last_put.set(self._wall(), what)
        else:
            self._metrics.store_failures.add(1, kind)

    def _count(self) -> None:
        problems = list(self._problems.values())
        for kind in KINDS:
            self._metrics.store_problem.set(problems.count(kind), kind)


class _Put(threading.Thread):
    """One put, and what became of it."""

    def __init__(self, store: Store, key: str, data: bytes) -> None:
        super().__init__(name="put", daemon=True)
        self._store = store
        self._key = key
        self._data = data
        self._info: ObjectInfo | None = None
        self._error: Exception | None = None

    def run(self) -> None:
        try:
            self._info = self._store.put(self._key, self._data)
        except Exception as error:  # noqa: BLE001 - raised again by `outcome`, in the thread that waits
            self._error = error

    def outcome(self) -> ObjectInfo:
        """Of a put that has ended. Raises StoreError."""
        if isinstance(self._error, StoreError):
            raise self._error
        if isinstance(self._error, NameInvalid):
            raise StoreMisconfigured(str(self._error)) from self._error
        if self._info is None:
            raise TransientStoreError(
                f"a put failed in a way that nobody thought of: {type(self._error).__name__} {self._error}",
                effect_unknown=True,
            ) from self._error
        return self._info


def kind_of(error: StoreError) -> str:
    """The metrics' word for it."""
    if isinstance(error, StoreRefused):
        return REFUSED
    return MISCONFIGURED if isinstance(error, PermanentStoreError) else TRANSIENT
