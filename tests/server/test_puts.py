import hashlib
import http.client
import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from archive.errors import StoreMisconfigured, StoreRefused, TransientStoreError
from archive.layout import CatalogName, Origin, Role, SegmentName, SessionKey
from archive.store.http import HttpStore
from archive.store.local import LocalStore
from archive.store.putting import LARGEST_ENTRY, LARGEST_SEGMENT, digest_of
from server import puts as module
from server.callers import CallersUnknowable, TokenFile

OURS = "ours"
SESSION = "session_2026-11-23_02-43-27_490622_12278"
NODE = "ab" * 28


def key_of(namespace: str = "team", cluster: str = "c", *, sequence: int = 1) -> str:
    return SegmentName(
        SessionKey(namespace, cluster, SESSION), NODE, Origin(1795402103123, "9f3ac210"), sequence
    ).key


ENTRY = CatalogName(SessionKey("team", "c", SESSION), Role.HEAD).key


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "volume"
    folder.mkdir()
    return folder


@pytest.fixture
def local(folder: Path) -> LocalStore:
    return LocalStore(folder)


@pytest.fixture
def callers(tmp_path: Path) -> TokenFile:
    tokens = tmp_path / "tokens"
    tokens.write_text(f"team sha256:{hashlib.sha256(b'ours').hexdigest()}\n")
    return TokenFile(tokens)


@pytest.fixture
def server(serve: Callable[..., Any], local: LocalStore, callers: TokenFile) -> Any:
    return serve(local, callers=callers)


@pytest.fixture
def connect(tmp_path: Path) -> Iterator[Callable[..., HttpStore]]:
    """A store that puts to a port with a token."""
    opened: list[HttpStore] = []

    def connect(port: int, token: str | None = OURS, base: str = "") -> HttpStore:
        path = tmp_path / f"token-{token}"
        path.write_text(token or "")
        opened.append(HttpStore(f"http://127.0.0.1:{port}{base}", path if token else None))
        return opened[-1]

    yield connect
    for store in opened:
        store.close()


@pytest.fixture
def store(server: Any, connect: Callable[..., HttpStore]) -> HttpStore:
    return connect(server.port)


def kept(folder: Path) -> list[str]:
    """Everything in the volume, whole or half."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


class Raw:
    """One request, written by hand."""

    def __init__(self, port: int, target: str, **headers: str) -> None:
        given = {"Host": "x", "Authorization": "Bearer ours", "Content_Length": "4"} | {
            "Repr_Digest": digest_of(b"data")
        }
        lines = [f"{n.replace('_', '-')}: {v}" for n, v in (given | headers).items() if v]
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.socket.sendall("\r\n".join([f"PUT {target} HTTP/1.1", *lines, "", ""]).encode())

    def finish(self, body: bytes = b"data") -> int:
        """Sends the body; the answer's status."""
        with self.socket:
            self.socket.sendall(body)
            response = http.client.HTTPResponse(self.socket, method="PUT")
            with response:
                response.begin()
                response.read()
                return response.status


def counted(server: Any) -> dict[str, int]:
    lines = [
        line
        for line in server.get("/metrics").text.splitlines()
        if line.startswith("historyserver_puts_total")
    ]
    return {line.split('"')[1]: int(float(line.split()[-1])) for line in lines}


def test_what_is_put_is_stored_as_it_was_sent(store: HttpStore, local: LocalStore, server: Any) -> None:
    for key, data in ((key_of(), os.urandom(3 << 20)), (ENTRY, b"{}"), (key_of(cluster="c é%2F+"), b"")):
        info = store.put(key, data)
        found = local.get(key)
        assert found.data == data
        assert (info.etag, info.size) == (found.info.etag, len(data))
        assert info.modified == int(found.info.modified)
    assert store.put(ENTRY, b"{1}").etag == local.get(ENTRY).info.etag
    assert counted(server) == {"stored": 4}
    assert "historyserver_put_bytes_total" in server.get("/metrics").text


