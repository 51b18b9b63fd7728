import alibabacloud_oss_v2 as official
import pytest

from fake_oss import FakeOss, Identity, collector
from fake_oss.conftest import MakeClient
from fake_oss.refusals import refusal

SEGMENT = "root/v1/segments/team/c/s/n/1-2-3.seg"
ENTRY = "root/v1/catalog/000~team~c~s~head.json"
VIEW = "root/v1/views/team/c/s/1/manifest"
OWN = "root/v1/server/index"

MAY = {
    "collector": {("put", SEGMENT), ("put", ENTRY)},
    "server": {
        *((what, key) for what in ("get", "list") for key in (SEGMENT, ENTRY, VIEW, OWN)),
        *((what, key) for what in ("put", "delete") for key in (VIEW, OWN)),
    },
    "retention": {(what, key) for what in ("get", "list", "delete") for key in (SEGMENT, ENTRY, VIEW, OWN)},
    "operator": {
        *((what, key) for what in ("get", "put", "list", "delete") for key in (SEGMENT, ENTRY, VIEW, OWN)),
        ("look", ""),
    },
}


def ask(client: official.Client, what: str, key: str) -> None:
    match what:
        case "get":
            client.get_object(official.GetObjectRequest("history", key))
        case "put":
            client.put_object(official.PutObjectRequest("history", key, body=b""))
        case "list":
            client.list_objects_v2(official.ListObjectsV2Request("history", prefix=key))
        case "delete":
            client.delete_multiple_objects(
                official.DeleteMultipleObjectsRequest("history", objects=[official.DeleteObject(key)])
            )
        case "look":
            client.get_bucket_info(official.GetBucketInfoRequest("history"))


@pytest.mark.parametrize("role", MAY)
def test_a_role_may_do_what_it_is_for_and_nothing_else(
    oss: FakeOss, client_of: MakeClient, role: str
) -> None:
    client = client_of(role)
    for key in (SEGMENT, ENTRY, VIEW, OWN, "other/v1/segments/x"):
        for what in ("get", "put", "list", "delete"):
            oss.put(key, b"")
            if (what, key) in MAY[role]:
                ask(client, what, key)
                continue
            with refusal() as told:
                ask(client, what, key)
            assert (told.status, told.code, told.ec) == (403, "AccessDenied", "0003-00000001"), (what, key)
    if ("look", "") not in MAY[role]:
        with refusal() as told:
            ask(client, "look", "")
        assert told.code == "AccessDenied"
    else:
        ask(client, "look", "")


def test_a_collector_of_one_namespace_can_put_into_no_other(oss: FakeOss, client_of: MakeClient) -> None:
    oss.add_identity(collector("root", namespace="team"))
    client = client_of("collector")
    ask(client, "put", SEGMENT)
    ask(client, "put", ENTRY)
    for key in (SEGMENT.replace("team", "teams"), ENTRY.replace("~team~", "~other~")):
        with refusal():
            ask(client, "put", key)


def test_one_forbidden_key_saves_all_of_a_delete(oss: FakeOss, client_of: MakeClient) -> None:
    oss.put(VIEW, b"")
    oss.put(SEGMENT, b"")
    names = [official.DeleteObject(VIEW), official.DeleteObject(SEGMENT)]
    with refusal():
        client_of("server").delete_multiple_objects(
            official.DeleteMultipleObjectsRequest("history", objects=names)
        )
    assert oss.keys() == sorted([VIEW, SEGMENT])


def test_rules_have_patterns_over_slashes_and_letters_are_meant_as_such() -> None:
    who = Identity("who", "id", "secret", (("oss:Get*", "root/[a]?/*"),))
    assert who.may("oss:GetObject", "root/[a]b/c/d")
    assert not who.may("oss:GetObject", "root/ab/c")
    assert not who.may("oss:PutObject", "root/[a]b/c")
