"""From a store's URL to the store."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from archive.errors import StoreMisconfigured
from archive.store.base import Store
from archive.store.local import LocalStore


def open_store(url: str) -> Store:
    """The store that `url` names, such as `file:///var/lib/history`; touches nothing.

    Raises StoreMisconfigured.
    """
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise StoreMisconfigured(f"the store {url!r} is no URL ({error}): give file:///path") from None
    if parts.scheme != "file":
        raise StoreMisconfigured(
            f"the store {url!r} is of no known kind: give a folder as file:///path, with three slashes"
        )
    if (
        parts.netloc not in {"", "localhost"}
        or not parts.path.startswith("/")
        or parts.query
        or parts.fragment
    ):
        raise StoreMisconfigured(f"the store {url!r} must name a folder of this machine as file:///path")
    return LocalStore(Path(unquote(parts.path)))
