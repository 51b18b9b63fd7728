"""The collector's table."""

from archive.settings import Address, read, rows
from sidecar.settings import CollectorSettings


def test_store_namespace_and_cluster_are_enough() -> None:
    reading = read(CollectorSettings, ["--store=file:///a", "--namespace=ns", "--cluster=c"], {})
    assert reading.problems == ()
    assert reading.values.listen == Address("127.0.0.1", 8084)
    assert reading.values.health.port == 8085
    assert reading.values.ray_dir == "/tmp/ray"
    assert reading.values.spool_folder == "/tmp/ray/history-spool"


def test_admission_can_set_everything_by_the_environment() -> None:
    environment = {
        "HISTORYSERVER_STORE": "oss://bucket/root",
        "HISTORYSERVER_NAMESPACE": "ns",
        "HISTORYSERVER_CLUSTER": "c",
        "HISTORYSERVER_POD_UID": "uid",
        "HISTORYSERVER_ROLE": "worker",
        "HISTORYSERVER_SPOOL": "/spool",
        "HISTORYSERVER_SPOOL_BUDGET": "900MiB",
    }
    reading = read(CollectorSettings, [], environment)
    assert reading.problems == ()
    assert reading.values.spool_folder == "/spool"
    assert reading.values.spool_budget == 900 << 20
    assert (reading.values.role, reading.values.pod_uid) == ("worker", "uid")


def test_with_unusable_settings_there_are_still_some_to_live_on() -> None:
    reading = read(CollectorSettings, ["--listen=nowhere", "--flush-seconds=soon"], {})
    assert len(reading.problems) == 5
    assert reading.values.listen == Address("127.0.0.1", 8084)
    assert reading.values.flush_seconds == 5.0


def test_every_setting_has_a_meaning() -> None:
    assert all(row.help and not row.help.endswith(".") for row in rows(CollectorSettings))
