"""Ray Serve: `api/serve/applications/`, as last polled, and closed once the session has ended.

Serve has no status for what is over. UNHEALTHY is the truest for what answers no more, and the front end
shows the controller of a dead cluster so; what was last known of it stands in the message.
"""

from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import Request

from server.pages.words import utc
from server.ray.answers import Answer, plain
from server.ray.closing import INFERRED, ending
from server.ray.polls import polled
from server.view.view import SessionFacts, View

NO_SERVE: Final[dict[str, Any]] = {
    "controller_info": {},
    "proxies": {},
    "applications": {},
    "target_capacity": None,
}
"""Ray's answer where Serve never ran."""

_OVER: Final = "UNHEALTHY"
_FAILED: Final = "DEPLOY_FAILED"


def applications(view: View, _request: Request) -> Answer:
    """`api/serve/applications/`: in the shape of Ray's `ServeInstanceDetails`."""
    known = polled(view, "api/serve/applications/")
    return plain(_closed(known, view.facts) if isinstance(known, dict) else NO_SERVE)


def _closed(known: dict[str, Any], facts: SessionFacts) -> dict[str, Any]:
    """The answer as it is while the session runs; after that nothing in it runs any more."""
    end = ending(facts)
    if end.ms is None:
        return known
    at = utc(end.ms)

    def ended(one: dict[str, Any]) -> dict[str, Any]:
        """An application or deployment: what failed to start stays so, all else is over."""
        before = one.get("status")
        said = f"Last known state: {before} (session {facts.state} at {at} UTC). {INFERRED}."
        return {
            **one,
            "status": before if before == _FAILED else _OVER,
            "message": " ".join(part for part in (one.get("message"), said) if part),
        }

    def deployment(one: dict[str, Any]) -> dict[str, Any]:
        replicas = [{**replica, "state": "STOPPED"} for replica in one.get("replicas") or []]
        return {**ended(one), "replicas": replicas}

    return {
        **known,
        "proxies": {name: {**one, "status": _OVER} for name, one in _items(known, "proxies")},
        "applications": {
            name: {
                **ended(one),
                "deployments": {name: deployment(some) for name, some in _items(one, "deployments")},
            }
            for name, one in _items(known, "applications")
        },
    }


def _items(told: Mapping[str, Any], name: str) -> list[tuple[str, dict[str, Any]]]:
    """The entries of a mapping that are mappings themselves, as all of Ray's are."""
    inner = told.get(name)
    if not isinstance(inner, dict):
        return []
    return [(key, value) for key, value in inner.items() if isinstance(value, dict)]
