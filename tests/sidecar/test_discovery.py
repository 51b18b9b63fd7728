"""Which session and which node live in a folder, told by what Ray leaves there."""

import os
from pathlib import Path

import pytest

from archive.layout import Role
from sidecar.discovery import STAND_IN_AFTER, Look, Sighting, Watch, look

SESSION = "session_2026-11-23_02-43-27_490622_12278"
LATER = "session_2026-11-23_05-00-00_000001_77"
OLD = "593fd952d75624efbbf93821c408b4a5b6ed6b4e138c1229c87eca3b"
NEW = "df2adaacdb61804408645f058c837352ae132968e428d41b81027c2c"
THIRD = "9b7abac63f7ebea4de8d709dc288c0ecc7c544cd03ebf624a171b5ec"
RAY_2_40 = Path(__file__).parents[1] / "fixtures" / "ray" / "2.40"

# What `ls` shows in the session folder of a Ray 2.60 head, but for folders.
LISTING_2_60_HEAD = (
    f"dashboard_agent_listen_port_{OLD}",
    f"gcs_server_port_{OLD}",
    f"metrics_agent_port_{OLD}",
    f"metrics_export_port_{OLD}",
    "prom_metrics_service_discovery.json",
    f"runtime_env_agent_port_{OLD}",
)


def make_session(ray_dir: Path, session: str, files: tuple[str, ...] = (), *, link: bool = True) -> Path:
    folder = ray_dir / session
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    for name in files:
        (folder / name).write_text("52365")
    if link:
        latest = ray_dir / "session_latest"
        latest.unlink(missing_ok=True)
        latest.symlink_to(f"/elsewhere/ray/{session}")
    return folder


def see(ray_dir: Path, watch: Watch | None = None, now: float = 0.0) -> Sighting | None:
    return (watch or Watch("pod-1")).see(look(ray_dir), now)


def age(path: Path, seconds: float) -> None:
    os.utime(path, (1_795_400_000 + seconds, 1_795_400_000 + seconds))


def test_a_head_of_ray_2_60_is_told_by_its_port_files(tmp_path: Path) -> None:
    folder = make_session(tmp_path, SESSION, LISTING_2_60_HEAD)
    assert see(tmp_path) == Sighting(SESSION, folder, OLD, Role.HEAD)


def test_a_head_is_known_by_its_gcs_before_its_agents_run(tmp_path: Path) -> None:
    make_session(tmp_path, SESSION, (f"gcs_server_port_{OLD}",))
    seen = see(tmp_path)
    assert seen is not None
    assert (seen.node_id, seen.role) == (OLD, Role.HEAD)


def test_a_worker_of_ray_2_60_has_no_gcs_port_file(tmp_path: Path) -> None:
    make_session(tmp_path, SESSION, tuple(name for name in LISTING_2_60_HEAD if "gcs" not in name))
    seen = see(tmp_path)
    assert seen is not None
    assert (seen.node_id, seen.role) == (OLD, Role.WORKER)


def test_a_head_of_ray_2_40_is_told_by_its_logs(tmp_path: Path) -> None:
    folder = make_session(tmp_path, SESSION, ("ports_by_node.json", "node_ip_address.json"))
    (folder / "logs" / "raylet.out").write_bytes((RAY_2_40 / "logs" / "raylet.out").read_bytes())
    (folder / "logs" / "gcs_server.out").touch()
    seen = see(tmp_path)
    assert seen is not None
    assert seen.node_id == "2223d3ec558d2d0c5aae614391192e170d60ac73d88049fd435c06ac"
    assert seen.role is Role.HEAD


def test_a_raylet_log_of_ray_2_60_tells_the_node_before_its_port_files_do(tmp_path: Path) -> None:
    folder = make_session(tmp_path, SESSION)
    (folder / "logs" / "raylet.out").write_text(f"[2026 I 1 1] (raylet) Setting node ID node_id={OLD}\n")
    seen = see(tmp_path)
    assert seen is not None
    assert seen.node_id == OLD


