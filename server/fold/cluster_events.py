"""Ray's cluster events: lines of `logs/events/event_*.log` about jobs, raylets and the autoscaler."""

from collections.abc import Iterator
from typing import Any

import msgspec

from server.fold.batch import Gathered
from server.fold.exports import json_text


def observe_cluster_events(lines: Iterator[tuple[int, bytes]], gathered: Gathered) -> None:
    """One row a line."""
    for _, line in lines:
        try:
            record: dict[str, Any] = msgspec.json.decode(line, type=dict[str, Any])
            row = {
                "event_id": record.get("event_id") or "",
                "source_type": record.get("source_type"),
                "host_name": record.get("host_name") or record.get("source_hostname"),
                "pid": int(record.get("pid") or record.get("source_pid") or 0) or None,
                "severity": record.get("severity"),
                "label": record.get("label"),
                "message": record.get("message"),
                "timestamp": str(record.get("timestamp") or ""),
                "custom_fields": json_text(record.get("custom_fields") or {}),
            }
        except (msgspec.DecodeError, TypeError, ValueError) as error:
            gathered.fault("undecodable cluster event", type(error).__name__)
            continue
        gathered.add("cluster_events", row)
