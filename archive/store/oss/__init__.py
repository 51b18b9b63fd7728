"""Alibaba Cloud OSS as a store. Nothing here imports the official client before a store is used."""

from archive.store.oss.address import Address
from archive.store.oss.store import OssStore

__all__ = ["Address", "OssStore"]
