import base64
import hashlib
import http.client

import alibabacloud_oss_v2 as official
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fake_oss import FakeOss, noncurrent_expiry
from fake_oss.conftest import MakeClient
from fake_oss.objects import crc64
from fake_oss.refusals import refusal
from fake_oss.signing import signed

KEY = "root/v1/a"


def md5(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()


def put(client: official.Client, key: str = KEY, data: bytes = b"0123456789", **more: object) -> object:
    return client.put_object(official.PutObjectRequest("history", key, body=data, **more))


def test_a_put_is_answered_with_checksums(client: official.Client) -> None:
    assert crc64(b"123456789") == 0x995DC9BBDF1939FA  # the check value of CRC-64/XZ
    result = put(client)
    assert result.etag == '"781E5E245D69B566979B86E28D23F2C7"'
    assert result.hash_crc64 == str(crc64(b"0123456789"))


def test_a_put_with_another_md5_changes_nothing(oss: FakeOss, client: official.Client) -> None:
    with refusal() as told:
        put(client, content_md5=md5(b"other"))
    assert (told.status, told.code) == (400, "InvalidDigest")
    assert oss.keys() == []


def test_a_put_that_must_not_overwrite_does_not(oss: FakeOss, client: official.Client) -> None:
    put(client, forbid_overwrite=True)
    with refusal() as told:
        put(client, data=b"other", forbid_overwrite=True)
    assert (told.status, told.code) == (409, "FileAlreadyExists")
    assert oss.get(KEY) == b"0123456789"
    with refusal() as told:
        put(client, headers={"x-oss-forbid-overwrite": "yes"})
    assert told.code == "InvalidArgument"
    oss.configure(versioning="Enabled")  # where it does not count
    put(client, data=b"other", forbid_overwrite=True)
    assert oss.get(KEY) == b"other"


@pytest.mark.parametrize("key", ["/root/a", "\\root", "root/" + "a" * 1019])
def test_a_name_that_oss_does_not_take_is_refused(
    oss: FakeOss, raw: http.client.HTTPConnection, key: str
) -> None:
    path = f"/history/{key}"
    raw.request("PUT", path, body=b"", headers=signed(oss, "PUT", path))
    answer = raw.getresponse()
    assert answer.status in {400, 403}
    answer.read()
    assert oss.keys() == []


@pytest.mark.parametrize(
    ("asked", "plain", "standard"),
    [
        ("bytes=0-4", b"01234", b"01234"),
        ("bytes=4-", b"456789", b"456789"),
        ("bytes=-3", b"789", b"789"),
        ("bytes=9-9", b"9", b"9"),
        ("bytes=5-20", None, b"56789"),
        ("bytes=-20", None, b"0123456789"),
        ("bytes=10-", None, 416),
        ("bytes=12-15", None, 416),
        ("bytes=-0", None, 416),
        ("bytes=5-4", None, None),
        ("byte=0-4", None, None),
        ("bytes=-", None, None),
    ],
)
def test_ranges_within_the_object_are_parts_and_others_as_asked_for(
    client: official.Client, asked: str, plain: bytes | None, standard: bytes | int | None
) -> None:
    """None: all of it, with 200, as OSS answers a range that it can't serve, unless told otherwise."""
    put(client)
    for behaviour, wanted in ((None, plain), ("standard", standard)):
        request = official.GetObjectRequest("history", KEY, range_header=asked, range_behavior=behaviour)
        if wanted == 416:
            with refusal() as told:
                client.get_object(request)
            assert (told.status, told.code) == (416, "InvalidRange")
            continue
        result = client.get_object(request)
        data = result.body.read()
        assert data == (b"0123456789" if wanted is None else wanted)
        assert result.status_code == (200 if wanted is None else 206)
        start = b"0123456789".index(data)
        told = None if wanted is None else f"bytes {start}-{start + len(data) - 1}/10"
        assert result.content_range == told


def test_an_empty_object_has_no_range_but_itself(client: official.Client) -> None:
    put(client, data=b"")
    assert client.get_object(official.GetObjectRequest("history", KEY)).body.read() == b""
    with refusal() as told:
        client.get_object(
            official.GetObjectRequest("history", KEY, range_header="bytes=0-", range_behavior="standard")
        )
    assert told.status == 416


def test_conditions_are_held(client: official.Client) -> None:
    etag = put(client).etag
    assert client.get_object(official.GetObjectRequest("history", KEY, if_match=etag)).body.read()
    assert client.get_object(official.GetObjectRequest("history", KEY, if_none_match="other")).body.read()
    with refusal() as told:
        client.get_object(official.GetObjectRequest("history", KEY, if_match="other"))
    assert (told.status, told.code) == (412, "PreconditionFailed")
    with pytest.raises(official.exceptions.OperationError, match="304"):
        client.get_object(official.GetObjectRequest("history", KEY, if_none_match=etag))


def test_head_tells_all_but_the_bytes_and_why_not(client: official.Client) -> None:
    etag = put(client).etag
    result = client.head_object(official.HeadObjectRequest("history", KEY))
    assert (result.content_length, result.etag, result.object_type) == (10, etag, "Normal")
    with refusal() as told:
        client.head_object(official.HeadObjectRequest("history", "root/none"))
    assert (told.status, told.code, told.ec) == (404, "NoSuchKey", "0026-00000001")


def test_deleting_is_fine_with_what_is_missing(oss: FakeOss, client: official.Client) -> None:
    put(client)
    for _ in range(2):
        result = client.delete_object(official.DeleteObjectRequest("history", KEY))
        assert result.status_code == 204
    keys = ["root/ü 漢", "root/a&<b>", "root/b"]
    for key in keys:
        put(client, key)
    names = [official.DeleteObject(key) for key in [*keys, "root/none"]]
    result = client.delete_multiple_objects(
        official.DeleteMultipleObjectsRequest("history", objects=names, encoding_type="url")
    )
    assert [one.key for one in result.deleted_objects] == [*keys, "root/none"]
    assert oss.keys() == []
    result = client.delete_multiple_objects(
        official.DeleteMultipleObjectsRequest("history", objects=names, quiet=True)
    )
    assert not result.deleted_objects


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"<Delete><Object><Key>root/a</Key></Object>", "MalformedXML"),
        (b"<Delete></Delete>", "MalformedXML"),
        (b"<Delete>" + b"<Object><Key>root/a</Key></Object>" * 1001 + b"</Delete>", "MalformedXML"),
        (None, "MissingArgument"),
    ],
)
def test_a_delete_of_many_is_well_formed_of_1000_at_most_and_has_its_md5(
    oss: FakeOss, raw: http.client.HTTPConnection, body: bytes | None, code: str
) -> None:
    data = body or b"<Delete><Object><Key>root/a</Key></Object></Delete>"
    digest = {"Content-MD5": md5(data)} if body else {}
    path = "/history/?delete"
    raw.request("POST", path, body=data, headers=signed(oss, "POST", path, digest))
    assert f"<Code>{code}</Code>".encode() in raw.getresponse().read()


