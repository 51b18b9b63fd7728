"""`historyserver rm`: says what it would free, frees it, says what it freed. Made for a nightly job."""

import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from archive.errors import StoreError
from archive.layout import SessionKey
from archive.settings import BOOLEAN, STORE, TEXT, Kind, required, setting, usage
from archive.store.base import Store
from archive.store.retry import WORKING
from archive.store.url import open_archive
from historyserver.arguments import asked
from server.retention.decide import Amount, Stored, age_of, alive, old_enough
from server.retention.removal import Revived, catalogued, foldered, remove, stored
from server.view.facts import LOST_AFTER_SECONDS

AT_ONCE: Final = 8
TELL_SECONDS: Final = 10.0
PURPOSE: Final = (
    "Removes sessions: those that ended so long ago (--older-than 30d), or those named as\n"
    "NAMESPACE/CLUSTER/SESSION. One that may still run is never touched. --dry-run says what would go.\n"
    "Exit code 0: all done; 1: something is left, the sentences say what; 2: the command can't be used so."
)
AGE: Final = Kind(
    "an age as 12h, 30d or 8w", age_of, lambda seconds: f"{seconds / 86_400:g}d" if seconds else ""
)


@dataclass(frozen=True, slots=True)
class RemovalSettings:
    """The store, and which sessions."""

    store: str = required(STORE, "the archive to remove from", "")
    older_than: float = setting(
        AGE, "remove sessions that ended so long ago, and what is left of removed ones", 0.0
    )
    namespace: str = setting(TEXT, "only sessions of this namespace", "")
    dry_run: bool = setting(BOOLEAN, "only say what would be removed", False)


def main(arguments: Sequence[str]) -> int:
    """Exit code 0 when all that should go is gone, 1 when something is left, 2 if it can't be used so."""
    if "--help" in arguments or "-h" in arguments:
        sys.stdout.write(usage(RemovalSettings, "historyserver rm [NAMESPACE/CLUSTER/SESSION]…", PURPOSE))
        return 0
    wanted = asked(RemovalSettings, arguments, os.environ)
    settings, problems = wanted.settings, list(wanted.problems)
    if not problems and bool(wanted.keys) == bool(settings.older_than):
        problems.append("Say which sessions: either --older-than 30d, or their names, and not both.")
    if problems:
        sys.stderr.write("".join(f"historyserver rm: {problem}\n" for problem in problems))
        return 2
    try:
        store = open_archive(settings.store, WORKING)
    except StoreError as error:
        sys.stderr.write(f"historyserver rm: --store can't be used: {error}\n")
        return 2
    try:
        return Removal(store, settings).run(wanted.keys)
    except StoreError as error:
        sys.stderr.write(
            f"historyserver rm: the archive can't be read, so nothing more is removed: {error}\n"
        )
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("historyserver rm: stopped; what is left goes when this is run again.\n")
        return 130


class Removal:
    """One run over an archive."""

    def __init__(self, store: Store, settings: RemovalSettings) -> None:
        self._store = store
        self._settings = settings
        self._now = store.now()
        self._lock = threading.Lock()
        self._began = self._told_at = time.monotonic()
        self._freed = Amount()
        self._sessions = self._objects = self._left = 0

    def run(self, keys: Sequence[SessionKey]) -> int:
        """Those sessions, or without any all that are old enough. Raises StoreError."""
        with (
            ThreadPoolExecutor(AT_ONCE, thread_name_prefix="remove") as sessions,
            ThreadPoolExecutor(AT_ONCE, thread_name_prefix="delete") as deletes,
        ):
            wanted = iter(keys) if keys else self._candidates()
            try:
                for _ in sessions.map(lambda key: self._one(key, deletes, named=bool(keys)), wanted):
                    pass
            except BaseException:
                sessions.shutdown(cancel_futures=True)
                raise
        would = "Would remove" if self._settings.dry_run else "Removed"
        removed = f"{self._sessions:,} {'session' if self._sessions == 1 else 'sessions'}"
        took = time.monotonic() - self._began
        say(f"{would} {removed}: {self._freed.objects:,} objects, {size(self._freed.size)}, in {took:.0f} s.")
        return 1 if self._left else 0

    def _candidates(self) -> Iterator[SessionKey]:
        """Sessions whose catalog entries are old enough, and those that have none."""
        entries = catalogued(self._store, self._settings.namespace)
        young = {
            key for key, amount in entries.items() if self._now - amount.newest < self._settings.older_than
        }
        candidates = len(entries) - len(young)
        say(f"{len(entries):,} sessions in the catalog, {candidates:,} of them may be old enough.")
        yield from (key for key in entries if key not in young)
        seen = set(entries)
        for key in foldered(self._store, self._settings.namespace):
            if key not in seen:
                seen.add(key)
                yield key

    def _one(self, key: SessionKey, deletes: ThreadPoolExecutor, *, named: bool) -> None:
        try:
            found = stored(self._store, key)
            if not self._should_go(found, named=named):
                return
            if not self._settings.dry_run:
                remove(self._store, found, deletes, self._progress)
        except Revived:
            self._leave(f"{key.path} lives: a collector put something of it just now, so it is left alone")
        except StoreError as error:
            self._leave(f"{key.path} could not be removed whole: {error}; run this again")
        else:
            with self._lock:
                self._sessions += 1
                self._freed += found.total
                say(line(found, self._now, dry_run=self._settings.dry_run))

    def _should_go(self, found: Stored, *, named: bool) -> bool:
        if not named:
            return old_enough(found, self._now, self._settings.older_than)
        if not found.total.objects:
            self._leave(
                f"the archive holds nothing of {found.key.path}: its name is mistyped, or it is gone already"
            )
            return False
        if alive(found, self._now, LOST_AFTER_SECONDS):
            self._leave(
                f"{found.key.path} may still run: a collector put something of it within three minutes"
            )
            return False
        return True

    def _leave(self, sentence: str) -> None:
        with self._lock:
            self._left += 1
            sys.stderr.write(f"historyserver rm: {sentence}.\n")

    def _progress(self, objects: int) -> None:
        """Tells from time to time how far it is, for sessions of very many objects."""
        with self._lock:
            self._objects += objects
            now = time.monotonic()
            if now - self._told_at > TELL_SECONDS:
                self._told_at = now
                say(
                    f"{self._objects:,} objects removed, {self._objects / (now - self._began):,.0f} a second."
                )


def line(found: Stored, now: float, *, dry_run: bool) -> str:
    """What one session frees."""
    amount = found.total
    age = ago(now - found.ended) if found.ended else "only views were left"
    what = "would go" if dry_run else "gone"
    return f"{found.key.path}  {age}  {amount.objects:,} objects, {size(amount.size)}  {what}"


def ago(seconds: float) -> str:
    """An age in words, with the day it leads to left to the reader."""
    hours = int(seconds // 3600)
    return f"ended {hours // 24} days ago" if hours >= 48 else f"ended {hours} hours ago"


def size(amount: int) -> str:
    """Bytes in words."""
    value = float(amount)
    for unit in ("bytes", "KiB", "MiB"):
        if value < 1024:
            return f"{value:,.0f} {unit}" if unit == "bytes" else f"{value:,.1f} {unit}"
        value /= 1024
    return f"{value:,.1f} GiB"


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
