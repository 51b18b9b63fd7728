"""Every object's name, validated on the way in and on the way out.

v1/catalog/<inverted start>~<namespace>~<cluster>~<session>~<head|worker>.json
v1/segments/<namespace>/<cluster>/<session>/<node id>/<origin>-<sequence>.seg
v1/views/<namespace>/<cluster>/<session>/<schema>/…
v1/server/…
v1/catalog/~doctor~<namespace>~<cluster>, v1/segments/<namespace>/<cluster>/~doctor, …

Prefixes follow rights: collectors put under `catalog/` and `segments/` only. The inverted start makes the
newest session the first in a listing; it comes from the session's name, so every node writes the same key.
What doctor puts to try its rights has names that nothing else can have, and that every reader passes over.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, Self

from archive.errors import NameInvalid

CATALOG: Final = "v1/catalog/"
SEGMENTS: Final = "v1/segments/"
VIEWS: Final = "v1/views/"
SERVER: Final = "v1/server/"

# A catalog key's last part carries three names and must fit a file name of 255 bytes.
_LONGEST: Final = {"namespace": 63, "cluster": 63, "session": 96, "node id": 64, "schema": 64}
_LONGEST_STREAM: Final = 1024
_START_DIGITS: Final = 13
_LAST_START: Final = 10**_START_DIGITS - 1
_SESSION: Final = re.compile(r"session_(\d{4})-(\d\d)-(\d\d)_(\d\d)-(\d\d)-(\d\d)_(\d{6})(?:_.*)?", re.ASCII)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_ORIGIN: Final = re.compile(r"(\d{1,15})-([0-9a-f]{8})", re.ASCII)
TRIAL: Final = "~doctor"
_SEGMENT_FILE: Final = re.compile(r"(\d{1,15}-[0-9a-f]{8})-(\d{8,12})\.seg", re.ASCII)


def _without_control(text: str) -> bool:
    return _CONTROL.search(text) is None


def _encodable(text: str) -> bytes | None:
    try:
        return text.encode()
    except UnicodeEncodeError:
        return None


def checked(name: str, what: str) -> str:
    """`name`, if it may be one part of a key; `what` is a word such as "session". Raises NameInvalid."""
    encoded = _encodable(name)
    longest = _LONGEST[what]
    if not encoded or len(encoded) > longest:
        raise NameInvalid(f"the {what} {name[:80]!r} must be UTF-8 of 1 to {longest} bytes")
    if (
        "/" in name
        or "\\" in name
        or "~" in name
        or ".." in name
        or name == "."
        or not _without_control(name)
    ):
        raise NameInvalid(f"the {what} {name!r} may not contain '/', '\\', '~', '..' or control characters")
    return name


def checked_stream(name: str) -> str:
    """`name`, if it may name a stream: a path without empty, '.' or '..' parts. Raises NameInvalid."""
    encoded = _encodable(name)
    if not encoded or len(encoded) > _LONGEST_STREAM:
        raise NameInvalid(f"the stream {name[:80]!r} must be UTF-8 of 1 to {_LONGEST_STREAM} bytes")
    if any(part in {"", ".", ".."} for part in name.split("/")) or not _without_control(name):
        raise NameInvalid(f"the stream {name!r} must be a plain relative path without control characters")
    return name


def session_start_ms(session: str) -> int | None:
    """The start that a session's name tells, in milliseconds, its wall clock read as UTC; None if none."""
    match = _SESSION.fullmatch(session)
    if match is None:
        return None
    try:
        year, month, day, hour, minute, second, micro = map(int, match.groups())
        start = datetime(year, month, day, hour, minute, second, micro, UTC)
    except ValueError:
        return None
    return max(0, int(start.timestamp() * 1000))


class Role(StrEnum):
    """Which of a session's two catalog entries."""

    HEAD = "head"
    WORKER = "worker"


@dataclass(frozen=True, order=True, slots=True)
class SessionKey:
    """One session of one cluster of one namespace."""

    namespace: str
    cluster: str
    session: str

    def __post_init__(self) -> None:
        checked(self.namespace, "namespace")
        checked(self.cluster, "cluster")
        checked(self.session, "session")

    @property
    def path(self) -> str:
        return f"{self.namespace}/{self.cluster}/{self.session}"

    @property
    def started_ms(self) -> int | None:
        return session_start_ms(self.session)


