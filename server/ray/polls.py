"""Answers of the live dashboard that the collector polled: what no event carries."""

from collections.abc import Sequence
from typing import Any

import msgspec

from server.ray.columns import REDACTED
from server.view.view import View


def polled(view: View, path: str) -> Any:
    """The newest good answer of a path as plain values, or None if there is none that can be read."""
    rows = view.rows(
        "SELECT body FROM polls WHERE path = ? AND status BETWEEN 200 AND 299 ORDER BY seen_ns DESC LIMIT 1",
        (path,),
    )
    return parsed(rows[0][0]) if rows else None


def polled_below(view: View, prefix: str) -> dict[str, Any]:
    """The newest good answers of all paths with a prefix, by the rest of the path."""
    rows = view.rows(
        "SELECT path[length(?) + 1:], body FROM polls "
        "WHERE starts_with(path, ?) AND status BETWEEN 200 AND 299",
        (prefix, prefix),
    )
    return {rest: value for rest, body in rows if (value := parsed(body)) is not None}


def bodies(view: View, paths: Sequence[str]) -> dict[str, str]:
    """The newest good answers of these paths, as JSON text; paths without one are left out."""
    return dict(
        view.rows(
            "SELECT path, body FROM polls WHERE path IN (SELECT unnest(?)) AND status BETWEEN 200 AND 299",
            (list(paths),),
        )
    )


def parsed(body: str | None) -> Any:
    """JSON text as plain values, those of environment variables redacted; None for what is not JSON."""
    if body is None:
        return None
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return None
    return _without_values(value) if '"env_vars"' in body else value


def shallow(body: str | None) -> Any:
    """An object as `parsed` gives it, but its values stay JSON, to be sent on as they are."""
    if body is None or '"env_vars"' in body:
        return parsed(body)
    try:
        return msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, RecursionError):
        return None


def _without_values(value: Any) -> Any:
    """The collector masks them already; archives written by anything else are read as safely."""
    match value:
        case dict():
            return {
                name: dict.fromkeys(item, REDACTED)
                if name == "env_vars" and isinstance(item, dict)
                else _without_values(item)
                for name, item in value.items()
            }
        case list():
            return [_without_values(item) for item in value]
        case _:
            return value


def data(answer: Any) -> dict[str, Any]:
    """What Ray's envelope holds; empty for anything else."""
    inner = answer.get("data") if isinstance(answer, dict) else None
    return inner if isinstance(inner, dict) else {}
