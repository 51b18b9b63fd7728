"""The collector's metrics, in Prometheus's text format.

A client library would cost a quarter of the collector's memory; what is needed of it is below.
"""

import threading
from collections.abc import Callable
from typing import Final, Literal

PREFIX: Final = "historyserver_collector_"
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class Metric:
    """One number, or one for each value of a label. Thread-safe."""

    def __init__(self, kind: Literal["counter", "gauge"], name: str, meaning: str, label: str = "") -> None:
        self.name = PREFIX + name
        self._kind = kind
        self._meaning = meaning
        self._label = label
        self._lock = threading.Lock()
        self._values: dict[str, float] = {} if label else {"": 0}

    def add(self, amount: float = 1, value: str = "") -> None:
        """Counts; `value` is the label's."""
        with self._lock:
            self._values[value] = self._values.get(value, 0) + amount

    def set(self, number: float, value: str = "") -> None:
        """Says how it is now."""
        with self._lock:
            self._values[value] = number

    def get(self, value: str = "") -> float:
        """What stands there now, 0 if nothing does."""
        with self._lock:
            return self._values.get(value, 0)

    def lines(self) -> list[str]:
        """The metric as scraped."""
        with self._lock:
            values = sorted(self._values.items())
        lines = [f"# HELP {self.name} {self._meaning}", f"# TYPE {self.name} {self._kind}"]
        lines += [f"{self.name}{self._labels(value)} {_number(number)}" for value, number in values]
        return lines

    def _labels(self, value: str) -> str:
        if not self._label:
            return ""
        escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'{{{self._label}="{escaped}"}}'


class Metrics:
    """Everything the collector counts."""

    def __init__(self) -> None:
        self._refreshers: list[Callable[[], None]] = []
        self.bodies = Metric("counter", "bodies_total", "Bodies that Ray posted.")
        self.body_bytes = Metric("counter", "body_bytes_total", "Bytes of those bodies.")
        self.receive_seconds = Metric(
            "counter", "receive_seconds_total", "Seconds from a body's last byte until it was spooled."
        )
        self.events = Metric("counter", "events_total", "Events accepted.", "stream")
        self.dropped = Metric("counter", "dropped_total", "What was lost, by reason.", "reason")
        self.quarantined = Metric(
            "counter", "quarantined_total", "What could not be read as events.", "reason"
        )
        self.connections = Metric("gauge", "connections", "Open connections of the receiver.")
        self.spool_bytes = Metric("gauge", "spool_bytes", "Bytes on the spool's disk.")
        self.unstored_seconds = Metric(
            "gauge", "oldest_unstored_seconds", "Age of the oldest byte not yet stored."
        )
        self.lag_bytes = Metric("gauge", "lag_bytes", "Bytes not yet stored.", "stream")
        self.flushes = Metric("counter", "flushes_total", "Attempts to store a segment.", "outcome")
        self.flush_seconds = Metric("gauge", "flush_seconds", "How long the latest attempt took.")
        self.stored_bytes = Metric("counter", "stored_bytes_total", "Bytes put into the store.")
        self.store_failures = Metric(
            "counter", "store_failures_total", "Puts that failed: refused, misconfigured, transient.", "kind"
        )
        self.store_problem = Metric(
            "gauge",
            "store_problem",
            "Whether the latest puts failed, of segments and of the catalog.",
            "kind",
        )
        self.last_put = Metric(
            "gauge", "last_put_timestamp_seconds", "When the store last confirmed a put.", "what"
        )
        self.problems = Metric("gauge", "problems", "Problems that health tells about.", "part")

    def refresh_with(self, refresher: Callable[[], None]) -> None:
        """Call this before each scrape: it sets what is only worth knowing then."""
        self._refreshers.append(refresher)

    def text(self) -> str:
        """All of it as scraped."""
        for refresher in self._refreshers:
            refresher()
        metrics = (value for value in vars(self).values() if isinstance(value, Metric))
        return "\n".join(line for metric in metrics for line in metric.lines()) + "\n"


def _number(number: float) -> str:
    return str(int(number)) if number == int(number) else repr(number)
