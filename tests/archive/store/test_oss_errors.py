"""What answers of OSS mean, one row each."""

import socket
import ssl

import pytest
from urllib3 import HTTPConnectionPool
from urllib3.connection import HTTPConnection
from urllib3.exceptions import (
    ConnectTimeoutError,
    IncompleteRead,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ProxyError,
    ReadTimeoutError,
    SSLError,
)

from archive.errors import (
    ObjectChanged,
    ObjectMissing,
    StoreError,
    StoreMisconfigured,
    StoreRefused,
    TransientStoreError,
)
from archive.store.oss.errors import (
    DELETE,
    GET,
    HEAD,
    LIST,
    PUT,
    Answer,
    Asked,
    Trouble,
    refused,
    unanswered,
)
from archive.store.oss.transport import TooSlow, trouble

PLACE = "https://oss-cn-hangzhou-internal.aliyuncs.com"
KEY = "root/v1/segments/team/cluster/session/node/1-2-3.seg"


def asked(action: str = PUT, name: str = KEY) -> Asked:
    return Asked(action, "history", name, PLACE)


ROWS = [
    (404, "NoSuchKey", "", ObjectMissing, "no such object"),
    (412, "PreconditionFailed", "", ObjectChanged, "replaced meanwhile"),
    (404, "NoSuchBucket", "", StoreMisconfigured, f"no such bucket at {PLACE}: create it"),
    (400, "InvalidBucketName", "", StoreMisconfigured, "no bucket's name"),
    (403, "InvalidAccessKeyId", "", StoreRefused, "does not know the access key id"),
    (403, "SignatureDoesNotMatch", "", StoreRefused, "does not belong to its id"),
    (403, "InvalidSecurityToken", "", StoreRefused, "security token: give a new one"),
    (403, "SecurityTokenExpired", "", TransientStoreError, "has expired: the next try asks for a new one"),
    (409, "FileAlreadyExists", "", StoreMisconfigured, "forbids overwriting"),
    (409, "FileImmutable", "", StoreMisconfigured, "without retention"),
    (409, "ObjectWormLocked", "", StoreMisconfigured, "without retention"),
    (403, "InvalidObjectState", "", StoreRefused, "archive storage class: restore it"),
    (403, "UserDisable", "", StoreRefused, "unpaid bills"),
    (400, "KmsServiceNotEnabled", "", StoreRefused, "kms:GenerateDataKey"),
    (403, "AccessDenied", "no kms:Decrypt", StoreRefused, "kms:Decrypt"),
    (400, "RequestTimeout", "", TransientStoreError, "too slowly"),
    (400, "IncompleteBody", "", TransientStoreError, "cut on the way"),
    (400, "InvalidDigest", "", TransientStoreError, "changed on the way"),
    (
        400,
        "InvalidArgument",
        "Invalid signing region, should be 'x'",
        StoreMisconfigured,
        "region does not fit",
    ),
    (400, "EntityTooLarge", "too large", StoreMisconfigured, "does not take the request: too large"),
    (405, "MethodNotAllowed", "", StoreMisconfigured, "does not take the request"),
    (
        403,
        "AccessDenied",
        "no right",
        StoreRefused,
        "oss:PutObject on acs:oss:*:*:history/root/v1/segments/*",
    ),
    (301, "", "", StoreMisconfigured, "give its region or its endpoint"),
    (307, "TemporaryRedirect", "", StoreMisconfigured, "give its region or its endpoint"),
    (
        403,
        "AccessDenied",
        "must be addressed using the specified endpoint",
        StoreMisconfigured,
        "its endpoint",
    ),
    (408, "", "", TransientStoreError, "in trouble or turns requests away"),
    (429, "TooManyRequests", "", TransientStoreError, "in trouble or turns requests away"),
    (500, "InternalError", "", TransientStoreError, "in trouble or turns requests away"),
    (503, "ServiceUnavailable", "", TransientStoreError, "in trouble or turns requests away"),
]


