import contextlib
import http.client
import json
import threading
import urllib.parse
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import alibabacloud_oss_v2 as official
import pytest

from fake_oss import FakeOss, Fault, Html, Refuse, server
from fake_oss.conftest import MakeClient
from fake_oss.refusals import refusal
from fake_oss.sts import rpc_signature


def call(url: str, parameters: dict[str, str], *, by_post: bool = True) -> tuple[int, dict[str, Any]]:
    query = urllib.parse.urlencode(parameters)
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc, timeout=5)
    with contextlib.closing(connection):
        connection.request(*(("POST", "/", query) if by_post else ("GET", f"/?{query}")))
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


def assume(oss: FakeOss, token_file: Path, **changed: str) -> tuple[int, dict[str, Any]]:
    given = oss.rrsa_environment(token_file, role="server")
    parameters = {
        "Action": "AssumeRoleWithOIDC",
        "Version": "2015-04-01",
        "Format": "JSON",
        "RoleArn": given["ALIBABA_CLOUD_ROLE_ARN"],
        "OIDCProviderArn": given["ALIBABA_CLOUD_OIDC_PROVIDER_ARN"],
        "OIDCToken": token_file.read_text(),
        "RoleSessionName": "session",
        "DurationSeconds": "900",
    }
    return call(given["ALIBABA_CLOUD_STS_ENDPOINT"], parameters | changed)


