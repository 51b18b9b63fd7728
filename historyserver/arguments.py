"""Command lines that name sessions beside settings: NAMESPACE/CLUSTER/SESSION, anywhere among the flags."""

from collections.abc import Sequence

from archive.errors import NameInvalid
from archive.layout import SessionKey
from archive.settings import BOOLEAN, rows

_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "1", "0"})


def parted(table: type, arguments: Sequence[str]) -> tuple[list[str], list[str]]:
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


def named(text: str) -> SessionKey:
    """The session of "team/shop/session_…". Raises ValueError with what is wrong."""
    parts = text.strip("/").split("/")
    if len(parts) != 3:
        raise ValueError(f"{text!r} is no session: name it as NAMESPACE/CLUSTER/SESSION, as its address does")
    try:
        return SessionKey(*parts)
    except NameInvalid as error:
        raise ValueError(f"{text!r} is no session: {error}") from error
