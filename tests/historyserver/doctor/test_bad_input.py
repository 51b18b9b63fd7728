"""What is wrong most often: one failure that says it, and what follows from it skipped."""

from __future__ import annotations

import pytest
from fake_oss import Fault, Html, Identity, Refuse

from historyserver.doctor.finding import Verdict


def only_failure(report, check: str) -> str:
    """What was found by the one check that failed; what needs it says so."""
    assert report.failed == [check]
    followers = [one.what for one in report.values() if one.verdict is Verdict.SKIP and "because" in one.what]
    assert set(followers) <= {f"because {check!r} failed"}
    assert followers
    return f"{report[check].what} -> {report[check].remedy}"


@pytest.fixture
def environment(oss):
    return oss.environment("collector")


def test_a_wrong_region_is_told(oss, doctor, environment) -> None:
    said = only_failure(doctor("collector", oss.url(region="cn-beijing"), environment), "bucket")
    assert "region" in said


def test_a_bucket_of_another_region_is_told_with_its_endpoint(oss, doctor, environment) -> None:
    said = only_failure(doctor("collector", oss.url(bucket="other-bucket"), environment), "bucket")
    assert "oss-cn-beijing.aliyuncs.com" in said


def test_a_bucket_that_is_not_there_is_told(oss, doctor, environment) -> None:
    said = only_failure(doctor("collector", oss.url(bucket="nobodys"), environment), "bucket")
    assert "oss://nobodys failed: there is no such bucket" in said


def test_an_identity_without_rights_is_told_what_to_grant(oss, doctor) -> None:
    oss.add_identity(Identity("nobody", "LTAI5tNobody", "secret", ()))
    report = doctor("collector", oss.url(), oss.environment("nobody"))
    assert report.failed == ["put segments", "put catalog"]
    assert "grant oss:PutObject on acs:oss:*:*:history/root/v1/segments/*" in report["put segments"].remedy
    assert report["no get"].what == "because 'put segments' failed"


def test_a_key_pair_that_was_revoked_is_told(oss, doctor, environment) -> None:
    oss.remove_identity("collector")
    said = only_failure(doctor("collector", oss.url(), environment), "bucket")
    assert "does not know the access key id" in said


def test_a_secret_that_does_not_belong_to_its_id_is_told_and_not_shown(oss, doctor, environment) -> None:
    wrong = environment | {"ALIBABA_CLOUD_ACCESS_KEY_SECRET": "not-the-secret"}
    report = doctor("collector", oss.url(), wrong)
    assert "the access key secret does not belong to its id" in only_failure(report, "bucket")
    assert "not-the-secret" not in str(report)


def test_half_a_set_of_keys_is_told(oss, doctor) -> None:
    said = only_failure(doctor("server", oss.url(), {"OSS_ACCESS_KEY_ID": "x"}), "identity")
    assert "OSS_ACCESS_KEY_SECRET is not set" in said


def test_a_token_file_that_is_gone_is_told(oss, doctor, tmp_path) -> None:
    environment = oss.rrsa_environment(tmp_path / "token", "server")
    (tmp_path / "token").unlink()
    said = only_failure(doctor("server", oss.url(), environment), "token file")
    assert str(tmp_path / "token") in said


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"seconds": -120}, "expired 2 min ago"),
        ({"audience": "kubernetes"}, "is for kubernetes, not for STS"),
    ],
)
def test_a_token_that_sts_would_refuse_is_told_before_it_is_asked(
    oss, doctor, tmp_path, claims, words
) -> None:
    (tmp_path / "token").write_text(oss.oidc_token("server", **claims))
    said = only_failure(
        doctor("server", oss.url(), oss.rrsa_environment(tmp_path / "token", "server")), "token file"
    )
    assert words in said
    assert oss.requests(service="sts") == []


def test_what_is_no_token_is_told(oss, doctor, tmp_path) -> None:
    (tmp_path / "token").write_text("password")
    report = doctor("server", oss.url(), oss.rrsa_environment(tmp_path / "token", "server"))
    assert "holds something that is no token" in only_failure(report, "token file")
    assert "password" not in str(report)


def test_a_role_that_does_not_trust_this_account_is_told(oss, doctor, tmp_path) -> None:
    (tmp_path / "token").write_text(oss.oidc_token("server", subject="system:serviceaccount:team:default"))
    said = only_failure(
        doctor("server", oss.url(), oss.rrsa_environment(tmp_path / "token", "server")), "credentials"
    )
    assert "allow the subject system:serviceaccount:team:default" in said
    assert "oidc:iss" in said