def test_a_service_account_gets_credentials_of_its_role_for_a_while(
    oss: FakeOss, tmp_path: Path, client_of: MakeClient
) -> None:
    status, told = assume(oss, tmp_path / "token")
    assert status == 200
    credentials = told["Credentials"]
    expires = datetime.strptime(credentials["Expiration"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert 890 < expires.timestamp() - oss.now() <= 900
    client = client_of(
        credentials={
            "ALIBABA_CLOUD_ACCESS_KEY_ID": credentials["AccessKeyId"],
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET": credentials["AccessKeySecret"],
            "ALIBABA_CLOUD_SECURITY_TOKEN": credentials["SecurityToken"],
        }
    )
    client.put_object(official.PutObjectRequest("history", "root/v1/server/x", body=b""))
    with refusal() as refused:
        client.put_object(official.PutObjectRequest("history", "root/v1/segments/x", body=b""))
    assert refused.code == "AccessDenied"
    assert oss.requests(service="sts", operation="AssumeRoleWithOIDC", status=200)


@pytest.mark.parametrize(
    ("token", "parameters", "refused"),
    [
        ({"seconds": -1.0}, {}, (400, "AuthenticationFail.OIDCToken.Expired")),
        ({"audience": "kubernetes"}, {}, (400, "AuthenticationFail.OIDCToken.AudienceNotMatch")),
        ({"issuer": "https://other"}, {}, (400, "AuthenticationFail.OIDCToken.IssuerNotMatch")),
        ({"subject": "system:serviceaccount:team:other"}, {}, (403, "AuthenticationFail.NoPermission")),
        ({}, {"OIDCToken": "a.b.c-d"}, (400, "AuthenticationFail.OIDCToken.Invalid")),
        ({}, {"OIDCProviderArn": "acs:ram::1:oidc-provider/x"}, (400, "AuthenticationFail.NoPermission")),
        ({}, {"RoleArn": "acs:ram::1:role/none"}, (404, "EntityNotExist.Role")),
        ({}, {"DurationSeconds": "899"}, (400, "InvalidParameter.DurationSeconds")),
        ({}, {"DurationSeconds": "3601"}, (400, "InvalidParameter.DurationSeconds")),
        ({}, {"RoleSessionName": "x y"}, (400, "InvalidParameter.RoleSessionName")),
        ({}, {"Version": "2014-01-01"}, (400, "InvalidVersion")),
        ({}, {"Action": "Other"}, (404, "InvalidAction.NotFound")),
    ],
)
def test_a_token_or_a_request_that_is_not_right_is_refused_by_its_code(
    oss: FakeOss, tmp_path: Path, token: dict[str, Any], parameters: dict[str, str], refused: tuple[int, str]
) -> None:
    file = tmp_path / "token"
    file.write_text(oss.oidc_token("server", **token))
    status, told = assume(oss, file, **parameters)
    assert (status, told["Code"]) == refused
    assert {"RequestId", "HostId", "Message"} <= told.keys()


def test_a_role_trusts_the_subjects_that_it_names(oss: FakeOss, tmp_path: Path) -> None:
    oss.add_identity(server(), subjects=("system:serviceaccount:team:ray-*",))
    for subject, status in (("team:ray-x", 200), ("team:other", 403), ("other:ray-x", 403)):
        file = tmp_path / "token"
        file.write_text(oss.oidc_token(subject=f"system:serviceaccount:{subject}"))
        assert assume(oss, file)[0] == status
    oss.add_identity(server(), issuer="https://another-cluster")
    file.unlink()
    assert assume(oss, file)[1]["Code"] == "AuthenticationFail.NoPermission"


def test_sts_can_be_throttled_replaced_by_a_portal_and_gone(oss: FakeOss, tmp_path: Path) -> None:
    oss.add(
        Fault(Refuse(429, "Throttling.User", "Request was denied due to user flow control."), service="sts")
    )
    assert assume(oss, tmp_path / "token")[1]["Code"] == "Throttling.User"
    oss.clear()
    oss.add(Fault(Html(), service="sts", operation="AssumeRoleWithOIDC"))
    with pytest.raises(json.JSONDecodeError):
        assume(oss, tmp_path / "token")
    oss.clear()
    oss.down(service="sts")
    with pytest.raises(ConnectionRefusedError):
        assume(oss, tmp_path / "token")
    oss.up(service="sts")
    assert assume(oss, tmp_path / "token")[0] == 200


@pytest.mark.parametrize("by_post", [True, False])
def test_whoever_signs_is_told_who_they_are(oss: FakeOss, by_post: bool) -> None:
    lasting, passing = oss.environment("server"), oss.token_environment("server")
    for given, kind in ((lasting, "RAMUser"), (passing, "AssumedRoleUser")):
        parameters = {
            "Action": "GetCallerIdentity",
            "Version": "2015-04-01",
            "Format": "JSON",
            "AccessKeyId": given["ALIBABA_CLOUD_ACCESS_KEY_ID"],
            "SignatureMethod": "HMAC-SHA1",
            "SignatureVersion": "1.0",
            "SignatureNonce": "a b*~",
            "Timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        if "ALIBABA_CLOUD_SECURITY_TOKEN" in given:
            parameters["SecurityToken"] = given["ALIBABA_CLOUD_SECURITY_TOKEN"]
        secret = given["ALIBABA_CLOUD_ACCESS_KEY_SECRET"]
        method = "POST" if by_post else "GET"
        signed = parameters | {"Signature": rpc_signature(method, parameters, secret)}
        status, told = call(oss.sts_endpoint, signed, by_post=by_post)
        assert (status, told["IdentityType"]) == (200, kind)
        assert "server" in told["Arn"]
        status, told = call(oss.sts_endpoint, signed | {"SignatureNonce": "other"}, by_post=by_post)
        assert (status, told["Code"]) == (400, "SignatureDoesNotMatch")


def test_the_signature_of_a_remote_call_is_the_documented_one() -> None:
    # The example of the vendor's page about signatures of remote calls, with its key "testid", "testsecret".
    parameters = {
        "AccessKeyId": "testid",
        "Action": "DescribeRegions",
        "Format": "XML",
        "SignatureMethod": "HMAC-SHA1",
        "SignatureNonce": "3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf",
        "SignatureVersion": "1.0",
        "Timestamp": "2016-02-23T12:46:24Z",
        "Version": "2014-05-26",
    }
    assert rpc_signature("GET", parameters, "testsecret") == "OLeaidS1JvxuMvnyHOwuJ+uX5qY="


def test_many_may_ask_at_once(oss: FakeOss, tmp_path: Path) -> None:
    assume(oss, tmp_path / "token")
    statuses = []
    threads = [
        threading.Thread(target=lambda: statuses.append(assume(oss, tmp_path / "token")[0])) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 8
