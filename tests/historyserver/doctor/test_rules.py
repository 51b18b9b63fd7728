"""What a bucket can be set to: seen by who may look, and felt by who may not."""

from __future__ import annotations

import pytest
from fake_oss import Fault, Refuse, noncurrent_expiry

from historyserver.doctor.finding import Verdict


@pytest.fixture
def look(oss, doctor):
    """The operator's doctor on a bucket with these settings."""

    def looked(**settings):
        oss.configure(**settings)
        return doctor("operator", oss.url(), oss.environment("operator"))

    return looked


def rule(kind: str, prefix: str = "", *, status: str = "Enabled") -> str:
    return f"<Rule><ID>clean</ID><Prefix>{prefix}</Prefix><Status>{status}</Status>{kind}</Rule>"


EXPIRES = "<Expiration><Days>30</Days></Expiration>"
MARKERS = "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>"
ARCHIVES = "<Transition><Days>30</Days><StorageClass>Archive</StorageClass></Transition>"
COOLS = "<Transition><Days>30</Days><StorageClass>IA</StorageClass></Transition>"


@pytest.mark.parametrize(
    ("settings", "check"),
    [
        ({"worm": "InProgress"}, "retention"),
        ({"worm": "Locked"}, "retention"),
        ({"object_worm": True}, "object retention"),
        ({"no_overwrite": ("",)}, "overwriting"),
        ({"no_overwrite": ("elsewhere/", "root/")}, "overwriting"),
        ({"no_overwrite": ("root/v1/catalog/",)}, "overwriting"),
    ],
)
def test_rules_that_break_rewriting_are_failures(look, settings, check) -> None:
    report = look(**settings)
    assert report.failed == [check]
    assert report["keep segments"].what == f"because {check!r} failed"
    assert "rewritten" in report[check].what
    assert report[check].remedy


@pytest.mark.parametrize(
    ("settings", "check", "words"),
    [
        ({"versioning": "Enabled"}, "versioning", "for ever"),
        ({"versioning": "Enabled", "lifecycle": (noncurrent_expiry(90),)}, "versioning", "for 90 days"),
        ({"versioning": "Enabled", "lifecycle": (noncurrent_expiry(1, "other/"),)}, "versioning", "for ever"),
        ({"storage_class": "IA"}, "storage class", "IA"),
        ({"storage_class": "ColdArchive"}, "storage class", "ColdArchive"),
        ({"lifecycle": (rule(EXPIRES),)}, "lifecycle", "'clean' deletes"),
        ({"lifecycle": (rule(EXPIRES, "root/v1/segments/team/"),)}, "lifecycle", "'clean' deletes"),
        ({"lifecycle": (rule(ARCHIVES, "root/"),)}, "lifecycle", "'clean' moves objects to Archive"),
        ({"acl": "public-read"}, "public access", "public-read"),
    ],
)
def test_settings_that_cost_or_harm_are_warnings(look, settings, check, words) -> None:
    report = look(**settings)
    assert report.failed == []
    assert report.warned == [check]
    assert words in report[check].what
    assert report[check].remedy


@pytest.mark.parametrize(
    "settings",
    [
        {"no_overwrite": ("elsewhere/",)},
        {"versioning": "Suspended"},
        {"versioning": "Enabled", "lifecycle": (noncurrent_expiry(3),)},
        {"versioning": "Enabled", "lifecycle": (noncurrent_expiry(3, "root/"), rule(MARKERS))},
        {"lifecycle": (rule(EXPIRES, "elsewhere/"), rule(EXPIRES, status="Disabled"))},
        {"lifecycle": (rule(EXPIRES, "root/v1/views/"), rule(COOLS))},
        {"block_public_access": False},
    ],
)
def test_settings_that_concern_others_or_do_no_harm_are_fine(look, settings) -> None:
    report = look(**settings)
    assert report.failed == []
    assert report.warned == []


@pytest.mark.parametrize("settings", [{"no_overwrite": ("root/",)}, {"worm": "Locked"}])
def test_a_collector_that_may_not_look_feels_it_by_its_own_put(oss, doctor, settings) -> None:
    oss.configure(**settings)
    report = doctor("collector", oss.url(), oss.environment("collector"))
    assert report.failed == ["put segments", "put catalog"]
    assert "rewritten" in report["put segments"].what


def test_who_has_no_right_to_look_is_told_which_it_would_take(oss, doctor) -> None:
    report = doctor("server", oss.url(), oss.environment("server"))
    rights = {
        "retention": "oss:GetBucketWorm",
        "object retention": "oss:GetBucketObjectWormConfiguration",
        "overwriting": "oss:GetBucketOverwriteConfig",
        "versioning": "oss:GetBucketInfo",
        "storage class": "oss:GetBucketInfo",
        "lifecycle": "oss:GetBucketLifecycle",
        "public access": "oss:GetBucketInfo",
    }
    for check, right in rights.items():
        assert report[check].verdict is Verdict.SKIP
        assert report[check].what == f"no right to look: {right}"


def test_trouble_of_the_store_is_no_answer_about_its_rules(oss, look) -> None:
    oss.add(Fault(Refuse(500, "InternalError"), operation="GetBucketWorm"))
    oss.add(Fault(Refuse(500, "InternalError"), operation="GetBucketLifecycle"))
    oss.add(Fault(Refuse(500, "InternalError"), operation="GetBucketInfo"))
    failed = ["retention", "versioning", "storage class", "lifecycle", "public access"]
    assert look().failed == failed


def test_versioning_whose_cleaning_can_t_be_seen_is_a_warning(oss, look) -> None:
    oss.add(Fault(Refuse(403, "AccessDenied"), operation="GetBucketLifecycle"))
    report = look(versioning="Enabled")
    assert report.warned == ["versioning"]
    assert report["lifecycle"].verdict is Verdict.SKIP