def test_an_sts_that_is_away_is_told(oss, doctor, tmp_path) -> None:
    environment = oss.rrsa_environment(tmp_path / "token", "server")
    oss.down(service="sts")
    assert "STS gives no credentials" in only_failure(doctor("server", oss.url(), environment), "credentials")


def test_an_endpoint_that_answers_a_web_page_is_told(oss, doctor, environment) -> None:
    oss.add(Fault(Html(200)))
    said = only_failure(doctor("collector", oss.url(), environment), "endpoint")
    assert "is not OSS (status 200)" in said
    assert "proxy" in said


def test_an_endpoint_that_is_away_is_told(oss, doctor, environment) -> None:
    oss.down()
    said = only_failure(doctor("collector", oss.url(), environment), "endpoint")
    assert "can't be reached: Connection refused" in said


def test_an_endpoint_whose_name_nobody_knows_is_told(oss, doctor, environment) -> None:
    url = "oss://history/root?region=cn-hangzhou&endpoint=http://nobody.invalid"
    said = only_failure(doctor("collector", url, environment), "endpoint")
    assert "history.nobody.invalid is not known here" in said


@pytest.mark.parametrize(
    ("ahead", "verdict"),
    [(0, Verdict.OK), (-75, Verdict.WARN), (75, Verdict.WARN), (-1200, Verdict.FAIL), (1200, Verdict.FAIL)],
)
def test_a_wrong_clock_is_told_by_how_much(oss, doctor, environment, ahead, verdict) -> None:
    oss.set_clock(ahead)
    report = doctor("collector", oss.url(), environment)
    assert report["clock"].verdict is verdict
    if ahead:
        assert ("behind" if ahead > 0 else "ahead of") in report["clock"].what
    assert report.failed == (["clock"] if verdict is Verdict.FAIL else [])


@pytest.mark.parametrize("name", ["../x", "a/b", "a~b", "", "a\\b", "x" * 64, "\x07"])
def test_a_name_that_can_t_be_is_told_and_nothing_is_put(oss, doctor, environment, name) -> None:
    for flag in ("--namespace", "--cluster"):
        report = doctor("collector", oss.url(), environment, f"{flag}={name}")
        assert report.failed == ["settings"]
    assert oss.keys() == []


@pytest.mark.parametrize("name", ["团队", "Team 1", "a'b\"c", "50%", "a+b&c=d", "é", "~"[:0] + "a?b#c"])
def test_an_odd_name_that_can_be_works(oss, doctor, environment, name) -> None:
    report = doctor("collector", oss.url(), environment, "--namespace", name, "--cluster", name)
    assert report.failed == []
    assert oss.keys() == [f"root/v1/catalog/~doctor~{name}~{name}", f"root/v1/segments/{name}/{name}/~doctor"]


@pytest.mark.parametrize(
    "url",
    [
        "oss://history",
        "oss://H/x?region=cn-hangzhou",
        "s3://bucket",
        "history",
        "file:history",
        "http://[::1",
    ],
)
def test_a_store_s_url_that_is_none_is_told(doctor, environment, url) -> None:
    report = doctor("collector", url, environment)
    assert "settings" in report.failed


def test_a_password_in_a_store_s_url_is_refused_and_not_shown(doctor, environment) -> None:
    report = doctor("collector", "oss://me:hush@history/root?region=cn-hangzhou", environment)
    assert "settings" in report.failed
    assert "hush" not in str(report)


def test_a_reader_is_told_that_a_history_server_is_no_store_for_it(doctor, environment) -> None:
    assert doctor("server", "http://127.0.0.1:1/", environment).failed == ["settings"]


def test_a_setting_that_can_t_be_used_is_a_failure_of_a_server_and_a_warning_of_a_collector(
    oss, doctor, environment
) -> None:
    assert doctor("collector", oss.url(), environment, "--flush-seconds", "soon").warned == ["settings"]
    report = doctor("server", oss.url(), oss.environment("server"), "--cache-bytes", "much")
    assert report.failed == ["settings"]


def test_throttling_is_a_failure_that_says_it_may_pass(oss, doctor, environment) -> None:
    oss.add(Fault(Refuse(503, "ServerBusy", "Busy."), operation="PutObject"))
    report = doctor("collector", oss.url(), environment)
    assert "put segments" in report.failed
    assert "ServerBusy" in report["put segments"].what
