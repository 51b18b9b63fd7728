"""From a store's URL to the store."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from archive.errors import StoreMisconfigured
from archive.store.base import Store
from archive.store.local import LocalStore
from archive.store.retry import SERVING, Backoff, Retrying

KINDS: Final = "file:///path, oss://bucket/root?region=… or http://host/base?token_file=…"


def open_store(url: str) -> Store:
    """The store that `url` names: `file:///var/lib/history`, `oss://bucket/root?region=cn-hangzhou`.

    Touches nothing but the environment, for the credentials that OSS needs. Raises StoreMisconfigured.
    """
    if "@" in url.partition("://")[2].partition("/")[0]:
        raise StoreMisconfigured(
            "the store's URL holds a name or a password, which would end up in logs: take them out, and give "
            "access keys in the environment, or token_file=/path"
        )
    match url.partition("://")[0]:
        case "file":
            return LocalStore(_folder(url))
        case "oss":
            return _oss(url)
        case "http" | "https":
            return _http(url)
        case _:
            raise StoreMisconfigured(f"the store {url!r} is of no known kind: give {KINDS}")


def open_archive(url: str, backoff: Backoff = SERVING) -> Retrying:
    """The store for who reads, which tries again what may pass. Raises StoreMisconfigured."""
    store = open_store(url)
    if url.startswith(("http://", "https://")):
        raise StoreMisconfigured(
            f"{url} is a history server, which takes puts of collectors and gives nothing back: give the "
            "store that it keeps them in, file:///path or oss://bucket/root"
        )
    return Retrying(store, backoff)


def _oss(url: str) -> Store:
    from archive.credentials import source_from  # noqa: PLC0415 - what other kinds do without
    from archive.store.oss.address import parse  # noqa: PLC0415
    from archive.store.oss.store import OssStore  # noqa: PLC0415

    return OssStore(parse(url), source_from(os.environ))


def _http(url: str) -> Store:
    from archive.store.http import HttpStore  # noqa: PLC0415 - as above

    try:
        parts = urlsplit(url)
        pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True) if parts.query else []
    except ValueError as error:
        raise _unusable(url, str(error)) from None
    if parts.fragment or any(name != "token_file" for name, _ in pairs):
        raise _unusable(url, "it takes no parameter but token_file")
    if len(pairs) > 1 or any(not value.startswith("/") for _, value in pairs):
        raise _unusable(url, "token_file is one absolute path")
    return HttpStore(f"{parts.scheme}://{parts.netloc}{parts.path}", Path(pairs[0][1]) if pairs else None)


def _folder(url: str) -> Path:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise _unusable(url, str(error)) from None
    if (
        parts.netloc not in {"", "localhost"}
        or not parts.path.startswith("/")
        or parts.query
        or parts.fragment
    ):
        raise _unusable(url, "after file:// comes a folder of this machine, with three slashes in all")
    return Path(unquote(parts.path))


def _unusable(url: str, why: str) -> StoreMisconfigured:
    return StoreMisconfigured(f"the store {url!r} can't be used: {why}; give {KINDS}")
