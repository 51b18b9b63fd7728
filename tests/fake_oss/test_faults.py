import http.client
import socket
import threading
import time
from collections.abc import Callable

import alibabacloud_oss_v2 as official
import pytest
import requests

from fake_oss import (
    SERVER_BUSY,
    TOKEN_EXPIRED,
    TOO_MANY,
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
)
from fake_oss.conftest import MakeClient
from fake_oss.faults import Act, Script, Subject
from fake_oss.refusals import refusal

KEY = "root/v1/a"
DATA = bytes(range(256)) * 800


def put(client: official.Client, key: str = KEY, data: bytes = DATA) -> None:
    client.put_object(official.PutObjectRequest("history", key, body=data))


def get(client: official.Client, key: str = KEY) -> bytes:
    data: bytes = client.get_object(official.GetObjectRequest("history", key)).body.read()
    return data


def listed(client: official.Client) -> list[str]:
    page = client.list_objects_v2(official.ListObjectsV2Request("history", prefix="root/"))
    return [one.key for one in page.contents or []]


def until(holds: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "did not come about in time"
        time.sleep(0.005)


def no_answer() -> object:
    return pytest.raises((official.exceptions.OperationError, requests.RequestException))


@pytest.mark.parametrize("act", [SERVER_BUSY, TOO_MANY, TOKEN_EXPIRED, Refuse(418, "Other", ec="1-2")])
def test_a_refusal_does_nothing_and_says_what_it_was_told(
    oss: FakeOss, client: official.Client, act: Refuse
) -> None:
    oss.add(Fault(act, method="PUT", times=2))
    for _ in range(2):
        with refusal() as told:
            put(client)
        assert (told.status, told.code, told.ec) == (act.status, act.code, act.ec)
        assert oss.keys() == []
    put(client)
    assert [(one.status, one.act) for one in oss.requests()] == [
        (act.status, "Refuse"),
        (act.status, "Refuse"),
        (200, ""),
    ]


@pytest.mark.parametrize("act", [ResetRequest(5000), Withhold(0.05)])
def test_what_never_comes_through_is_not_done(oss: FakeOss, client: official.Client, act: Act) -> None:
    oss.add(Fault(act, method="PUT"))
    with no_answer():
        put(client)
    assert oss.keys() == []
    assert [(one.status, one.act) for one in oss.requests()] == [(0, type(act).__name__)]


@pytest.mark.parametrize("act", [LoseAnswer(), ResetAnswer()])
def test_a_put_whose_answer_is_lost_is_stored(oss: FakeOss, client: official.Client, act: Act) -> None:
    oss.add(Fault(act, method="PUT"))
    with no_answer():
        put(client)
    assert oss.get(KEY) == DATA


def test_an_answer_can_break_off(oss: FakeOss, client: official.Client) -> None:
    oss.put(KEY, DATA)
    oss.add(Fault(ResetAnswer(1000), method="GET", times=1))
    with no_answer():
        get(client)
    assert get(client) == DATA


@pytest.mark.parametrize(("successor", "other"), [("other", "root/v1/b"), ("same", KEY)])
def test_a_put_can_be_applied_after_its_successor(
    oss: FakeOss, client: official.Client, successor: str, other: str
) -> None:
    oss.add(Fault(ApplyLater(successor=successor), method="PUT", times=1))
    with no_answer():
        put(client, data=b"first")
    assert oss.keys() == []
    put(client, "root/v1/b" if successor == "same" else KEY, data=b"not waited for")
    assert oss.get(KEY) in {None, b"not waited for"}
    put(client, other, data=b"second")
    assert oss.get(KEY) == b"first"


def test_a_put_can_be_applied_after_a_time_or_when_released(oss: FakeOss, client: official.Client) -> None:
    oss.add(Fault(ApplyLater(seconds=0.05), method="PUT", times=1))
    oss.add(Fault(ApplyLater(), method="PUT", times=1))
    with no_answer():
        put(client, "root/v1/timed")
    until(lambda: oss.get("root/v1/timed") == DATA)
    with no_answer():
        put(client)
    assert oss.get(KEY) is None
    oss.release()
    assert oss.get(KEY) == DATA


@pytest.mark.parametrize(("request_", "answer"), [(True, False), (False, True)])
def test_a_body_can_trickle_either_way(
    oss: FakeOss, client: official.Client, request_: bool, answer: bool
) -> None:
    data = b"x" * 4000
    oss.put(KEY, data)
    method = "PUT" if request_ else "GET"
    oss.add(Fault(Trickle(20_000, request=request_, answer=answer), method=method))
    if request_:
        put(client, data=data)
    else:
        assert get(client) == data
    until(lambda: oss.requests(method=method)[0].seconds >= 0.15)


def test_an_answer_can_wait(oss: FakeOss, client: official.Client) -> None:
    oss.add(Fault(Wait(0.1), method="PUT"))
    put(client)
    assert oss.requests()[0].seconds >= 0.1
    assert oss.requests()[0].status == 200


def test_a_checksum_can_be_wrong_and_bits_can_flip(oss: FakeOss, client: official.Client) -> None:
    oss.add(Fault(WrongChecksum(), method="PUT", times=1))
    oss.add(Fault(FlipBit("request", 7), method="PUT", times=1))
    for stored in (DATA, bytes([*DATA[:7], DATA[7] ^ 1, *DATA[8:]])):
        with pytest.raises(official.exceptions.OperationError, match="crc"):
            put(client)
        assert oss.get(KEY) == stored
    put(client)
    oss.add(Fault(FlipBit("answer", 300), method="GET", times=1))
    assert get(client) == bytes([*DATA[:300], DATA[300] ^ 1, *DATA[301:]])
    assert get(client) == DATA


def test_others_can_answer_instead(oss: FakeOss, raw: http.client.HTTPConnection) -> None:
    oss.add(Fault(Html(), times=1))
    oss.add(Fault(Redirect("http://portal.example/"), times=1))
    raw.request("GET", f"/history/{KEY}")
    answer = raw.getresponse()
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html")
    assert b"<html>" in answer.read()
    raw.request("GET", f"/history/{KEY}")
    answer = raw.getresponse()
    answer.read()
    assert (answer.status, answer.headers["Location"]) == (302, "http://portal.example/")


def test_a_listing_can_lag_behind(oss: FakeOss, client: official.Client) -> None:
    oss.set_clock(-60)
    oss.put("root/v1/older", b"")
    oss.set_clock(0)
    oss.put("root/v1/younger", b"")
    oss.add(Fault(ListLate(30), operation="ListObjectsV2", times=1))
    assert listed(client) == ["root/v1/older"]
    assert listed(client) == ["root/v1/older", "root/v1/younger"]


def test_a_network_that_is_down_refuses_and_comes_back_at_the_same_place(
    oss: FakeOss, client: official.Client
) -> None:
    put(client)
    for _ in range(3):
        oss.down()
        with pytest.raises(official.exceptions.OperationError, match=r"refused|reset|aborted"):
            get(client)
        with pytest.raises(official.exceptions.OperationError, match="refused"):
            get(client)
        oss.up()
        assert get(client) == DATA


def test_a_network_that_is_cut_swallows_what_is_sent(oss: FakeOss, client: official.Client) -> None:
    put(client)
    oss.down("cut")
    ended = threading.Event()

    def wait() -> None:
        with no_answer():
            put(client, "root/v1/b")
        ended.set()

    thread = threading.Thread(target=wait)
    thread.start()
    assert not ended.wait(0.2)
    oss.up()
    thread.join()
    assert oss.keys() == [KEY]
    put(client, "root/v1/b")
    assert oss.keys() == [KEY, "root/v1/b"]


def test_a_new_connection_finds_no_one_at_a_cut_network(oss: FakeOss) -> None:
    oss.down("cut")
    with socket.create_connection(("127.0.0.1", int(oss.endpoint.rpartition(":")[2])), timeout=5) as client:
        client.sendall(b"GET /history/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        client.settimeout(0.1)
        with pytest.raises(TimeoutError):
            client.recv(1)


def test_nothing_waits_for_a_hanging_request_at_the_end(client_of: MakeClient) -> None:
    with FakeOss() as oss:
        client = client_of(endpoint=oss.endpoint, credentials=oss.environment())
        oss.add(Fault(Withhold()))

        def hang() -> None:
            with no_answer():
                put(client)

        thread = threading.Thread(target=hang)
        thread.start()
    thread.join(5)
    assert not thread.is_alive()


def subject(
    method: str = "PUT", key: str = KEY, operation: str = "PutObject", who: str = "collector"
) -> Subject:
    return Subject("oss", method, operation, key, who)


@pytest.mark.parametrize(
    ("fault", "fits", "other"),
    [
        ({"method": "PUT"}, subject(), subject("GET")),
        ({"key": "root/*/a"}, subject(), subject(key="root/v1/b")),
        ({"operation": "PutObject"}, subject(), subject(operation="GetObject")),
        ({"identity": "collector"}, subject(), subject(who="server")),
        ({"service": "oss"}, subject(), Subject("sts", "PUT", "PutObject", KEY, "collector")),
    ],
)
def test_a_fault_strikes_what_fits(fault: dict[str, str], fits: Subject, other: Subject) -> None:
    script = Script()
    script.add(Fault(SERVER_BUSY, **fault))
    assert script.act_for(fits) == SERVER_BUSY
    assert script.act_for(other) is None


def test_a_fault_spares_the_first_and_stops_after_its_times_and_the_first_added_acts() -> None:
    script = Script()
    script.add(Fault(SERVER_BUSY, skip=1, times=2))
    script.add(Fault(TOO_MANY, times=1))
    acts = [script.act_for(subject()) for _ in range(5)]
    assert acts == [TOO_MANY, SERVER_BUSY, SERVER_BUSY, None, None]
    script.clear()
    assert script.act_for(subject()) is None


def test_chance_comes_from_the_seed() -> None:
    def struck(seed: int) -> list[bool]:
        script = Script()
        script.add(Fault(SERVER_BUSY, probability=0.3, seed=seed))
        return [script.act_for(subject()) is not None for _ in range(200)]

    assert struck(1) == struck(1) != struck(2)
    assert 30 < sum(struck(1)) < 90


def test_requests_are_counted_and_found_again(oss: FakeOss, client: official.Client) -> None:
    put(client)
    put(client, "root/v2/b", b"12")
    get(client)
    asked = oss.requests(key="root/v1/*")
    assert [(one.operation, one.bytes_in, one.bytes_out) for one in asked] == [
        ("PutObject", len(DATA), 0),
        ("GetObject", 0, len(DATA)),
    ]
    assert len(oss.requests(identity="operator")) == 3
    assert oss.requests(identity="collector") == oss.requests(status=404) == oss.requests(method="POST") == []
    assert oss.counts() == {"PutObject": 2, "GetObject": 1, "bytes_in": len(DATA) + 2, "bytes_out": len(DATA)}
    oss.forget_requests()
    assert oss.requests() == []


def test_a_fault_has_its_time() -> None:
    script = Script()
    script.add(Fault(SERVER_BUSY, start=3600))
    script.add(Fault(TOO_MANY, seconds=0.5))
    assert script.act_for(subject()) == TOO_MANY
    until(lambda: script.act_for(subject()) is None)
