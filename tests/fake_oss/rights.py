"""Who may do what: identities with access keys, and rules as RAM policies have them.

A rule is a pattern of actions and one of resources. The resource is the object's key, for a listing its
prefix (RAM's condition oss:Prefix), and "" for the bucket itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from fake_oss.pattern import fits

Rules = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Identity:
    """A RAM user or role with what it may do. A role's access key is not used: STS gives it others."""

    name: str
    access_key_id: str
    access_key_secret: str
    rules: Rules

    def may(self, action: str, resource: str) -> bool:
        return any(fits(wanted, action) and fits(where, resource) for wanted, where in self.rules)


def collector(root: str = "root", namespace: str | None = None) -> Identity:
    """Puts segments and catalog entries, of one namespace or of all, and can't read."""
    below = _below(root)
    segments = f"{below}v1/segments/{namespace}/*" if namespace else f"{below}v1/segments/*"
    entries = f"{below}v1/catalog/*~{namespace}~*" if namespace else f"{below}v1/catalog/*"
    return _identity("collector", (("oss:PutObject", segments), ("oss:PutObject", entries)))


def server(root: str = "root", namespace: str | None = None) -> Identity:
    """Reads all, and keeps its views and its own objects."""
    below = _below(root)
    views = f"{below}v1/views/{namespace}/*" if namespace else f"{below}v1/views/*"
    own = f"{below}v1/server/*"
    return _identity(
        "server",
        (
            ("oss:ListObjects", f"{below}*"),
            ("oss:GetObject", f"{below}*"),
            ("oss:PutObject", views),
            ("oss:DeleteObject", views),
            ("oss:PutObject", own),
            ("oss:DeleteObject", own),
        ),
    )


def retention(root: str = "root") -> Identity:
    """Lists, reads and deletes."""
    everything = f"{_below(root)}*"
    actions = ("oss:ListObjects", "oss:GetObject", "oss:DeleteObject")
    return _identity("retention", tuple((action, everything) for action in actions))


def operator(root: str = "root") -> Identity:
    """All of it, and may look at the bucket's own settings."""
    everything = f"{_below(root)}*"
    actions = ("oss:ListObjects", "oss:GetObject", "oss:PutObject", "oss:DeleteObject")
    return _identity(
        "operator", (*((action, everything) for action in actions), ("oss:GetBucket*", ""), ("oss:List*", ""))
    )


ROLES: Final[dict[str, Callable[[str], Identity]]] = {
    "collector": collector,
    "server": server,
    "retention": retention,
    "operator": operator,
}


def _identity(name: str, rules: Rules) -> Identity:
    return Identity(name, f"LTAI5tFake{name.capitalize()}", f"secret-of-{name}", rules)


def _below(root: str) -> str:
    return f"{root.strip('/')}/" if root.strip("/") else ""
