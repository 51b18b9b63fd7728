"""What becomes of the store's promises when object storage fails, fault by fault."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from fake_oss import (
    BANDWIDTH,
    INTERNAL,
    SERVER_BUSY,
    THROTTLED,
    TOKEN_EXPIRED,
    TOO_MANY,
    UNAVAILABLE,
    ApplyLater,
    FakeOss,
    Fault,
    FlipBit,
    Html,
    ListLate,
    LoseAnswer,
    Redirect,
    Refuse,
    ResetAnswer,
    ResetRequest,
    Trickle,
    Wait,
    Withhold,
    WrongChecksum,
    operator,
)

from archive.credentials import fetched, source_from
from archive.errors import (
    ObjectMissing,
    PermanentStoreError,
    StoreError,
    StoreMisconfigured,
    StoreRefused,
    TransientStoreError,
)
from archive.store import Store
from archive.store.oss import OssStore, transport
from archive.store.oss.address import parse
from archive.store.retry import WORKING, Backoff, Retrying

KEY = "v1/a"
OLD, NEW = b"old" * 5000, b"new!" * 30000

FORBIDDEN = Refuse(403, "AccessDenied", "You have no right to access this object because of bucket acl.")
MALFORMED = Refuse(400, "InvalidArgument", "The request is wrong.")


@dataclass
class Time:
    """A clock that runs only while somebody sleeps."""

    now: float = 0.0
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def oss() -> Iterator[FakeOss]:
    with FakeOss() as fake:
        yield fake


@pytest.fixture
def store(oss: FakeOss) -> OssStore:
    return OssStore(parse(oss.url()), source_from(oss.environment("operator")))


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def retrying(store: OssStore, time: Time) -> Retrying:
    return Retrying(store, WORKING, clock=lambda: time.now, sleep=time.sleep)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits of a request that a test can wait for."""
    monkeypatch.setattr(transport, "SILENT_SECONDS", 1.0)
    monkeypatch.setattr(transport, "CONNECT_SECONDS", 1.0)


def failing(use: Callable[[], object]) -> StoreError:
    with pytest.raises(StoreError) as caught:
        use()
    return caught.value


def named(value: object) -> str | None:
    if isinstance(value, Refuse):
        return f"{value.status} {value.code}"
    return None if isinstance(value, bytes | bool | type) else str(value)


# Act, effect unknown, stored: of a put that may be tried again. None: who was cut off sooner knows more.
PASSING = [
    (SERVER_BUSY, False, OLD),
    (TOO_MANY, False, OLD),
    (THROTTLED, False, OLD),
    (BANDWIDTH, False, OLD),
    (TOKEN_EXPIRED, False, OLD),
    (UNAVAILABLE, True, OLD),
    (INTERNAL, True, OLD),
    (Html(502), True, OLD),
    (Html(504, dated=False), True, OLD),
    (Html(429), False, OLD),
    (ResetRequest(0), None, OLD),
    (ResetRequest(50_000), None, OLD),
    (Withhold(0.05), True, OLD),
    (FlipBit("request", 70_000), False, OLD),
    (LoseAnswer(), True, NEW),
    (ResetAnswer(), True, NEW),
    (WrongChecksum(), True, NEW),
]
# Act, error: of a request that is wrong in itself, or answered by somebody else.
LASTING = [
    (FORBIDDEN, StoreRefused),
    (MALFORMED, StoreMisconfigured),
    (Html(200), StoreMisconfigured),
    (Html(403), StoreMisconfigured),
    (Html(404, dated=False), StoreMisconfigured),
    (Html(511), StoreMisconfigured),
    (Redirect("http://portal.example/login"), StoreMisconfigured),
]