@dataclass(frozen=True, order=True, slots=True)
class Origin:
    """One life of a collector's spool. Sequences and offsets compare within it only."""

    started_ms: int
    random: str

    def __post_init__(self) -> None:
        if _ORIGIN.fullmatch(str(self)) is None:
            raise NameInvalid(f"the origin {self} must be milliseconds, '-', eight hex digits")

    def __str__(self) -> str:
        return f"{self.started_ms}-{self.random}"

    @classmethod
    def new(cls, now_ms: int) -> Self:
        return cls(now_ms, secrets.token_hex(4))

    @classmethod
    def parse(cls, text: str) -> Self:
        match = _ORIGIN.fullmatch(text)
        if match is None:
            raise NameInvalid(f"the origin {text[:80]!r} must be milliseconds, '-', eight hex digits")
        return cls(int(match[1]), match[2])


@dataclass(frozen=True, order=True, slots=True)
class SegmentName:
    """One segment: what a node's streams gained in some seconds. `sequence` counts from 1 in its origin."""

    session: SessionKey
    node_id: str
    origin: Origin
    sequence: int

    def __post_init__(self) -> None:
        checked(self.node_id, "node id")
        if not 0 < self.sequence < 10**12:
            raise NameInvalid(f"the sequence {self.sequence} must lie between 1 and 10^12")

    @property
    def key(self) -> str:
        return f"{segments_prefix(self.session, self.node_id)}{self.origin}-{self.sequence:08d}.seg"

    @classmethod
    def parse(cls, key: str) -> Self:
        parts = key.removeprefix(SEGMENTS).split("/")
        match = _SEGMENT_FILE.fullmatch(parts[-1])
        if not key.startswith(SEGMENTS) or len(parts) != 5 or match is None:
            raise NameInvalid(f"{key[:300]!r} is no segment's key")
        name = cls(SessionKey(*parts[:3]), parts[3], Origin.parse(match[1]), int(match[2]))
        if name.key != key:
            raise NameInvalid(f"{key[:300]!r} is not how the segment {name.key!r} is written")
        return name


@dataclass(frozen=True, slots=True)
class CatalogName:
    """One catalog entry's object."""

    session: SessionKey
    role: Role

    @property
    def key(self) -> str:
        inverted = _LAST_START - min(self.session.started_ms or 0, _LAST_START)
        return f"{CATALOG}{inverted:0{_START_DIGITS}d}~{self.session.path.replace('/', '~')}~{self.role}.json"

    @classmethod
    def parse(cls, key: str) -> Self:
        parts = key.removeprefix(CATALOG).removesuffix(".json").split("~")
        if (
            not key.startswith(CATALOG)
            or not key.endswith(".json")
            or len(parts) != 5
            or parts[4] not in list(Role)
        ):
            raise NameInvalid(f"{key[:300]!r} is no catalog entry's key")
        name = cls(SessionKey(*parts[1:4]), Role(parts[4]))
        if name.key != key:
            raise NameInvalid(f"{key[:300]!r} is not how the catalog entry {name.key!r} is written")
        return name


@dataclass(frozen=True, slots=True)
class TrialName:
    """What `historyserver doctor` puts to see whether it may: of one cluster, or, with no names, of none."""

    place: str
    namespace: str = ""
    cluster: str = ""

    def __post_init__(self) -> None:
        if self.namespace or self.cluster:
            checked(self.namespace, "namespace")
            checked(self.cluster, "cluster")

    @property
    def key(self) -> str:
        if not self.namespace:
            return f"{self.place}{TRIAL}"
        if self.place in {CATALOG, SERVER}:
            return f"{self.place}{TRIAL}~{self.namespace}~{self.cluster}"
        return f"{self.place}{self.namespace}/{self.cluster}/{TRIAL}"

    @classmethod
    def parse(cls, key: str) -> Self:
        place = next((place for place in (CATALOG, SEGMENTS, VIEWS, SERVER) if key.startswith(place)), "")
        parts = re.split("[~/]", key.removeprefix(place).replace(TRIAL, "", 1).strip("~/"))
        if place and len(parts) <= 2:
            name = cls(place, *parts)
            if name.key == key:
                return name
        raise NameInvalid(f"{key[:300]!r} is no name of a trial")


def segments_prefix(session: SessionKey, node_id: str | None = None) -> str:
    """Where a session's segments are, or one node's; ends with a slash."""
    prefix = f"{SEGMENTS}{session.path}/"
    return prefix if node_id is None else f"{prefix}{checked(node_id, 'node id')}/"


def views_prefix(session: SessionKey, schema: str) -> str:
    """Where the views of one session in one schema are; ends with a slash."""
    return f"{VIEWS}{session.path}/{checked(schema, 'schema')}/"