@pytest.mark.parametrize(("status", "code", "message", "kind", "says"), ROWS)
def test_each_answer_has_its_error_and_its_sentence(
    status: int, code: str, message: str, kind: type[StoreError], says: str
) -> None:
    error = refused(asked(), Answer(status, code, message, request_id="5C3D9175B6FC201293AD4890"))
    assert type(error) is kind
    assert error.code == code
    assert says in str(error)
    assert str(error).startswith(f"PutObject of oss://history/{KEY} failed: ")
    assert str(error).endswith("[request 5C3D9175B6FC201293AD4890]")


@pytest.mark.parametrize(
    ("action", "name", "right"),
    [
        (PUT, "root/v1/catalog/a", "oss:PutObject on acs:oss:*:*:history/root/v1/catalog/*"),
        (PUT, "a", "oss:PutObject on acs:oss:*:*:history/*"),
        (GET, KEY, "oss:GetObject on acs:oss:*:*:history/root/v1/segments/*"),
        (HEAD, KEY, "oss:GetObject on acs:oss:*:*:history/root/v1/segments/*"),
        (DELETE, KEY, "oss:DeleteObject on acs:oss:*:*:history/root/v1/segments/*"),
        (LIST, "root/v1/", "oss:ListObjects on acs:oss:*:*:history"),
        ("GetBucketInfo", "", "oss:GetBucketInfo on acs:oss:*:*:history"),
    ],
)
def test_a_missing_right_is_named_as_a_policy_writes_it(action: str, name: str, right: str) -> None:
    error = refused(asked(action, name), Answer(403, "AccessDenied", "You have no right."))
    assert f"that takes {right}, which this identity has not" in str(error)


def test_the_endpoint_that_oss_names_is_in_the_sentence() -> None:
    answer = Answer(403, "AccessDenied", "specified endpoint", endpoint="oss-cn-beijing.aliyuncs.com")
    assert "or its endpoint oss-cn-beijing.aliyuncs.com" in str(refused(asked(), answer))


@pytest.mark.parametrize(
    ("skew", "says"),
    [
        (3600.4, "is 3600 s behind OSS's"),
        (-900.0, "is 900 s ahead of OSS's"),
        (0.0, "OSS's clock has jumped"),
    ],
)
def test_a_wrong_clock_is_told_with_the_difference(skew: float, says: str) -> None:
    error = refused(asked(), Answer(403, "RequestTimeTooSkewed", skew=skew))
    assert isinstance(error, TransientStoreError)
    assert says in str(error)


@pytest.mark.parametrize("action", [GET, HEAD])
def test_an_answer_without_a_body_still_tells_that_nothing_is_there(action: str) -> None:
    assert type(refused(asked(action), Answer(404))) is ObjectMissing
    assert type(refused(asked(action), Answer(412))) is ObjectChanged
    assert type(refused(asked(LIST), Answer(404))) is StoreMisconfigured


@pytest.mark.parametrize(
    ("status", "code", "unknown"),
    [
        (500, "InternalError", True),
        (503, "ServiceUnavailable", True),
        (502, "", True),
        (504, "", True),
        (503, "ServerBusy", False),
        (503, "SlowDown", False),
        (503, "UploadTrafficRateLimitExceeded", False),
        (503, "TotalQpsLimitExceeded", False),
        (429, "TooManyRequests", False),
        (408, "", False),
        (403, "SecurityTokenExpired", False),
        (403, "RequestTimeTooSkewed", False),
        (400, "InvalidDigest", False),
    ],
)
def test_a_put_may_have_happened_only_where_no_answer_says_otherwise(
    status: int, code: str, unknown: bool
) -> None:
    error = refused(asked(), Answer(status, code))
    assert isinstance(error, TransientStoreError)
    assert error.effect_unknown is unknown
    read = refused(asked(GET), Answer(status, code))
    assert isinstance(read, TransientStoreError)
    assert not read.effect_unknown