@pytest.mark.parametrize(("act", "unknown", "stored"), PASSING, ids=named)
def test_a_put_that_fails_in_passing_tells_whether_it_may_be_stored(
    oss: FakeOss, store: OssStore, act: object, unknown: bool | None, stored: bytes
) -> None:
    store.put(KEY, OLD)
    oss.add(Fault(act, method="PUT", times=1))
    error = failing(lambda: store.put(KEY, NEW))
    assert isinstance(error, TransientStoreError)
    assert unknown is None or error.effect_unknown is unknown
    assert oss.get("root/v1/a") == stored
    assert len(oss.requests(method="PUT")) == 2  # nothing tries again by itself
    store.put(KEY, NEW)
    assert store.get(KEY).data == NEW


@pytest.mark.parametrize("act", [act for act, _, _ in PASSING], ids=named)
def test_what_fails_in_passing_is_tried_again_until_it_is_through(
    oss: FakeOss, retrying: Retrying, time: Time, act: object
) -> None:
    oss.add(Fault(act, times=3))
    retrying.put(KEY, NEW)
    assert retrying.get(KEY).data == NEW
    assert len(oss.requests()) == 5
    assert len(time.slept) == 3


@pytest.mark.parametrize(("act", "kind"), LASTING, ids=named)
def test_what_fails_for_good_is_not_tried_again(
    oss: FakeOss, retrying: Retrying, act: object, kind: type[PermanentStoreError]
) -> None:
    oss.put("root/v1/a", OLD)
    oss.add(Fault(act))
    uses: list[Callable[[], object]] = [
        lambda: retrying.put(KEY, NEW),
        lambda: retrying.get(KEY),
        lambda: retrying.get_suffix(KEY, 5),
        lambda: list(retrying.list("v1/")),
        lambda: list(retrying.list_folders("v1/")),
        lambda: retrying.delete([KEY]),
    ]
    for number, use in enumerate(uses, 1):
        assert type(failing(use)) is kind
        assert len(oss.requests()) == number
    assert oss.get("root/v1/a") == OLD


@pytest.mark.parametrize(
    "act",
    [SERVER_BUSY, INTERNAL, LoseAnswer(), ResetAnswer(0), ResetAnswer(500), Withhold(0.05), Html(502)],
    ids=named,
)
def test_reads_listings_and_deletes_that_fail_in_passing_are_right_when_tried_again(
    oss: FakeOss, store: OssStore, retrying: Retrying, act: object
) -> None:
    names = [f"v1/{number:04d}/x" for number in range(1200)]
    for name in names:
        oss.put(f"root/{name}", name.encode() * 100)
    uses: list[tuple[Callable[[Store], object], object]] = [
        (lambda store: store.get(names[3]).data, names[3].encode() * 100),
        (lambda store: store.get(names[3], start=7, length=700).data, (names[3].encode() * 100)[7:707]),
        (lambda store: store.get_suffix(names[3], 900).data, (names[3].encode() * 100)[-900:]),
        (lambda store: [info.key for info in store.list("v1/")], names),
        (lambda store: list(store.list_folders("v1/")), [name[3:7] for name in names]),
    ]
    for use, wanted in uses:
        oss.add(Fault(act, times=1))
        error = failing(lambda use=use: use(store))
        assert isinstance(error, TransientStoreError)
        assert not error.effect_unknown
        for skip in (0, 1):  # the first page of a listing, or the one behind it
            oss.clear()
            oss.add(Fault(act, times=2, skip=skip))
            assert use(retrying) == wanted
    oss.clear()
    oss.add(Fault(act, times=2, skip=1))
    retrying.delete(names)
    assert oss.keys() == []


