"""One table of settings per process: a frozen dataclass whose fields say name, type, default, unit and help.

    @dataclass(frozen=True)
    class CollectorSettings:
        flush_seconds: float = setting(SECONDS, "how long new data may wait", 5.0)

    reading = read(CollectorSettings, sys.argv[2:], os.environ)

`flush_seconds` is then `--flush-seconds 5` or `HISTORYSERVER_FLUSH_SECONDS=5`; the flag wins, and an empty
variable counts as not set. Nothing here ends the process: a value that can't be used leaves the default in
place and one sentence in `reading.problems`, so that a collector lives on and a server can refuse with all.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final, Generic, NamedTuple, TypeVar
from urllib.parse import urlsplit

PREFIX: Final = "HISTORYSERVER_"
SHORTEST_INTERVAL: Final = 0.1
T = TypeVar("T")


class Address(NamedTuple):
    """Where to listen; an empty host means every interface."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """A type of value: its name, how text becomes it (ValueError says why it can't), and how it is shown."""

    name: str
    parse: Callable[[str], T]
    show: Callable[[T], str] = str
    many: bool = False
    """A flag given twice adds to what came before."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of a table."""

    name: str
    kind: Kind[Any]
    default: Any
    help: str
    required: bool

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        return PREFIX + self.name.upper()

    @property
    def shown_default(self) -> str:
        return "required" if self.required else str(self.kind.show(self.default))


@dataclass(frozen=True, slots=True)
class Reading(Generic[T]):
    """The settings as far as they could be used, and one sentence for each that could not.

    `unknown`: words of the command line that are no settings at all; the sentences tell of them, too.
    """

    values: T
    problems: tuple[str, ...]
    unknown: tuple[str, ...] = ()


def setting(kind: Kind[T], meaning: str, default: T) -> T:
    """A field of a settings dataclass."""
    return field(default=default, metadata={"kind": kind, "help": meaning, "required": False})


def required(kind: Kind[T], meaning: str, stand_in: T) -> T:
    """A field that somebody has to set; `stand_in` is its value where it is missing or bad."""
    return field(default=stand_in, metadata={"kind": kind, "help": meaning, "required": True})


def rows(table: type) -> tuple[Setting, ...]:
    """The table's rows, in the order of the dataclass."""
    return tuple(
        Setting(
            entry.name,
            entry.metadata["kind"],
            entry.default,
            entry.metadata["help"],
            entry.metadata["required"],
        )
        for entry in fields(table)
    )


def read(table: type[T], arguments: Sequence[str], environment: Mapping[str, str]) -> Reading[T]:
    """Reads a table from a command line and an environment; every problem is found, not only the first."""
    settings = rows(table)
    given, problems, unknown = _flags(settings, arguments)
    values: dict[str, Any] = {}
    for row in settings:
        text, source = given.get(row.name), row.flag
        if text is None and environment.get(row.variable, "") != "":
            text, source = environment[row.variable], row.variable
        if text is None:
            if row.required:
                problems.append(f"{row.flag} is missing: {row.help}. Give it, or set {row.variable}.")
            continue
        try:
            values[row.name] = row.kind.parse(text)
        except ValueError as error:
            default = "" if row.required else f"; the default is {row.shown_default!r}"
            problems.append(f"{source}={text!r} can't be used: {error}. Give {row.kind.name}{default}.")
    return Reading(table(**values), tuple(problems), tuple(unknown))


def _flags(
    settings: Sequence[Setting], arguments: Sequence[str]
) -> tuple[dict[str, str], list[str], list[str]]:
    """What was given, a sentence for each word that can't be used, and those that are no settings."""
    by_flag = {row.flag: row for row in settings}
    given: dict[str, str] = {}
    problems: list[str] = []
    unknown: list[str] = []
    waiting = list(reversed(arguments))
    while waiting:
        flag, has_value, value = waiting.pop().partition("=")
        row = by_flag.get(flag)
        if row is None:
            problems.append(f"{flag!r} is no setting here. --help lists those there are.")
            unknown.append(flag)
            if waiting and flag.startswith("--") and not has_value and not waiting[-1].startswith("--"):
                waiting.pop()  # the unknown setting's value
            continue
        if not has_value:
            if waiting and not waiting[-1].startswith("--"):
                value = waiting.pop()
            elif row.kind is BOOLEAN:
                value = "true"
            else:
                problems.append(f"{flag} has no value. Give {row.kind.name} behind it.")
                continue
        earlier = given.get(row.name)
        given[row.name] = f"{earlier},{value}" if row.kind.many and earlier else value
    return given, problems, unknown


def markdown(table: type) -> str:
    """The table as documentation shows it."""
    lines = ["| flag | variable | value | default | meaning |", "|---|---|---|---|---|"]
    lines += [
        f"| `{row.flag}` | `{row.variable}` | {row.kind.name} | {_code(row.shown_default)} | {row.help} |"
        for row in rows(table)
    ]
    return "\n".join(lines) + "\n"


def usage(table: type, command: str, purpose: str) -> str:
    """What `--help` prints."""
    return "\n".join((f"usage: {command} [--SETTING VALUE]…", "", purpose, "", *_usage_rows(table), ""))


def _usage_rows(table: type) -> Iterator[str]:
    yield f"settings (or {PREFIX}<NAME> in the environment):"
    for row in rows(table):
        default = (
            "required"
            if row.required
            else f"default {row.shown_default}"
            if row.shown_default
            else "optional"
        )
        yield f"  {row.flag:<20} {row.help} ({row.kind.name}; {default})"


def _code(text: str) -> str:
    return f"`{text}`" if text and text != "required" else text


def _integer(text: str) -> int:
    if not re.fullmatch(r"\s*[0-9]{1,18}\s*", text):
        raise ValueError("it is no whole number")
    return int(text)


def _decimal(text: str) -> float:
    if not re.fullmatch(r"\s*[0-9]{1,12}(\.[0-9]{0,9})?\s*", text):
        raise ValueError("it is no number like 2.5")
    return float(text)


def _interval(text: str) -> float:
    number = _decimal(text)
    if number < SHORTEST_INTERVAL:
        raise ValueError("it is so short that nothing else would be done")
    return number


def _share(text: str) -> float:
    number = _decimal(text)
    if not 0 < number < 1:
        raise ValueError("it does not lie between 0 and 1")
    return number


_UNITS: Final = {"": 1, "B": 1, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30}
_UNITS.update({"KI": 1 << 10, "MI": 1 << 20, "GI": 1 << 30})


def _bytes(text: str) -> int:
    match = re.fullmatch(r"\s*([0-9]{1,15})\s*([A-Za-z]{0,3})\s*", text)
    if match is None or match[2].upper() not in _UNITS:
        raise ValueError("it is no size like 512MiB")
    return int(match[1]) * _UNITS[match[2].upper()]


def _show_bytes(size: int) -> str:
    for name in ("GiB", "MiB", "KiB"):
        unit = _UNITS[name.upper()]
        if size and size % unit == 0:
            return f"{size // unit}{name}"
    return str(size)


def _boolean(text: str) -> bool:
    match text.strip().lower():
        case "true" | "1" | "yes" | "on":
            return True
        case "false" | "0" | "no" | "off":
            return False
        case _:
            raise ValueError("it is neither true nor false")


def _address(text: str) -> Address:
    host, colon, port = text.strip().rpartition(":")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise ValueError("it does not end in a colon and a port from 0 to 65535")
    if not host.isascii():
        raise ValueError("its host has letters that no host has")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError("an IPv6 address stands in brackets")
    return Address(host, int(port))


def _web_address(text: str) -> str:
    parts = urlsplit(text.strip())
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("it does not begin with http:// or https:// and a host")
    try:
        _ = parts.port
    except ValueError:
        raise ValueError("its port is no number from 0 to 65535") from None
    return text.strip().rstrip("/")


def _list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in re.split(r"[,\n]", text) if part.strip())