@pytest.mark.parametrize(
    ("status", "kind", "unknown", "says"),
    [
        (200, StoreMisconfigured, False, "is not OSS (status 200, a web page): correct the endpoint"),
        (403, StoreMisconfigured, False, "is not OSS (status 403, a web page)"),
        (404, StoreMisconfigured, False, "is not OSS (status 404, a web page)"),
        (407, StoreMisconfigured, False, "wants a login first"),
        (511, StoreMisconfigured, False, "wants a login first"),
        (429, TransientStoreError, False, "gateway before OSS"),
        (502, TransientStoreError, True, "gateway before OSS"),
        (504, TransientStoreError, True, "gateway before OSS"),
    ],
)
def test_what_is_not_oss_is_told_apart_from_it(
    status: int, kind: type[StoreError], unknown: bool, says: str
) -> None:
    error = refused(asked(), Answer(status, content_type="text/html; charset=utf-8", by_oss=False))
    assert type(error) is kind
    assert says in str(error)
    assert getattr(error, "effect_unknown", False) is unknown


def test_what_oss_says_is_kept_on_one_line_and_short() -> None:
    error = refused(asked(), Answer(400, "InvalidArgument", "a\r\nb\tc" + "d" * 1000, "0017-00000902"))
    assert "a b cddd" in str(error)
    assert "(400 InvalidArgument 0017-00000902)" in str(error)
    assert len(str(error)) < 600


@pytest.mark.parametrize(
    ("what", "kind", "unknown"),
    [
        (Trouble.UNREACHABLE, TransientStoreError, False),
        (Trouble.CUT, TransientStoreError, False),
        (Trouble.LOST, TransientStoreError, True),
        (Trouble.DAMAGED, TransientStoreError, True),
        (Trouble.UNTRUSTED, StoreMisconfigured, False),
        (Trouble.NO_TLS, StoreMisconfigured, False),
    ],
)
def test_no_answer_is_no_refusal(what: Trouble, kind: type[StoreError], unknown: bool) -> None:
    error = unanswered(asked(), what, "some detail")
    assert type(error) is kind
    assert "(some detail)" in str(error)
    assert getattr(error, "effect_unknown", False) is unknown
    assert not getattr(unanswered(asked(GET), what, ""), "effect_unknown", False)


def untrusted() -> Exception:
    cause = ssl.SSLCertVerificationError(1, "certificate verify failed")
    cause.verify_message = "self-signed certificate"
    return SSLError(cause)


def no_tls() -> Exception:
    cause = ssl.SSLError(1, "wrong version number")
    cause.reason = "WRONG_VERSION_NUMBER"
    return SSLError(cause)


def chained(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


CONNECTION = HTTPConnection("bucket.example.org")
POOL = HTTPConnectionPool("bucket.example.org")
NO_NAME = socket.gaierror(socket.EAI_NONAME, "Name or service not known")


@pytest.mark.parametrize(
    ("error", "what", "detail"),
    [
        (
            chained(
                NewConnectionError(CONNECTION, "failed"), ConnectionRefusedError(111, "Connection refused")
            ),
            Trouble.UNREACHABLE,
            "Connection refused",
        ),
        (
            NameResolutionError("bucket.example.org", CONNECTION, NO_NAME),
            Trouble.UNREACHABLE,
            "Name or service not known",
        ),
        (ConnectTimeoutError(CONNECTION, "timed out"), Trouble.UNREACHABLE, "no connection in 5 s"),
        (
            ProxyError("no way", ConnectionRefusedError(111, "Connection refused")),
            Trouble.UNREACHABLE,
            "Connection refused",
        ),
        (untrusted(), Trouble.UNTRUSTED, "self-signed certificate"),
        (no_tls(), Trouble.NO_TLS, "wrong version number"),
        (ReadTimeoutError(POOL, "/", "timed out"), Trouble.LOST, "nothing came or went in time"),
        (
            ProtocolError("aborted", ConnectionResetError(104, "Connection reset by peer")),
            Trouble.LOST,
            "Connection reset by peer",
        ),
        (ProtocolError("aborted", TimeoutError("timed out")), Trouble.LOST, "nothing came or went in time"),
        (IncompleteRead(10, 90), Trouble.LOST, "IncompleteRead(10 bytes read, 90 more expected)"),
        (TooSlow("slower than 32 KiB a second"), Trouble.LOST, "slower than 32 KiB a second"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_an_exception_of_the_line_is_told_in_the_systems_words(
    error: Exception, what: Trouble, detail: str
) -> None:
    found = trouble(error)
    assert found[0] is what
    assert detail in found[1]
