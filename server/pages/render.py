"""Pages as HTML, from templates. Pure: every moment is given; `root` is the relative way to the list."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from archive.layout import SessionKey
from server.logs.search import Found
from server.pages.listing import Page, Question
from server.pages.words import ago, duration, roughly, size, thousands, utc
from server.sessions import Session, Snapshot, State

_TEMPLATES = Environment(
    loader=PackageLoader("server.pages"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters["thousands"] = thousands
_TEMPLATES.filters["size"] = size
_GROUPS_FIRST = ("worker_out", "worker_err", "internal", "driver")
"""What people look for most; drivers' own output is among the internal ones, as Ray groups it."""
SESSION_ROOT = "../../../../"
"""The way from a session's own address back to the list."""


@dataclass(frozen=True)
class Bar:
    """What the bar above Ray's dashboard says."""

    key: SessionKey
    state: State
    when: str
    missing: tuple[str, ...]


@dataclass(frozen=True)
class NodeListing:
    """One node's logs by group, what is known of the node, and what could not be read."""

    node_id: str
    facts: Mapping[str, str]
    groups: Mapping[str, Sequence[str]]
    troubles: Sequence[str]


def session_href(key: SessionKey) -> str:
    """A session's address, relative to the list."""
    return (
        "clusters/"
        + "/".join(quote(part, safe="") for part in (key.namespace, key.cluster, key.session))
        + "/"
    )


def session_json(session: Session, now_ms: int, lost_after_ms: int) -> dict[str, object]:
    """A session as `GET /api/sessions` tells it. Times in milliseconds since the epoch."""
    state = session.state(now_ms, lost_after_ms)
    return {
        "namespace": session.key.namespace,
        "cluster": session.key.cluster,
        "session": session.key.session,
        "href": session_href(session.key),
        "state": str(state),
        "reason": session.reason or None,
        "started_ms": session.started_ms,
        "ended_ms": session.seen_ms if state is State.ENDED else None,
        "seen_ms": session.seen_ms,
        "duration_ms": session.duration_ms(now_ms, lost_after_ms),
        "ray_version": session.ray_version or None,
        "python_version": session.python_version or None,
        "owner_kind": session.owner_kind or None,
        "owner_name": session.owner_name or None,
        "missing": list(session.missing(state)),
    }


def sessions_page(snapshot: Snapshot, question: Question, page: Page, lost_after_ms: int) -> str:
    """The list of sessions."""
    rows = [_row(session, snapshot.clock_ms, lost_after_ms) for session in page.sessions]
    return _TEMPLATES.get_template("sessions.html").render(
        root="",
        rows=rows,
        query=question,
        since=question.since.isoformat() if question.since else "",
        until=question.until.isoformat() if question.until else "",
        filtered=question.filtered,
        known=len(snapshot.sessions),
        total=page.total,
        first=page.before + 1,
        last=page.before + len(rows),
        namespaces=snapshot.namespaces,
        owner_kinds=snapshot.owner_kinds,
        states=list(State),
        reading=_reading(snapshot),
        as_of=f"{utc(snapshot.clock_ms)} UTC",
        first_href=_href(question.parameters(cursor="")),
        next_href=_href(question.parameters(cursor=page.next_cursor)) if page.next_cursor else "",
    )


def _reading(snapshot: Snapshot) -> str:
    """What is not known yet of the list; empty where all is."""
    if snapshot.unread:
        return f"{thousands(snapshot.unread)} more sessions are being read; the newest come first."
    return "" if snapshot.complete else "The list is being brought up to date; older sessions may be missing."


def _href(parameters: dict[str, str]) -> str:
    return f"?{urlencode(parameters)}" if parameters else "./"


def _row(session: Session, now_ms: int, lost_after_ms: int) -> dict[str, object]:
    state = session.state(now_ms, lost_after_ms)
    return {
        "href": session_href(session.key),
        "cluster": session.key.cluster,
        "namespace": session.key.namespace,
        "session": session.key.session,
        "started": utc(session.started_ms),
        "ago": ago(session.started_ms, now_ms),
        "state": str(state),
        "state_text": _state_text(session, state, now_ms),
        "duration": _duration(session, state, now_ms, lost_after_ms),
        "ray_version": session.ray_version,
        "owner_kind": session.owner_kind,
        "owner_name": session.owner_name,
        "missing": session.missing(state),
    }