@pytest.mark.parametrize("act", [WrongChecksum(), FlipBit("answer", 12_000)], ids=str)
def test_bytes_that_changed_on_the_way_are_not_given_to_anyone(
    oss: FakeOss, store: OssStore, retrying: Retrying, act: object
) -> None:
    oss.put("root/v1/a", OLD)
    oss.add(Fault(act, times=3))
    assert isinstance(failing(lambda: store.get(KEY)), TransientStoreError)
    assert retrying.get(KEY).data == OLD
    assert len(oss.requests()) == 4


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("act", [Withhold(), Trickle(2000)], ids=str)
def test_a_request_that_hangs_or_trickles_comes_to_an_end(oss: FakeOss, store: OssStore, act: object) -> None:
    oss.put("root/v1/a", OLD)
    oss.add(Fault(act))
    error = failing(lambda: store.put(KEY, NEW * 40))
    assert isinstance(error, TransientStoreError)
    assert error.effect_unknown or isinstance(act, Trickle)  # what was not sent to the end is not stored
    error = failing(lambda: store.get(KEY))
    assert isinstance(error, TransientStoreError)
    assert not error.effect_unknown
    oss.clear()
    assert store.get(KEY).data == OLD


def test_slow_is_not_broken(oss: FakeOss, store: OssStore) -> None:
    oss.add(Fault(Trickle(400_000), method="PUT"))
    oss.add(Fault(Wait(0.1), method="GET"))
    store.put(KEY, OLD)
    assert store.get(KEY).data == OLD


def test_a_put_that_arrives_late_undoes_its_successor(oss: FakeOss, store: OssStore) -> None:
    """No store can help that: whoever is left in doubt must not use the key again."""
    oss.add(Fault(ApplyLater(), times=1))
    error = failing(lambda: store.put(KEY, OLD))
    assert isinstance(error, TransientStoreError)
    assert error.effect_unknown
    store.put(KEY, NEW)
    oss.release()
    assert store.get(KEY).data == OLD


def test_no_network_and_a_network_that_is_cut_can_be_told_apart(
    oss: FakeOss, store: OssStore, impatient: None
) -> None:
    store.put(KEY, OLD)
    oss.down()
    failing(lambda: store.get(KEY))  # a connection that was kept: it may have been reset half way
    for use in (lambda: store.put(KEY, NEW), lambda: store.get(KEY), lambda: list(store.list(""))):
        error = failing(use)
        assert isinstance(error, TransientStoreError)
        assert not error.effect_unknown
        assert "can't be reached" in str(error)
    oss.up()
    assert store.get(KEY).data == OLD
    oss.down("cut")
    error = failing(lambda: store.put(KEY, NEW))
    assert isinstance(error, TransientStoreError)
    assert error.effect_unknown
    oss.up()
    assert store.get(KEY).data == OLD


def test_an_outage_is_asked_about_no_more_than_once_a_second_by_each(
    oss: FakeOss, retrying: Retrying, time: Time
) -> None:
    oss.add(Fault(UNAVAILABLE))
    failing(lambda: retrying.put(KEY, NEW))
    assert WORKING.patience - WORKING.most < time.now <= WORKING.patience
    assert len(oss.requests()) == len(time.slept) + 1
    after_the_first = [slept for slept in time.slept if slept >= 1]
    assert len(time.slept) - len(after_the_first) <= 3
    assert len(oss.requests()) <= 30  # in five minutes


@pytest.mark.parametrize("offset", [-86_400.0, -1000.0, 1000.0, 86_400.0])
def test_a_wrong_clock_costs_one_try(
    oss: FakeOss, store: OssStore, retrying: Retrying, offset: float
) -> None:
    oss.set_clock(offset)
    error = failing(lambda: store.put(KEY, NEW))
    assert isinstance(error, TransientStoreError)
    assert not error.effect_unknown
    assert "clock" in str(error)
    store.put(KEY, NEW)
    assert store.get(KEY).data == NEW
    assert abs(store.now() - oss.now()) < 5
    assert Counter(one.code for one in oss.requests()) == {"RequestTimeTooSkewed": 1, "": 2}


