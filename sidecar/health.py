"""Says over HTTP how the collector is: `/metrics`, `/healthz`, `/readyz`.

Nothing may depend on it: the container has no probes, since a failing one would hurt Ray's pod.
"""

import threading
from collections.abc import Sequence
from typing import Final

from sidecar.metrics import CONTENT_TYPE, Metrics
from sidecar.receiver import http
from sidecar.receiver.listener import Connection, Listener

_TEXT: Final = "text/plain; charset=utf-8"


class Health:
    """The sentences that say what is wrong now, by part. Thread-safe."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._lock = threading.Lock()
        self._problems: dict[str, tuple[str, ...]] = {}

    def tell(self, part: str, problems: Sequence[str]) -> None:
        """Replaces what was said of a part; nothing means that it is well."""
        with self._lock:
            self._problems[part] = tuple(problems)
            self._metrics.problems.set(len(problems), part)

    @property
    def problems(self) -> tuple[str, ...]:
        """All sentences, as `part: sentence`."""
        with self._lock:
            told = sorted(self._problems.items())
        return tuple(f"{part}: {problem}" for part, problems in told for problem in problems)


class HealthServer(Listener):
    """Serves metrics and health."""

    def __init__(self, listen: tuple[str, int], metrics: Metrics, health: Health) -> None:
        super().__init__(listen, "health", self._told)
        self._metrics = metrics
        self._health = health

    def _told(self, problem: str) -> None:
        self._health.tell("health", [problem] if problem else [])

    def serve(self, connection: Connection) -> None:
        try:
            while head := http.read_head(connection.reader):
                for _ in http.pieces(connection.reader, head):
                    pass
                connection.touch()
                connection.send(self._answer(head))
                if not head.keep_alive:
                    return
        except http.NotHttp:
            connection.send(http.BAD_REQUEST)
        except http.Interrupted:
            return

    def _answer(self, head: http.Head) -> bytes:
        path = head.target.partition(b"?")[0]
        with_body = head.method != b"HEAD"
        if head.method not in (b"GET", b"HEAD"):
            return http.answer("405 Method Not Allowed", b"Only GET and HEAD.\n", _TEXT)
        if path == b"/metrics":
            return http.answer("200 OK", self._metrics.text().encode(), CONTENT_TYPE, with_body=with_body)
        if path in (b"/healthz", b"/readyz"):
            problems = self._health.problems
            status = "503 Service Unavailable" if problems else "200 OK"
            text = "\n".join((*problems, "")) if problems else "ok\n"
            return http.answer(status, text.encode(), _TEXT, with_body=with_body)
        return http.answer(
            "404 Not Found", b"There is /metrics, /healthz and /readyz.\n", _TEXT, with_body=with_body
        )
