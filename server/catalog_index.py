"""The servers' shared index of the catalog, so that a new replica needs one read instead of one per session.

    v1/server/catalog-index.zst    one zstd frame: msgpack of {version, rows: [[object, entry], …]}

A cache and nothing more: every row carries the ETag of the object it was read from, and is used only while
the listing still shows that ETag. Writers overwrite each other harmlessly. Recovery: anything unreadable, or
of another version, counts as absent, and the next refresh that reads much writes it anew.
"""

import logging
from collections.abc import Iterable
from typing import Final

import msgspec

from archive.catalog import CatalogEntry
from archive.compression import CompressionDamaged, Compressor, decompress
from archive.errors import ObjectMissing, StoreError
from archive.layout import SERVER
from archive.store.base import ObjectInfo, Store

KEY: Final = f"{SERVER}catalog-index.zst"
VERSION: Final = 1
_LONGEST: Final = 1 << 30
_log = logging.getLogger(__name__)


class Row(msgspec.Struct, frozen=True, array_like=True):
    """One catalog object as it was listed, and what it said."""

    info: ObjectInfo
    entry: CatalogEntry


class _Index(msgspec.Struct, frozen=True):
    version: int
    rows: list[Row]


def load(store: Store) -> list[Row]:
    """The rows of the index; none if there is no index that can be read. Raises: StoreError."""
    try:
        data = store.get(KEY).data
        index = msgspec.msgpack.decode(decompress(data, longest=_LONGEST), type=_Index)
    except ObjectMissing:
        return []
    except (CompressionDamaged, msgspec.DecodeError) as error:
        _log.warning("the catalog's index can't be read and will be made again: %s", error)
        return []
    return index.rows if index.version == VERSION else []


def save(store: Store, rows: Iterable[Row]) -> None:
    """Put the index; a store that refuses costs time at the next start, nothing else."""
    data = Compressor().compress(msgspec.msgpack.encode(_Index(VERSION, list(rows))))
    try:
        store.put(KEY, data)
    except StoreError as error:
        _log.warning("the catalog's index could not be stored: %s", error)
