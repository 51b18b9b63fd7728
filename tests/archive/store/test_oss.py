"""The store of OSS by itself: its line, its processes, its requests."""

import http.server
import logging
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fake_oss import FakeOss, Fault, ResetRequest

from archive.credentials import source_from
from archive.errors import StoreError, StoreMisconfigured, TransientStoreError
from archive.store.oss.address import parse
from archive.store.oss.errors import Trouble
from archive.store.oss.sdk import HttpRequest
from archive.store.oss.store import OssStore
from archive.store.oss.transport import LineFailed, Transport

KEYS = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "LTAI5tSomeIdOfNobody", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "s3cr3t"}


@pytest.fixture
def oss() -> Iterator[FakeOss]:
    with FakeOss() as fake:
        yield fake


@pytest.fixture
def store(oss: FakeOss) -> OssStore:
    return OssStore(parse(oss.url()), source_from(oss.environment("operator")))


def store_at(endpoint: str) -> OssStore:
    return OssStore(parse(f"oss://history/root?region=cn-hangzhou&endpoint={endpoint}"), source_from(KEYS))


class Peer(http.server.BaseHTTPRequestHandler):
    """Answers everything the same; `asked` are the lines of the requests."""

    protocol_version = "HTTP/1.1"
    asked: list[str]
    status = 200
    headers_sent: dict[str, str]
    body = b""

    def do_GET(self) -> None:
        self.asked.append(self.requestline)
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.send_response_only(self.status)
        for name, value in {**self.headers_sent, "Content-Length": str(len(self.body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(self.body)

    def do_PUT(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Nothing: what is asked is in `asked`."""


@contextmanager
def answering(
    status: int, headers: dict[str, str], body: bytes, context: ssl.SSLContext | None = None
) -> Iterator[tuple[int, list[str]]]:
    """A server that is no OSS: its port, and what it is asked."""
    fields = {"asked": [], "status": status, "headers_sent": headers, "body": body}
    handler = type("Answering", (Peer,), fields)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_port, handler.asked
        finally:
            server.shutdown()
            thread.join()


def failing(store: OssStore) -> StoreError:
    with pytest.raises(StoreError) as caught:
        store.put("v1/a", b"1")
    return caught.value


def test_one_request_serves_each_read_and_each_put(oss: FakeOss, store: OssStore) -> None:
    store.put("v1/a", b"0123456789")
    store.get("v1/a")
    store.get("v1/a", start=2, length=3)
    store.get("v1/a", start=2, length=30)
    store.get_suffix("v1/a", 30)
    assert [one.operation for one in oss.requests()] == ["PutObject", *["GetObject"] * 4]


def test_a_thousand_go_into_each_request_of_a_listing_and_a_delete(oss: FakeOss, store: OssStore) -> None:
    for number in range(2001):
        oss.put(f"root/v1/{number:04}", b"")
    oss.put("rooted/v1/a", b"")
    found = [info.key for info in store.list("v1/")]
    assert found == [f"v1/{number:04}" for number in range(2001)]
    store.delete(found)
    assert oss.keys("") == ["rooted/v1/a"]
    assert oss.counts()["ListObjectsV2"] == oss.counts()["DeleteMultipleObjects"] == 3


def test_a_listing_left_half_way_asks_for_no_more_pages(oss: FakeOss, store: OssStore) -> None:
    for number in range(1500):
        oss.put(f"root/v1/{number:04}", b"")
    assert next(iter(store.list("v1/", after="v1/0100"))).key == "v1/0101"
    assert oss.counts()["ListObjectsV2"] == 1


def test_threads_share_a_store(store: OssStore) -> None:
    failed: list[Exception] = []

    def work(name: int) -> None:
        try:
            for number in range(10):
                store.put(f"v1/{name}", str(number).encode())
                assert store.get(f"v1/{name}").data == str(number).encode()
        except Exception as error:  # noqa: BLE001 - told in the thread that looks
            failed.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


def test_a_forked_process_makes_connections_of_its_own(oss: FakeOss) -> None:
    program = """
import os, sys
from archive.store import open_store

store = open_store(sys.argv[1])
store.put("v1/parent", b"1")
ready, begun = os.pipe()
child = os.fork()
if child:
    os.read(ready, 1)
else:
    os.write(begun, b"x")
for number in range(200):
    name = f"v1/{'parent' if child else 'child'}-{number}"
    store.put(name, name.encode())
    assert store.get(name).data == name.encode()
if child == 0:
    os._exit(0)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    command = [sys.executable, "-c", program, oss.url()]
    subprocess.run(command, check=True, env=oss.environment("operator"), timeout=50)
    assert len(oss.keys("root/v1/")) == 401


def test_the_proxy_of_the_environment_is_used_but_for_what_it_leaves_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with answering(200, {"Content-Type": "text/html"}, b"hello") as (port, asked):
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("no_proxy", "127.0.0.2")
        assert "not OSS" in str(failing(store_at("http://127.0.0.3:1")))
        assert asked == ["PUT http://127.0.0.3:1/history/root/v1/a HTTP/1.1"]
        assert "Connection refused" in str(failing(store_at("http://127.0.0.2:1")))
        assert len(asked) == 1


@pytest.mark.parametrize(
    ("status", "headers", "body", "kind"),
    [
        (
            200,
            {"Content-Type": "text/html; charset=gbk"},
            "<html>登录</html>".encode("gbk"),
            StoreMisconfigured,
        ),
        (
            403,
            {"Content-Type": "text/html; charset=gbk"},
            "<html>登录</html>".encode("gbk"),
            StoreMisconfigured,
        ),
        (302, {"Location": "http://portal/"}, b"", StoreMisconfigured),
        (401, {"Content-Type": "application/json"}, b"[]", StoreMisconfigured),
        (502, {"Content-Type": "text/plain"}, b"\xff\xfe", TransientStoreError),
        (500, {"x-oss-request-id": "1", "Date": "yesterday"}, b"\xff<Error>", TransientStoreError),
        (403, {"x-oss-request-id": "1"}, b"{", StoreError),
    ],
)
def test_whatever_answers_a_put_is_told_as_an_error_of_the_store(
    status: int, headers: dict[str, str], body: bytes, kind: type[StoreError]
) -> None:
    with answering(status, headers, body) as (port, _):
        assert isinstance(failing(store_at(f"http://127.0.0.1:{port}")), kind)


def test_plain_http_where_tls_is_expected_is_told() -> None:
    def refuse() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1024)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=refuse)
        thread.start()
        error = failing(store_at(f"https://127.0.0.1:{listener.getsockname()[1]}"))
        thread.join()
    assert isinstance(error, StoreMisconfigured)
    assert "does not speak TLS" in str(error)


def test_a_put_that_was_cut_before_its_end_cannot_have_happened(oss: FakeOss, store: OssStore) -> None:
    oss.add(Fault(ResetRequest(after=100_000)))
    with pytest.raises(TransientStoreError, match="before all was sent") as caught:
        store.put("v1/a", b"x" * (32 << 20))
    assert not caught.value.effect_unknown
    assert oss.keys("") == []


def test_a_certificate_is_verified_by_the_authorities_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = [
        *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=x"),
        *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate),
    ]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with answering(503, {"x-oss-request-id": "1"}, b"", context) as (port, _):
        error = failing(store_at(f"https://127.0.0.1:{port}"))
        assert isinstance(error, StoreMisconfigured)
        assert "certificate" in str(error)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert isinstance(failing(store_at(f"https://127.0.0.1:{port}")), TransientStoreError)


def test_no_sentence_holds_a_secret(oss: FakeOss) -> None:
    given = {**oss.token_environment("operator"), "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "s3cr3t" * 5}
    error = failing(OssStore(parse(oss.url()), source_from(given)))
    said = f"{error!r} {error.__cause__!r} {error.__context__!r}"
    assert "access key secret" in said
    for secret in ("s3cr3t", given["ALIBABA_CLOUD_SECURITY_TOKEN"], "Signature=", "Authorization"):
        assert secret not in said


def test_plain_http_beyond_this_machine_is_warned_of(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with caplog.at_level(logging.WARNING):
        failing(store_at("http://127.0.0.3:1"))
        assert caplog.messages == []
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")  # else the name would be looked up
        failing(store_at("http://oss.example.org"))
    assert caplog.messages == [
        "http://oss.example.org is no https: logs and security tokens cross the network unencrypted"
    ]


class Leaping:
    """A clock that shows a minute more whenever it is read."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 60
        return self.now


@pytest.mark.parametrize("body", [b"", b"x" * 200_000])
def test_bytes_that_hardly_come_or_go_are_given_up(body: bytes) -> None:
    with answering(200, {"x-oss-request-id": "1"}, b"y" * 100) as (port, _):
        url = f"http://127.0.0.1:{port}/a"
        transport = Transport(url, Leaping())
        with pytest.raises(LineFailed, match="slower than 32 KiB a second") as caught:
            transport.send(HttpRequest("PUT", url, body=body))
        assert caught.value.trouble is (Trouble.CUT if body else Trouble.LOST)
        assert Transport(url).send(HttpRequest("PUT", url, body=body)).content == b"y" * 100