def test_a_raylet_that_goes_on_in_a_long_old_log_is_found_at_its_end(tmp_path: Path) -> None:
    folder = make_session(tmp_path, SESSION)
    log = folder / "logs" / "raylet.out"
    log.write_text(f"Raylet of id, {OLD} started.\n" + "x\n" * 200_000)
    watch = Watch("pod-1")
    first = see(tmp_path, watch)
    with log.open("a") as file:
        file.write(f"Raylet of id, {NEW} started.\n")
    second = see(tmp_path, watch, 1)
    with log.open("a") as file:
        file.write("y\n" * 200_000)
    third = see(tmp_path, watch, 2)
    assert [seen and seen.node_id for seen in (first, second, third)] == [OLD, NEW, NEW]


def test_the_vendors_note_tells_the_node_where_nothing_else_does(tmp_path: Path) -> None:
    make_session(tmp_path, SESSION)
    (tmp_path / "alibabacloud_raylet_node_id").write_text(f"{OLD}\n")
    seen = see(tmp_path)
    assert seen is not None
    assert seen.node_id == OLD


def test_a_note_from_before_the_session_is_not_believed(tmp_path: Path) -> None:
    make_session(tmp_path, SESSION)
    (tmp_path / "alibabacloud_raylet_node_id").write_text(f"{OLD}\n")
    age(tmp_path / "alibabacloud_raylet_node_id", 0)
    assert see(tmp_path) is None


def test_the_first_event_is_the_last_resort(tmp_path: Path) -> None:
    make_session(tmp_path, SESSION)
    seen = Watch("pod-1").see(look(tmp_path), 0.0, THIRD)
    assert seen is not None
    assert seen.node_id == THIRD


def test_a_worker_that_restarts_in_the_same_folder_is_a_second_node(tmp_path: Path) -> None:
    watch = Watch("pod-1")
    folder = make_session(tmp_path, SESSION, (f"metrics_agent_port_{OLD}",))
    age(folder / f"metrics_agent_port_{OLD}", 0)
    first = see(tmp_path, watch)
    (folder / f"metrics_agent_port_{NEW}").write_text("1")
    age(folder / f"metrics_agent_port_{NEW}", 60)
    second = see(tmp_path, watch, 1)
    assert first is not None
    assert second is not None
    assert (first.node_id, second.node_id, second.stood_in) == (OLD, NEW, None)
    assert see(tmp_path, watch, 2) == second


def test_a_clock_that_was_set_back_does_not_revive_the_old_node(tmp_path: Path) -> None:
    watch = Watch("pod-1")
    folder = make_session(tmp_path, SESSION, (f"metrics_agent_port_{OLD}",))
    see(tmp_path, watch)
    (folder / f"metrics_agent_port_{NEW}").write_text("1")
    age(folder / f"metrics_agent_port_{NEW}", -3600)
    seen = [see(tmp_path, watch, now) for now in (1, 2, 3)]
    assert [one and one.node_id for one in seen] == [NEW] * 3


def test_a_collector_that_starts_late_takes_the_newest_of_several_nodes(tmp_path: Path) -> None:
    folder = make_session(
        tmp_path, SESSION, tuple(f"metrics_agent_port_{node}" for node in (OLD, NEW, THIRD))
    )
    for seconds, node in enumerate((THIRD, OLD, NEW)):
        age(folder / f"metrics_agent_port_{node}", seconds)
    watch = Watch("pod-1")
    seen = [see(tmp_path, watch, now) for now in (0, 1, 2)]
    assert [one and one.node_id for one in seen] == [NEW] * 3


def test_a_second_head_of_one_session_is_another_node_and_a_head(tmp_path: Path) -> None:
    watch = Watch("pod-1")
    folder = make_session(tmp_path, SESSION, LISTING_2_60_HEAD)
    see(tmp_path, watch)
    for name in LISTING_2_60_HEAD:
        (folder / name.replace(OLD, NEW)).write_text("1")
    second = see(tmp_path, watch, 1)
    assert second is not None
    assert (second.session, second.node_id, second.role) == (SESSION, NEW, Role.HEAD)


def test_a_new_session_is_followed(tmp_path: Path) -> None:
    watch = Watch("pod-1")
    make_session(tmp_path, SESSION, LISTING_2_60_HEAD)
    see(tmp_path, watch)
    make_session(tmp_path, LATER, tuple(name.replace(OLD, NEW) for name in LISTING_2_60_HEAD))
    seen = see(tmp_path, watch, 1)
    assert seen is not None
    assert (seen.session, seen.node_id) == (LATER, NEW)


