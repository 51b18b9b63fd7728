"""One session's view made and stored, if it lacks a current one. The stored views are all the state there is.

So a run that was stopped goes on where it was, and runs beside each other, or beside servers, at worst do the
same work twice: what they put has the same names, or stands beside the other's.
"""

import gc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from archive.errors import ArchiveError
from archive.layout import SessionKey
from archive.store.base import Store
from server.fold.pool import FoldPool
from server.view.cache import Cache
from server.view.errors import ServerError, SessionUnknown
from server.view.facts import LOST_AFTER_SECONDS
from server.view.freshness import settled
from server.view.opening import Opening
from server.view.saving import Saving
from server.view.stored import StoredViews

STORE_THREADS: Final = 8
CACHE_BYTES: Final = 256 << 20
"""What is kept of sessions that are done; those under way take what they take."""


class Outcome(StrEnum):
    """What became of a session."""

    FOLDED = "folded"
    CURRENT = "current"
    GONE = "gone"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Result:
    """One session; `trouble` says why it failed."""

    key: SessionKey
    outcome: Outcome
    trouble: str = ""


class Folding:
    """Folds sessions, each in one thread; `folder` is its own while it lives. A context manager."""

    def __init__(self, store: Store, folder: Path, processes: int) -> None:
        self._store = store
        self._pool = FoldPool(processes)
        self._threads = ThreadPoolExecutor(STORE_THREADS, thread_name_prefix="store")
        stored = StoredViews(store, Cache(folder, CACHE_BYTES), self._threads)
        self._saving = Saving(stored)
        self._opening = Opening(store, self._pool, self._threads, stored, LOST_AFTER_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.close()
        self._threads.shutdown(cancel_futures=True)
        gc.collect()  # views that an error's traceback holds let go of their files while the folder is there

    def fold(self, key: SessionKey) -> Result:
        """Make the session's view unless the store has a current one; never raises for a single session."""
        try:
            if self._opening.folded(key) is not None:
                return Result(key, Outcome.CURRENT)
            opened = self._opening.up_to_date(key, None, _untold)
            is_settled = settled(opened.view.facts, self._store.now() * 1000)
            self._saving.save(key, opened, final=is_settled)
        except SessionUnknown:
            return Result(key, Outcome.GONE)
        except (ArchiveError, ServerError) as error:
            return Result(key, Outcome.FAILED, str(error))
        return Result(key, Outcome.FOLDED)


def _untold(_done: int, _total: int) -> None:
    """How far a single session is, is not told."""
