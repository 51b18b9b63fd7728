"""What the collector's threads see of the store: puts that end in time, each failure counted."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from archive.errors import (
    NameInvalid,
    StoreError,
    StoreMisconfigured,
    StoreRefused,
    TransientStoreError,
)
from archive.store import ObjectInfo
from archive.store.local import LocalStore
from sidecar.metrics import Metrics
from sidecar.storing import MOST_LEFT, Storing

SEGMENT = "v1/segments/ns/c/s/n/1.seg"
ENTRY = "v1/catalog/1.json"


class Failing(LocalStore):
    """A folder that fails with `error`, and hangs until `goes_on`."""

    error: Exception | None = None

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.begun = 0

    def put(self, key: str, data: bytes) -> ObjectInfo:
        self.begun += 1
        self.goes_on.wait()
        if self.error is not None:
            raise self.error
        return super().put(key, data)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Failing]:
    failing = Failing(tmp_path)
    yield failing
    failing.goes_on.set()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def storing(store: Failing, metrics: Metrics) -> Storing:
    return Storing(store, metrics, patience=0.1, wall=lambda: 1_795_402_000.5)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (StoreRefused("no right to put"), "refused"),
        (StoreMisconfigured("there is no such bucket"), "misconfigured"),
        (NameInvalid("too long"), "misconfigured"),
        (TransientStoreError("slow down"), "transient"),
        (KeyError("a fault of the client"), "transient"),
    ],
)
def test_each_failure_is_a_store_error_and_counted_by_its_kind(
    store: Failing, storing: Storing, metrics: Metrics, error: Exception, kind: str
) -> None:
    store.error = error
    with pytest.raises(StoreError) as told:
        storing.put(SEGMENT, b"1")
    # Of what nobody thought of, nobody knows whether the put took effect.
    assert getattr(told.value, "effect_unknown", False) is isinstance(error, KeyError)
    assert metrics.store_failures.get(kind) == metrics.store_problem.get(kind) == 1
    store.error = None
    storing.put(ENTRY, b"1")
    assert metrics.store_problem.get(kind) == 1
    storing.put(SEGMENT, b"1")
    assert [metrics.store_problem.get(each) for each in ("refused", "misconfigured", "transient")] == [0] * 3
    assert metrics.last_put.get("segments") == 1_795_402_000.5
    assert 'store_problem{kind="refused"} 0' in metrics.text()


def test_a_put_without_an_answer_ends_as_unknown_and_few_are_left_behind(
    store: Failing, storing: Storing, metrics: Metrics
) -> None:
    store.goes_on.clear()
    for _ in range(MOST_LEFT):
        with pytest.raises(TransientStoreError, match="no whole answer") as told:
            storing.put(SEGMENT, b"1")
        assert told.value.effect_unknown
    with pytest.raises(TransientStoreError, match="no other is begun") as told:
        storing.put(SEGMENT, b"1")
    assert not told.value.effect_unknown
    assert store.begun == MOST_LEFT
    store.goes_on.set()
    while threading.active_count() > 1 and any(one.name == "put" for one in threading.enumerate()):
        next(one for one in threading.enumerate() if one.name == "put").join(10)
    assert storing.put(SEGMENT, b"12").size == 2
    assert metrics.store_problem.get("transient") == 0
