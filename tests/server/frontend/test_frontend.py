"""Ray's front end: where it comes from, and which of its files exist for a browser."""

import gzip
import hashlib
import re
import zipfile
from pathlib import Path

import pytest

from server.frontend.adapted import adapted
from server.frontend.assets import Frontend
from server.frontend.errors import FrontendChanged, FrontendUnavailable
from server.frontend.wheel import RAY_VERSION, extract_build, find_build, installed_build

FILES = 49
SOURCE_MAPS = 4


@pytest.fixture(scope="module")
def build() -> Path:
    found = installed_build()
    assert found is not None, f"the tests need ray {RAY_VERSION} installed"
    return found


@pytest.fixture(scope="module")
def wheel(build: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel that holds the real build folder and a neighbour of it."""
    path = tmp_path_factory.mktemp("wheel") / f"ray-{RAY_VERSION}-cp311-cp311-manylinux2014_x86_64.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for file in sorted(build.rglob("*")):
            archive.write(file, f"ray/dashboard/client/build/{file.relative_to(build).as_posix()}")
        archive.writestr("ray/dashboard/client/build-notes.txt", "not of the build")
        about = f"ray-{RAY_VERSION}.dist-info"
        archive.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: ray\nVersion: {RAY_VERSION}\n")
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nTag: cp311-cp311-manylinux2014_x86_64\n")
        archive.writestr(f"{about}/RECORD", "")
    return path


def main_script(frontend: Frontend) -> str:
    (name,) = (name for name in frontend.names if name.startswith("static/js/main.") and name.endswith(".js"))
    return name


def test_all_files_of_the_build_are_served_but_its_source_maps(build: Path) -> None:
    assert sum(1 for file in build.rglob("*") if file.is_file()) == FILES
    names = Frontend(build).names
    assert len(names) == FILES - SOURCE_MAPS
    assert not any(name.endswith(".map") for name in names)
    assert {"index.html", "favicon.ico"} <= names


def test_what_is_no_file_of_the_build_does_not_exist(build: Path) -> None:
    frontend = Frontend(build)
    main = main_script(frontend)
    assert frontend.asset(main) is not None
    for name in (f"{main}.map", "static", "", "../build/index.html", "/etc/passwd", "api/jobs/"):
        assert frontend.asset(name) is None


def test_the_index_refers_to_relative_addresses_only_and_begins_with_the_bar(build: Path) -> None:
    html = Frontend(build).index('<link rel="x">', "<header>bar</header>")
    assert 'src="/' not in html
    assert 'href="/' not in html
    assert "http:" not in html
    assert "https:" not in html
    assert '<link rel="x"></head>' in html
    assert "<body><header>bar</header>" in html
    assert '<div id="root">' in html
    assert re.search(r'src="\./static/js/main\.\w+\.js\?v=[0-9a-f]{8}"', html)


def test_the_logs_of_dead_nodes_are_listed_and_linked(build: Path) -> None:
    frontend = Frontend(build)
    main = main_script(frontend)
    served = frontend.asset(main)
    assert served is not None
    original = (build / main).read_text()
    assert '=>"ALIVE"===e.raylet.state)' in original
    assert b'=>"ALIVE"===e.raylet.state)' not in served.content
    removed = len(original.encode()) - len(served.content)
    assert 0 < removed < 100


def test_without_platform_events_no_error_is_noted(build: Path) -> None:
    script = adapted((build / main_script(Frontend(build))).read_text())
    assert 'return 204!==(await(0,T.YM)("api/v0/platform_events")).status' in script


def test_a_front_end_of_another_version_is_refused() -> None:
    with pytest.raises(FrontendChanged, match="pinned version"):
        adapted("a script of another version")


def test_text_is_compressed_once_and_fonts_are_left_alone(build: Path) -> None:
    frontend = Frontend(build)
    main = frontend.asset(main_script(frontend))
    font = frontend.asset(next(name for name in frontend.names if name.endswith(".woff2")))
    assert main is not None
    assert font is not None
    assert main.compressed is not None
    assert gzip.decompress(main.compressed) == main.content
    assert len(main.compressed) < len(main.content) / 3
    assert main.media_type == "text/javascript"
    assert font.compressed is None


def test_the_build_is_taken_out_of_a_wheel_without_source_maps(
    wheel: Path, build: Path, tmp_path: Path
) -> None:
    extract_build(wheel, tmp_path / "build")
    assert Frontend(tmp_path / "build").names == Frontend(build).names
    assert not list(tmp_path.rglob("*.map"))
    assert not list(tmp_path.rglob("build-notes.txt"))


def test_a_wheel_without_a_build_is_refused(tmp_path: Path) -> None:
    wheel = tmp_path / "ray.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("ray/__init__.py", "")
    with pytest.raises(FrontendUnavailable, match="holds no built dashboard"):
        extract_build(wheel, tmp_path / "build")


def test_without_ray_and_without_a_network_the_sentence_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.frontend.wheel.installed_build", lambda: None)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(FrontendUnavailable, match="historyserver frontend"):
        find_build(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_build_fetched_before_is_used_again(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.frontend.wheel.installed_build", lambda: None)
    extract_build(wheel, tmp_path / f"frontend-{RAY_VERSION}")
    assert find_build(tmp_path) == tmp_path / f"frontend-{RAY_VERSION}"


@pytest.mark.parametrize("pinned", [True, False])
def test_the_pinned_wheel_is_fetched_and_no_other(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pinned: bool
) -> None:
    pytest.importorskip("pip")
    digest = hashlib.sha256(wheel.read_bytes() if pinned else b"another wheel").hexdigest()
    lock = tmp_path / "lock.txt"
    lock.write_text(f"ray=={RAY_VERSION} --hash=sha256:{digest}\n")
    monkeypatch.setattr("server.frontend.wheel._LOCK", lock)
    monkeypatch.setattr("server.frontend.wheel.installed_build", lambda: None)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    cache = tmp_path / "cache"
    if pinned:
        assert len(Frontend(find_build(cache)).names) == FILES - SOURCE_MAPS
    else:
        with pytest.raises(FrontendUnavailable):
            find_build(cache)
        assert list(cache.iterdir()) == []