def test_puts_work_below_a_base_path(
    serve: Callable[..., Any], local: LocalStore, callers: TokenFile, connect: Callable[..., HttpStore]
) -> None:
    server = serve(local, callers=callers, base_path="/history")
    connect(server.port, base="/history/").put(key_of(), b"data")
    assert local.get(key_of()).data == b"data"
    with pytest.raises(StoreMisconfigured, match="no history server that takes puts"):
        connect(server.port).put(key_of(), b"data")


def test_a_server_that_was_not_told_to_takes_no_puts(
    serve: Callable[..., Any], local: LocalStore, connect: Callable[..., HttpStore], folder: Path
) -> None:
    with pytest.raises(StoreMisconfigured, match="--put-tokens"):
        connect(serve(local).port).put(key_of(), b"data")
    assert kept(folder) == []


@pytest.mark.parametrize("token", [None, "theirs", "Ours", "ours="])
def test_nobody_unknown_puts(
    server: Any, connect: Callable[..., HttpStore], folder: Path, token: str | None
) -> None:
    with pytest.raises(StoreRefused, match="token"):
        connect(server.port, token).put(key_of(), b"data")
    assert kept(folder) == []
    assert counted(server) == {"caller_unknown": 1}


@pytest.mark.parametrize(
    "authorization", ["", "ours", "Basic ours", "Bearer", "Bearer ", "Bearer ours x", "bearerours"]
)
def test_a_token_comes_as_a_bearers_or_not_at_all(server: Any, folder: Path, authorization: str) -> None:
    assert Raw(server.port, f"/store/{key_of()}", Authorization=authorization).finish() == 401
    assert kept(folder) == []


def test_a_caller_puts_into_its_own_namespace_only(store: HttpStore, folder: Path, server: Any) -> None:
    for key in (key_of("other"), CatalogName(SessionKey("team2", "team", SESSION), Role.WORKER).key):
        with pytest.raises(StoreRefused, match="'team'"):
            store.put(key, b"data")
    assert kept(folder) == []
    assert counted(server) == {"denied": 2}


