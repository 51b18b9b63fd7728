"""Command lines that name sessions beside settings: NAMESPACE/CLUSTER/SESSION, anywhere among the flags."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from archive.errors import NameInvalid
from archive.layout import SessionKey
from archive.settings import BOOLEAN, read, rows

_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "1", "0"})
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Asked(Generic[T]):
    """The settings, the sessions named, and a sentence for each word that can't be used."""

    settings: T
    keys: tuple[SessionKey, ...]
    problems: tuple[str, ...]


def asked(table: type[T], arguments: Sequence[str], environment: Mapping[str, str]) -> Asked[T]:
    """What a command line asks for; every problem is found, not only the first."""
    names, flags = _parted(table, arguments)
    reading = read(table, flags, environment)
    problems = list(reading.problems)
    keys: list[SessionKey] = []
    for name in names:
        try:
            keys.append(_named(name))
        except ValueError as error:
            problems.append(f"{error}.")
    return Asked(reading.values, tuple(keys), tuple(problems))


def _parted(table: type, arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """What names sessions, and the flags with their values, as `archive.settings.read` takes them."""
    switches = {row.flag for row in rows(table) if row.kind is BOOLEAN}
    names: list[str] = []
    flags: list[str] = []
    waiting = list(reversed(arguments))
    while waiting:
        word = waiting.pop()
        if not word.startswith("-"):
            names.append(word)
        elif word in switches:
            value = waiting.pop() if waiting and waiting[-1].lower() in _WORDS else "true"
            flags.append(f"{word}={value}")
        else:
            flags.append(word)
            if "=" not in word and waiting and not waiting[-1].startswith("--"):
                flags.append(waiting.pop())
    return names, flags


def _named(text: str) -> SessionKey:
    """The session of "team/shop/session_…". Raises ValueError with what is wrong."""
    parts = text.strip("/").split("/")
    if len(parts) != 3:
        raise ValueError(f"{text!r} is no session: name it as NAMESPACE/CLUSTER/SESSION, as its address does")
    try:
        return SessionKey(*parts)
    except NameInvalid as error:
        raise ValueError(f"{text!r} is no session: {error}") from error
