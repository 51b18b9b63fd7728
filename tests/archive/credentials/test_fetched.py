"""Keeping credentials fresh: by a clock of the test's own, with an issuer that does as it is told."""

import dataclasses
import logging
import pickle
import threading
import time

import pytest

from archive.credentials import fetched
from archive.credentials.base import Credentials
from archive.credentials.fetched import Fetched
from archive.errors import CredentialsRefused, TransientStoreError


def source_of(issuer, clock) -> Fetched:
    return Fetched(issuer, clock=clock, chance=lambda: 1.0)


def test_fifty_threads_that_need_credentials_ask_once(issuer, clock) -> None:
    issuer.gate.clear()
    source = source_of(issuer, clock)
    ready = threading.Barrier(51)
    found: list[Credentials] = []

    def use() -> None:
        ready.wait(30)
        found.append(source.current())

    threads = [threading.Thread(target=use) for _ in range(50)]
    for thread in threads:
        thread.start()
    ready.wait(30)
    issuer.gate.set()
    for thread in threads:
        thread.join(30)
    assert issuer.asked == 1
    assert {one.access_key_id for one in found} == {"id-1"}
    assert len(found) == 50


def test_credentials_are_renewed_ahead_of_their_end_and_nobody_waits_for_it(issuer, clock, until) -> None:
    source = source_of(issuer, clock)
    assert source.current().access_key_id == "id-1"
    clock.now += 0.6 * 3600
    assert source.current().access_key_id == "id-1"
    assert issuer.asked == 1
    clock.now += 0.21 * 3600
    issuer.gate.clear()
    assert source.current().access_key_id == "id-1"
    until(lambda: issuer.asked == 2)
    assert source.current().access_key_id == "id-1"
    issuer.gate.set()
    until(lambda: source.current().access_key_id == "id-2")
    assert issuer.asked == 2


def test_a_failing_renewal_leaves_valid_credentials_in_use_and_is_tried_ever_more_slowly(
    issuer, clock, until, caplog
) -> None:
    source = source_of(issuer, clock)
    source.current()
    issuer.failure = TransientStoreError("STS is away")
    caplog.set_level(logging.INFO)
    start = clock.now
    clock.now += 0.81 * 3600
    while clock.now < start + 3600 - fetched._MARGIN:
        assert source.current().access_key_id == "id-1"
        until(lambda: source._running is None)
        clock.now += 1
    tries_in_11_minutes = issuer.asked - 1
    assert 10 <= tries_in_11_minutes <= 20
    assert caplog.text.count("STS is away") == 1
    with pytest.raises(TransientStoreError, match="STS is away"):
        source.current()
    issuer.failure = None
    clock.now += 61
    assert source.current().access_key_id.startswith("id-")
    assert "well again" in caplog.text


def test_after_their_end_the_failure_is_told_at_once_until_the_next_try(issuer, clock) -> None:
    issuer.failure = CredentialsRefused("no such role")
    source = source_of(issuer, clock)
    for _ in range(100):
        with pytest.raises(CredentialsRefused, match="no such role"):
            source.current()
    assert issuer.asked == 1
    clock.now += 2.1
    with pytest.raises(CredentialsRefused):
        source.current()
    assert issuer.asked == 2


def test_what_a_store_refuses_is_replaced_but_not_more_than_once_in_some_seconds(issuer, clock) -> None:
    source = source_of(issuer, clock)
    first = source.current()
    clock.now += 60
    source.invalidate(first)
    second = source.current()
    assert second.access_key_id == "id-2"
    source.invalidate(first)  # somebody else's news, late
    assert source.current() == second
    source.invalidate(second)
    assert source.current() == second
    assert issuer.asked == 2
    clock.now += 5.1
    assert source.current().access_key_id == "id-3"


def test_what_a_store_refuses_is_not_used_any_more_once_asking_anew_has_failed(issuer, clock) -> None:
    source = source_of(issuer, clock)
    first = source.current()
    clock.now += 60
    issuer.failure = CredentialsRefused("the role is gone")
    source.invalidate(first)
    for _ in range(2):
        with pytest.raises(CredentialsRefused, match="the role is gone"):
            source.current()


def test_an_issuer_that_hangs_is_waited_for_for_so_long_only(issuer, clock, monkeypatch) -> None:
    monkeypatch.setattr(fetched, "PATIENCE", 0.05)
    issuer.gate.clear()
    source = source_of(issuer, clock)
    with pytest.raises(TransientStoreError, match="nobody answered"):
        source.current()
    issuer.gate.set()


def test_a_fetch_that_breaks_off_is_a_failure_like_others(issuer, clock, monkeypatch) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    monkeypatch.setattr(type(issuer), "fetch", lambda _: 1 / 0)
    with pytest.raises(TransientStoreError, match="broke off"):
        source_of(issuer, clock).current()


def test_without_a_free_thread_the_failure_says_so(issuer, clock, monkeypatch) -> None:
    def no_thread(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_thread)
    source = source_of(issuer, clock)
    with pytest.raises(TransientStoreError, match="no thread"):
        source.current()


def test_credentials_that_end_at_once_are_no_credentials(issuer, clock) -> None:
    issuer.lifetime = 5.0
    with pytest.raises(TransientStoreError, match="end at once"):
        source_of(issuer, clock).current()


def test_a_pickled_source_takes_its_credentials_along(services, tmp_path) -> None:
    from archive.credentials import source_from

    source = source_from(services.rrsa_environment(tmp_path / "token"))
    found = source.current()
    child = pickle.loads(pickle.dumps(source))  # noqa: S301 - our own bytes
    assert child.current() == found
    assert len(services.requests(service="sts")) == 1


def test_a_pickled_source_whose_credentials_have_ended_asks_for_others(services, tmp_path) -> None:
    from archive.credentials import source_from

    source = source_from(services.rrsa_environment(tmp_path / "token"))
    ended = source.current()
    later = dataclasses.replace(ended, expires=time.time() - 1)
    assert Fetched(source._issuer, later).current() != ended


def test_the_same_refusal_is_logged_once_whatever_its_request_s_id(services, tmp_path, caplog, clock) -> None:
    from archive.credentials import source_from

    services.remove_identity("collector")
    issuer = source_from(services.rrsa_environment(tmp_path / "token"))._issuer
    source = Fetched(issuer, clock=clock)
    told = set()
    for _ in range(3):
        with pytest.raises(CredentialsRefused) as error:
            source.current()
        assert error.value.code == "EntityNotExist.Role"
        told.add(str(error.value))
        clock.now += 61
    assert len(told) == 3
    assert caplog.text.count("there is no role") == 1


def test_neither_text_nor_log_shows_a_secret(services, tmp_path, caplog) -> None:
    from archive.credentials import source_from

    caplog.set_level(logging.DEBUG)
    source = source_from(services.rrsa_environment(tmp_path / "token"))
    found = source.current()
    services.remove_identity("collector")
    fresh = source_from(services.rrsa_environment(tmp_path / "token"))
    with pytest.raises(CredentialsRefused) as told:
        fresh.current()
    shown = f"{found!r} {found} {source!r} {source.description} {told.value} {caplog.text}"
    assert found.access_key_id in shown
    for secret in (found.access_key_secret, found.security_token, (tmp_path / "token").read_text()):
        assert secret
        assert secret not in shown
