"""What OSS's successes say, where the stand-in is too well-behaved to say it."""

import random

import pytest
from fake_oss import objects

from archive.errors import StoreError, StoreMisconfigured, StoreRefused, TransientStoreError
from archive.store.oss.answers import Reply, nothing_of, object_of, page_of, undeleted
from archive.store.oss.checksum import crc64
from archive.store.oss.clock import StoreClock, seconds_of
from archive.store.oss.errors import DELETE, GET, HEAD, LIST, Asked
from archive.store.oss.span import Span

DATE = "Mon, 23 Nov 2026 02:43:27 GMT"
HEADERS = {"ETag": '"5B3C1A2E"', "Last-Modified": DATE, "x-oss-request-id": "5C3D9175"}


def asked(action: str = GET) -> Asked:
    return Asked(action, "history", "root/v1/a", "https://oss-cn-hangzhou-internal.aliyuncs.com")


def part(content_range: str, data: bytes) -> Reply:
    return Reply(206, {**HEADERS, "Content-Range": content_range}, data)


def test_a_part_is_where_the_answer_says_it_is() -> None:
    found = object_of(asked(), "v1/a", Span(3, 4), part("bytes 3-6/10", b"3456"))
    assert (found.start, found.data, found.info.size) == (3, b"3456", 10)
    assert found.info.etag == "5B3C1A2E"
    assert found.info.modified == seconds_of(DATE) == 1795401807


@pytest.mark.parametrize(
    ("span", "content_range", "data"),
    [
        (Span(3, 4), "bytes 2-5/10", b"2345"),
        (Span(3, 4), "bytes 3-5/10", b"345"),
        (Span(3, 4), "bytes 3-6/10", b"345"),
        (Span(3, 4), "bytes 3-6/*", b"3456"),
        (Span(3, 4), "", b"3456"),
        (Span(None, 4), "bytes 3-6/10", b"3456"),
        (Span(3, None), "bytes 3-6/10", b"3456"),
    ],
)
def test_a_part_other_than_the_one_asked_for_is_no_answer(
    span: Span, content_range: str, data: bytes
) -> None:
    with pytest.raises(TransientStoreError, match="other bytes came"):
        object_of(asked(), "v1/a", span, part(content_range, data))


@pytest.mark.parametrize(
    ("span", "data"), [(Span(3, 4), b"3456"), (Span(None, 4), b"6789"), (Span(20, 2), b"")]
)
def test_a_part_is_cut_out_of_the_whole_where_that_is_what_comes(span: Span, data: bytes) -> None:
    assert object_of(asked(), "v1/a", span, Reply(200, HEADERS, b"0123456789")).data == data


@pytest.mark.parametrize("size", [0, 9, 64 << 10, (64 << 10) + 1, 1 << 20])
def test_a_checksum_is_that_of_all_bytes_however_many(size: int) -> None:
    data = random.Random(size).randbytes(size)
    assert crc64(data) == objects.crc64(data)


@pytest.mark.parametrize("missing", ["ETag", "Last-Modified"])
def test_an_answer_without_version_or_time_is_none(missing: str) -> None:
    headers = {name: value for name, value in HEADERS.items() if name != missing}
    with pytest.raises(TransientStoreError, match="missing"):
        object_of(asked(), "v1/a", Span(0, None), Reply(200, headers, b""))


def test_an_object_that_grew_between_two_requests_is_read_again() -> None:
    reply = Reply(200, {**HEADERS, "Content-Length": "30"}, b"")
    with pytest.raises(TransientStoreError, match="replaced meanwhile"):
        nothing_of(asked(HEAD), "v1/a", Span(20, 5), reply)
    assert nothing_of(asked(HEAD), "v1/a", Span(30, 5), reply).start == 30


def listing(inside: str) -> Reply:
    return Reply(200, HEADERS, f"<ListBucketResult>{inside}</ListBucketResult>".encode())


def test_a_page_says_names_without_their_encoding_and_the_root() -> None:
    page = page_of(
        asked(LIST),
        listing(
            "<EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>"
            "<NextContinuationToken>a%2Bb%3D</NextContinuationToken>"
            "<Contents><Key>root%2Fa%20b%2Bc%25%E6%BC%A2</Key><Size>3</Size><ETag>&quot;5B&quot;</ETag>"
            "<LastModified>2026-11-23T02:43:27.000Z</LastModified></Contents>"
            "<CommonPrefixes><Prefix>root%2Fx%2F</Prefix></CommonPrefixes>"
        ),
        lambda name: name.removeprefix("root/"),
    )
    [info] = page.objects
    assert (info.key, info.size, info.etag, info.modified) == ("a b+c%漢", 3, "5B", 1795401807)
    assert page.folders == ("x/",)
    assert page.next == "a+b="


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, HEADERS, b""),
        Reply(200, HEADERS, b"<html><body>Welcome</body></html>"),
        Reply(200, HEADERS, b"<ListBucketResult><Contents>"),
        listing("<IsTruncated>true</IsTruncated>"),
        listing("<Contents><Key>a</Key><Size>many</Size></Contents>"),
        listing("<Contents><Key>a</Key><Size>1</Size><LastModified>now</LastModified></Contents>"),
    ],
)
def test_a_page_that_cannot_be_read_is_no_empty_one(reply: Reply) -> None:
    with pytest.raises(TransientStoreError):
        page_of(asked(LIST), reply, str)


@pytest.mark.parametrize("data", [b"", b"<DeleteResult></DeleteResult>"])
def test_a_quiet_answer_means_that_all_is_deleted(data: bytes) -> None:
    assert undeleted(asked(DELETE), Reply(200, HEADERS, data)) is None


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("AccessDenied", StoreRefused),
        ("FileImmutable", StoreMisconfigured),
        ("InternalError", TransientStoreError),
    ],
)
def test_what_could_not_be_deleted_is_told_with_its_name(code: str, kind: type[StoreError]) -> None:
    inside = f"<Error><Key>root%2Fv1%2Fb</Key><Code>{code}</Code><Message>No.</Message></Error>"
    error = undeleted(asked(DELETE), Reply(200, HEADERS, f"<DeleteResult>{inside}</DeleteResult>".encode()))
    assert type(error) is kind
    assert "oss://history/root/v1/b" in str(error)
    assert "5C3D9175" in str(error)


def test_another_answer_to_a_delete_is_no_success() -> None:
    with pytest.raises(TransientStoreError):
        undeleted(asked(DELETE), Reply(200, HEADERS, b"<html/>"))


def test_the_stores_clock_runs_on_between_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    times = {"monotonic": 500.0, "time": 1000.0}
    monkeypatch.setattr("archive.store.oss.clock.time.monotonic", lambda: times["monotonic"])
    monkeypatch.setattr("archive.store.oss.clock.time.time", lambda: times["time"])
    clock = StoreClock()
    assert (clock.now(), clock.ahead()) == (1000.0, 0.0)
    clock.heard(DATE)
    assert clock.ahead() == 1795401807 - 1000
    times["monotonic"] += 0.9
    clock.heard(DATE)  # the same second, heard later
    assert clock.now() == 1795401807.9
    times["monotonic"] += 60
    times["time"] -= 3600  # somebody sets this machine's clock
    assert clock.now() == pytest.approx(1795401867.9)
    clock.heard("Mon, 23 Nov 2026 01:00:00 GMT")
    assert clock.now() == 1795395600
    clock.heard("no date")
    assert clock.now() == 1795395600
