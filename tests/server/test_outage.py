"""A server whose archive is away, or not for it: it starts, says so, and goes on by itself."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fake_oss import FakeOss

from archive.store.retry import Backoff
from archive.store.url import open_archive

SESSION = "/clusters/team/shop/session_2026-11-23_00-00-00_000000_1/"
ADDRESSES = ("/", "/api/sessions", "/readyz", f"{SESSION}api/v0/tasks", "/clusters/team/shop/latest/")


@pytest.fixture
def oss() -> Iterator[FakeOss]:
    with FakeOss() as oss:
        yield oss


@pytest.fixture
def serve_as(
    oss: FakeOss, serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> Callable[[dict[str, str]], Any]:
    """A server of the fake's archive with those credentials."""

    def start(credentials: dict[str, str]) -> Any:
        for name, value in credentials.items():
            monkeypatch.setenv(name, value)
        return serve(open_archive(oss.url(), Backoff(first=0.05, most=0.1, patience=0.5)))

    return start


@pytest.mark.parametrize(
    ("who", "why"), [("wrong", "secret does not belong"), ("collector", "which this identity has not")]
)
def test_an_archive_that_refuses_is_a_sentence_and_503_everywhere(
    oss: FakeOss, serve_as: Callable[[dict[str, str]], Any], who: str, why: str
) -> None:
    wrong = {**oss.environment("server"), "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "hush-hush"}
    server = serve_as(wrong if who == "wrong" else oss.environment(who))
    assert server.get("/healthz").status == 200
    for address in ADDRESSES:
        for accept in ("text/html", "*/*"):
            answer = server.get(address, accept=accept)
            assert answer.status == 503, address
            assert why in answer.text
            assert "hush" not in answer.text
            assert answer.headers["retry-after"] == "5"
    assert server.get("/api/sessions").json["result"] is False


def test_a_server_starts_without_its_archive_says_so_and_goes_on_when_it_is_there(
    oss: FakeOss, serve_as: Callable[[dict[str, str]], Any], caplog: pytest.LogCaptureFixture
) -> None:
    oss.down()
    server = serve_as(oss.environment("server"))
    assert server.get("/readyz").status == 503
    assert any(text.startswith("the archive can't be read; it is asked again") for text in caplog.messages)
    assert not any(record.exc_info for record in caplog.records if record.name == "server.view.views")
    oss.up()
    deadline = time.monotonic() + 30
    while server.get("/readyz").status != 200:
        assert time.monotonic() < deadline
    assert server.get("/", accept="text/html").status == 200
