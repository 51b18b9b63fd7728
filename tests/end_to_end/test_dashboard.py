"""The dead session in Chromium: every page shows what it should, and nothing untoward happens on the way.

The `visit` fixture fails a test for any console or page error, failed request, foreign host, or request
outside the session's prefix.
"""

import json
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.ray, pytest.mark.browser, pytest.mark.timeout(600)]

ERROR = "orders-07.csv, row 4211: the price is missing"


@pytest.fixture(scope="session")
def failing_task(dead_session: Any) -> dict[str, Any]:
    (row,) = dead_session.rows("tasks", func_or_class_name="read_orders", state="FAILED")
    return row


def test_the_list_shows_the_session_as_lost(visit: Any) -> None:
    visit.open_list()
    visit.sees("Sessions", "shop", visit.session.name, "lost")
    visit.screenshot("01-sessions")


def test_the_top_bar_says_what_one_looks_at_and_leads_back(visit: Any) -> None:
    visit.allow_list()
    visit.open("#/overview")
    visit.sees("demo / shop", visit.session.name, "lost")
    visit.page.get_by_text("All sessions").click()
    visit.page.wait_for_url(visit.session.url)


PAGES: list[tuple[str, str, list[str]]] = [
    (
        "02-overview",
        "#/overview",
        ["Recent jobs", "daily-report", "storefront", "Cluster status and autoscaler", "JOBS"],
    ),
    (
        "03-jobs",
        "#/jobs",
        ["python daily_report.py", "FAILED", "SUCCEEDED", "shop-simulation", "sales-by-shop"],
    ),
    (
        "04-job",
        "#/jobs/daily-report",
        ["python daily_report.py", "Failed: 1", "Finished: 11", "daily report: 12 files"],
    ),
    ("06-job-of-data", "#/jobs/sales-by-shop", ["SUCCEEDED", "python sales_by_shop.py"]),
    ("09-cluster", "#/cluster", ["127.0.0.2 (Head)", "127.0.0.3"]),
    ("14-serve", "#/serve", ["storefront", "Greeter", "Controller"]),
]


@pytest.mark.parametrize(("name", "place", "texts"), PAGES, ids=[name for name, _, _ in PAGES])
def test_a_page_shows_what_the_cluster_did(visit: Any, name: str, place: str, texts: list[str]) -> None:
    visit.open(place)
    visit.sees(*texts)
    visit.screenshot(name)


def test_the_actors_are_listed_and_filtered(visit: Any) -> None:
    visit.open("#/actors")
    visit.sees("TOTAL x", "DEAD x")
    visit.page.get_by_label("Class").fill("Scanner")
    visit.sees("TOTAL x 1")
    assert visit.page.get_by_text("Scanner", exact=True).count() == 1
    visit.screenshot("07-actors")


def test_the_task_table_of_a_job_shows_the_failing_task(visit: Any, failing_task: dict[str, Any]) -> None:
    visit.open("#/jobs/daily-report")
    visit.page.get_by_text("Task Table").click()
    visit.sees(failing_task["task_id"])
    visit.page.get_by_text(failing_task["task_id"]).first.scroll_into_view_if_needed()
    visit.screenshot("05-job-tasks")


def test_the_task_page_shows_its_error_and_its_log(visit: Any, failing_task: dict[str, Any]) -> None:
    visit.open(f"#/jobs/daily-report/tasks/{failing_task['task_id']}")
    visit.sees("read_orders", "FAILED", "row 4210: order=88121", "row 4211: order=88122")
    visit.screenshot("05-task-stderr")
    visit.page.get_by_role("tab", name="STDOUT").click()
    visit.sees("reading orders-07.csv")
    visit.page.get_by_role("tab", name="Error stack trace").click()
    visit.sees(ERROR)
    visit.screenshot("05-task-error")


def test_an_actor_that_restarted_tells_its_story(visit: Any) -> None:
    (cashier,) = visit.session.rows("actors", class_name="Cashier")
    visit.open(f"#/actors/{cashier['actor_id']}")
    visit.sees(cashier["actor_id"], "Cashier", "till 1", "owner has died", ":actor_name:Cashier")
    visit.page.get_by_role("tab", name="STDOUT").click()
    visit.sees("cashier: basket 4 is paid")
    visit.screenshot("08-actor")
    visit.page.get_by_text("Tasks History").click()
    visit.sees("Cashier.checkout", "FINISHED x", "FAILED x")
    visit.page.get_by_role("button", name="Error", exact=True).or_(
        visit.page.get_by_text("Error", exact=True)
    ).first.click()
    visit.sees("ACTOR_")
    visit.screenshot("08-actor-tasks")


def test_each_node_has_its_page(visit: Any) -> None:
    nodes = visit.session.rows("nodes")
    assert sorted(node["node_ip"] for node in nodes) == ["127.0.0.2", "127.0.0.3"]
    for node in nodes:
        visit.open(f"#/cluster/nodes/{node['node_id']}")
        visit.sees(f"NODE - {node['node_id']}", node["node_ip"])
        visit.screenshot(f"10-node-{node['node_ip']}")


def test_the_logs_of_both_nodes_are_listed_and_open(visit: Any) -> None:
    visit.open("#/logs/")
    visit.sees("127.0.0.2", "127.0.0.3")
    visit.screenshot("11-logs")
    head = next(node for node in visit.session.rows("nodes") if node["is_head_node"])
    visit.page.get_by_text(head["node_id"]).click()
    visit.sees("gcs_server.out", "job-driver-daily-report.log")
    visit.screenshot("12-logs-of-a-node")
    visit.page.get_by_text("job-driver-daily-report.log").click()
    visit.sees("daily report: 12 files", "RayTaskError(ValueError)")
    visit.screenshot("13-log-viewer")


def test_the_timeline_of_a_job_downloads(visit: Any, tmp_path: Path) -> None:
    visit.open("#/jobs/shop-simulation")
    with visit.page.expect_download() as download:
        visit.page.get_by_text("Download trace file").click()
    download.value.save_as(tmp_path / "timeline.json")
    slices = json.loads((tmp_path / "timeline.json").read_text())
    assert {"task::price", "task::download_rates", "task::Cashier.checkout"} <= {
        each.get("cat") for each in slices
    }


def test_a_newcomer_finds_the_error_and_the_log_by_clicks_alone(
    visit: Any, failing_task: dict[str, Any]
) -> None:
    visit.open_list()
    visit.page.get_by_role("link", name="shop").first.click()
    visit.page.get_by_role("link", name="Jobs", exact=True).first.click()
    visit.page.get_by_role("row", name="daily-report").get_by_role("link").first.click()
    visit.page.get_by_text("Task Table").click()
    visit.page.get_by_role("row", name=failing_task["task_id"]).get_by_role("link").first.click()
    visit.sees("row 4211: order=88122")
    visit.page.get_by_role("tab", name="Error stack trace").click()
    visit.sees(ERROR)
