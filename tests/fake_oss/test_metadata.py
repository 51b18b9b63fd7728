import contextlib
import http.client
import json
from urllib.parse import urlsplit

import alibabacloud_oss_v2 as official
import pytest

from fake_oss import FakeOss
from fake_oss.conftest import MakeClient


def answer_to(oss: FakeOss, path: str, headers: dict[str, str], method: str = "GET") -> tuple[int, str]:
    connection = http.client.HTTPConnection(urlsplit(oss.metadata_endpoint).netloc, timeout=5)
    with contextlib.closing(connection):
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def ask(oss: FakeOss, path: str, headers: dict[str, str], method: str = "GET") -> str:
    status, text = answer_to(oss, path, headers, method)
    assert status == 200
    return text


def token_of(oss: FakeOss, seconds: str = "60") -> dict[str, str]:
    headers = {"X-aliyun-ecs-metadata-token-ttl-seconds": seconds}
    return {"X-aliyun-ecs-metadata-token": ask(oss, "/latest/api/token", headers, "PUT")}


ROLES = "/latest/meta-data/ram/security-credentials/"


def test_an_instance_has_credentials_of_its_role(oss: FakeOss, client_of: MakeClient) -> None:
    oss.set_instance_role("server")
    token = token_of(oss)
    assert ask(oss, ROLES, token) == "server"
    told = json.loads(ask(oss, f"{ROLES}server", token))
    assert told["Code"] == "Success"
    credentials = {
        "ALIBABA_CLOUD_ACCESS_KEY_ID": told["AccessKeyId"],
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": told["AccessKeySecret"],
        "ALIBABA_CLOUD_SECURITY_TOKEN": told["SecurityToken"],
    }
    client_of(credentials=credentials).list_objects_v2(
        official.ListObjectsV2Request("history", prefix="root/")
    )


@pytest.mark.parametrize("headers", [{}, {"X-aliyun-ecs-metadata-token": "of another"}])
def test_without_a_session_token_nothing_is_told(oss: FakeOss, headers: dict[str, str]) -> None:
    oss.set_instance_role("server")
    assert answer_to(oss, ROLES, headers)[0] == 403


def test_a_session_token_expires(oss: FakeOss) -> None:
    oss.set_instance_role("server")
    token = token_of(oss, "60")
    oss.set_clock(61)
    assert answer_to(oss, ROLES, token)[0] == 403


def test_an_instance_without_a_role_has_none(oss: FakeOss) -> None:
    assert answer_to(oss, ROLES, token_of(oss))[0] == 404


def test_older_instances_ask_for_no_token(oss: FakeOss) -> None:
    oss.set_instance_role("server", token_required=False)
    assert ask(oss, ROLES, {}) == "server"
