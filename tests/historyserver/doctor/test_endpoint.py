"""What a way to OSS is called, and who may listen on it."""

from __future__ import annotations

import pytest

from archive.store.oss.address import parse
from historyserver.doctor.endpoint import Spoken, judge
from historyserver.doctor.finding import Verdict

INTERNAL = "history.oss-cn-hangzhou-internal.aliyuncs.com"
PUBLIC = "history.oss-cn-hangzhou.aliyuncs.com"


def spoken(host: str) -> Spoken:
    return Spoken(host, ("100.118.28.50",), 403, by_oss=True, ahead=0.0)


@pytest.mark.parametrize(
    ("told", "url", "verdict", "words"),
    [
        (spoken(INTERNAL), "oss://history?region=cn-hangzhou", Verdict.OK, "internal, TLS"),
        (
            spoken(INTERNAL),
            "oss://history?endpoint=http://oss-cn-hangzhou-internal.aliyuncs.com",
            Verdict.WARN,
            "internal, not encrypted",
        ),
        (
            spoken(PUBLIC),
            "oss://history?endpoint=oss-cn-hangzhou.aliyuncs.com",
            Verdict.WARN,
            "public, TLS",
        ),
        (
            spoken("logs.example.com"),
            "oss://history?region=cn-hangzhou&endpoint=logs.example.com&cname=true",
            Verdict.OK,
            "own domain",
        ),
        (
            Spoken(PUBLIC, proxy="http://me:hush@proxy.corp:3128"),
            "oss://history?region=cn-hangzhou",
            Verdict.SKIP,
            "by the proxy proxy.corp,",
        ),
    ],
)
def test_the_way_is_named_and_judged(told, url, verdict, words) -> None:
    finding = judge(told, parse(url))
    assert finding.verdict is verdict
    assert words in finding.what
    assert bool(finding.remedy) is (verdict is Verdict.WARN)
    assert "hush" not in finding.what


def test_by_a_proxy_only_signed_requests_tell(oss, doctor, monkeypatch) -> None:
    monkeypatch.setenv("http_proxy", oss.endpoint)
    monkeypatch.setenv("no_proxy", "")
    report = doctor(
        "collector", "oss://history/root?region=cn-hangzhou&endpoint=http://oss.invalid", oss.environment()
    )
    assert report["endpoint"].verdict is Verdict.SKIP
    assert report["clock"].verdict is Verdict.SKIP
    assert "bucket" in report
