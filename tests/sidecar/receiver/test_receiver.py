"""The receiver as Ray's agent meets it."""

import json
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sidecar.metrics import Metrics
from sidecar.receiver import Receiver
from sidecar.receiver.listener import MOST_CONNECTIONS
from sidecar.spool import NodeSpool, Spool

from .conftest import Client, lines, stream

EVENT = b'{"eventId": "a", "eventType": "TASK_LIFECYCLE_EVENT"}'
PROFILE = b'{"eventId": "p", "eventType": "TASK_PROFILE_EVENT"}'
Eventually = Callable[..., Any]


def test_a_recorded_session_is_kept_byte_for_byte_but_for_the_values_of_environment_variables(
    client: Client, node: NodeSpool, recorded_posts: list[list[dict[str, Any]]]
) -> None:
    for events in recorded_posts:
        assert client.post(json.dumps(events).encode()) == 200
    sent = [json.dumps(event).encode() for events in recorded_posts for event in events]
    profile = [event for event in sent if json.loads(event)["eventType"] == "TASK_PROFILE_EVENT"]
    others = [event for event in sent if json.loads(event)["eventType"] != "TASK_PROFILE_EVENT"]
    assert lines(node, "events.profile") == profile
    kept = lines(node, "events")
    assert len(kept) == len(others)
    for before, after in zip(others, kept, strict=True):
        assert len(before) == len(after)
        assert json.loads(after).keys() == json.loads(before).keys()
        if b"env_vars" not in before:
            assert after == before
    assert b"my-value" in b"".join(others)
    assert b"my-value" not in b"".join(kept)


def test_requests_sent_without_waiting_are_answered_in_order_on_one_connection(
    client: Client, node: NodeSpool
) -> None:
    requests = [
        b"POST /%d HTTP/1.1\r\nContent-Length: %d\r\n\r\n[%s]" % (number, len(EVENT) + 2, EVENT)
        for number in range(20)
    ]
    client.send(b"".join(requests) + b"GET / HTTP/1.1\r\n\r\n")
    assert [client.status() for _ in requests] == [200] * 20
    assert client.answer() == (200, b"This is the history server's collector. Ray posts its events here.\n")
    assert lines(node, "events") == [EVENT] * 20


def test_a_chunked_body_is_taken(client: Client, node: NodeSpool) -> None:
    client.send(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
    for part in (b"[" + EVENT[:10], EVENT[10:], b", " + EVENT + b"]"):
        client.send(b"%x;name=value\r\n%s\r\n" % (len(part), part))
    client.send(b"0\r\nTrailer: x\r\n\r\n")
    assert client.status() == 200
    assert client.post(b"[]") == 200
    assert lines(node, "events") == [EVENT, EVENT]


def test_a_client_that_asks_whether_to_go_on_is_told_to(client: Client, node: NodeSpool) -> None:
    client.send(b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % (len(EVENT) + 2))
    assert client.status() == 100
    client.send(b"[" + EVENT + b"]")
    assert client.status() == 200
    assert lines(node, "events") == [EVENT]


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /metrics HTTP/1.1\r\n\r\n", 200),
        (b"HEAD / HTTP/1.0\r\n\r\n", 200),
        (b"PUT /x HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", 405),
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n", 400),
        (b"GET / HTTP/1.1\r\nA: " + b"b" * 20000 + b"\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: many\r\n\r\n[]", 200),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 200),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[]]]\r\n", 200),
        (b"POST / HTTP/1.1\r\n\r\n", 200),
    ],
)
def test_no_request_is_left_without_answer_and_no_post_gets_anything_but_thanks(
    client: Client, request_bytes: bytes, status: int
) -> None:
    client.send(request_bytes)
    client.socket.shutdown(socket.SHUT_WR)
    assert client.status() == status


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b'{"eventId": "a"}',
        b'[{"eventId": "a"}',
        b"[{]",
        b"\xff\xfe",
        b"[" * 100_000,
        b'["' + b"x" * 100_000,
    ],
)
def test_an_undecodable_body_is_quarantined_counted_and_thanked_for(
    client: Client, node: NodeSpool, metrics: Metrics, body: bytes
) -> None:
    assert client.post(body) == 200
    assert client.post(b"[%s]" % EVENT) == 200
    assert lines(node, "events") == [EVENT]
    (line,) = lines(node, "quarantine")
    entry = json.loads(line)
    assert entry["reason"] == "body.undecodable"
    assert entry["length"] == len(body)
    assert entry["head"] == body[: 64 << 10].decode(errors="replace")
    assert node.losses == {"body.undecodable": 1}
    assert metrics.quarantined.get("body.undecodable") == 1


