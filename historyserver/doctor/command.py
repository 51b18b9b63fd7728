"""`historyserver doctor --as server|collector|operator`: one line a check, and the remedy below it."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Final

from archive.settings import read, usage
from historyserver.doctor.finding import Check, Finding, Identity, Verdict, examine, skip
from historyserver.doctor.room import Choices, OperatorChoices, Room, ServerChoices
from historyserver.doctor.table import CHECKS
from sidecar.settings import CollectorSettings

TABLES: Final[Mapping[Identity, type[Choices]]] = {
    Identity.SERVER: ServerChoices,
    Identity.COLLECTOR: CollectorSettings,
    Identity.OPERATOR: OperatorChoices,
}
_USAGE: Final = """\
usage: historyserver doctor --as server|collector|operator [--json] [--SETTING VALUE]…

Looks, with the rights of the identity at hand, whether everything is as it must be: run it where the server
or the collector runs, in the same environment. It takes their settings: --as collector --help lists them.
Exit code 0: all is well; 1: something fails; 2: the command can't be used so.
"""


def main(arguments: Sequence[str]) -> int:
    """Examines, and prints as it goes; the return value is the exit code."""
    waiting = list(arguments)
    as_json = "--json" in waiting
    waiting = [argument for argument in waiting if argument != "--json"]
    name = _taken(waiting, "--as")
    asks = "-h" in waiting or "--help" in waiting
    if name not in list(Identity):
        (sys.stdout if asks else sys.stderr).write(_USAGE)
        return 0 if asks else 2
    identity = Identity(name)
    if asks:
        sys.stdout.write(
            usage(TABLES[identity], f"historyserver doctor --as {identity}", _USAGE.partition("\n\n")[2])
        )
        return 0
    if unknown := read(TABLES[identity], waiting, {}).unknown:
        sys.stderr.write(
            f"historyserver doctor: a {identity} has no setting {unknown[0]!r}. --help lists them.\n"
        )
        return 2
    room = room_for(identity, waiting, os.environ)
    if not room.settings.store:
        sys.stderr.write("historyserver doctor: give --store, or set HISTORYSERVER_STORE.\n")
        return 2
    logging.disable(logging.WARNING)  # the findings say it
    return (_told_as_json if as_json else _told)(room, examine(CHECKS, room))


def room_for(identity: Identity, arguments: Sequence[str], environment: Mapping[str, str]) -> Room:
    """What is to be examined."""
    reading = read(TABLES[identity], arguments, environment)
    return Room(identity, reading.values, reading.problems, environment)


def _taken(waiting: list[str], flag: str) -> str | None:
    """A flag's value, taken out of the arguments."""
    for place, argument in enumerate(waiting):
        if argument.startswith(f"{flag}="):
            return waiting.pop(place).partition("=")[2]
        if argument == flag:
            del waiting[place]
            return waiting.pop(place) if place < len(waiting) else None
    return None


def _told(room: Room, examined: Iterable[tuple[Check, Finding]]) -> int:
    indent = " " * (max(len(check.name) for check in CHECKS) + 8)
    counts: Counter[Verdict] = Counter()
    sys.stdout.write(f"The archive {room.shown_store}, as its {room.identity}:\n")
    for _, group in groupby(examined, _together):
        name, finding = _as_one(list(group))
        counts[finding.verdict] += 1
        head = f"{finding.verdict:4}  {name}".ljust(len(indent))
        sys.stdout.write(_line(head, finding.what, indent))
        if finding.remedy:
            sys.stdout.write(_line(indent, f"-> {finding.remedy}", indent))
        sys.stdout.flush()
    sys.stdout.write(_summary(counts))
    return 1 if counts[Verdict.FAIL] else 0


def _together(one: tuple[Check, Finding]) -> str:
    """The same for checks that share a line: those skipped in a row for one reason."""
    check, finding = one
    return finding.what.partition(":")[0] if finding.verdict is Verdict.SKIP else check.name


def _as_one(group: list[tuple[Check, Finding]]) -> tuple[str, Finding]:
    check, finding = group[0]
    if len(group) == 1:
        return check.name, finding
    names = ", ".join(each.name for each, _ in group)
    return f"{len(group)} checks", skip(f"{finding.what.partition(':')[0]}: {names}")


def _summary(counts: Counter[Verdict]) -> str:
    if counts[Verdict.FAIL]:
        return f"{counts[Verdict.FAIL]} failed: begin with the first FAIL.\n"
    if counts[Verdict.WARN]:
        return f"It works; {counts[Verdict.WARN]} should be otherwise.\n"
    return "All is well.\n"


def _told_as_json(room: Room, examined: Iterable[tuple[Check, Finding]]) -> int:
    findings = list(examined)
    failed = sum(finding.verdict is Verdict.FAIL for _, finding in findings)
    report = {
        "as": room.identity,
        "store": room.shown_store,
        "failed": failed,
        "checks": [
            {"check": check.name, "verdict": one.verdict.lower(), "found": one.what, "remedy": one.remedy}
            for check, one in findings
        ],
    }
    sys.stdout.write(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    return 1 if failed else 0


def _line(head: str, text: str, indent: str) -> str:
    """One line; for people, who have a terminal, as many as its width asks for."""
    whole = head + " ".join(text.split())
    if sys.stdout.isatty():
        columns = max(shutil.get_terminal_size().columns, 2 * len(indent))
        whole = textwrap.fill(
            whole, columns, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
        )
    return f"{whole}\n"
