"""Profile events as columns: what a timeline is drawn from."""

from collections.abc import Sequence

from server.fold.batch import Batch, Gathered
from server.fold.events import TaskProfile, raw_text
from server.fold.ids import hex_id, hex_task_ids


def profiles(events: Sequence[tuple[str, TaskProfile]], gathered: Gathered) -> Batch:
    """`TASK_PROFILE_EVENT` with the event's id. The slices stay JSON until somebody draws a timeline."""
    kept = [
        (event_id, event, event.profile_events)
        for event_id, event in events
        if event.task_id and event.profile_events is not None
    ]
    if len(kept) < len(events):
        gathered.fault("missing id", "TASK_PROFILE_EVENT", len(events) - len(kept))
    return Batch(
        "profile",
        {
            "task_id": hex_task_ids([event.task_id for _, event, _ in kept]),
            "attempt_number": [event.attempt_number for _, event, _ in kept],
            "event_id": [event_id or None for event_id, _, _ in kept],
            "job_id": [hex_id(event.job_id) for _, event, _ in kept],
            "component_type": [slices.component_type or None for _, _, slices in kept],
            "component_id": [hex_id(slices.component_id) for _, _, slices in kept],
            "node_ip_address": [slices.node_ip_address or None for _, _, slices in kept],
            "slices": [raw_text(slices.events) for _, _, slices in kept],
        },
    )