@pytest.mark.parametrize(
    "event",
    [
        b'{"eventId": "a", "eventType": "OF_NEXT_YEAR", "ofNextYear": {"x": [1, null]}, "nodeId": "AA=="}',
        b'{"eventType": "TASK_LIFECYCLE_EVENT", "taskLifecycleEvent": {"stateTransitions": []}}',
        b'{"eventId": "", "eventType": 7, "sessionName": "../../etc", "nodeId": null}',
        b'{"eventId": "a", "timestamp": "9999-99-99T99:99:99Z", "driverJobLifecycleEvent": {"at": 1e400}}',
        b"{}",
    ],
    ids=["unknown type", "missing ids", "wrong ids", "absurd times", "nothing at all"],
)
def test_an_event_of_unknown_type_without_ids_or_of_absurd_times_passes_through_as_it_is(
    client: Client, node: NodeSpool, event: bytes
) -> None:
    assert client.post(b"[%s, %s]" % (event, EVENT)) == 200
    assert lines(node, "events") == [event, EVENT]
    assert node.losses == {}


def test_what_is_no_object_in_an_array_is_quarantined_and_the_rest_is_kept(
    client: Client, node: NodeSpool
) -> None:
    assert client.post(b'[1, %s, "text", [{}], null, %s]' % (EVENT, PROFILE)) == 200
    assert lines(node, "events") == [EVENT]
    assert lines(node, "events.profile") == [PROFILE]
    assert [json.loads(line)["head"] for line in lines(node, "quarantine")] == ["1", '"text"', "[{}]", "null"]
    assert node.losses == {"event.undecodable": 4}


def test_very_many_odd_things_are_counted_and_sampled_together(client: Client, node: NodeSpool) -> None:
    assert client.post(b"[" + b"1, " * 5000 + EVENT + b"]") == 200
    assert lines(node, "events") == [EVENT]
    entries = [json.loads(line) for line in lines(node, "quarantine")]
    assert sum(entry["items"] for entry in entries) == sum(entry["length"] for entry in entries) == 5000
    assert len(entries) == 100
    assert node.losses == {"event.undecodable": 5000}


def test_line_breaks_between_tokens_go_and_strings_stay(client: Client, node: NodeSpool) -> None:
    event = {"eventId": "a", "message": 'two\nlines, "quoted"', "nested": {"list": [1, 2]}}
    assert client.post(json.dumps([event, event], indent=2).encode()) == 200
    assert [json.loads(line) for line in lines(node, "events")] == [event, event]


@pytest.mark.parametrize("how", ["by a reset", "by a goodbye"])
def test_a_client_that_dies_within_its_body_leaves_nothing(
    connect: Callable[[], Client], node: NodeSpool, eventually: Eventually, metrics: Metrics, how: str
) -> None:
    dying = connect()
    dying.send(b"POST / HTTP/1.1\r\nContent-Length: 1000\r\n\r\n[" + EVENT)
    if how == "by a reset":
        dying.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    dying.close()

    def forgotten() -> bool:
        metrics.text()
        return metrics.connections.get() == 0

    eventually(forgotten)
    assert connect().post(b"[%s]" % EVENT) == 200
    assert lines(node, "events") == [EVENT]
    assert node.losses == {}


