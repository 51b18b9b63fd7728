"""What a client asks of `api/v0/logs/file` and `…/stream`, read from query parameters. Pure.

Source: Ray 2.60's `GetLogOptions`; names and defaults are Ray's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from server.logs.errors import LogUnclear, ParameterInvalid

ALL_LINES: Final = -1
_DEFAULT_LINES: Final = 1000
_DEFAULT_FILE: Final = "file.txt"
_SUFFIXES: Final[dict[str, Literal["out", "err"]]] = {"out": "out", "err": "err"}


@dataclass(frozen=True)
class LogQuestion:
    """Which log, how much of it, and how it is sent. `lines` counts from the end; -1 is all."""

    node_id: str | None
    node_ip: str | None
    filename: str | None
    actor_id: str | None
    task_id: str | None
    attempt: int
    submission_id: str | None
    pid: int | None
    suffix: Literal["out", "err"]
    lines: int
    without_colours: bool
    download_name: str


def read_log_question(parameters: Mapping[str, str]) -> LogQuestion:
    """The question behind query parameters. Raises: ParameterInvalid, LogUnclear."""
    suffix = parameters.get("suffix") or "out"
    if suffix not in _SUFFIXES:
        raise LogUnclear(f"Suffix {suffix} is not supported. ")
    lines = _whole(parameters, "lines", _DEFAULT_LINES) or _DEFAULT_LINES
    if lines < ALL_LINES:
        raise ParameterInvalid(f"lines must be -1 (all) or more, not {lines}.")
    pid = _whole(parameters, "pid", 0)
    return LogQuestion(
        node_id=parameters.get("node_id") or None,
        node_ip=parameters.get("node_ip") or None,
        filename=parameters.get("filename") or None,
        actor_id=parameters.get("actor_id") or None,
        task_id=parameters.get("task_id") or None,
        attempt=_whole(parameters, "attempt_number", 0),
        submission_id=parameters.get("submission_id") or None,
        pid=pid or None,
        suffix=_SUFFIXES[suffix],
        lines=lines,
        without_colours=parameters.get("filter_ansi_code", "").lower() == "true",
        download_name=_file_name(parameters.get("download_filename") or _DEFAULT_FILE),
    )


def _whole(parameters: Mapping[str, str], name: str, default: int) -> int:
    text = parameters.get(name) or str(default)
    try:
        return int(text) if len(text) < 19 else default
    except ValueError as error:
        raise ParameterInvalid(f"{name} must be a whole number, not {text!r}.") from error


def _file_name(name: str) -> str:
    """A name that can stand in a header: printable ASCII without quotes and slashes."""
    return (
        "".join(letter for letter in name if " " <= letter <= "~" and letter not in '"\\/;') or _DEFAULT_FILE
    )
