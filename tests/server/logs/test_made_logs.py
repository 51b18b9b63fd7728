"""Logs of archives made for the purpose: ranged reads, gaps, damage, several origins, running sessions."""

import http.client
import io
import json
import zipfile
from collections.abc import Callable, Iterable
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import pytest

from archive.catalog import CatalogEntry, encode
from archive.compression import Compressor
from archive.layout import Origin, Role, SegmentName, SessionKey
from archive.segment import Facts, Frame, Mark, Range, assemble, compress, framed
from archive.store.base import Object
from archive.store.local import LocalStore

KEY: Final = SessionKey("lab", "made", "session_2026-11-23_02-43-27_490622_1")
BASE: Final = f"/clusters/{KEY.path}"
NODE: Final = "ab" * 28
ORIGIN: Final = Origin(1_795_401_807_000, "00000001")
LATER: Final = Origin(1_795_401_907_000, "00000002")
Serve = Callable[..., Any]


class CountingStore(LocalStore):
    """A folder that counts the bytes that are read from segments."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.counted = 0

    def get(
        self, key: str, *, start: int = 0, length: int | None = None, if_match: str | None = None
    ) -> Object:
        found = super().get(key, start=start, length=length, if_match=if_match)
        self.counted += len(found.data)
        return found

    def get_suffix(self, key: str, length: int, *, if_match: str | None = None) -> Object:
        found = super().get_suffix(key, length, if_match=if_match)
        self.counted += len(found.data)
        return found


@pytest.fixture
def store(tmp_path: Path) -> CountingStore:
    root = tmp_path / "store"
    root.mkdir()
    return CountingStore(root)


def put_catalog(store: LocalStore, state: str) -> None:
    entry = CatalogEntry(
        namespace=KEY.namespace,
        cluster=KEY.cluster,
        session=KEY.session,
        role=Role.HEAD,
        state="running" if state == "running" else "ended",
    )
    store.put(entry.name.key, encode(entry))


def put(
    store: LocalStore,
    sequence: int,
    ranges: Iterable[Range],
    *,
    origin: Origin = ORIGIN,
    node_id: str = NODE,
    marks: tuple[Mark, ...] = (),
    closed: bool = True,
    empty: tuple[str, ...] = (),
    **facts: str,
) -> str:
    name = SegmentName(KEY, node_id, origin, sequence)
    told = {"node_id": node_id, "role": "head", "node_ip": "192.0.2.7"} | facts
    frames: list[Frame] = [frame for piece in ranges for frame in compress(piece)]
    frames += [framed(f"logs/{path}", 0, 0, Compressor().compress(b"")) for path in empty]
    store.put(name.key, assemble(Facts(name, 1, "test", told, {}, marks, closed, None), frames))
    return name.key


def read(server: Any, filename: str = "a.log", lines: int = -1, **more: str) -> str:
    extra = "".join(f"&{name}={value}" for name, value in more.items())
    answer = server.get(f"{BASE}/api/v0/logs/file?node_id={NODE}&filename={filename}&lines={lines}{extra}")
    assert answer.status == 200, answer.text
    return str(answer.text)


def test_the_end_of_a_long_log_costs_little(serve: Serve, store: CountingStore) -> None:
    put_catalog(store, "ended")
    place = 0
    for sequence in range(1, 41):
        lines = [sha256(b"%d %d" % (sequence, number)).hexdigest() for number in range(8_000)]
        text = ("\n".join(lines) + "\n").encode()
        put(store, sequence, [Range("logs/big.log", place, text)])
        place += len(text)
    stored = sum(info.size for info in store.list("v1/segments/"))
    server = serve(store)
    store.counted = 0
    assert read(server, "big.log", 1000).encode() == b"".join(text.splitlines(keepends=True)[-1000:])
    assert stored > 10_000_000
    assert store.counted < 1_500_000


@pytest.mark.parametrize(
    "path", ["api/v0/logs/file?node_id={node}&filename=long.log&lines=-1", "api/history/logs/archive"]
)
def test_head_is_told_the_headers_and_reads_no_log(serve: Serve, store: CountingStore, path: str) -> None:
    text = b"".join(sha256(b"%d" % number).digest() for number in range(30_000))
    put(store, 1, [Range("logs/long.log", 0, text)])
    put_catalog(store, "ended")
    server = serve(store)
    place = f"{BASE}/{path.format(node=NODE)}"
    store.counted = 0
    told = server.get(place, method="HEAD")
    assert (told.status, told.body) == (200, b"")
    assert store.counted < 100_000
    whole = server.get(place)
    assert told.headers["content-disposition"] == whole.headers["content-disposition"]
    assert store.counted > len(text)


def test_a_log_that_lies_in_many_segments_and_twice_in_some_is_one_text(
    serve: Serve, store: CountingStore
) -> None:
    put_catalog(store, "ended")
    text = b"one\ntwo\nthree\nfour\nfive\n"
    put(store, 2, [Range("logs/a.log", 8, text[8:19])])
    put(store, 1, [Range("logs/a.log", 0, text[:10])])
    put(store, 3, [Range("logs/a.log", 12, text[12:])])
    assert read(serve(store)) == text.decode()


def test_bytes_that_are_missing_are_told_where_they_are_missing(serve: Serve, store: CountingStore) -> None:
    put_catalog(store, "ended")
    mark = Mark("logs/a.log", 8, "gap", "the ring was quicker", 1234)
    put(store, 1, [Range("logs/a.log", 0, b"one\ntwo\n")])
    put(store, 2, [Range("logs/a.log", 8, b"three\n")], marks=(mark,))
    put(store, 3, [Range("logs/a.log", 24, b"last\n")])
    lines = read(serve(store)).splitlines()
    assert lines[:2] == ["one", "two"]
    assert "1,234 bytes are missing here: the ring was quicker" in lines[2]
    assert lines[3] == "three"
    assert "10 bytes are missing" in lines[4]
    assert lines[5:] == ["last"]


def test_an_empty_rest_says_so_and_a_gap_is_told_once(serve: Serve, store: CountingStore) -> None:
    put_catalog(store, "running")
    gone = Mark("logs/gone.log", 0, "gap", "all of it", 99)
    gap = Mark("logs/a.log", 4, "gap", "here")
    put(store, 1, [Range("logs/a.log", 0, b"one\n")], marks=(gone, gap), closed=False)
    server = serve(store)
    assert read(server, "gone.log") == "[ray history: 99 bytes are missing here: all of it]\n"
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    with closing(connection):
        connection.request("GET", f"{BASE}/api/v0/logs/stream?node_id={NODE}&filename=a.log")
        response = connection.getresponse()
        assert response.read(4) == b"one\n"
        put(store, 2, [Range("logs/a.log", 4, b"two\n")])
        put_catalog(store, "ended")
        assert response.read() == b"[ray history: some bytes are missing here: here]\ntwo\n"


def test_a_damaged_segment_leaves_the_rest_readable_and_is_told(serve: Serve, store: CountingStore) -> None:
    put_catalog(store, "ended")
    put(store, 1, [Range("logs/a.log", 0, b"first\n")])
    middle = put(store, 2, [Range("logs/a.log", 6, b"second\n")])
    put(store, 3, [Range("logs/a.log", 13, b"third\n")])
    last = put(store, 4, [Range("logs/a.log", 19, b"fourth\n")])
    store.put(middle, store.get(middle).data[:-5])
    store.put(last, b"")
    server = serve(store)
    lines = read(server).splitlines()
    assert lines[0] == "first"
    assert "7 bytes are missing" in lines[1]
    assert lines[2] == "third"
    assert "there may be more: a segment can't be read" in lines[3]
    page = server.get(f"{BASE}/history/logs/", accept="text/html")
    assert page.status == 200
    assert page.text.count("a segment can&#39;t be read") == 2


def test_a_frame_with_changed_bytes_is_told_and_passed_by(serve: Serve, store: CountingStore) -> None:
    put_catalog(store, "ended")
    key = put(store, 1, [Range("logs/a.log", 0, b"first\n" * 50), Range("logs/b.log", 0, b"fine\n")])
    data = bytearray(store.get(key).data)
    data[12] ^= 0xFF
    store.put(key, bytes(data))
    server = serve(store)
    assert "300 bytes can't be read" in read(server)
    assert read(server, "b.log") == "fine\n"


def test_an_origin_that_began_anew_shows_the_longer_text_once(serve: Serve, store: CountingStore) -> None:
    put_catalog(store, "ended")
    put(store, 1, [Range("logs/a.log", 0, b"one\ntwo\n"), Range("logs/b.log", 0, b"older\n")])
    put(
        store,
        1,
        [Range("logs/a.log", 0, b"one\ntwo\nthree\n"), Range("logs/b.log", 0, b"younger\n")],
        origin=LATER,
    )
    server = serve(store)
    assert read(server) == "one\ntwo\nthree\n"
    lines = read(server, "b.log").splitlines()
    assert (lines[0], lines[-1]) == ("older", "younger")
    assert lines[1].startswith("[ray history:")


def test_a_file_that_ray_writes_anew_shows_its_newest_content(serve: Serve, store: CountingStore) -> None:
    put_catalog(store, "ended")
    stream = "logs/debug_state.txt"
    put(store, 1, [Range(stream, 0, b"old state\n")], marks=(Mark(stream, 0, "rewritten"),))
    put(store, 2, [Range(stream, 10, b"new state\n")], marks=(Mark(stream, 10, "rewritten"),))
    assert read(serve(store), "debug_state.txt") == "new state\n"


def test_empty_logs_are_listed_and_empty(serve: Serve, store: CountingStore) -> None:
    put_catalog(store, "ended")
    put(store, 1, [Range("logs/a.log", 0, b"x\n")], empty=("raylet.err", "events/event_GCS.log"))
    server = serve(store)
    listed = server.get(f"{BASE}/api/v0/logs?node_ip=192.0.2.7").json["data"]["result"]
    assert listed == {"internal": ["a.log", "events/"], "raylet": ["raylet.err"]}
    assert read(server, "raylet.err") == ""


def test_what_was_kept_under_a_stand_in_belongs_to_the_node(serve: Serve, store: CountingStore) -> None:
    put_catalog(store, "ended")
    put(store, 1, [Range("logs/early.log", 0, b"before\n")], node_id="pod-uid-1")
    put(store, 1, [Range("logs/a.log", 0, b"after\n")], origin=LATER, stands_in_for="pod-uid-1")
    server = serve(store)
    assert read(server, "early.log") == "before\n"
    page = server.get(f"{BASE}/history/logs/", accept="text/html").text
    assert "early.log" in page
    assert "pod-uid-1" not in page


def test_colours_are_dropped_only_when_asked(serve: Serve, store: CountingStore) -> None:
    put_catalog(store, "ended")
    put(store, 1, [Range("logs/a.log", 0, b"\x1b[31mred\x1b[0m\n")])
    server = serve(store)
    assert read(server) == "\x1b[31mred\x1b[0m\n"
    assert read(server, filter_ansi_code="True") == "red\n"


def test_a_log_of_a_running_session_is_followed_until_it_ends(serve: Serve, store: CountingStore) -> None:
    put_catalog(store, "running")
    put(store, 1, [Range("logs/a.log", 0, b"one\n")], closed=False)
    connection = http.client.HTTPConnection("127.0.0.1", serve(store).port, timeout=30)
    with closing(connection):
        connection.request("GET", f"{BASE}/api/v0/logs/stream?node_id={NODE}&filename=a.log")
        response = connection.getresponse()
        assert response.read(4) == b"one\n"
        put(store, 1, [Range("logs/a.log", 0, b"one\ntwo\n")])
        assert response.read(4) == b"two\n"
        put(store, 2, [Range("logs/a.log", 8, b"three\n")], closed=False)
        put_catalog(store, "ended")
        assert response.read() == b"three\n"


def test_a_segment_that_is_put_again_while_a_log_is_read_changes_nothing(
    serve: Serve, store: CountingStore
) -> None:
    put_catalog(store, "running")
    put(store, 1, [Range("logs/a.log", 0, b"one\n")], closed=False)
    server = serve(store)
    assert read(server) == "one\n"
    put(store, 1, [Range("logs/a.log", 0, b"one\ntwo\n")], closed=False)
    assert read(server).startswith("one\n")


def test_search_finds_lines_whatever_their_case_and_keeps_its_bounds(
    serve: Serve, store: CountingStore
) -> None:
    put_catalog(store, "ended")
    put(store, 1, [Range("logs/worker-ab-01-7.err", 0, b"fine\nValueError: Boom <b>\nfine\n")])
    put(store, 2, [Range("logs/raylet.out", 0, b"x" * 70_000 + b" boom \n" + b"boom\n" * 5)])
    server = serve(store)
    search = f"{BASE}/api/history/logs/search"
    found = server.get(f"{search}?q=bOOm").json["data"]
    assert [hit["filename"] for hit in found["hits"]] == ["worker-ab-01-7.err", *["raylet.out"] * 6]
    assert found["hits"][0]["line"] == "ValueError: Boom <b>"
    assert "boom" in found["hits"][1]["line"]
    assert len(found["hits"][1]["line"]) <= 400
    assert found["complete"] is True
    few = server.get(f"{search}?q=boom&limit=2").json["data"]
    assert (len(few["hits"]), few["complete"]) == (2, False)
    assert server.get(f"{search}?q=boom&glob=*.err").json["data"]["hits"][0]["filename"].endswith(".err")
    for bad in ("q=x", "", "q=boom&limit=0", "q=boom&node_id=none", "q=boom&glob=../*"):
        assert server.get(f"{search}?{bad}").status == 400, bad
    page = server.get(f"{BASE}/history/logs/?q=boom", accept="text/html").text
    assert "ValueError: <mark>Boom</mark> &lt;b&gt;" in page


def test_everything_can_be_taken_home_as_one_zip(serve: Serve, store: CountingStore) -> None:
    put_catalog(store, "ended")
    text = b"".join(b"line %d\n" % number for number in range(50_000))
    put(store, 1, [Range("logs/serve/big.log", 0, text)], empty=("raylet.err",))
    broken = put(store, 2, [Range("logs/a.log", 0, b"a\n")])
    store.put(broken, b"not a segment")
    answer = serve(store).get(f"{BASE}/api/history/logs/archive")
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
        assert archive.testzip() is None
        assert archive.read(f"{NODE}/serve/big.log").startswith(text)
        assert f"{NODE}/raylet.err" in archive.namelist()
        assert b"can't be read" in archive.read("COULD-NOT-BE-READ.txt")


def test_logs_can_be_read_before_the_session_is_opened(serve: Serve, store: CountingStore) -> None:
    put_catalog(store, "ended")
    put(store, 1, [Range("logs/a.log", 0, b"here\n"), Range("events", 0, b"{ this is no event }\n")])
    server = serve(store, patience_seconds=0.0)
    assert read(server) == "here\n"
    assert json.loads(server.get(f"{BASE}/api/v0/logs?node_id={NODE}").body)["result"] is True
