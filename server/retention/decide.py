"""Which sessions may be removed. Pure.

Age counts from a session's end, and that is when a collector put something of it last, by the store's own
clock: an end that a collector's clock tells may be years off, and nothing that is removed comes back. So a
session that lives is young by its heartbeat or its segments, whatever else is said of it, and one that was
copied into an archive is as old as the copy.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from archive.layout import SessionKey
from archive.store.base import ObjectInfo

SHORTEST_SECONDS: Final = 3600.0
"""A store that is out for minutes makes living sessions look dead."""
LONGEST_DAYS: Final = 36_500
VIEW_GRACE_SECONDS: Final = 3600.0
"""Views that are left of a session are removed when nobody put to them for so long."""
_UNITS: Final = {"h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_AGE: Final = re.compile(r"([0-9]{1,6})([a-z])", re.ASCII)


def age_of(text: str) -> float:
    """Seconds of an age as "30d". Raises ValueError with what is wrong."""
    match = _AGE.fullmatch(text.strip())
    if match is None or match[2] not in _UNITS:
        raise ValueError("it is no number of hours, days or weeks with its unit, as 12h, 30d or 8w")
    seconds = int(match[1]) * _UNITS[match[2]]
    if seconds < SHORTEST_SECONDS:
        raise ValueError("an age is 1h at least: what was put within the last hour may still go on")
    if seconds > LONGEST_DAYS * 86_400:
        raise ValueError(f"it is more than {LONGEST_DAYS} days")
    return seconds


@dataclass(frozen=True, slots=True)
class Amount:
    """Objects, their bytes together, and when the newest was put: seconds by the store's clock, or 0."""

    objects: int = 0
    size: int = 0
    newest: float = 0.0

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(self.objects + other.objects, self.size + other.size, max(self.newest, other.newest))


def amount_of(infos: Iterable[ObjectInfo]) -> Amount:
    """What those objects are together."""
    objects = size = 0
    newest = 0.0
    for info in infos:
        objects += 1
        size += info.size
        newest = max(newest, info.modified)
    return Amount(objects, size, newest)


@dataclass(frozen=True, slots=True)
class Stored:
    """What the archive holds of one session."""

    key: SessionKey
    catalog: Amount
    segments: Amount
    views: Amount

    @property
    def total(self) -> Amount:
        return self.catalog + self.segments + self.views

    @property
    def ended(self) -> float:
        """When a collector put something last; 0 where only views are left."""
        return max(self.catalog.newest, self.segments.newest)


def old_enough(stored: Stored, now: float, age: float) -> bool:
    """Whether a session's end is `age` seconds ago, or views alone are left of it for a while."""
    if stored.ended:
        return now - stored.ended >= age
    return bool(stored.views.objects) and now - stored.views.newest >= VIEW_GRACE_SECONDS


def alive(stored: Stored, now: float, lost_after: float) -> bool:
    """Whether a collector put something so lately that the session may still run."""
    return bool(stored.ended) and now - stored.ended < lost_after