def choice(*options: str) -> Kind[str]:
    """One of a few words."""

    def parse(text: str) -> str:
        if text.strip() not in options:
            raise ValueError(f"it is none of {', '.join(options)}")
        return text.strip()

    return Kind(" or ".join(options), parse)


TEXT: Final = Kind("text", str.strip)
FOLDER: Final = Kind("a folder", str.strip)
FILE: Final = Kind("a file", str.strip)
STORE: Final = Kind("a store's URL, as oss://bucket/root?region=cn-hangzhou", str.strip)
WEB_ADDRESS: Final = Kind("an http address", _web_address)
ADDRESS: Final = Kind("host:port", _address)
INTEGER: Final = Kind("a whole number", _integer)
SECONDS: Final = Kind("seconds", _decimal, lambda seconds: f"{seconds:g}")
INTERVAL: Final = Kind(f"seconds, from {SHORTEST_INTERVAL:g} on", _interval, lambda seconds: f"{seconds:g}")
SHARE: Final = Kind("a share between 0 and 1", _share, lambda share: f"{share:g}")
BYTES: Final = Kind("bytes, as 512MiB", _bytes, _show_bytes)
BOOLEAN: Final = Kind("true or false", _boolean, lambda value: str(value).lower())
LIST: Final = Kind("a list with commas", _list, ", ".join, many=True)
