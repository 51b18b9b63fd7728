"""Which stream a file below the logs folder belongs to, and how it is to be read. Pure."""

import re
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase

from archive.layout import checked_stream
from sidecar.tail.settings import TailSettings

EXPORTS = "export_events/"

_BACKUP = re.compile(r"(?P<base>[^/]+?)\.(?P<index>[1-9]\d{0,2})(?P<ending>\.[a-z]+)?")


class Kind(Enum):
    """How a log is kept."""

    PLAIN = "plain"  # byte by byte
    MASKED = "masked"  # whole lines, secrets masked to equal length
    REWRITTEN = "rewritten"  # latest content


@dataclass(frozen=True, slots=True)
class Backup:
    """What a path says if it belongs to a ring: the log it was, and how many renames ago."""

    base: str
    index: int


def backup(path: str) -> Backup | None:
    """`raylet.out.2` (Python, Ray's workers) and `raylet.2.out` (Ray's C++ logger) are both the second of
    `raylet.out`.
    """
    folder, slash, name = path.rpartition("/")
    found = _BACKUP.fullmatch(name)
    if found is None:
        return None
    base = found["base"] + (found["ending"] or "")
    return None if base in {".", ".."} else Backup(folder + slash + base, int(found["index"]))


def backup_names(base: str, index: int) -> tuple[str, str]:
    """The two names that the backup of this index can have."""
    folder, slash, name = base.rpartition("/")
    stem, dot, ending = name.rpartition(".")
    inner = f"{stem}.{index}.{ending}" if dot else f"{name}.{index}"
    return f"{base}.{index}", folder + slash + inner


def shown(path: str) -> str:
    """The path as text: what can't be printed of a name, or is no UTF-8, is escaped."""
    text = path.encode(errors="surrogateescape").decode(errors="backslashreplace")
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def stream(path: str) -> str:
    """The stream of a log. Raises NameInvalid."""
    text = shown(path)
    if text.startswith(EXPORTS):
        return checked_stream("exports/" + text.removeprefix(EXPORTS))
    return checked_stream("logs/" + text)


def wanted(path: str, settings: TailSettings) -> bool:
    """Whether the settings' patterns let this file in."""
    return _matches(path, settings.include) and not _matches(path, settings.exclude)


def kind(path: str, settings: TailSettings) -> Kind:
    """How the log of this name is kept."""
    if _matches(path, settings.rewritten):
        return Kind.REWRITTEN
    if path.startswith(EXPORTS) or _matches(path, settings.masked):
        return Kind.MASKED
    return Kind.PLAIN


def _matches(path: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(path, pattern) for pattern in patterns)
