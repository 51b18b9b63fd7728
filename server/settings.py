"""The server's settings."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from archive.settings import (
    ADDRESS,
    BYTES,
    FILE,
    FOLDER,
    SECONDS,
    STORE,
    Address,
    Kind,
    required,
    setting,
)
from server.view.facts import LOST_AFTER_SECONDS


def default_cache() -> Path:
    """Where this user's caches are, by the desktop convention."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ray-history-server"


def _base_path(text: str) -> str:
    parts = [part for part in text.strip().split("/") if part]
    if any(part in {".", ".."} for part in parts) or any(letter in text for letter in "?#%\\"):
        raise ValueError("it is no plain path")
    return "".join(f"/{part}" for part in parts)


BASE_PATH: Final = Kind("a path as /history", _base_path)


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """`store` is enough."""

    store: str = required(STORE, "the archive to read", "")
    listen: Address = setting(ADDRESS, "where to answer", Address("127.0.0.1", 8080))
    base_path: str = setting(
        BASE_PATH, "the path below which everything lives, behind a proxy that keeps it", ""
    )
    cache: str = setting(
        FOLDER, "folder for opened sessions and Ray's front end; empty means the user's cache", ""
    )
    cache_bytes: int = setting(BYTES, "what opened sessions may take of the disk", 4 << 30)
    put_tokens: str = setting(
        FILE, "take puts of collectors that have one of these tokens, into a store that is a folder", ""
    )
    lost_seconds: float = setting(
        SECONDS, "after how long a silent session counts as lost", LOST_AFTER_SECONDS
    )

    @property
    def cache_folder(self) -> Path:
        return Path(self.cache) if self.cache else default_cache()
