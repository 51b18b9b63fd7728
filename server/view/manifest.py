"""The manifest of a view: which parts it has and what they cover. Format 2.

    v1/views/<namespace>/<cluster>/<session>/<schema>/manifests/<bytes covered>-<digest>.json
    v1/views/<namespace>/<cluster>/<session>/<schema>/parts/<digest>.parquet

Invariants: a name begins with the bytes covered, so the newest manifest is the last in a listing; a digest is
that of the object's content, so a name never has two contents, and servers that do the same work put objects
beside each other's; a manifest is put after the files that it names.

Recovery: a manifest or file that is missing, damaged or of another format is ignored, and the session folded
afresh; so is one that lacks a field or has another, since a field's default is no observation. `<schema>`
joins the versions of relations and parts; other versions' objects are never read.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from archive.layout import SessionKey, views_prefix
from archive.losses import told
from server.fold.fields import UNKNOWN_FIELD
from server.view.errors import PartDamaged
from server.view.schema import SCHEMA_VERSION

FORMAT: Final = 2


class FileRef(Struct, frozen=True):
    """One Parquet file of a part: rows of one table."""

    table: str
    digest: str
    size: int


Part = tuple[FileRef, ...]
"""The files of one part."""


class OriginState(Struct, frozen=True, kw_only=True):
    """What of one node and origin is folded: all up to `closed`, and `open` as it was with that ETag.

    The rest is from the newest footers. `written_ms`: when the newest was written, Unix milliseconds by the
    collector's clock, as the times of events are: a copy of the archive has other times of storing.
    """

    node_id: str
    origin: str
    closed: int = 0
    open: int = 0
    open_etag: str = ""
    closed_size: int = 0
    open_size: int = 0
    written_ms: int = 0
    final: str | None = None
    losses: Mapping[str, int] = {}
    gaps: Mapping[
        str, tuple[int, ...]
    ] = {}  # offsets of gap marks by stream, some of them where they are many


class Carried(Struct, frozen=True):
    """The beginning of a line whose end is not stored yet."""

    node_id: str
    origin: str
    stream: str
    start: int
    data: bytes
    begins: bool


class Damage(Struct, frozen=True):
    """A segment that could not be read, whole or in part, and why."""

    key: str
    etag: str
    why: str


class Manifest(Struct, frozen=True, kw_only=True):
    """`parts` merge in any order; a part is a list of files."""

    parts: tuple[Part, ...] = ()
    origins: tuple[OriginState, ...] = ()
    carried: tuple[Carried, ...] = ()
    damaged: tuple[Damage, ...] = ()
    format: int = FORMAT

    @property
    def covered(self) -> int:
        """Bytes of segments that the parts hold."""
        return sum(origin.closed_size + origin.open_size for origin in self.origins)

    @property
    def files(self) -> tuple[FileRef, ...]:
        return tuple(file for part in self.parts for file in part)


def prefix(key: SessionKey) -> str:
    """Where this version's views of a session are."""
    return views_prefix(key, f"{SCHEMA_VERSION}.{FORMAT}")


def manifests_prefix(key: SessionKey) -> str:
    return f"{prefix(key)}manifests/"


def part_key(key: SessionKey, digest: str) -> str:
    return f"{prefix(key)}parts/{digest}.parquet"


def encoded(manifest: Manifest) -> bytes:
    """The manifest as stored; equal ones are equal bytes."""
    return msgspec.json.encode(manifest, order="sorted")


def manifest_key(key: SessionKey, manifest: Manifest) -> str:
    return f"{manifests_prefix(key)}{manifest.covered:016d}-{digest_of(encoded(manifest))}.json"


def decoded(data: bytes, name: str) -> Manifest:
    """The manifest of that name. Raises PartDamaged."""
    if digest_of(data) not in name:
        raise PartDamaged(f"the manifest {name} was changed: its digest differs; it is ignored")
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise PartDamaged(f"the manifest {name} can't be read: {error}; it is ignored") from error
    if manifest.format != FORMAT:
        raise PartDamaged(f"the manifest {name} has format {manifest.format}, not {FORMAT}; it is ignored")
    if encoded(manifest) != data:
        raise PartDamaged(
            f"the manifest {name} lacks fields or has others than this version's; it is ignored"
        )
    return manifest


def digest_of(data: bytes) -> str:
    """The name of content."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def sentences(manifest: Manifest, unreadable: Sequence[tuple[str, str, int]]) -> list[str]:
    """What is missing, for people. `unreadable`: reason, detail, amount of what was read and not used."""
    missing = [f"{_short(damage.key)} could not be read: {damage.why}" for damage in manifest.damaged]
    for origin in manifest.origins:
        where = f"node {origin.node_id[:8]}"
        missing += [
            f"{told(reason, amount)}, on {where}"
            for reason, amount in sorted(origin.losses.items())
            if amount
        ]
        missing += [
            f"{stream} of {where} lacks bytes in {len(gaps)} {'place' if len(gaps) == 1 else 'places'}"
            for stream, gaps in sorted(origin.gaps.items())
        ]
    return missing + [_not_used(*one) for one in unreadable]


def _not_used(reason: str, detail: str, amount: int) -> str:
    if reason == UNKNOWN_FIELD:
        return (
            "events have fields unknown to this version, which are kept in the archive and not shown: "
            f"{detail} (met {amount} {'time' if amount == 1 else 'times'} in the events looked at)"
        )
    return f"{amount} {'record' if amount == 1 else 'records'} could not be used: {reason} ({detail})"


def _short(key: str) -> str:
    node, name = key.split("/")[-2:]
    return f"segment {name} of node {node[:8]}"
