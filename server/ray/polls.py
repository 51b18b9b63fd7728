"""Answers of the live dashboard that the collector polled: what no event carries."""

from typing import Any

import msgspec

from server.view.view import View


def polled(view: View, path: str) -> Any:
    """The newest good answer of a path as plain values, or None if there is none that can be read."""
    rows = view.rows(
        "SELECT body FROM polls WHERE path = ? AND status BETWEEN 200 AND 299 ORDER BY seen_ns DESC LIMIT 1", (path,)
    )
    return parsed(rows[0][0]) if rows else None


def polled_below(view: View, prefix: str) -> dict[str, Any]:
    """The newest good answers of all paths with a prefix, by the rest of the path."""
    rows = view.rows(
        "SELECT path[length(?) + 1:], arg_max(body, seen_ns) FROM polls "
        "WHERE starts_with(path, ?) AND status BETWEEN 200 AND 299 GROUP BY 1",
        (prefix, prefix),
    )
    return {rest: value for rest, body in rows if (value := parsed(body)) is not None}


def parsed(body: str | None) -> Any:
    """JSON text as plain values; None for what is not JSON."""
    try:
        return msgspec.json.decode(body) if body is not None else None
    except msgspec.DecodeError:
        return None


def data(answer: Any) -> dict[str, Any]:
    """What Ray's envelope holds; empty for anything else."""
    inner = answer.get("data") if isinstance(answer, dict) else None
    return inner if isinstance(inner, dict) else {}
