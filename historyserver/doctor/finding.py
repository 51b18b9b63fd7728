"""What a check is, what it finds, and how checks follow from each other: pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from archive.errors import ArchiveError

if TYPE_CHECKING:
    from historyserver.doctor.room import Room


class Verdict(StrEnum):
    """`WARN`: it works, and should be otherwise. `SKIP`: not looked at."""

    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"
    SKIP = "skip"


class Identity(StrEnum):
    """Whose rights are looked at."""

    SERVER = "server"
    COLLECTOR = "collector"
    OPERATOR = "operator"


class Kind(StrEnum):
    """A store's kind, by its URL's scheme."""

    OSS = "oss"
    FILE = "file"
    HTTP = "http"


@dataclass(frozen=True, slots=True)
class Finding:
    """`what` was found, and `remedy`: what to do about it, "" for nothing."""

    verdict: Verdict
    what: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the doctor's. `needs`: checks without which this one would only repeat their failure."""

    name: str
    meaning: str
    find: Callable[[Room], Finding]
    needs: tuple[str, ...] = ()
    identities: frozenset[Identity] = frozenset(Identity)
    kinds: frozenset[Kind] = frozenset(Kind)


def ok(what: str) -> Finding:
    return Finding(Verdict.OK, what)


def warn(what: str, remedy: str) -> Finding:
    return Finding(Verdict.WARN, what, remedy)


def fail(what: str, remedy: str = "") -> Finding:
    return Finding(Verdict.FAIL, what, remedy)


def skip(what: str) -> Finding:
    return Finding(Verdict.SKIP, what)


def examine(checks: Sequence[Check], room: Room) -> Iterator[tuple[Check, Finding]]:
    """Each check that is for this identity and store, in order. What follows from a failure is skipped."""
    causes: dict[str, str] = {}  # from a check to the failed one that it could not do without
    for check in checks:
        if room.identity not in check.identities or room.kind not in check.kinds:
            continue
        cause = next((causes[need] for need in check.needs if need in causes), None)
        finding = _found(check, room) if cause is None else skip(f"because {cause!r} failed")
        if cause is not None:
            causes[check.name] = cause
        elif finding.verdict is Verdict.FAIL:
            causes[check.name] = check.name
        yield check, finding


def _found(check: Check, room: Room) -> Finding:
    try:
        return check.find(room)
    except ArchiveError as error:
        return fail(str(error))
