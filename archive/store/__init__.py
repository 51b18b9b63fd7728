"""Where the archive is kept: the same few operations for every kind of store."""

from archive.store.base import Object, ObjectInfo, Store
from archive.store.url import open_store

__all__ = ["Object", "ObjectInfo", "Store", "open_store"]
