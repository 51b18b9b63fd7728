import pickle
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from archive.errors import NameInvalid, StoreMisconfigured, StoreRefused, TransientStoreError
from archive.store import http as module
from archive.store.http import HttpStore
from archive.store.putting import digest_of

KEY = "v1/segments/team/c ü%/session/node/1-00000000-00000001.seg"
DATE = "Mon, 23 Nov 2026 21:00:00 GMT"


def is_whole(heard: bytes) -> bool:
    head, end, body = heard.partition(b"\r\n\r\n")
    _, told, length = head.lower().partition(b"content-length: ")
    return bool(end) and (not told or len(body) >= int(length.split(b"\r\n")[0]))


@dataclass
class Peer:
    """Takes connections and says what it is told to say, whatever it hears."""

    port: int
    says: list[bytes | None] = field(default_factory=list)
    """One for each request; None closes without a word, the last one is said again."""
    heard: list[bytes] = field(default_factory=list)
    connections: int = 0
    until: Callable[[bytes], bool] = is_whole
    quiet: threading.Event = field(default_factory=threading.Event)
    """While it is not set, an empty answer is held back."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def serve(self, listener: socket.socket, wrap: Callable[[socket.socket], socket.socket]) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            self.connections += 1
            with suppress(OSError), connection, wrap(connection) as wrapped:
                wrapped.settimeout(10)
                while self._one(wrapped):
                    pass

    def _one(self, connection: socket.socket) -> bool:
        heard = b""
        while not self.until(heard):
            piece = connection.recv(1 << 16)
            if not piece:
                return False
            heard += piece
        self.heard.append(heard)
        said = self.says.pop(0) if len(self.says) > 1 else self.says[0]
        if said is None:
            return False
        if not said:
            self.quiet.wait(10)
        connection.sendall(said)
        return b"onnection: close" not in said


def answer(status: str, text: str = "", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(text.encode())}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", text]).encode()


def stored(data: bytes) -> bytes:
    return answer(
        "200 OK", ETag='"e1"', Repr_Digest=digest_of(data), History_Put="stored", Last_Modified=DATE
    )


@pytest.fixture
def peer(request: pytest.FixtureRequest) -> Iterator[Peer]:
    yield from served(lambda connection: connection)


def served(wrap: Callable[[socket.socket], socket.socket]) -> Iterator[Peer]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        peer = Peer(listener.getsockname()[1])
        thread = threading.Thread(target=peer.serve, args=(listener, wrap), daemon=True)
        thread.start()
        yield peer
        peer.quiet.set()
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(10)


@pytest.fixture
def token(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("secret-1\n")
    return path


@pytest.fixture
def store(peer: Peer, token: Path) -> Iterator[HttpStore]:
    store = HttpStore(f"{peer.url}/base/", token)
    yield store
    store.close()


def test_a_put_says_whose_it_is_and_what_it_holds(store: HttpStore, peer: Peer) -> None:
    peer.says = [stored(b"data")]
    info = store.put(KEY, b"data")
    assert (info.key, info.size, info.etag, info.modified) == (KEY, 4, "e1", 1795467600.0)
    head, _, body = peer.heard[0].partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == (
        "PUT /base/store/v1/segments/team/c%20%C3%BC%25/session/node/1-00000000-00000001.seg HTTP/1.1"
    )
    assert {"Authorization: Bearer secret-1", f"Repr-Digest: {digest_of(b'data')}"} <= set(lines)
    assert body == b"data"


def test_the_token_is_read_at_each_use(store: HttpStore, peer: Peer, token: Path) -> None:
    peer.says = [stored(b"data")]
    store.put(KEY, b"data")
    token.write_text("secret-2")
    store.put(KEY, b"data")
    assert [b"Bearer secret-2" in heard for heard in peer.heard] == [False, True]
    assert peer.connections == 1


def test_an_empty_object_can_be_put(store: HttpStore, peer: Peer) -> None:
    peer.says = [stored(b"")]
    assert store.put(KEY, b"").size == 0
    assert b"Content-Length: 0" in peer.heard[0]


@pytest.mark.parametrize("text", ["", "two words", "tökén", "line\nbreak"])
def test_a_token_that_is_none_is_told_and_never_sent(
    store: HttpStore, peer: Peer, token: Path, text: str
) -> None:
    token.write_text(text)
    with pytest.raises(StoreMisconfigured, match="holds no token"):
        store.put(KEY, b"data")
    token.unlink()
    with pytest.raises(StoreMisconfigured, match=r"token.*can't be read"):
        store.put(KEY, b"data")
    assert peer.heard == []


@pytest.mark.parametrize("key", ["", "/a", "a/../b", "a//b", "a\0b", "a\ud800"])
def test_a_key_that_can_be_none_is_not_sent(store: HttpStore, peer: Peer, key: str) -> None:
    with pytest.raises(NameInvalid):
        store.put(key, b"data")
    assert peer.heard == []


def ours(status: str, outcome: str, text: str = "because of this") -> bytes:
    return answer(status, text, History_Put=outcome)


HTML = "<html>welcome</html>"


@pytest.mark.parametrize(
    ("said", "error", "sentence"),
    [
        (ours("401 Unauthorized", "caller_unknown"), StoreRefused, "token"),
        (ours("403 Forbidden", "denied"), StoreRefused, "because of this"),
        (ours("400 Bad Request", "malformed"), StoreRefused, "because of this"),
        (ours("413 Too Large", "too_large"), StoreRefused, "because of this"),
        (answer("401 Unauthorized", HTML), StoreRefused, "token"),
        (answer("403 Forbidden", HTML), StoreRefused, "something before"),
        (answer("413 Too Large", HTML), StoreMisconfigured, "client_max_body_size"),
        (answer("404 Not Found", HTML), StoreMisconfigured, "no history server that takes puts"),
        (answer("405 Method Not Allowed", HTML), StoreMisconfigured, "no history server that takes puts"),
        (answer("302 Found", Location="https://login.example/"), StoreMisconfigured, "login.example"),
        (answer("200 OK", HTML), StoreMisconfigured, "no history server that takes puts"),
        (answer("200 OK", HTML, ETag='"e"'), StoreMisconfigured, "no history server that takes puts"),
        (answer("200 OK", History_Put="stored"), StoreMisconfigured, "no history server that takes puts"),
        (answer("204 No Content", ETag='"e"'), StoreMisconfigured, "no history server that takes puts"),
    ],
)
def test_what_trying_again_does_not_help_says_what_does(
    store: HttpStore, peer: Peer, said: bytes, error: type[Exception], sentence: str
) -> None:
    peer.says = [said]
    with pytest.raises(error, match=sentence) as raised:
        store.put(KEY, b"data")
    assert HTML not in str(raised.value)


@pytest.mark.parametrize(
    ("said", "unknown"),
    [
        (ours("503 Service Unavailable", "callers_out"), False),
        (ours("503 Service Unavailable", "busy"), False),
        (ours("507 Insufficient Storage", "full"), False),
        (ours("408 Request Timeout", "too_slow"), False),
        (ours("400 Bad Request", "damaged"), False),
        (ours("500 Internal Server Error", "unknown"), True),
        (ours("500 Internal Server Error", "a word of tomorrow"), True),
        (answer("500 Internal Server Error", HTML), True),
        (answer("502 Bad Gateway", HTML), True),
        (answer("503 Service Unavailable", HTML), True),
        (answer("504 Gateway Timeout", HTML), True),
        (answer("429 Too Many Requests", HTML), True),
        (None, True),
        (b"\x16\x03\x01 nonsense\r\n\r\n", True),
        (b"HTTP/1.1 20\r\nConnection: close", True),
        (answer("200 OK", ETag='"e"', History_Put="stored", Repr_Digest=digest_of(b"other")), True),
    ],
)
def test_what_may_pass_tells_whether_the_put_may_have_happened(
    store: HttpStore, peer: Peer, said: bytes | None, unknown: bool
) -> None:
    peer.says = [said]
    with pytest.raises(TransientStoreError) as raised:
        store.put(KEY, b"data")
    assert raised.value.effect_unknown is unknown
    peer.says = [stored(b"data")]
    assert store.put(KEY, b"data").etag == "e1"


def test_a_server_that_is_not_there_has_stored_nothing(token: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(TransientStoreError) as raised:
        HttpStore(f"http://127.0.0.1:{port}", token).put(KEY, b"data")
    assert not raised.value.effect_unknown
    with pytest.raises(TransientStoreError) as raised:
        HttpStore("http://no-such-host.invalid", token).put(KEY, b"data")
    assert not raised.value.effect_unknown


def test_a_body_that_was_not_taken_whole_is_not_stored(store: HttpStore, peer: Peer) -> None:
    peer.until = lambda heard: len(heard) > 1000
    peer.says = [None]
    with pytest.raises(TransientStoreError) as raised:
        store.put(KEY, bytes(32 << 20))
    assert not raised.value.effect_unknown


def test_a_refusal_in_mid_body_is_understood(store: HttpStore, peer: Peer) -> None:
    peer.until = lambda heard: b"\r\n\r\n" in heard
    peer.says = [ours("401 Unauthorized", "caller_unknown").replace(b"\r\n", b"\r\nConnection: close\r\n", 1)]
    with pytest.raises(StoreRefused, match="token"):
        store.put(KEY, bytes(32 << 20))


def test_silence_ends_and_leaves_open_what_happened(
    store: HttpStore, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SILENCE_SECONDS", 0.2)
    peer.says = [b""]
    with pytest.raises(TransientStoreError, match="no answer") as raised:
        store.put(KEY, b"data")
    assert raised.value.effect_unknown


def test_a_trickle_ends(store: HttpStore, peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ANSWER_SECONDS", 0.5)

    def drip(connection: socket.socket) -> bool:
        while not peer.quiet.wait(0.02):
            connection.sendall(b"H")
        return False

    monkeypatch.setattr(peer, "_one", drip)
    with pytest.raises(TransientStoreError, match="no answer") as raised:
        store.put(KEY, b"data")
    assert raised.value.effect_unknown


def test_a_connection_that_the_server_closed_meanwhile_is_not_used_again(
    store: HttpStore, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer.says = [stored(b"data").replace(b"ETag", b"X: onnection: close\r\nETag"), stored(b"data")]
    store.put(KEY, b"data")
    store.put(KEY, b"data")
    assert peer.connections == 2
    store.put(KEY, b"data")
    assert peer.connections == 2
    monkeypatch.setattr(module, "_IDLE_SECONDS", 0.0)
    store.put(KEY, b"data")
    assert peer.connections == 3


def test_several_threads_put_at_once(token: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        peer = Peer(listener.getsockname()[1], [stored(b"data")])
        servers = [
            threading.Thread(target=peer.serve, args=(listener, lambda connection: connection), daemon=True)
            for _ in range(4)
        ]
        store = HttpStore(peer.url, token)
        done: list[str] = []
        putters = [
            threading.Thread(target=lambda: done.extend(store.put(KEY, b"data").etag for _ in range(20)))
            for _ in range(4)
        ]
        for thread in servers + putters:
            thread.start()
        for thread in putters:
            thread.join()
        store.close()
        listener.shutdown(socket.SHUT_RDWR)
    for thread in servers:
        thread.join()
    assert done == ["e1"] * 80


def test_the_store_survives_pickling(store: HttpStore, peer: Peer) -> None:
    peer.says = [stored(b"data")]
    store.put(KEY, b"data")
    store.close()
    again = pickle.loads(pickle.dumps(store))  # noqa: S301 - our own bytes
    assert again.put(KEY, b"data").etag == "e1"
    again.close()
    assert b"Bearer secret-1" in peer.heard[-1]


def test_everything_but_a_put_is_refused(store: HttpStore, peer: Peer) -> None:
    for ask in (
        lambda: store.get("a"),
        lambda: store.get_suffix("a", 1),
        lambda: store.list(""),
        lambda: store.list_folders(""),
        lambda: store.delete(["a"]),
    ):
        with pytest.raises(StoreRefused, match="takes puts over HTTP and gives nothing back"):
            ask()
    assert peer.heard == []


def test_the_servers_clock_is_told(store: HttpStore, peer: Peer) -> None:
    peer.says = [answer("405 Method Not Allowed", Date=DATE).replace(b"Content-Length: 0\r\n", b"")]
    assert store.now() == 1795467600.0
    peer.says = [answer("200 OK")]
    with pytest.raises(StoreMisconfigured, match="time"):
        store.now()


@pytest.mark.parametrize(
    "base", ["ftp://host/", "http://", "http:///path", "http://host:port/", "http://[x/"]
)
def test_an_address_that_is_none_is_told(base: str) -> None:
    with pytest.raises(StoreMisconfigured):
        HttpStore(base)


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=x"),
            *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate),
        ],
        check=True,
        capture_output=True,
    )
    return key, certificate


def test_a_certificate_is_verified(
    certificate: tuple[Path, Path], token: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate[1], certificate[0])
    for peer in served(lambda connection: context.wrap_socket(connection, server_side=True)):
        peer.says = [stored(b"data")]
        url = peer.url.replace("http:", "https:")
        with pytest.raises(StoreMisconfigured, match="certificate"):
            HttpStore(url, token).put(KEY, b"data")
        assert peer.heard == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate[1]))
        store = HttpStore(url, token)
        assert store.put(KEY, b"data").etag == "e1"
        assert store.put(KEY, b"data").etag == "e1"
        store.close()
        with pytest.raises(StoreMisconfigured, match="certificate"):
            HttpStore(url.replace("127.0.0.1", "localhost"), token).put(KEY, b"data")
