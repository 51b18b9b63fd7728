"""Event times as nanoseconds since the epoch, and what is no time at all."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

EARLIEST_NS: Final = 946_684_800_000_000_000  # 2000-01-01
LATEST_NS: Final = 4_102_444_800_000_000_000  # 2100-01-01
ZERO_TIMES: Final = frozenset({"", "1970-01-01T00:00:00Z"})
"""How protobuf's JSON prints a time that was never set."""


@lru_cache(maxsize=4096)
def _second(text: str) -> int:
    return int(datetime.strptime(text, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC).timestamp())


def ns_of(text: str) -> int | None:
    """RFC 3339 in UTC with 0 to 9 decimals; None for what is no time or lies outside 2000 to 2100."""
    try:
        ns = _second(text[:19]) * 1_000_000_000
        if len(text) > 20 and text[19] == ".":
            fraction = text[20:-1][:9]
            ns += int(fraction) * 10 ** (9 - len(fraction))
    except (ValueError, OverflowError):
        return None
    return plausible(ns)


@lru_cache(maxsize=65536)
def second_is_known(text: str) -> bool:
    """Whether text of 19 characters is a second between 2000 and 2100. Sessions have few, so it is mostly
    cached.
    """
    return ns_of(f"{text}Z") is not None


def plausible(ns: int) -> int | None:
    """The time, unless it can't be one of a Ray session."""
    return ns if EARLIEST_NS <= ns < LATEST_NS else None
