"""Lines of each stream, observed: which table a line feeds, and what is counted when it can't be read."""

import contextlib
from collections.abc import Callable
from typing import Final

from archive.canary import CANARY_EVENT
from server.fold import entities
from server.fold.attempts import Attempts
from server.fold.batch import UNREADABLE, Batch, Gathered
from server.fold.events import SNAKE_MARK, Event, TaskProfile, decode_event, decode_events, respelled
from server.fold.fields import count_unknown_fields
from server.fold.profile import profiles


def observe_events(lines: bytes, attempts: Attempts, gathered: Gathered) -> Batch | None:
    """Lines of `events` or `events.profile`: whole ones, any order, any types."""
    count_unknown_fields(lines, gathered)
    profiled: list[tuple[str, TaskProfile]] = []
    for event in decoded(lines, gathered):
        try:
            _observe(event, attempts, gathered)
        except UNREADABLE as error:
            gathered.fault("undecodable event", type(error).__name__)
        if (profile := event.task_profile_events) is not None:
            profiled.append((event.event_id, profile))
    return profiles(profiled, gathered) if profiled else None


def decoded(lines: bytes, gathered: Gathered) -> list[Event]:
    """The events; lines that are none are counted."""
    if SNAKE_MARK not in lines:
        with contextlib.suppress(*UNREADABLE):  # line by line, then
            return decode_events(lines)
    events: list[Event] = []
    for line in lines.splitlines():
        if not line.strip():
            continue
        try:
            events.append(decode_event(respelled(line) if SNAKE_MARK in line else line))
        except UNREADABLE as error:
            gathered.fault("undecodable event", type(error).__name__)
    return events


def _observe(event: Event, attempts: Attempts, gathered: Gathered) -> None:
    if (lifecycle := event.task_lifecycle_event) is not None:
        if lifecycle.task_id:
            attempts.change(lifecycle, event.timestamp, gathered)
        else:
            gathered.fault("missing id", event.event_type)
    elif (definition := event.task_definition_event or event.actor_task_definition_event) is not None:
        if definition.task_id:
            attempts.define(definition)
        else:
            gathered.fault("missing id", event.event_type)
    elif event.task_profile_events is None:
        _observe_rest(event, gathered)


def _observe_rest(event: Event, gathered: Gathered) -> None:
    for name, observe in _REST.items():
        payload = getattr(event, name)
        if payload is not None:
            observe(payload, gathered)
            return
    if event.event_type != CANARY_EVENT:
        gathered.fault("unknown event type", event.event_type or "none")


_REST: Final[dict[str, Callable[..., None]]] = {
    "actor_definition_event": entities.actor_definition,
    "actor_lifecycle_event": entities.actor_lifecycle,
    "node_definition_event": entities.node_definition,
    "node_lifecycle_event": entities.node_lifecycle,
    "worker_definition_event": entities.worker_definition,
    "worker_lifecycle_event": entities.worker_lifecycle,
    "driver_job_definition_event": entities.job_definition,
    "driver_job_lifecycle_event": entities.job_lifecycle,
}