GOOD = key_of()
FILE = GOOD.rpartition("/")[2]
ARABIC = "\u0660" * 7
HOSTILE = [
    "",
    "v1",
    "v1/catalog/",
    "v1/segments/",
    "v1/catalog/x.json",
    "v1/views/team/c/s/1/manifest",
    "v1/server/catalog-index.zst",
    "v1/server/tokens",
    "v2" + GOOD[2:],
    "x/" + GOOD,
    GOOD + "/",
    GOOD + "/x",
    GOOD + ".tmp",
    GOOD.removesuffix(".seg"),
    GOOD.upper(),
    GOOD.replace("-00000001.seg", "-1.seg"),
    GOOD.replace("-00000001.seg", "-00000000.seg"),
    GOOD.replace("-00000001.seg", f"-{ARABIC}1.seg"),
    GOOD.replace("9f3ac210", "9F3AC210"),
    GOOD.replace(SESSION, ".."),
    GOOD.replace(SESSION, "."),
    GOOD.replace(SESSION, ""),
    GOOD.replace(SESSION, "a..b"),
    GOOD.replace(SESSION, "a\\b"),
    GOOD.replace(SESSION, "a~b"),
    GOOD.replace(SESSION, "a\x00b"),
    GOOD.replace(SESSION, "a\x7fb"),
    GOOD.replace(SESSION, "a\nb"),
    GOOD.replace(SESSION, "s" * 97),
    GOOD.replace("/team/", "/../"),
    GOOD.replace("/team/", "/team/../"),
    GOOD.replace("/team/", "/./team/"),
    GOOD.replace("/team/", "//team/"),
    GOOD.replace("/team/", "/team//"),
    GOOD.replace("/team/", "/TEAM/"),
    GOOD.replace("/team/", "/team /"),
    GOOD.replace("/team/", "/t\u0435am/"),
    GOOD.replace("/team/", "/other/../team/"),
    GOOD.replace(NODE, ".."),
    GOOD.replace(NODE, "n" * 65),
    GOOD.replace(NODE, "a\x00"),
    "../" + GOOD,
    "../../etc/passwd",
    "/etc/passwd",
    "/" + GOOD,
    ".incoming/x",
    "v1/segments/../../" + GOOD,
    "v1/catalog/../segments" + GOOD.removeprefix("v1/segments"),
    ENTRY.replace("~team~", "~other~"),
    ENTRY.replace("~team~", "~..~"),
    ENTRY.replace("~head.json", "~admin.json"),
    ENTRY.replace("~head.json", "~head.json~"),
    ENTRY.replace("~head.json", "~head~head.json"),
    ENTRY.replace("~head.json", "/~head.json"),
    ENTRY.replace("v1/catalog/", "v1/catalog/0"),
    ENTRY + "\x00",
    ENTRY.replace(SESSION, "../../x"),
]
RAW = [
    f"/store/v1/segments/%2e%2e/team/c/{SESSION}/{NODE}/{FILE}",
    f"/store/v1/segments/team/c/%2e%2e/{NODE}/{FILE}",
    f"/store/v1/segments/team/c/%2E/{NODE}/{FILE}",
    f"/store/v1/segments/team%2F..%2Fother/c/{SESSION}/{NODE}/{FILE}",
    f"/store/v1/segments/team/c/%FF%FE/{NODE}/{FILE}",
    f"/store/v1/segments/team/c/%C0%AE%C0%AE/{NODE}/{FILE}",
    f"/store/v1/segments/team/c/%00/{NODE}/{FILE}",
    f"/store/v1/segments/team/c/a%0d%0ab/{NODE}/{FILE}",
    f"/store/v1/segments/team/c/a%5Cb/{NODE}/{FILE}",
    f"/store/v1/segments/team/c/a%7Eb/{NODE}/{FILE}",
    f"/store/{GOOD.replace('team', '%2574eam')}",
    "/store/%2Fetc%2Fpasswd",
    "/store/..%2f..%2fetc/passwd",
    f"/store/../../{GOOD}",
    f"/store//{GOOD}",
    f"/store/{GOOD}%00",
    f"/store/{GOOD}%20",
    f"/store/{GOOD};x",
    f"/store/{GOOD}%3Fx",
    f"/%2e%2e/store/{GOOD}",
]


def test_no_key_but_a_collectors_own_gets_in(server: Any, folder: Path) -> None:
    targets = [f"/store/{quote(key)}" for key in HOSTILE] + RAW
    answers = {target: Raw(server.port, target).finish() for target in targets}
    assert len(answers) >= 70
    assert {target: status for target, status in answers.items() if status not in {403, 404}} == {}
    assert kept(folder) == []
    assert Raw(server.port, f"/store/{GOOD}").finish() == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Repr_Digest": ""}, 400),
        ({"Repr_Digest": digest_of(b"date")}, 400),
        ({"Repr_Digest": "sha-256=:AAAA:"}, 400),
        ({"Repr_Digest": "md5=:jXd/OF09/siBXSD3SWAm3A==:"}, 400),
        ({"Content_Length": "", "Transfer_Encoding": "chunked"}, 411),
        ({"Content_Length": ""}, 411),
        ({"Content_Length": str(LARGEST_SEGMENT + 1)}, 413),
        ({"Content_Length": "9" * 17}, 413),
        ({"Content_Length": "-4"}, 400),
    ],
)
def test_a_body_that_is_not_what_was_announced_is_not_stored(
    server: Any, folder: Path, headers: dict[str, str], status: int
) -> None:
    body = b"data" if headers.get("Content_Length", "4") else b""
    assert Raw(server.port, f"/store/{GOOD}", **headers).finish(body) == status
    assert kept(folder) == []


def test_a_catalog_entry_is_small(store: HttpStore, folder: Path) -> None:
    store.put(ENTRY, bytes(LARGEST_ENTRY))
    with pytest.raises(StoreRefused, match="at most"):
        store.put(ENTRY, bytes(LARGEST_ENTRY + 1))
    assert len(kept(folder)) == 1


