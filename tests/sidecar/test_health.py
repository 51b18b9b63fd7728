"""Metrics and health over HTTP."""

import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client import parser

from sidecar.health import Health, HealthServer
from sidecar.metrics import Metrics


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def health(metrics: Metrics) -> Health:
    return Health(metrics)


@pytest.fixture
def address(metrics: Metrics, health: Health) -> Iterator[str]:
    server = HealthServer(("127.0.0.1", 0), metrics, health)
    server.start()
    assert server.wait_until_listening(10)
    host, port = server.address
    yield f"http://{host}:{port}"
    server.stop()


def get(url: str, method: str = "GET") -> tuple[int, str, str]:
    request = urllib.request.Request(url, method=method)  # noqa: S310 - our own address
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 - our own address
            return answer.status, answer.read().decode(), answer.headers["Content-Type"]
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode(), error.headers["Content-Type"]


def test_what_was_counted_is_scraped(address: str, metrics: Metrics) -> None:
    metrics.events.add(3, "events")
    metrics.events.add(2, "events")
    metrics.dropped.add(1, 'odd "reason"\\\n')
    metrics.refresh_with(lambda: metrics.unstored_seconds.set(1.5))
    status, text, content_type = get(address + "/metrics")
    assert status == 200
    assert content_type.startswith("text/plain; version=0.0.4")
    lines = text.splitlines()
    assert 'historyserver_collector_events_total{stream="events"} 5' in lines
    assert 'historyserver_collector_dropped_total{reason="odd \\"reason\\"\\\\\\n"} 1' in lines
    assert "historyserver_collector_oldest_unstored_seconds 1.5" in lines
    assert "# TYPE historyserver_collector_events_total counter" in lines


def test_prometheus_understands_it(metrics: Metrics) -> None:
    metrics.events.add(1, "events")
    families = {family.name: family for family in parser.text_string_to_metric_families(metrics.text())}
    (sample,) = families["historyserver_collector_events"].samples
    assert (sample.labels, sample.value) == ({"stream": "events"}, 1.0)
    assert all(family.documentation for family in families.values())


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_fails_with_the_reasons_and_passes_when_they_are_gone(
    address: str, health: Health, metrics: Metrics, path: str
) -> None:
    assert get(address + path)[:2] == (200, "ok\n")
    health.tell("settings", ["--store is missing.", "--role is odd."])
    health.tell("store", ["it is out."])
    status, text, _ = get(address + path)
    assert status == 503
    assert text == "settings: --store is missing.\nsettings: --role is odd.\nstore: it is out.\n"
    assert 'historyserver_collector_problems{part="settings"} 2' in metrics.text()
    health.tell("settings", [])
    health.tell("store", [])
    assert get(address + path)[:2] == (200, "ok\n")


def test_anything_else_is_refused_politely(address: str) -> None:
    assert get(address + "/nothing")[0] == 404
    assert get(address + "/metrics", "POST")[0] == 405
    assert get(address + "/metrics", "HEAD")[:2] == (200, "")
