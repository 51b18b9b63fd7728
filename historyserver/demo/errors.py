"""The demo's only error: it stops, cleans up, and says what happened, why, and what to do.

DemoError
"""

from pathlib import Path

TAIL_LINES = 15
ADVICE = (
    "The lines above usually name the reason. If trying again does not help, docs/troubleshooting.md may."
)


class DemoError(Exception):
    """`what` happened, `why` as far as is known (often the end of a log), and a `remedy` to try."""

    def __init__(self, what: str, why: str, remedy: str) -> None:
        super().__init__(what)
        self.what, self.why, self.remedy = what, why, remedy

    def __str__(self) -> str:
        return f"{self.what}\n\nWhy:        {self.why}\nWhat to do: {self.remedy}"


def end_of(log: Path, lines: int = TAIL_LINES) -> str:
    """The last lines of a log, indented for an error's text; a sentence when there are none."""
    try:
        tail = log.read_text(errors="replace").splitlines()[-lines:]
    except OSError as error:
        return f"(its log {log} cannot be read: {error.strerror})"
    if not tail:
        return f"(it wrote nothing to {log})"
    return f"the end of {log} is\n" + "\n".join(f"  | {line}" for line in tail)
