"""Sessions looked up and removed. Needs the rights to list and to delete, and no others.

The order of a removal makes it safe to kill: first the catalog's entries, so that the session is no longer
listed; then its views, so that no view shows what is going; then its segments. Whatever is left of a removal
that was killed is a session without an entry: it is found by its folders, is as old as before, and is removed
by the next run. A server that folds at the same time may put views once more, so views are looked for again
at the end; any that come later are found by their folder, too. Two removals at once do the same work twice.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Final

from archive.errors import NameInvalid
from archive.layout import CATALOG, SEGMENTS, VIEWS, CatalogName, Role, SessionKey, segments_prefix
from archive.store.base import ObjectInfo, Store
from server.retention.decide import Amount, Stored, amount_of

BATCH: Final = 1_000
"""Objects that a store deletes with one request."""
AHEAD: Final = 4
"""Deletes of one session that are under way while its next objects are listed."""

Told = Callable[[int], None]
"""Is told of objects that were removed."""


class Revived(Exception):
    """A collector put something of the session after it was judged: it lives, and is left alone."""


def catalogued(store: Store, namespace: str = "") -> dict[SessionKey, Amount]:
    """What the catalog holds of each session. Raises StoreError."""
    found: dict[SessionKey, Amount] = {}
    for info in store.list(CATALOG):
        try:
            key = CatalogName.parse(info.key).session
        except NameInvalid:
            continue
        if namespace in ("", key.namespace):
            found[key] = found.get(key, Amount()) + amount_of([info])
    return found


def foldered(store: Store, namespace: str = "") -> Iterator[SessionKey]:
    """Sessions that have segments or views, whether the catalog knows them or not. Raises StoreError."""
    for prefix in (SEGMENTS, VIEWS):
        for space in [namespace] if namespace else store.list_folders(prefix):
            for cluster in store.list_folders(f"{prefix}{space}/"):
                for session in store.list_folders(f"{prefix}{space}/{cluster}/"):
                    try:
                        yield SessionKey(space, cluster, session)
                    except NameInvalid:
                        continue


def stored(store: Store, key: SessionKey) -> Stored:
    """What the archive holds of one session now. Raises StoreError."""
    return Stored(
        key,
        catalog=amount_of(_entries(store, key)),
        segments=amount_of(store.list(segments_prefix(key))),
        views=amount_of(store.list(_views(key))),
    )


def remove(store: Store, judged: Stored, threads: ThreadPoolExecutor, told: Told) -> None:
    """Remove all of a session. `threads`: for deletes; not those that this runs in.

    Raises StoreError; Revived when a collector put something since it was judged.
    """
    key = judged.key
    entries = list(_entries(store, key))
    if amount_of(entries).newest > judged.ended:
        raise Revived
    _delete(store, entries, threads, told)
    _delete(store, store.list(_views(key)), threads, told)
    _delete(store, _unchanged(store.list(segments_prefix(key)), judged.ended), threads, told)
    _delete(store, store.list(_views(key)), threads, told)
    if next(_entries(store, key), None) is not None:
        raise Revived


def _entries(store: Store, key: SessionKey) -> Iterator[ObjectInfo]:
    names = {CatalogName(key, role).key for role in Role}
    return (info for info in store.list(min(names).removesuffix(f"{Role.HEAD}.json")) if info.key in names)


def _views(key: SessionKey) -> str:
    return f"{VIEWS}{key.path}/"


def _unchanged(infos: Iterable[ObjectInfo], ended: float) -> Iterator[ObjectInfo]:
    for info in infos:
        if info.modified > ended:
            raise Revived
        yield info


def _delete(store: Store, infos: Iterable[ObjectInfo], threads: ThreadPoolExecutor, told: Told) -> None:
    under_way: list[tuple[Future[None], int]] = []
    keys = (info.key for info in infos)
    try:
        while batch := list(islice(keys, BATCH)):
            if len(under_way) >= AHEAD:
                _await(under_way.pop(0), told)
            under_way.append((threads.submit(store.delete, batch), len(batch)))
    finally:
        while under_way:
            _await(under_way.pop(0), told)


def _await(deleting: tuple[Future[None], int], told: Told) -> None:
    future, objects = deleting
    future.result()
    told(objects)