letters = st.sampled_from(["a", "b", "/", "/", " ", "+", "ü", "漢", "\U0001f600", "￿", "~"])
keys = st.text(letters, min_size=1, max_size=5).map(lambda name: f"root/{name}")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sets(keys, max_size=25),
    st.tuples(
        st.sampled_from(["root/", "root/a", "root/a/", "root/ü"]),
        st.one_of(st.just(""), keys),
        st.sampled_from([None, "/"]),
    ),
    st.integers(1, 5),
)
def test_pages_of_a_listing_put_together_are_all_there_is_in_order_of_bytes(
    client: official.Client, oss: FakeOss, names: set[str], question: tuple[str, str, str | None], most: int
) -> None:
    prefix, after, by = question
    for key in oss.keys("root/"):
        client.delete_object(official.DeleteObjectRequest("history", key))
    for key in names:
        oss.put(key, b"")
    fitting = sorted((key for key in names if key.startswith(prefix) and key > after), key=str.encode)
    expected, folders = [], []
    for key in fitting:
        end = -1 if by is None else key.find(by, len(prefix))
        if end < 0:
            expected.append(key)
        elif key[: end + 1] not in folders:
            folders.append(key[: end + 1])
    found, found_folders = [], []
    request = official.ListObjectsV2Request(
        "history", prefix=prefix, start_after=after, delimiter=by, max_keys=most
    )
    while True:
        page = client.list_objects_v2(request)
        found += [one.key for one in page.contents or []]
        found_folders += [one.prefix for one in page.common_prefixes or []]
        assert page.key_count == len(page.contents or []) + len(page.common_prefixes or []) <= most
        if not page.is_truncated:
            break
        request.continuation_token = page.next_continuation_token
    assert (found, found_folders) == (expected, folders)


