"""What a path below the logs folder says."""

import pytest

from archive.errors import NameInvalid
from sidecar.tail import names
from sidecar.tail.names import Backup, Kind
from sidecar.tail.settings import TailSettings


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("raylet.out.3", Backup("raylet.out", 3)),
        ("raylet.3.out", Backup("raylet.out", 3)),
        ("serve/replica.log.12", Backup("serve/replica.log", 12)),
        ("events/event_EXPORT_TASK_7.1.log", Backup("events/event_EXPORT_TASK_7.log", 1)),
        ("raylet.out", None),
        ("python-core-worker-ab_7385.log", None),
        ("raylet.out.0", None),
        ("core.123456", None),
        (".1", None),
        ("..1", None),
        ("serve/...1", None),
    ],
)
def test_backups_of_both_loggers_are_known(path: str, expected: Backup | None) -> None:
    assert names.backup(path) == expected


@pytest.mark.parametrize("base", ["raylet.out", "serve/a.b.log", "noending"])
def test_the_names_of_a_backup_lead_back_to_the_log(base: str) -> None:
    for path in names.backup_names(base, 7):
        assert names.backup(path) == Backup(base, 7)


@pytest.mark.parametrize(
    ("path", "stream", "kind"),
    [
        ("worker-ab-01000000-7.out", "logs/worker-ab-01000000-7.out", Kind.PLAIN),
        ("serve/controller.log", "logs/serve/controller.log", Kind.PLAIN),
        ("export_events/event_EXPORT_NODE.log", "exports/event_EXPORT_NODE.log", Kind.MASKED),
        ("dashboard_agent.err", "logs/dashboard_agent.err", Kind.MASKED),
        ("runtime_env_agent.out", "logs/runtime_env_agent.out", Kind.MASKED),
        ("runtime_env_setup-01000000.log", "logs/runtime_env_setup-01000000.log", Kind.MASKED),
        ("debug_state_gcs.txt", "logs/debug_state_gcs.txt", Kind.REWRITTEN),
    ],
)
def test_each_log_has_its_stream_and_its_way_of_being_kept(path: str, stream: str, kind: Kind) -> None:
    assert names.stream(path) == stream
    assert names.kind(path, TailSettings()) is kind


def test_a_name_that_no_stream_can_have_is_refused() -> None:
    with pytest.raises(NameInvalid):
        names.stream("x" * 5000)
