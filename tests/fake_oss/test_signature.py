import hashlib
import hmac
import http.client
from email.utils import formatdate

import alibabacloud_oss_v2 as official
import pytest

from fake_oss import FakeOss
from fake_oss.conftest import MakeClient
from fake_oss.refusals import refusal
from fake_oss.signature import canonical_request, signing_key, string_to_sign
from fake_oss.wire import Request

KEY = "root/v1/a"


def test_a_signature_is_that_of_the_vendors_clients() -> None:
    # The case that the vendor's clients share in their own tests, whatever language they are in.
    stamp = "20231216T162057Z"
    request = Request(
        "PUT",
        "/1234%2B-/123/1.txt",
        [
            ("param1", "value1"),
            ("%2Bparam1", "value3"),
            ("%7Cparam1", "value4"),
            ("%2Bparam2", ""),
            ("%7Cparam2", ""),
            ("param2", ""),
        ],
        {
            "x-oss-head1": "value",
            "abc": "value",
            "content-type": "text/plain",
            "x-oss-content-sha256": "UNSIGNED-PAYLOAD",
            "x-oss-date": stamp,
        },
    )
    canonical = canonical_request(request, (), "/bucket/1234+-/123/1.txt")
    to_sign = string_to_sign(stamp, "20231216/cn-hangzhou/oss/aliyun_v4_request", canonical)
    key = signing_key("sk", "20231216", "cn-hangzhou")
    assert (
        hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
        == "e21d18daa82167720f9b1047ae7e7f1ce7cb77a31e8203a7d5f4624fa0284afe"
    )


@pytest.mark.parametrize("key", [KEY, "root/ü 漢/+%&=?#~!'()*;:@$,[]", "root/a b/\U0001f600"])
def test_requests_of_the_official_client_are_believed_whatever_the_key(
    oss: FakeOss, client_of: MakeClient, key: str
) -> None:
    client = client_of(additional_headers=["host", "content-length"])
    client.put_object(official.PutObjectRequest("history", key, body=b"data"))
    assert oss.get(key) == b"data"
    assert oss.requests(identity="operator", status=200)


def test_a_wrong_secret_and_an_unknown_key_are_told_apart(oss: FakeOss, client_of: MakeClient) -> None:
    wrong = {**oss.environment("operator"), "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "wrong"}
    with refusal() as told:
        client_of(credentials=wrong).get_object(official.GetObjectRequest("history", KEY))
    assert (told.status, told.code) == (403, "SignatureDoesNotMatch")
    given = oss.environment("operator")
    oss.remove_identity("operator")
    with refusal() as told:
        client_of(credentials=given).get_object(official.GetObjectRequest("history", KEY))
    assert (told.status, told.code, told.ec) == (403, "InvalidAccessKeyId", "0002-00000902")


def test_another_region_in_the_scope_is_refused(client_of: MakeClient) -> None:
    with refusal() as told:
        client_of(region="cn-beijing").get_object(official.GetObjectRequest("history", KEY))
    assert (told.status, told.code, told.ec) == (400, "InvalidArgument", "0002-00000226")


@pytest.mark.parametrize("offset", [-901.0, 901.0])
def test_a_clock_more_than_a_quarter_of_an_hour_off_is_refused(
    oss: FakeOss, client: official.Client, offset: float
) -> None:
    oss.set_clock(offset)
    with refusal() as told:
        client.get_object(official.GetObjectRequest("history", KEY))
    assert (told.status, told.code, told.ec) == (403, "RequestTimeTooSkewed", "0002-00000504")
    oss.set_clock(offset * 0.98)
    with refusal() as told:
        client.get_object(official.GetObjectRequest("history", KEY))
    assert told.code == "NoSuchKey"


def test_temporary_credentials_are_good_with_their_token_until_they_expire(
    oss: FakeOss, client_of: MakeClient
) -> None:
    oss.put(KEY, b"data")
    request = official.GetObjectRequest("history", KEY)
    given = oss.token_environment("server", seconds=1000)
    client = client_of(credentials=given)
    assert client.get_object(request).body.read() == b"data"
    oss.set_clock(1001)
    with refusal() as told:
        client_of(credentials=given).get_object(request)
    assert told.code == "RequestTimeTooSkewed"  # the client signs by its own clock
    oss.set_clock(0)
    oss.set_lifetime(-1)
    with refusal() as told:
        client_of(credentials=oss.token_environment("server")).get_object(request)
    assert (told.status, told.code, told.ec) == (403, "SecurityTokenExpired", "0002-00000007")
    for token, code in ((None, "InvalidAccessKeyId"), ("of another", "InvalidSecurityToken")):
        changed = {**given, "ALIBABA_CLOUD_SECURITY_TOKEN": token}
        with refusal() as told:
            client_of(credentials=changed).get_object(request)
        assert told.code == code


def test_version_1_and_no_signature_are_refused(
    oss: FakeOss, client_of: MakeClient, raw: http.client.HTTPConnection
) -> None:
    oss.put(KEY, b"data")
    with refusal() as told:
        client_of(signature_version="v1").get_object(official.GetObjectRequest("history", KEY))
    assert (told.status, told.code) == (400, "InvalidArgument")
    assert "version 1" in told.message
    raw.request("GET", f"/history/{KEY}", headers={"Date": formatdate(usegmt=True)})
    answer = raw.getresponse()
    assert (answer.status, b"<Code>AccessDenied</Code>" in answer.read()) == (403, True)


def test_a_request_that_was_changed_on_the_way_is_refused(
    oss: FakeOss, raw: http.client.HTTPConnection
) -> None:
    from fake_oss.signing import signed

    headers = signed(oss, "GET", f"/history/{KEY}", {"x-oss-range-behavior": "standard"})
    oss.put(KEY, b"data")
    for changed, status in ((headers, 200), ({**headers, "x-oss-range-behavior": "other"}, 403)):
        raw.request("GET", f"/history/{KEY}", headers=changed)
        answer = raw.getresponse()
        answer.read()
        assert answer.status == status