def test_a_new_session_without_a_node_yet_does_not_end_the_old_one(tmp_path: Path) -> None:
    watch = Watch("pod-1")
    make_session(tmp_path, SESSION, LISTING_2_60_HEAD)
    first = see(tmp_path, watch)
    make_session(tmp_path, LATER)
    assert see(tmp_path, watch, 1) == first


def test_something_stands_in_for_a_node_that_dies_before_it_has_an_id(tmp_path: Path) -> None:
    watch = Watch("pod-1")
    folder = make_session(tmp_path, SESSION)
    (folder / "logs" / "gcs_server.out").touch()
    assert see(tmp_path, watch, 100) is None
    assert see(tmp_path, watch, 100 + STAND_IN_AFTER - 0.1) is None
    seen = see(tmp_path, watch, 100 + STAND_IN_AFTER)
    assert seen == Sighting(SESSION, folder, "pod-1", Role.HEAD, stands_in=True)


def test_the_real_node_names_what_stood_in_for_it(tmp_path: Path) -> None:
    watch = Watch("pod-1")
    folder = make_session(tmp_path, SESSION)
    see(tmp_path, watch, 0)
    see(tmp_path, watch, STAND_IN_AFTER)
    (folder / f"metrics_agent_port_{OLD}").write_text("1")
    seen = [see(tmp_path, watch, STAND_IN_AFTER + later) for later in (1, 2)]
    assert [one and (one.node_id, one.stands_in, one.stood_in) for one in seen] == [(OLD, False, "pod-1")] * 2


def test_a_folder_that_vanishes_is_not_the_end(tmp_path: Path) -> None:
    watch = Watch("pod-1")
    make_session(tmp_path, SESSION, LISTING_2_60_HEAD)
    seen = see(tmp_path, watch)
    (tmp_path / "session_latest").unlink()
    (tmp_path / SESSION).rename(tmp_path / "gone")
    assert see(tmp_path, watch, 1) == seen


def test_without_a_usable_link_the_newest_folder_counts(tmp_path: Path) -> None:
    make_session(tmp_path, SESSION, link=False)
    make_session(tmp_path, LATER, link=False)
    age(tmp_path / SESSION, 100)
    age(tmp_path / LATER, 0)
    assert look(tmp_path).session == SESSION
    (tmp_path / "session_latest").symlink_to(tmp_path / "session_2026-11-24_00-00-00_000000_1")
    assert look(tmp_path).session == SESSION


def test_a_missing_folder_shows_nothing(tmp_path: Path) -> None:
    assert look(tmp_path / "absent") == Look(None, tmp_path / "absent")
    assert look(tmp_path) == Look(None, tmp_path)


@pytest.mark.parametrize(
    "target",
    [
        "../../etc",
        "session_2026-11-23_..",
        "session_2026-11-23_a\nb",
        "session_2026-11-23_" + "x" * 300,
        "logs",
    ],
)
def test_a_hostile_session_name_is_refused(tmp_path: Path, target: str) -> None:
    (tmp_path / "session_latest").symlink_to(target)
    (tmp_path / "logs").mkdir()
    (tmp_path / "session_2026-11-23_a\nb").mkdir()
    assert look(tmp_path).session is None


def test_a_session_that_is_a_link_to_elsewhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ray").mkdir()
    (tmp_path / "secret").mkdir()
    (tmp_path / "ray" / SESSION).symlink_to(tmp_path / "secret")
    (tmp_path / "ray" / "session_latest").symlink_to(SESSION)
    assert look(tmp_path / "ray").session is None


@pytest.mark.parametrize(
    "name", ["metrics_agent_port_../../x", f"metrics_agent_port_{OLD}~", "metrics_agent_port_"]
)
def test_a_hostile_node_id_is_refused(tmp_path: Path, name: str) -> None:
    folder = make_session(tmp_path, SESSION)
    (folder / name.replace("/", "%2f")).write_text("1")
    assert see(tmp_path) is None
