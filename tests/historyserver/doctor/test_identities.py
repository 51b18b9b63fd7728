"""Identities with the rights of their roles, and with more or fewer."""

from __future__ import annotations

import dataclasses

import pytest
from fake_oss import Identity, collector, operator, server

from archive.layout import Origin, SegmentName, SessionKey
from historyserver.doctor.finding import Verdict

ROLES = {"collector": collector, "server": server, "operator": operator}
TRIALS = ["root/v1/catalog/~doctor~team~shop", "root/v1/segments/team/shop/~doctor"]
SEGMENT = SegmentName(
    SessionKey("team", "shop", "session_2026-11-23_02-43-27_490622_12278"),
    "ab" * 28,
    Origin(1795402103123, "9f3ac210"),
    1,
).key


def rrsa(oss, tmp_path, role):
    (tmp_path / "token").write_text(
        oss.oidc_token(role, subject=f"system:serviceaccount:team:ray-history-{role}-shop")
    )
    return oss.rrsa_environment(tmp_path / "token", role)


@pytest.mark.parametrize("role", ["server", "collector", "operator"])
def test_an_identity_with_the_rights_of_its_role_is_well(oss, doctor, tmp_path, role) -> None:
    report = doctor(role, oss.url(), rrsa(oss, tmp_path, role))
    assert report.failed == []
    assert report.warned == []
    assert "serviceaccount:team:ray-history" in report["token file"].what
    assert "good for 60 min" in report["credentials"].what


@pytest.mark.parametrize("role", ["server", "operator"])
def test_who_may_delete_leaves_nothing_behind(oss, doctor, role) -> None:
    doctor(role, oss.url(), oss.environment(role))
    assert oss.keys() == []


def test_a_collector_leaves_two_objects_always_the_same(oss, doctor) -> None:
    for _ in range(2):
        report = doctor("collector", oss.url(), oss.environment("collector"))
    assert oss.keys() == TRIALS
    assert "readers pass over it" in report["put segments"].what


def test_a_collector_of_one_namespace_is_well_in_its_own_and_in_no_other(oss, doctor) -> None:
    oss.add_identity(collector("root", namespace="team"))
    assert doctor("collector", oss.url(), oss.environment("collector")).failed == []
    other = doctor("collector", oss.url(), oss.environment("collector"), "--namespace", "others")
    assert other.failed == ["put segments", "put catalog"]


def without(identity: Identity, action: str, where: str) -> Identity:
    rules = tuple(rule for rule in identity.rules if rule != (action, where))
    assert rules != identity.rules
    return dataclasses.replace(identity, rules=rules)


@pytest.mark.parametrize(
    ("role", "right", "check"),
    [
        ("collector", ("oss:PutObject", "root/v1/segments/*"), "put segments"),
        ("collector", ("oss:PutObject", "root/v1/catalog/*"), "put catalog"),
        ("server", ("oss:ListObjects", "root/*"), "list"),
        ("server", ("oss:GetObject", "root/*"), "get"),
        ("server", ("oss:PutObject", "root/v1/views/*"), "keep views"),
        ("server", ("oss:DeleteObject", "root/v1/views/*"), "keep views"),
        ("server", ("oss:PutObject", "root/v1/server/*"), "keep its own"),
        ("server", ("oss:DeleteObject", "root/v1/server/*"), "keep its own"),
        ("operator", ("oss:ListObjects", "root/*"), "list"),
        ("operator", ("oss:DeleteObject", "root/*"), "keep segments"),
        ("operator", ("oss:PutObject", "root/*"), "keep catalog"),
    ],
)
def test_each_right_that_is_missing_is_named_with_what_to_grant(oss, doctor, role, right, check) -> None:
    oss.put(f"root/{SEGMENT}", b"x" * 64)
    oss.add_identity(without(ROLES[role](), *right))
    report = doctor(role, oss.url(), oss.environment(role))
    assert check in report.failed
    action = right[0].removeprefix("oss:")
    assert f"oss:{action} on acs:oss:*:*:history" in report[check].remedy


MORE = [
    ("collector", "oss:GetObject", "root/*", "no get"),
    ("collector", "oss:ListObjects", "root/*", "no list"),
    ("collector", "oss:PutObject", "root/v1/views/*", "no put views"),
    ("collector", "oss:PutObject", "root/v1/server/*", "no put server"),
    ("collector", "oss:DeleteObject", "root/v1/segments/*", "no delete"),
    ("server", "oss:PutObject", "root/v1/segments/*", "no put segments"),
    ("server", "oss:PutObject", "root/v1/catalog/*", "no put catalog"),
    ("server", "oss:DeleteObject", "root/v1/segments/*", "no delete"),
]


@pytest.mark.parametrize("more", MORE, ids=lambda more: f"{more[0]}-{more[3]}")
def test_each_right_too_many_is_a_warning_with_what_to_take_away(oss, doctor, more) -> None:
    role, action, where, check = more
    whole = ROLES[role]()
    oss.add_identity(dataclasses.replace(whole, rules=(*whole.rules, (action, where))))
    report = doctor(role, oss.url(), oss.environment(role))
    assert report.failed == []
    assert report.warned == [check]
    assert f"take away {action} on acs:oss:*:*:history" in report[check].remedy


def test_a_server_reads_in_part_and_by_version(oss, doctor) -> None:
    oss.put(f"root/{SEGMENT}", b"x" * 64)
    report = doctor("server", oss.url(), oss.environment("server"))
    assert report["get"].what == "may read, in part and by version"


def test_keys_of_all_kinds_are_told_apart(oss, doctor) -> None:
    keys = doctor("server", oss.url(), oss.environment("server"))
    assert keys["identity"].verdict is Verdict.OK
    assert keys["token file"].verdict is Verdict.SKIP
    token = doctor("server", oss.url(), oss.token_environment("server"))
    assert token.warned == ["identity"]
    assert token.failed == []
    oss.set_instance_role("server")
    machine = doctor("server", oss.url(), {"HISTORYSERVER_METADATA_ADDRESS": oss.metadata_endpoint})
    assert machine.warned == ["identity"]
    assert machine.failed == []


@pytest.mark.parametrize(
    ("subject", "words"),
    [
        ("system:serviceaccount:elsewhere:ray-history-collector-shop", "'elsewhere'"),
        ("system:serviceaccount:team:ray-history-collector-other", "<prefix>-shop"),
    ],
)
def test_an_account_that_is_not_the_cluster_s_own_is_a_warning(oss, doctor, tmp_path, subject, words) -> None:
    (tmp_path / "token").write_text(oss.oidc_token("collector", subject=subject))
    report = doctor("collector", oss.url(), oss.rrsa_environment(tmp_path / "token", "collector"))
    assert report.warned == ["token file"]
    assert words in report["token file"].what
