"""From a store's URL to the store."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from archive.errors import StoreMisconfigured
from archive.store.base import Store
from archive.store.local import LocalStore


def open_store(url: str) -> Store:
    """The store that `url` names: `file:///var/lib/history`, `oss://bucket/root?region=cn-hangzhou`.

    Touches nothing but the environment, for the credentials that OSS needs. Raises StoreMisconfigured.
    """
    match url.partition("://")[0].lower():
        case "file":
            return LocalStore(_folder(url))
        case "oss":
            return _oss(url)
        case _:
            raise StoreMisconfigured(
                f"the store {url!r} is of no known kind: give file:///path or oss://bucket/root?region=…"
            )


def _oss(url: str) -> Store:
    from archive.credentials import source_from  # noqa: PLC0415 - what other kinds do without
    from archive.store.oss.address import parse  # noqa: PLC0415
    from archive.store.oss.store import OssStore  # noqa: PLC0415

    return OssStore(parse(url), source_from(os.environ))


def _folder(url: str) -> Path:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise StoreMisconfigured(f"the store {url!r} is no URL ({error}): give file:///path") from None
    if (
        parts.netloc not in {"", "localhost"}
        or not parts.path.startswith("/")
        or parts.query
        or parts.fragment
    ):
        raise StoreMisconfigured(f"the store {url!r} must name a folder of this machine as file:///path")
    return Path(unquote(parts.path))