def test_a_page_has_100_entries_unless_asked_and_1000_at_most(oss: FakeOss, client: official.Client) -> None:
    for number in range(120):
        oss.put(f"root/{number}", b"")
    page = client.list_objects_v2(official.ListObjectsV2Request("history", prefix="root/"))
    assert (len(page.contents), page.is_truncated) == (100, True)
    for most in (0, 1001):
        with refusal() as told:
            client.list_objects_v2(official.ListObjectsV2Request("history", prefix="root/", max_keys=most))
        assert told.code == "InvalidArgument"


def test_a_bucket_tells_its_settings_and_lives_by_them(oss: FakeOss, client: official.Client) -> None:
    info = client.get_bucket_info(official.GetBucketInfoRequest("history")).bucket_info
    assert (info.storage_class, info.location, info.acl) == ("Standard", "oss-cn-hangzhou", "private")
    for ask in (
        lambda: client.get_bucket_worm(official.GetBucketWormRequest("history")),
        lambda: client.get_bucket_lifecycle(official.GetBucketLifecycleRequest("history")),
        lambda: client.get_bucket_overwrite_config(official.GetBucketOverwriteConfigRequest("history")),
    ):
        with refusal() as told:
            ask()
        assert told.status == 404
    put(client)
    oss.configure(storage_class="IA", versioning="Enabled", worm="Locked", lifecycle=(noncurrent_expiry(3),))
    info = client.get_bucket_info(official.GetBucketInfoRequest("history")).bucket_info
    assert (info.storage_class, info.versioning) == ("IA", "Enabled")
    worm = client.get_bucket_worm(official.GetBucketWormRequest("history"))
    assert worm.worm_configuration.state == "Locked"
    rules = client.get_bucket_lifecycle(official.GetBucketLifecycleRequest("history")).lifecycle_configuration
    assert rules.rules[0].noncurrent_version_expiration.noncurrent_days == 3
    for change in (
        lambda: put(client),
        lambda: client.delete_object(official.DeleteObjectRequest("history", KEY)),
    ):
        with refusal() as told:
            change()
        assert (told.status, told.code) == (409, "FileImmutable")
    oss.configure(worm="", no_overwrite=("root/v1/",))
    config = client.get_bucket_overwrite_config(official.GetBucketOverwriteConfigRequest("history"))
    assert config.overwrite_configuration.rules[0].prefix == "root/v1/"
    with refusal() as told:
        put(client)
    assert told.code == "FileAlreadyExists"


def test_a_missing_bucket_and_one_of_another_region_are_told_apart(client_of: MakeClient) -> None:
    with refusal() as told:
        put_in = official.PutObjectRequest("none", KEY, body=b"")
        client_of().put_object(put_in)
    assert (told.status, told.code, told.ec) == (404, "NoSuchBucket", "0015-00000101")
    with FakeOss(elsewhere={"far-away": "cn-beijing"}) as oss:
        request = official.PutObjectRequest("far-away", KEY, body=b"")
        with refusal() as told:
            client_of(endpoint=oss.endpoint, credentials=oss.environment()).put_object(request)
    assert (told.status, told.code) == (403, "AccessDenied")
    assert "specified endpoint" in told.message


def test_the_bucket_is_named_by_the_host_but_for_ip_addresses(
    oss: FakeOss, raw: http.client.HTTPConnection, client_of: MakeClient
) -> None:
    oss.put(KEY, b"data")
    hosts = {
        "history.oss-cn-hangzhou.aliyuncs.com": 200,
        "history.oss-cn-hangzhou-internal.aliyuncs.com": 200,
        "other.oss-cn-hangzhou.aliyuncs.com": 403,  # signed for another bucket
        "oss-cn-hangzhou.aliyuncs.com": 403,
    }
    for host, status in hosts.items():
        path = f"/{KEY}"
        headers = signed(oss, "GET", path, bucket_path=f"/history/{KEY}")
        raw.request("GET", path, headers={**headers, "Host": host})
        answer = raw.getresponse()
        answer.read()
        assert answer.status == status, host
    port = oss.endpoint.rpartition(":")[2]
    by_name = client_of(endpoint=f"http://localhost:{port}", use_cname=True)
    assert by_name.get_object(official.GetObjectRequest("history", KEY)).body.read() == b"data"
