"""RRSA against a strict STS: the request it sends, each refusal's sentence, and whatever else may answer."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from fake_oss import Fault, Html, Redirect, Refuse, ResetAnswer, Trickle

from archive.credentials import http, source_from
from archive.credentials.rrsa import session_name, sts_endpoint
from archive.errors import CredentialsMissing, CredentialsRefused, StoreMisconfigured, TransientStoreError


@pytest.fixture
def environment(services, tmp_path):
    return services.rrsa_environment(tmp_path / "token")


def test_a_service_account_s_token_becomes_an_hour_of_its_role(services, environment) -> None:
    found = source_from(environment).current()
    assert found.access_key_id.startswith("STS.")
    assert found.security_token
    assert found.expires == pytest.approx(services.now() + 3600, abs=3)


def test_the_request_is_unsigned_and_the_token_stands_in_its_body_only(raw, environment) -> None:
    raw.say("503 Service Unavailable", b"{}")
    with pytest.raises(TransientStoreError):
        source_from(environment | {"ALIBABA_CLOUD_STS_ENDPOINT": raw.url, "HOSTNAME": "head_0/x"}).current()
    head, _, body = raw.requests[0].partition(b"\r\n\r\n")
    query = parse_qs(urlsplit(head.split()[1].decode()).query)
    assert query["Action"] == ["AssumeRoleWithOIDC"]
    assert query["Version"] == ["2015-04-01"]
    assert query["Format"] == ["JSON"]
    fields = {name: values[0] for name, values in parse_qs(body.decode()).items()}
    assert fields.pop("OIDCToken") == Path(environment["ALIBABA_CLOUD_OIDC_TOKEN_FILE"]).read_text()
    assert fields == {
        "RoleArn": environment["ALIBABA_CLOUD_ROLE_ARN"],
        "OIDCProviderArn": environment["ALIBABA_CLOUD_OIDC_PROVIDER_ARN"],
        "RoleSessionName": "head_0-x",
        "DurationSeconds": "3600",
    }
    assert b"Authorization" not in head
    assert b"OIDCToken" not in head


def test_the_token_is_read_again_at_each_use(services, environment, tmp_path) -> None:
    (tmp_path / "token").write_text(services.oidc_token("collector", seconds=-60))
    source = source_from(environment)
    with pytest.raises(CredentialsRefused, match="has expired"):
        source.current()
    (tmp_path / "token").write_text(services.oidc_token("collector") + "\n")
    fresh = source_from(environment)
    assert fresh.current().access_key_id.startswith("STS.")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "No such file"),
        (b"", "is empty"),
        (b"a b", "holds no token"),
        (b"x" * 20_001, "holds no token"),
    ],
)
def test_a_token_file_that_is_gone_or_holds_no_token_is_named(environment, tmp_path, content, words) -> None:
    (tmp_path / "token").unlink()
    if content is not None:
        (tmp_path / "token").write_bytes(content)
    with pytest.raises(CredentialsMissing, match=words) as told:
        source_from(environment).current()
    assert str(tmp_path / "token") in str(told.value)


def test_a_token_file_that_is_a_folder_is_named(environment, tmp_path) -> None:
    (tmp_path / "token").unlink()
    (tmp_path / "token").mkdir()
    with pytest.raises(CredentialsMissing, match="Is a directory"):
        source_from(environment).current()


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"seconds": -1}, "has expired: the kubelet has not renewed it"),
        ({"audience": "kubernetes"}, "audience must be sts.aliyuncs.com"),
        ({"issuer": "https://kubernetes.default.svc"}, "enable RRSA on this Kubernetes cluster"),
        (
            {"subject": "system:serviceaccount:team:default"},
            "does not trust this pod.*serviceaccount:team:default",
        ),
    ],
)
def test_a_token_that_sts_refuses_says_what_to_fix(services, environment, tmp_path, claims, words) -> None:
    (tmp_path / "token").write_text(services.oidc_token("collector", **claims))
    with pytest.raises(CredentialsRefused, match=words):
        source_from(environment).current()


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        (
            {"ALIBABA_CLOUD_ROLE_ARN": "acs:ram::1234567890123456:role/nobody"},
            CredentialsRefused,
            "there is no role",
        ),
        (
            {"ALIBABA_CLOUD_OIDC_PROVIDER_ARN": "acs:ram::1234567890123456:oidc-provider/other"},
            CredentialsRefused,
            "there is no such identity provider",
        ),
    ],
)
def test_a_role_or_provider_that_is_not_there_is_named(environment, change, kind, words) -> None:
    with pytest.raises(kind, match=words) as told:
        source_from(environment | change).current()
    assert next(iter(change.values())) in str(told.value)


CODES = [
    (
        400,
        "AuthenticationFail.OIDCToken.Expired",
        "This JsonWebToken is expired.",
        CredentialsRefused,
        "expired",
    ),
    (
        400,
        "AuthenticationFail.OIDCToken.AudienceNotMatch",
        "Invalid audience.",
        CredentialsRefused,
        "audience",
    ),
    (
        400,
        "AuthenticationFail.OIDCToken.IssuerConfigurationBroken",
        "Get public keys from OIDC Provider failed, the issuer is https://kubernetes.default.svc.",
        CredentialsRefused,
        "enable RRSA.*recreate the pod",
    ),
    (
        400,
        "AuthenticationFail.OIDCToken.IssuerNotMatch",
        "The issuer in the OIDC Token doesn't match the OIDC Provider registered.",
        CredentialsRefused,
        "enable RRSA.*recreate the pod",
    ),
    (400, "AuthenticationFail.OIDCToken.PublicKeyFingerprintMismatch", "", CredentialsRefused, "fingerprint"),
    (400, "AuthenticationFail.OIDCToken.Invalid", "", CredentialsRefused, "no valid service account token"),
    (
        403,
        "AuthenticationFail.NoPermission",
        "No such OIDC Provider registered.",
        CredentialsRefused,
        "enable RRSA",
    ),
    (
        403,
        "AuthenticationFail.NoPermission",
        "There is no permission",
        CredentialsRefused,
        "trust policy must name .*oidc:iss must be https.* or be left out",
    ),
    (
        403,
        "AuthenticationFail.NoPermission",
        "Parameter OIDCProviderArn is not valid",
        StoreMisconfigured,
        "is no identity provider's ARN",
    ),
    (404, "EntityNotExist.OIDCProvider", "", CredentialsRefused, "enable RRSA"),
    (
        404,
        "EntityNotExist.Role",
        "The role not exists: acs:ram::1:role/x. ",
        CredentialsRefused,
        "there is no role",
    ),
    (404, "EntityNotExist.RoleArn", "", CredentialsRefused, "there is no role"),
    (
        400,
        "InvalidParameter.RoleArn",
        "The parameter RoleArn is wrongly formed.",
        StoreMisconfigured,
        "is no role's ARN",
    ),
    (400, "InvalidParameter.OIDCProviderArn", "", StoreMisconfigured, "is no identity provider's ARN"),
    (
        400,
        "InvalidParameter.DurationSeconds",
        "The Min/Max value of DurationSeconds is 15min/1hr.",
        CredentialsRefused,
        "MaxSessionDuration to 3600",
    ),
    (400, "InvalidParameter.RoleSessionName", "", StoreMisconfigured, "2 to 64 letters"),
    (400, "InvalidTimeStamp.Expired", "", CredentialsRefused, "clock of this machine"),
    (
        400,
        "Throttling.User",
        "Request was denied due to user flow control.",
        TransientStoreError,
        "asked again",
    ),
    (503, "Throttling", "", TransientStoreError, "asked again"),
    (500, "InternalError", "STS Server Internal Error happened.", TransientStoreError, "STS is in trouble"),
    (503, "ServiceUnavailable", "", TransientStoreError, "STS is in trouble"),
    (429, "TooMany", "", TransientStoreError, "STS is in trouble"),
    (
        400,
        "SomethingNew",
        "What nobody has seen yet.",
        CredentialsRefused,
        "SomethingNew: What nobody has seen yet",
    ),
]


@pytest.mark.parametrize("row", CODES, ids=[f"{row[1]}-{row[0]}" for row in CODES])
def test_each_refusal_of_sts_says_what_to_fix(services, environment, row) -> None:
    status, code, message, kind, words = row
    services.add(Fault(Refuse(status, code, message), service="sts"))
    with pytest.raises(kind, match=words) as told:
        source_from(environment).current()
    assert type(told.value) is kind
    assert code in str(told.value)


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (Html(200), "answered 200 with a web page"),
        (Html(403), "answered 403 with a web page"),
        (ResetAnswer(20), "can't be reached"),
        (Redirect("http://127.0.0.1:1/"), "answered 302"),
    ],
)
def test_whatever_else_answers_in_place_of_sts_is_told_and_asked_again(
    services, environment, act, words
) -> None:
    services.add(Fault(act, service="sts"))
    with pytest.raises(TransientStoreError, match=words):
        source_from(environment).current()


def test_an_sts_that_is_not_there_is_told_with_what_to_look_at(services, environment) -> None:
    services.down(service="sts")
    with pytest.raises(TransientStoreError, match="ALIBABA_CLOUD_STS_REGION"):
        source_from(environment).current()


def test_an_answer_that_trickles_ends_in_time(services, environment, monkeypatch) -> None:
    monkeypatch.setattr(http.ask, "__defaults__", (b"", 0.3))
    services.add(Fault(Trickle(10.0), service="sts"))
    with pytest.raises(TransientStoreError, match="no answer within"):
        source_from(environment).current()


def credentials(**changes: object) -> bytes:
    fields = {
        "AccessKeyId": "STS.x",
        "AccessKeySecret": "y",
        "SecurityToken": "z",
        "Expiration": "2026-11-23T03:43:27Z",
    }
    return json.dumps({"Credentials": fields | changes, "RequestId": "R"}).encode()


@pytest.mark.parametrize(
    "body",
    [
        credentials()[:-30],
        b"",
        b"[]",
        b"{}",
        b'{"Credentials": null}',
        credentials(AccessKeyId=None),
        credentials(AccessKeySecret=""),
        credentials(SecurityToken=7),
        credentials(Expiration="tomorrow"),
        credentials(Expiration="2026-11-23T02:43:27Z"),
        credentials(Expiration="2036-11-23T02:43:27Z"),
    ],
)
def test_half_an_answer_or_one_that_can_t_be_true_gives_no_credentials(raw, environment, body) -> None:
    raw.say("200 OK", body, "Date: Mon, 23 Nov 2026 02:43:27 GMT")
    with pytest.raises(TransientStoreError):
        source_from(environment | {"ALIBABA_CLOUD_STS_ENDPOINT": raw.url}).current()


def test_a_clock_of_this_machine_that_is_wrong_by_years_changes_nothing(raw, environment) -> None:
    raw.say("200 OK", credentials(), "Date: Mon, 23 Nov 2026 02:43:27 GMT")
    source = source_from(environment | {"ALIBABA_CLOUD_STS_ENDPOINT": raw.url})
    assert source.current().access_key_id == "STS.x"
    assert source.current().access_key_id == "STS.x"
    assert len(raw.requests) == 1


def test_what_does_not_speak_http_is_told(raw, environment) -> None:
    raw.pieces = lambda: iter((b"SSH-2.0-OpenSSH_9.2\r\n",))
    with pytest.raises(TransientStoreError, match="can't be reached"):
        source_from(environment | {"ALIBABA_CLOUD_STS_ENDPOINT": raw.url}).current()


@pytest.mark.parametrize(
    "address", ["ftp://sts", "https://", "http://sts:port", "http://[::1", "sts x/y", "https://sts/path"]
)
def test_an_endpoint_that_is_no_address_is_told(environment, address) -> None:
    with pytest.raises(StoreMisconfigured, match="is no address"):
        source_from(environment | {"ALIBABA_CLOUD_STS_ENDPOINT": address})


@pytest.mark.parametrize(
    ("environment", "address"),
    [
        ({}, "https://sts.aliyuncs.com"),
        ({"ALIBABA_CLOUD_STS_REGION": "cn-hangzhou"}, "https://sts.cn-hangzhou.aliyuncs.com"),
        (
            {"ALIBABA_CLOUD_STS_REGION": "cn-hangzhou", "ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED": "true"},
            "https://sts-vpc.cn-hangzhou.aliyuncs.com",
        ),
        ({"ALIBABA_CLOUD_STS_ENDPOINT": "sts-vpc.x.aliyuncs.com"}, "https://sts-vpc.x.aliyuncs.com"),
        ({"ALIBABA_CLOUD_STS_ENDPOINT": "http://127.0.0.1:8/"}, "http://127.0.0.1:8"),
    ],
)
def test_the_endpoint_is_https_unless_it_says_otherwise(environment, address) -> None:
    assert sts_endpoint(environment) == address


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ({}, "ray-history-server"),
        ({"HOSTNAME": "x"}, "ray-history-server"),
        ({"HOSTNAME": "shop-head-8k2lp"}, "shop-head-8k2lp"),
        ({"HOSTNAME": "a", "ALIBABA_CLOUD_ROLE_SESSION_NAME": "团队 one/two"}, "---one-two"),
        ({"ALIBABA_CLOUD_ROLE_SESSION_NAME": "n" * 70}, "n" * 64),
    ],
)
def test_the_session_s_name_is_always_one_that_sts_takes(environment, name) -> None:
    assert session_name(environment) == name
