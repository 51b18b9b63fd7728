"""The catalog entry: what lets a session be listed without opening it.

One JSON object, version in `format`. A writer states only what it knows by itself; sizes, nodes and losses
come from footers. Unknown fields are ignored and absent ones have defaults, so that old and new read each
other; an entry that can't be decoded hides nothing but itself: its key still tells the session.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from archive.errors import FormatError, FormatUnknown
from archive.layout import CatalogName, Role, SessionKey

FORMAT: Final = 1

LATEST_MS: Final = 253_402_300_799_999
"""The end of the year 9999: what every calendar can show."""
Milliseconds = Annotated[int, msgspec.Meta(ge=0, le=LATEST_MS)]


class CatalogEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One of a session's two entries. Times are Unix milliseconds by the writer's clock."""

    namespace: str
    cluster: str
    session: str
    role: Role
    node_id: str = ""
    cluster_uid: str = ""
    owner_kind: str = ""
    owner_name: str = ""
    ray_version: str = ""
    python_version: str = ""
    started_ms: Milliseconds = 0
    last_seen_ms: Milliseconds = 0
    state: Literal["running", "ended"] = "running"
    reason: str = ""
    format: int = FORMAT

    @property
    def name(self) -> CatalogName:
        """The object's name. Raises NameInvalid."""
        return CatalogName(SessionKey(self.namespace, self.cluster, self.session), self.role)


class _Versioned(msgspec.Struct):
    format: int = FORMAT


def encode(entry: CatalogEntry) -> bytes:
    """The entry as stored."""
    return msgspec.json.format(msgspec.json.encode(entry), indent=1)


def decode(data: bytes) -> CatalogEntry:
    """The entry. Raises FormatError for what isn't one, FormatUnknown for a newer format."""
    try:
        version = msgspec.json.decode(data, type=_Versioned).format
        if version > FORMAT:
            raise FormatUnknown(f"a catalog entry of format {version}; this version reads up to {FORMAT}")
        return msgspec.json.decode(data, type=CatalogEntry)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FormatError(f"not a catalog entry: {error}") from error