def test_an_expired_token_is_replaced_at_the_next_try(
    oss: FakeOss, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetched, "_SHORTEST_GAP", 0.0)
    given = oss.rrsa_environment(tmp_path / "token", role="operator")
    store = OssStore(parse(oss.url()), source_from(given))
    store.put(KEY, OLD)
    oss.add(Fault(TOKEN_EXPIRED, times=1))
    assert isinstance(failing(lambda: store.put(KEY, NEW)), TransientStoreError)
    store.put(KEY, NEW)
    assert len(oss.requests(service="sts")) == 2
    assert {one.identity for one in oss.requests()} == {"operator"}


def test_a_key_pair_that_was_revoked_is_told_and_good_again_when_given_back(
    oss: FakeOss, store: OssStore
) -> None:
    store.put(KEY, OLD)
    oss.remove_identity("operator")
    error = failing(lambda: store.put(KEY, NEW))
    assert isinstance(error, StoreRefused)
    assert "does not know the access key id" in str(error)
    oss.add_identity(operator())
    store.put(KEY, NEW)


@pytest.mark.parametrize(
    ("url", "kind", "told"),
    [
        ({"bucket": "no-such-bucket"}, StoreMisconfigured, "there is no such bucket"),
        ({"bucket": "far-away"}, StoreMisconfigured, "oss-cn-beijing.aliyuncs.com"),
        ({"region": "cn-beijing"}, StoreMisconfigured, "region"),
        ({"root": "other"}, StoreRefused, "oss:"),
    ],
    ids=str,
)
def test_a_url_that_is_wrong_is_told_so_that_it_can_be_corrected(
    url: dict[str, str], kind: type[StoreError], told: str
) -> None:
    with FakeOss(elsewhere={"far-away": "cn-beijing"}) as oss:
        store = OssStore(parse(oss.url(**url)), source_from(oss.environment("operator")))
        for use in (lambda: store.put(KEY, NEW), lambda: store.get(KEY), lambda: list(store.list("v1/"))):
            error = failing(use)
            assert type(error) is kind
            assert told in str(error)


@pytest.mark.parametrize(
    "settings", [{"worm": "Locked"}, {"object_worm": True}, {"no_overwrite": ("root/",)}], ids=str
)
def test_a_bucket_that_forbids_rewriting_is_told(
    oss: FakeOss, store: OssStore, settings: dict[str, object]
) -> None:
    oss.configure(**settings)
    store.put(KEY, OLD)
    error = failing(lambda: store.put(KEY, NEW))
    assert isinstance(error, StoreMisconfigured)
    assert "rewritten" in str(error)


def test_a_collector_can_put_and_nothing_else(oss: FakeOss) -> None:
    store = OssStore(parse(oss.url()), source_from(oss.environment("collector")))
    store.put("v1/segments/team/x", NEW)
    for use in (
        lambda: store.get("v1/segments/team/x"),
        lambda: list(store.list("v1/segments/")),
        lambda: list(store.list_folders("v1/")),
        lambda: store.delete(["v1/segments/team/x"]),
        lambda: store.put("v1/views/x", NEW),
    ):
        error = failing(use)
        assert isinstance(error, StoreRefused)
        assert "oss:" in str(error)


def test_a_listing_that_lags_behind_lacks_what_is_new_and_nothing_else(oss: FakeOss, store: OssStore) -> None:
    oss.set_clock(-60)
    oss.put("root/v1/older", OLD)
    oss.set_clock(0)
    store.put("v1/younger", NEW)
    oss.add(Fault(ListLate(30)))
    assert [info.key for info in store.list("v1/")] == ["v1/older"]
    assert store.get("v1/younger").data == NEW


def test_nothing_is_asked_twice_while_nothing_fails(oss: FakeOss, retrying: Retrying) -> None:
    for number in range(50):
        retrying.put(f"v1/{number}", NEW)
        retrying.get(f"v1/{number}", start=1, length=5)
    list(retrying.list("v1/"))
    retrying.delete(f"v1/{number}" for number in range(50))
    asked = {"PutObject": 50, "GetObject": 50, "ListObjectsV2": 1, "DeleteMultipleObjects": 1}
    assert {name: oss.counts()[name] for name in asked} == asked
    assert len(oss.requests()) == sum(asked.values())


