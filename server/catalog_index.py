"""The servers' shared index of the catalog, so that a new replica needs one read instead of one per session.

    v1/server/catalog-index.<version>.zst    one zstd frame: msgpack of {version, rows: [Row, …]}

A cache and nothing more: every entry carries the ETag of the object it was read from, and a listing with
another ETag has it read again. Until the first listing is through, a server shows what the index says. Each
version has a name of its own, so that servers of several versions don't undo each other's work; writers of
one version overwrite each other harmlessly. Recovery: anything unreadable counts as absent, and is written
anew when the catalog has been read.
"""

import logging
from collections.abc import Iterable
from typing import Final

import msgspec

from archive.compression import CompressionDamaged, Compressor, decompress
from archive.errors import NameInvalid, ObjectMissing, StoreError
from archive.layout import SERVER, SessionKey
from archive.store.base import Store
from server.sessions import Entry, Session

VERSION: Final = 2
KEY: Final = f"{SERVER}catalog-index.{VERSION}.zst"
_LONGEST: Final = 1 << 28
_log = logging.getLogger(__name__)


class Row(msgspec.Struct, frozen=True, array_like=True):
    """One session: its place in the catalog, which names it, and its entries."""

    order: str
    looked_ms: int
    head: Entry | None
    worker: Entry | None


class _Index(msgspec.Struct, frozen=True):
    version: int
    rows: list[Row]


def load(store: Store) -> list[Session]:
    """The sessions of the index; none if there is no index that can be read. Raises: StoreError."""
    try:
        data = store.get(KEY).data
        index = msgspec.msgpack.decode(decompress(data, longest=_LONGEST), type=_Index)
        if index.version != VERSION:
            return []
        return [
            Session(named(row.order), row.order, row.head, row.worker, row.looked_ms) for row in index.rows
        ]
    except ObjectMissing:
        return []
    except (CompressionDamaged, msgspec.DecodeError, UnicodeDecodeError, NameInvalid) as error:
        _log.warning("the catalog's index can't be read and will be made again: %s", error)
        return []


def save(store: Store, sessions: Iterable[Session]) -> None:
    """Put the index; a store that refuses costs time at the next start, nothing else."""
    rows = [Row(session.order, session.looked_ms, session.head, session.worker) for session in sessions]
    data = Compressor().compress(msgspec.msgpack.encode(_Index(VERSION, rows)))
    try:
        store.put(KEY, data)
    except StoreError as error:
        _log.warning("the catalog's index could not be stored: %s", error)


def named(order: str) -> SessionKey:
    """The session at that place of the catalog. Raises NameInvalid."""
    parts = order.split("~")
    if len(parts) != 5 or parts[4]:
        raise NameInvalid(f"{order[:300]!r} is no session's place in the catalog")
    return SessionKey(parts[1], parts[2], parts[3])
