"""The server's own metrics, in Prometheus' text format, from a registry of its own."""

import time
from collections.abc import Callable
from typing import Final

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
)
from prometheus_client.exposition import generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_BUCKETS: Final = (0.005, 0.02, 0.05, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)


class Metrics:
    """Requests by area (list, session, other) and status, and how long their answers took to begin."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self.requests = Counter(
            "historyserver_http_requests", "Requests answered", ("area", "status"), registry=self._registry
        )
        self.seconds = Histogram(
            "historyserver_http_request_seconds",
            "Time until an answer began, in seconds",
            ("area",),
            buckets=_BUCKETS,
            registry=self._registry,
        )

        self.puts = Counter("historyserver_puts", "Puts of collectors", ("outcome",), registry=self._registry)
        self.put_bytes = Counter(
            "historyserver_put_bytes", "Bytes that collectors put", registry=self._registry
        )

    def watch_retries(self, retries: Callable[[], int]) -> None:
        """Tell how many requests to the store were tried again."""
        Gauge(
            "historyserver_store_retries",
            "Requests to the store that were tried again since the start",
            registry=self._registry,
        ).set_function(retries)

    @property
    def content_type(self) -> str:
        """The media type of `exposition`."""
        return CONTENT_TYPE_LATEST

    def exposition(self) -> bytes:
        """All metrics as text."""
        return generate_latest(self._registry)


class Measured:
    """ASGI middleware: counts and times every answer, and tells browsers not to guess media types."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, watching its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.perf_counter()
        path: str = scope["path"]
        area = (
            "session"
            if "/clusters/" in path
            else "list"
            if path.endswith(("/", "/api/sessions"))
            else "other"
        )

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._metrics.requests.labels(area, str(message["status"])).inc()
                self._metrics.seconds.labels(area).observe(time.perf_counter() - begun)
                message["headers"] = [*message.get("headers", []), (b"x-content-type-options", b"nosniff")]
            await send(message)

        await self._app(scope, receive, watched)