def test_a_slow_client_keeps_nobody_waiting(connect: Callable[[], Client], node: NodeSpool) -> None:
    slow = connect()
    slow.send(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n[" % (len(PROFILE) + 2))
    assert connect().post(b"[%s]" % EVENT) == 200
    for place in range(len(PROFILE)):
        slow.send(PROFILE[place : place + 1])
    assert lines(node, "events") == [EVENT]
    slow.send(b"]")
    assert slow.status() == 200
    assert lines(node, "events.profile") == [PROFILE]


def test_clients_that_keep_their_connections_open_do_not_lock_others_out(
    connect: Callable[[], Client], node: NodeSpool
) -> None:
    idle = [connect() for _ in range(MOST_CONNECTIONS)]
    for one in idle:
        assert one.post(b"[]") == 200
    for _ in range(3):
        assert connect().post(b"[%s]" % EVENT) == 200
    assert idle[0].status() == 0, "the one that was silent longest made room"
    assert idle[-1].post(b"[%s]" % EVENT) == 200
    assert lines(node, "events") == [EVENT] * 4


def test_it_listens_once_a_taken_port_becomes_free(
    tmp_path: Path, spool: Spool, metrics: Metrics, eventually: Eventually
) -> None:
    taken = socket.create_server(("127.0.0.1", 0))
    problems: list[str] = []
    receiver = Receiver(taken.getsockname(), spool.unassigned, metrics, problems.append)
    receiver.start()
    eventually(lambda: problems)
    assert "is another collector running?" in problems[0]
    taken.close()
    assert receiver.wait_until_listening(10)
    assert problems[-1] == ""
    client = Client(receiver.address)
    assert client.post(b"[]") == 200
    client.close()
    receiver.stop()


def test_a_full_spool_drops_profile_events_first_counts_and_thanks(tmp_path: Path, metrics: Metrics) -> None:
    with Spool(tmp_path / "spool", 20_000) as spool:
        node = spool.unassigned()
        receiver = Receiver(("127.0.0.1", 0), spool.unassigned, metrics)
        receiver.start()
        assert receiver.wait_until_listening(10)
        client = Client(receiver.address)
        seen = []
        for number in range(400):
            noise = os.urandom(64).hex().encode()
            event = b'{"eventId": "%d", "noise": "%s"}' % (number, noise)
            profile = b'{"eventId": "%d", "eventType": "TASK_PROFILE_EVENT", "noise": "%s"}' % (number, noise)
            assert client.post(b"[%s, %s]" % (event, profile)) == 200
            seen.append(
                (metrics.dropped.get("events.profile.dropped"), metrics.dropped.get("events.dropped"))
            )
        client.close()
        receiver.stop()
        assert any(profile and not events for profile, events in seen)
        assert not any(events and not profile for profile, events in seen)
        profile, events = (int(number) for number in seen[-1])
        assert events
        assert node.losses == {"events.dropped": events, "events.profile.dropped": profile}
        assert len(lines(node, "events")) == 400 - events
        assert len(lines(node, "events.profile")) == 400 - profile


def test_an_unwritable_spool_is_thanked_for_and_told_once_it_works_again(
    tmp_path: Path, metrics: Metrics, spool: Spool
) -> None:
    (tmp_path / "file").write_text("in the way")
    usable = False

    def sink() -> NodeSpool:
        return spool.unassigned() if usable else Spool(tmp_path / "file", 1 << 20).unassigned()

    receiver = Receiver(("127.0.0.1", 0), sink, metrics)
    receiver.start()
    assert receiver.wait_until_listening(10)
    client = Client(receiver.address)
    for _ in range(2):
        assert client.post(b"[%s, %s]" % (EVENT, PROFILE)) == 200
    assert client.post(b"nonsense") == 200
    assert metrics.dropped.get("events.dropped") == 2
    usable = True
    assert client.post(b"[%s]" % EVENT) == 200
    client.close()
    receiver.stop()
    assert lines(spool.unassigned(), "events") == [EVENT]
    assert spool.unassigned().losses == {
        "events.dropped": 2,
        "events.profile.dropped": 2,
        "body.undecodable": 1,
    }


def test_stop_keeps_and_answers_what_is_all_there(
    connect: Callable[[], Client], receiver: Receiver, node: NodeSpool
) -> None:
    client = connect()
    assert client.post(b"[%s]" % EVENT) == 200
    receiver.stop()
    assert client.status() == 0
    assert lines(node, "events") == [EVENT]


def test_an_event_too_large_to_keep_is_sampled_and_its_neighbours_are_kept(
    client: Client, node: NodeSpool
) -> None:
    giant = b'{"eventId": "giant", "message": "%s"}' % (b'\\"}, {[' * 3_000_000)
    assert client.post(b"[%s, %s, %s]" % (EVENT, giant, PROFILE)) == 200
    assert lines(node, "events") == [EVENT]
    assert lines(node, "events.profile") == [PROFILE]
    entry = json.loads(stream(node, "quarantine"))
    assert (entry["reason"], entry["length"]) == ("event.too_large", len(giant) + 1)
    assert node.losses == {"event.too_large": 1}


def test_a_large_body_that_is_no_array_is_one_sample(client: Client, node: NodeSpool) -> None:
    body = b'{"events": [' + b"{}, " * 2_000_000
    assert client.post(body) == 200
    entry = json.loads(stream(node, "quarantine"))
    assert (entry["reason"], entry["length"]) == ("body.undecodable", len(body))
    assert stream(node, "events") == b""


SERVE = """
import resource, sys
from pathlib import Path
from sidecar.metrics import Metrics
from sidecar.receiver import Receiver
from sidecar.spool import Spool
spool = Spool(Path(sys.argv[1]), 1 << 30)
receiver = Receiver(("127.0.0.1", 0), spool.unassigned, metrics := Metrics())
receiver.start()
receiver.wait_until_listening(10)
print(receiver.address[1], flush=True)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
sys.stdin.read()
receiver.stop()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, int(metrics.events.get("events")))
"""


def test_a_body_of_100_mb_is_kept_without_being_held(tmp_path: Path) -> None:
    event = b'{"eventId": "%07d", "eventType": "TASK_LIFECYCLE_EVENT", "message": "' + b"x" * 940 + b'"}'
    count = 100_000
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, tmp_path / "spool"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        client = Client(("127.0.0.1", int(process.stdout.readline())))
        length = count * (len(event % 0) + 2)
        client.send(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % length)
        for start in range(0, count, 1000):
            end = b"]" if start + 1000 == count else b","
            piece = b", ".join(event % number for number in range(start, start + 1000))
            client.send((b" " if start else b"[") + piece + end)
        assert client.status() == 200
        client.close()
        grown_kib, events = process.communicate()[0].split()
    assert length > 100_000_000
    assert int(events) == count
    assert int(grown_kib) < 40 << 10
