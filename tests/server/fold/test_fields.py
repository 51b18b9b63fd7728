"""The table of field names is Ray's own."""

from ray.core.generated.events_base_event_pb2 import RayEvent

from server.fold.batch import Gathered
from server.fold.fields import EVENT, PAYLOADS, SAMPLES, Fields, count_unknown_fields

UNFOLDED = {
    "placementGroupDefinitionEvent",
    "placementGroupLifecycleEvent",
    "submissionJobDefinitionEvent",
    "submissionJobLifecycleEvent",
    "platformEvent",
}
"""Payloads of types that are counted as unknown."""


def compare(fields: Fields, message: object, where: str) -> None:
    known = {field.json_name: field.message_type for field in message.fields}  # type: ignore[attr-defined]  # protobuf has no types
    assert set(fields) == set(known) - UNFOLDED, where
    for name, inner in fields.items():
        if inner is not None:
            compare(inner, known[name], f"{where}.{name}")


def test_the_table_names_the_fields_of_the_installed_ray() -> None:
    compare(EVENT, RayEvent.DESCRIPTOR, "event")


def test_a_field_of_every_event_is_found_in_a_large_chunk_by_a_few_looks() -> None:
    gathered = Gathered()
    lines = [b'{"%s": {"new": %d}}\n' % (name.encode(), number) for name in PAYLOADS for number in range(99)]
    count_unknown_fields(b"".join(lines), gathered)
    assert sum(gathered.faults.values()) == SAMPLES
    assert len(gathered.faults) == SAMPLES