def _state_text(session: Session, state: State, now_ms: int) -> str:
    if state is State.ENDED:
        return session.reason or f"at {utc(session.seen_ms)}"
    return f"last heard of {ago(session.seen_ms, now_ms)}"


def _duration(session: Session, state: State, now_ms: int, lost_after_ms: int) -> str:
    """How long the session took; roughly where it was lost, for its segments may tell of a later moment."""
    took_ms = session.duration_ms(now_ms, lost_after_ms)
    return f"about {roughly(took_ms)}" if state is State.LOST and took_ms is not None else duration(took_ms)


def empty_page(store: str) -> str:
    """What to do first, when the archive holds no session."""
    return _TEMPLATES.get_template("empty.html").render(root="", store=store)


def message_page(title: str, text: str, root: str, refresh: int | None = None) -> str:
    """One sentence under a title; loads itself again after `refresh` seconds if that is given."""
    return _TEMPLATES.get_template("message.html").render(root=root, title=title, text=text, refresh=refresh)


def progress_page(key: SessionKey, done: int, total: int) -> str:
    """A session that is being opened: a bar, and the page loads itself again every second."""
    return _TEMPLATES.get_template("progress.html").render(
        root=SESSION_ROOT,
        cluster=key.cluster,
        session=key.session,
        percent=min(100, 100 * done // total) if total else None,
        done=f"{thousands(done)} of {thousands(total)} segments read."
        if total
        else "Looking at what is there.",
    )


def logs_page(
    key: SessionKey, words: str, nodes: Sequence[NodeListing], found: Found | None, trouble: str
) -> str:
    """All logs of a session, and the lines found in them; links lead to Ray's own log viewer."""
    shown = [
        {
            "title": _node_title(node.facts),
            "node_id": node.node_id,
            "groups": dict(sorted(node.groups.items(), key=lambda group: _rank(group[0]))),
            "troubles": node.troubles,
        }
        for node in nodes
    ]
    return _TEMPLATES.get_template("logs.html").render(
        root=f"../../{SESSION_ROOT}",
        namespace=key.namespace,
        cluster=key.cluster,
        session=key.session,
        words=words,
        nodes=shown,
        found=found,
        trouble=trouble,
        viewer=_viewer_href,
        download=_download_href,
        marked=lambda line: _marked(line, words),
    )


def _rank(group: str) -> int:
    return _GROUPS_FIRST.index(group) if group in _GROUPS_FIRST else len(_GROUPS_FIRST)


def _viewer_href(node_id: str, name: str) -> str:
    return "../../#/logs/viewer?" + urlencode({"nodeId": node_id, "fileName": name})


def _download_href(node_id: str, name: str) -> str:
    saved_as = name.rpartition("/")[2]
    asked = {"node_id": node_id, "filename": name, "lines": -1, "download_filename": saved_as}
    return "../../api/v0/logs/file?" + urlencode(asked)


def _node_title(facts: Mapping[str, str]) -> str:
    role = {"head": "Head node", "worker": "Worker node"}.get(facts.get("role", ""), "Node")
    where = facts.get("pod_name") or facts.get("hostname") or ""
    return " ".join(part for part in (role, where, facts.get("node_ip", "")) if part)


def _marked(line: str, words: str) -> Markup:
    """A line with the words that were found in it set off."""
    pieces = re.split(f"({re.escape(words)})", line, flags=re.IGNORECASE)
    return Markup().join(  # the words stand at every second place
        Markup("<mark>{}</mark>").format(piece) if place % 2 else piece for place, piece in enumerate(pieces)
    )


def bar_head() -> str:
    """What the bar needs in the head of Ray's page."""
    return '<link rel="stylesheet" href="./history/assets/bar.css">'


def bar_html(bar: Bar) -> str:
    """The bar itself, the first thing in the body of Ray's page."""
    return _TEMPLATES.get_template("bar.html").render(
        root=SESSION_ROOT,
        namespace=bar.key.namespace,
        cluster=bar.key.cluster,
        session=bar.key.session,
        state=str(bar.state),
        when=bar.when,
        missing=bar.missing,
    )
