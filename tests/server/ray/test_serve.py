"""Serve after the session's end: valid for Ray's own client, and nothing claims to run."""

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from server.view.view import View


@pytest.fixture
def ended_api(recorded_view: View, api_of: Callable[[View], Any]) -> Any:
    """The recorded session, lost at a time that is known."""
    lost = copy.copy(recorded_view)
    lost.facts = dataclasses.replace(recorded_view.facts, state="lost", ended_ms=1_795_402_200_000)
    lost.version = "lost"
    return api_of(lost)


def test_after_the_end_nothing_runs_and_messages_tell_what_was_last_known(ended_api: Any) -> None:
    told = ended_api.ask("/api/serve/applications/").json
    application = told["applications"]["helloapp"]
    deployment = application["deployments"]["Hello"]
    assert (application["status"], deployment["status"]) == ("UNHEALTHY", "UNHEALTHY")
    assert application["message"] == (
        "Last known state: RUNNING (session lost at 2026-11-23 02:50:00 UTC). Inferred by the history server."
    )
    assert "Last known state: HEALTHY" in deployment["message"]
    assert [replica["state"] for replica in deployment["replicas"]] == ["STOPPED", "STOPPED"]
    assert {proxy["status"] for proxy in told["proxies"].values()} == {"UNHEALTHY"}


def test_the_stock_client_understands_what_is_told_after_the_end(ended_api: Any) -> None:
    schema = pytest.importorskip("ray.serve.schema")
    details = schema.ServeInstanceDetails(**ended_api.ask("/api/serve/applications/").json)
    status = details._get_status()
    assert status.applications["helloapp"].deployments["Hello"].replica_states == {"STOPPED": 2}
    assert "RUNNING" in status.applications["helloapp"].message


def test_a_deployment_that_failed_to_start_still_says_why(make_api: Callable[..., Any]) -> None:
    body = '{"applications": {"a": {"status": "DEPLOY_FAILED", "message": "No module named shop."}}}'
    poll = {"path": "api/serve/applications/", "newest_good": f"{10**18:020d}\x1f200\x1f{body}"}
    api = make_api({"polls": [poll]}, state="ended")
    application = api.ask("/api/serve/applications/").json["applications"]["a"]
    assert application["status"] == "DEPLOY_FAILED"
    assert application["message"].startswith("No module named shop. Last known state: DEPLOY_FAILED")