def test_a_read_costs_the_bytes_that_it_gives(oss: FakeOss, store: OssStore) -> None:
    oss.put("root/v1/a", NEW)
    size = len(NEW)
    for read, wanted in (
        (lambda: store.get(KEY, start=5, length=7), 7),
        (lambda: store.get(KEY, start=size - 5, length=100), 5),
        (lambda: store.get_suffix(KEY, 11), 11),
        (lambda: store.get(KEY, length=0), 0),
    ):
        oss.forget_requests()
        assert len(read().data) == wanted
        assert oss.counts()["bytes_out"] == wanted
    oss.forget_requests()
    assert store.get(KEY, start=size).data == b""
    assert oss.counts()["bytes_out"] < 1000  # what OSS says about it


MIX: list[tuple[object, float]] = [
    (SERVER_BUSY, 0.02),
    (TOO_MANY, 0.02),
    (UNAVAILABLE, 0.01),
    (INTERNAL, 0.01),
    (TOKEN_EXPIRED, 0.005),
    (ResetRequest(300), 0.01),
    (ResetAnswer(20), 0.01),
    (LoseAnswer(), 0.02),
    (Withhold(0.01), 0.005),
    (WrongChecksum(), 0.01),
    (FlipBit("request", 100), 0.01),
    (Trickle(400_000), 0.005),
    (Html(502), 0.01),
    (ApplyLater(successor="other"), 0.01),
]


@pytest.mark.parametrize("seed", [1, 2])
def test_what_was_acknowledged_is_there_whatever_failed(
    oss: FakeOss, store: OssStore, rounds: Callable[[int, int], int], seed: int
) -> None:
    """Writers as a collector's: who is left in doubt puts the same under the next number."""
    for number, (act, probability) in enumerate(MIX):
        oss.add(Fault(act, method="PUT", skip=number, times=1))  # each at least once, by whatever chance
        oss.add(Fault(act, probability=probability, seed=seed * 100 + number))
    patient = Retrying(store, Backoff(first=0.001, most=0.02))
    stored: dict[str, bytes] = {}
    tried: dict[str, bytes] = {}
    lock = threading.Lock()

    def write(writer: int) -> None:
        chance = random.Random(seed * 1000 + writer)
        number = 0
        for round_ in range(rounds(60, 5000) // 4):
            data = f"{writer} {round_} ".encode() * chance.randrange(1, 400)
            while True:
                number += 1
                key = f"v1/{writer}/{number:06d}"
                tried[key] = data
                if put_or_doubt(store, key, data):
                    break
            with lock:
                stored[key] = data
            mine = chance.choice([name for name in list(stored) if name.startswith(f"v1/{writer}/")])
            assert patient.get(mine).data == stored[mine]
            start = chance.randrange(len(stored[mine]))
            part = patient.get(mine, start=start, length=50)
            assert part.data == stored[mine][start : start + 50]

    with ThreadPoolExecutor(4) as threads:
        for future in [threads.submit(write, writer) for writer in range(4)]:
            future.result()
    assert {one.act for one in oss.requests()} >= {type(act).__name__ for act, _ in MIX}
    oss.clear()
    oss.release()
    found = {info.key: store.get(info.key).data for info in store.list("v1/")}
    assert stored.items() <= found.items() <= tried.items()


def put_or_doubt(store: OssStore, key: str, data: bytes) -> bool:
    """Puts, again and again where it is certain that nothing happened; False where it is not."""
    while True:
        try:
            store.put(key, data)
        except TransientStoreError as error:
            if error.effect_unknown:
                return False
        else:
            return True


def test_a_missing_object_is_missing_also_after_trouble(oss: FakeOss, retrying: Retrying) -> None:
    oss.add(Fault(SERVER_BUSY, times=2))
    with pytest.raises(ObjectMissing):
        retrying.get("v1/none")