def eventually(holds: Callable[[], Any]) -> Any:
    waiting = threading.Event()
    for _ in range(1000):
        if value := holds():
            return value
        waiting.wait(0.02)
    raise AssertionError("not in time")


def test_half_a_body_stores_nothing(server: Any, folder: Path) -> None:
    raw = Raw(server.port, f"/store/{GOOD}")
    raw.socket.sendall(b"da")
    raw.socket.close()
    eventually(lambda: counted(server) == {"interrupted": 1})
    assert kept(folder) == []


def test_a_body_that_is_too_slow_is_given_up(
    server: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BODY_SECONDS", 0.2)
    assert Raw(server.port, f"/store/{GOOD}").finish(b"da") == 408
    assert kept(folder) == []
    assert counted(server) == {"too_slow": 1}


def test_bodies_wait_for_room_and_are_turned_away_when_none_gets_free(
    serve: Callable[..., Any], local: LocalStore, callers: TokenFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_ROOM", 6)
    monkeypatch.setattr(module, "_ROOM_SECONDS", 0.3)
    server = serve(local, callers=callers)
    first = Raw(server.port, f"/store/{GOOD}")
    other = key_of(sequence=2)
    assert Raw(server.port, f"/store/{other}").finish() == 503
    assert counted(server) == {"busy": 1}
    monkeypatch.setattr(module, "_ROOM_SECONDS", 20.0)
    second = Raw(server.port, f"/store/{other}")
    statuses: list[int] = []
    waiting = threading.Thread(target=lambda: statuses.append(second.finish()))
    waiting.start()
    assert first.finish() == 200
    waiting.join()
    assert statuses == [200]
    gone = Raw(server.port, f"/store/{GOOD}")
    gone.socket.close()
    assert Raw(server.port, f"/store/{GOOD}").finish() == 200


class Out:
    """A place to ask about tokens that does not answer."""

    def namespace_of(self, token: str) -> str | None:
        raise CallersUnknowable("it does not answer")


def test_nobody_puts_while_nobody_can_be_told(
    serve: Callable[..., Any], local: LocalStore, connect: Callable[..., HttpStore], folder: Path
) -> None:
    server = serve(local, callers=Out())
    with pytest.raises(TransientStoreError, match="does not answer") as raised:
        connect(server.port).put(key_of(), b"data")
    assert not raised.value.effect_unknown
    assert kept(folder) == []
    assert counted(server) == {"callers_out": 1}


def test_a_volume_that_is_gone_is_told_and_used_again_when_it_is_back(
    store: HttpStore, folder: Path, server: Any
) -> None:
    shutil.rmtree(folder)
    with pytest.raises(TransientStoreError, match="volume") as raised:
        store.put(GOOD, b"data")
    assert not raised.value.effect_unknown
    folder.mkdir()
    store.put(GOOD, b"data")
    assert counted(server) == {"failed": 1, "stored": 1}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full disk to be had")
def test_a_full_volume_is_told(
    store: HttpStore, monkeypatch: pytest.MonkeyPatch, server: Any, folder: Path
) -> None:
    real = os.fsync

    def full(descriptor: int) -> None:
        with open("/dev/full", "wb", buffering=0) as disk:  # noqa: PTH123 - what fails as a full disk does
            disk.write(b"x")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TransientStoreError, match=r"507.*full") as raised:
        store.put(GOOD, b"data")
    assert not raised.value.effect_unknown
    assert kept(folder) == []
    assert counted(server) == {"full": 1}


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "POST", "PATCH", "OPTIONS"])
def test_nothing_but_a_put_is_answered_there(server: Any, local: LocalStore, method: str) -> None:
    local.put(GOOD, b"data")
    answer = server.get(f"/store/{GOOD}", method=method, authorization="Bearer ours")
    assert (answer.status, answer.headers["allow"]) == (405, "PUT")
    assert local.get(GOOD).data == b"data"


def test_the_clock_is_told_to_anybody(store: HttpStore, local: LocalStore) -> None:
    assert abs(store.now() - local.now()) < 60
