"""The canary's words and figures. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Final

from historyserver.canary.ledger import Verdict
from historyserver.canary.message import Kind

_PREFIX: Final = "historyserver_canary_"
_MEANINGS: Final = {
    "sent": "accepted by the collector, or written to the log",
    "seen": "found in the archive",
    "told": "not there, and the archive says so",
    "missing": "not there, without a word",
    "doubled": "a reader would show it twice",
    "repeated": "kept twice, and shown once or told",
    "out_of_order": "behind a later one",
    "wrong": "not the bytes that were sent",
    "late": "found, but not in time",
    "overdue": "not found yet, and no longer in time",
}


@dataclass(frozen=True)
class Standing:
    """How it stands. `slowest`: seconds, of those found. `problem`: what is wrong now, if anything."""

    verdicts: Mapping[Kind, Verdict] = field(default_factory=lambda: dict.fromkeys(Kind, Verdict()))
    slowest: Mapping[Kind, float] = field(default_factory=lambda: dict.fromkeys(Kind, 0.0))
    damaged: int = 0
    problem: str = ""

    def __add__(self, other: Standing) -> Standing:
        """Of two runs."""
        return Standing(
            {kind: self.verdicts[kind] + other.verdicts[kind] for kind in Kind},
            {kind: max(self.slowest[kind], other.slowest[kind]) for kind in Kind},
            self.damaged + other.damaged,
            other.problem,
        )

    @property
    def bad(self) -> int:
        """How many should not be."""
        return sum(verdict.bad for verdict in self.verdicts.values()) + self.damaged


def summary(standing: Standing) -> str:
    """One line: what there is, and of the rest what is not nothing."""
    parts = []
    for kind, verdict in standing.verdicts.items():
        rest = [
            f"{getattr(verdict, each.name)} {each.name.replace('_', ' ')}"
            for each in fields(verdict)[2:]
            if getattr(verdict, each.name)
        ]
        parts.append(", ".join([f"{kind}: {verdict.seen} of {verdict.sent} seen", *rest]))
    parts += [f"{standing.damaged} segments damaged"] if standing.damaged else []
    return "; ".join([*parts, *([standing.problem] if standing.problem else [])])


def table(standing: Standing) -> str:
    """All figures."""
    lines = [f"{'':14}" + "".join(f"{kind:>10}" for kind in standing.verdicts)]
    for name, meaning in _MEANINGS.items():
        figures = "".join(f"{getattr(verdict, name):>10}" for verdict in standing.verdicts.values())
        lines.append(f"{name.replace('_', ' '):14}{figures}  {meaning}")
    slowest = "".join(f"{seconds:>10.1f}" for seconds in standing.slowest.values())
    lines.append(f"{'slowest':14}{slowest}  seconds until it was found")
    if standing.damaged:
        lines.append(f"{standing.damaged} segments can't be read")
    return "\n".join(lines) + "\n"


def metrics(standing: Standing) -> str:
    """All figures in Prometheus' text format; gauges, since what is missing may yet be found."""
    lines = [f"# HELP {_PREFIX}messages What became of lines and events.", f"# TYPE {_PREFIX}messages gauge"]
    for kind, verdict in standing.verdicts.items():
        lines += [
            f'{_PREFIX}messages{{kind="{kind}",fate="{name}"}} {getattr(verdict, name)}' for name in _MEANINGS
        ]
    lines += [
        f"# HELP {_PREFIX}slowest_seconds The longest time until one was found.",
        f"# TYPE {_PREFIX}slowest_seconds gauge",
    ]
    lines += [
        f'{_PREFIX}slowest_seconds{{kind="{kind}"}} {slow:g}' for kind, slow in standing.slowest.items()
    ]
    for name, meaning, value in (
        ("damaged_segments", "Segments that can't be read.", standing.damaged),
        (
            "problem",
            "1 while something keeps the canary from writing or reading.",
            int(bool(standing.problem)),
        ),
    ):
        lines += [
            f"# HELP {_PREFIX}{name} {meaning}",
            f"# TYPE {_PREFIX}{name} gauge",
            f"{_PREFIX}{name} {value}",
        ]
    return "\n".join(lines) + "\n"
