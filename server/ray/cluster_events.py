"""Ray's cluster events: `api/v0/cluster_events`, and `events` for the overview page.

Both come from the lines of Ray's `events/event_*.log` files, and from polled answers for what those lack.
"""

from collections.abc import Iterator
from typing import Any, Final

from starlette.requests import Request

from server.ray.answers import Answer, wrapped
from server.ray.camel import camel
from server.ray.columns import Column, Kind
from server.ray.listing import Noun
from server.ray.polls import data, parsed, polled
from server.view.view import SessionFacts, View

GLOBAL: Final = "global"
COLUMNS: Final = (
    Column("severity"),
    Column("time", filterable=False),
    Column("source_type"),
    Column("message", filterable=False),
    Column("event_id"),
    Column("custom_fields", Kind.JSON, filterable=False, detail=True),
)


def _relation(_facts: SessionFacts) -> str:
    """Times as the archive tells them: UTC."""
    return """
        SELECT severity, source_type, message, event_id,
            coalesce(strftime(make_timestamp(try_cast(timestamp AS BIGINT) * 1000000), '%Y-%m-%d %H:%M:%S'),
                timestamp) AS time,
            coalesce(try_cast(custom_fields AS JSON), '{}'::JSON) AS custom_fields
        FROM cluster_events"""


CLUSTER_EVENTS: Final = Noun("cluster_events", COLUMNS, "time, event_id", _relation)


def events(view: View, request: Request) -> Answer:
    """`events[?job_id=…]`: by job, or `global`."""
    by_job: dict[str, dict[str, Any]] = {}
    for job, event in (*_lines(view), *_polled(view)):
        by_job.setdefault(job, {})[event.get("eventId", "")] = event
    listed = {job: _in_order(found.values()) for job, found in by_job.items()}
    asked = request.query_params.get("job_id")
    if asked is not None:
        return wrapped("Job events fetched.", {"jobId": asked, "events": listed.get(asked, [])})
    return wrapped("All events fetched.", {"events": listed or {GLOBAL: []}})


def _polled(view: View) -> Iterator[tuple[str, dict[str, Any]]]:
    known = data(polled(view, "events")).get("events")
    for job, found in known.items() if isinstance(known, dict) else ():
        for event in found if isinstance(found, list) else ():
            if isinstance(event, dict):
                yield job, event


def _lines(view: View) -> Iterator[tuple[str, dict[str, Any]]]:
    rows = view.rows(
        "SELECT event_id, source_type, host_name, pid, message, timestamp, custom_fields, severity, label "
        "FROM cluster_events"
    )
    for event_id, source, host, pid, message, timestamp, custom, severity, label in rows:
        fields = parsed(custom)
        fields = fields if isinstance(fields, dict) else {}
        yield (
            fields.get("job_id") or GLOBAL,
            {
                "eventId": event_id,
                "sourceType": source,
                "sourceHostname": host,
                "sourcePid": pid,
                "message": message,
                "timestamp": timestamp,
                "customFields": camel(fields),
                "severity": severity,
                "label": label or "",
            },
        )


def _in_order(found: Any) -> list[dict[str, Any]]:
    return sorted(
        found, key=lambda event: (str(event.get("timestamp") or ""), str(event.get("eventId") or ""))
    )
