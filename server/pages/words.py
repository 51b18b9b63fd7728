"""Times and amounts in the words that the pages use. Pure."""

from datetime import UTC, datetime

_STEPS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def utc(ms: int | None) -> str:
    """Milliseconds since the epoch as "2026-11-23 02:43:27", in UTC."""
    if ms is None:
        return "unknown"
    try:
        return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, ValueError, OSError):
        return "unknown"


def duration(ms: int | None) -> str:
    """A length of time in its two largest units: "4 min 12 s"; "unknown" if it is."""
    if ms is None or ms < 0:
        return "unknown"
    rest = ms // 1000
    parts: list[str] = []
    for unit, seconds in _STEPS:
        amount, rest = divmod(rest, seconds)
        if amount or (parts and len(parts) < 2):
            parts.append(f"{amount} {unit}")
        if len(parts) == 2:
            break
    return " ".join(parts) or "0 s"


def ago(ms: int | None, now_ms: int) -> str:
    """How long ago, in the largest unit only: "3 h ago"."""
    if ms is None:
        return ""
    return f"{roughly(now_ms - ms)} ago" if now_ms - ms >= 1000 else "just now"


def roughly(ms: int | None) -> str:
    """A length of time in its largest unit only: "4 min"; "unknown" if it is."""
    whole = duration(ms)
    return " ".join(whole.split()[:2])


def size(count: int) -> str:
    """Bytes for people: "3.2 MiB"."""
    if count < 1024:
        return f"{count} bytes"
    amount = float(count)
    for unit in ("KiB", "MiB", "GiB"):
        amount /= 1024
        if amount < 1024:
            return f"{amount:.1f} {unit}"
    return f"{amount / 1024:.1f} TiB"


def thousands(count: int) -> str:
    """A whole number with separators: "50,000"."""
    return f"{count:,}"
