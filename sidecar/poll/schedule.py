"""When each path is asked: every so many seconds, and only after a rest of a hundred times the last answer.

So no family of paths costs the head more than 1 % of its time. The first answer of a family is no measure: it
often pays for a connection that stays (Serve's takes seconds), so one interval is its rest. Pure: time comes
in with each call.
"""

from collections.abc import Iterable
from typing import Final

from sidecar.poll.endpoints import Endpoint

REST: Final = 100.0
"""How many times as long as an answer took a family rests before its next question."""
LONGEST_REST: Final = 3600.0


class Schedule:
    """Endpoints by when they are due; the longest overdue comes first, ties in the order of their arrival."""

    def __init__(self, every: float) -> None:
        self._every = every
        self._due: dict[str, float] = {}
        self._endpoints: dict[str, Endpoint] = {}
        self._rested: dict[str, float] = {}

    def want(self, endpoints: Iterable[Endpoint], now: float) -> None:
        """The endpoints that are asked from now on; new ones are due at once, absent ones are forgotten."""
        wanted = {endpoint.path: endpoint for endpoint in endpoints}
        self._endpoints = wanted
        self._due = {path: self._due.get(path, now) for path in wanted}

    def due(self, now: float) -> Endpoint | None:
        """The next endpoint to ask now, or None."""
        ready = [path for path in self._due if self._time(path) <= now]
        return self._endpoints[min(ready, key=self._time)] if ready else None

    def wait(self, now: float) -> float:
        """Seconds until something is due; at most `every`."""
        times = [self._time(path) for path in self._due]
        return max(0.0, min([*times, now + self._every]) - now)

    def asked(self, endpoint: Endpoint, now: float, took: float) -> None:
        """Notes that an answer (or none) came after `took` seconds."""
        self._due[endpoint.path] = now + self._every
        longest = LONGEST_REST if endpoint.family in self._rested else self._every
        self._rested[endpoint.family] = now + min(REST * took, longest)

    def all(self) -> list[Endpoint]:
        """Everything there is to ask, in the order of arrival."""
        return list(self._endpoints.values())

    def _time(self, path: str) -> float:
        return max(self._due[path], self._rested.get(self._endpoints[path].family, 0.0))
