"""`historyserver fold`: one session, or all that lack a current view, the newest first."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from archive.errors import NameInvalid, StoreError
from archive.layout import CATALOG, CatalogName, SessionKey
from archive.settings import BOOLEAN, INTEGER, STORE, TEXT, required, setting, usage
from archive.store.base import Store
from archive.store.retry import WORKING
from archive.store.url import open_archive
from historyserver.arguments import asked
from historyserver.fold.one import Folding, Result
from historyserver.fold.progress import Progress
from historyserver.fold.spread import ClusterUnusable, spread

PURPOSE: Final = (
    "Makes the views that sessions lack, so that they open at once: after an update with a new schema, or\n"
    "when a server meets a full archive. Newest first; what has a current view is skipped, so it can be\n"
    "stopped and run again, and is safe beside servers. On this machine, or over a Ray cluster.\n"
    "Exit code 0: all done; 1: some failed, the sentences say which; 2: the command can't be used so."
)


@dataclass(frozen=True, slots=True)
class FoldSettings:
    """The store, which sessions, and where to work."""

    store: str = required(STORE, "the archive", "")
    all: bool = setting(BOOLEAN, "all sessions of the catalog", False)
    namespace: str = setting(TEXT, "only sessions of this namespace", "")
    parallel: int = setting(INTEGER, "sessions at once; 0 is one for each CPU", 0)
    ray: str = setting(
        TEXT, "address of a Ray cluster to work on, as 10.0.0.1:6379, ray://head:10001 or auto", ""
    )


def main(arguments: Sequence[str]) -> int:
    """Exit code 0 when every session has its view, 1 when some failed, 2 if it can't be used so."""
    if "--help" in arguments or "-h" in arguments:
        sys.stdout.write(usage(FoldSettings, "historyserver fold [NAMESPACE/CLUSTER/SESSION]…", PURPOSE))
        return 0
    wanted = asked(FoldSettings, arguments, os.environ)
    settings, problems = wanted.settings, list(wanted.problems)
    if not problems and bool(wanted.keys) == settings.all:
        problems.append("Say which sessions: either --all, or their names, and not both.")
    if problems:
        sys.stderr.write("".join(f"historyserver fold: {problem}\n" for problem in problems))
        return 2
    try:
        store = open_archive(settings.store, WORKING)
    except StoreError as error:
        sys.stderr.write(f"historyserver fold: --store can't be used: {error}\n")
        return 2
    return _run(settings, store, wanted.keys)


def _run(settings: FoldSettings, store: Store, keys: Sequence[SessionKey]) -> int:
    progress: Progress | None = None
    try:
        keys = keys or list(catalogued(store, settings.namespace))
        progress = Progress(len(keys), say)
        results = (
            spread(settings.store, keys, settings.ray, settings.parallel)
            if settings.ray
            else here(store, keys, settings.parallel or os.cpu_count() or 1)
        )
        with contextlib.closing(results):
            for result in results:
                progress.take(result)
    except StoreError as error:
        sys.stderr.write(
            f"historyserver fold: the archive can't be read, so nothing more is folded: {error}\n"
        )
        return 1
    except ClusterUnusable as error:
        sys.stderr.write(f"historyserver fold: {error}.\n")
        return 2
    except KeyboardInterrupt:
        done = progress.summary() if progress is not None else "nothing done."
        sys.stderr.write(f"historyserver fold: stopped: {done} Run it again to go on.\n")
        return 130
    say(progress.summary())
    for result in progress.failed:
        sys.stderr.write(f"historyserver fold: {result.key.path} failed: {result.trouble}\n")
    return 1 if progress.failed else 0


def catalogued(store: Store, namespace: str) -> Iterator[SessionKey]:
    """The catalog's sessions, newest first. Raises StoreError."""
    seen: set[SessionKey] = set()
    for info in store.list(CATALOG):
        with contextlib.suppress(NameInvalid):
            key = CatalogName.parse(info.key).session
            if key not in seen and namespace in ("", key.namespace):
                seen.add(key)
                yield key


def here(store: Store, keys: Sequence[SessionKey], parallel: int) -> Generator[Result]:
    """Results as they come, folded on this machine, so many at once."""
    with (
        tempfile.TemporaryDirectory(prefix="historyserver-fold-") as folder,
        Folding(store, Path(folder), parallel) as folding,
        ThreadPoolExecutor(parallel, thread_name_prefix="session") as threads,
    ):
        flights = [threads.submit(folding.fold, key) for key in keys]
        try:
            for flight in as_completed(flights):
                yield flight.result()
        finally:
            threads.shutdown(wait=False, cancel_futures=True)


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
