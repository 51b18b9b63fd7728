"""Where the front end comes from: the installed ray of the pinned version, or else that version's wheel.

The wheel's hashes are pinned in `ray-wheel.txt` beside this module, without addresses: pip's own settings say
where packages come from. Only `ray/dashboard/client/build` is taken out, without the source maps (7 of 9 MB).
"""

import importlib.metadata
import importlib.util
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path, PurePosixPath
from typing import Final

from server.frontend.errors import FrontendUnavailable

RAY_VERSION: Final = "2.60.0"
_BUILD: Final = PurePosixPath("ray/dashboard/client/build")
_LOCK: Final = Path(__file__).with_name("ray-wheel.txt")
_DOWNLOAD_SECONDS: Final = 600


def find_build(cache: Path) -> Path:
    """The folder of the built front end, fetched into `cache` where this machine has none yet.

    Raises: FrontendUnavailable.
    """
    installed = installed_build()
    if installed is not None:
        return installed
    target = cache / f"frontend-{RAY_VERSION}"
    if not (target / "index.html").is_file():
        _fetch(target)
    return target


def installed_build() -> Path | None:
    """The build folder of an installed ray of the pinned version; ray itself is not imported."""
    try:
        if importlib.metadata.version("ray") != RAY_VERSION:
            return None
    except importlib.metadata.PackageNotFoundError:
        return None
    spec = importlib.util.find_spec("ray")
    if spec is None or spec.origin is None:
        return None
    build = Path(spec.origin).parent.parent / _BUILD
    return build if (build / "index.html").is_file() else None


def _fetch(target: Path) -> None:
    """Take the build folder out of the pinned wheel; a half-done folder never gets the final name."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".frontend-", dir=target.parent) as scratch:
        wheel = _download(Path(scratch))
        unpacked = Path(scratch) / "build"
        extract_build(wheel, unpacked)
        try:
            unpacked.rename(target)
        except OSError as error:  # another server on this machine may have been faster
            if not (target / "index.html").is_file():
                raise FrontendUnavailable(
                    f"Ray's front end could not be put into {target}: {error}."
                ) from error


def _download(folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    # Any wheel of the version holds the same front end, so one platform's will do everywhere.
    command += ["--only-binary=:all:", "--python-version=3.11", "--platform=manylinux2014_x86_64"]
    command += ["--require-hashes", f"--requirement={_LOCK}", f"--dest={folder}"]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=_DOWNLOAD_SECONDS)  # noqa: S603 (fixed words, no shell)
    except (OSError, subprocess.SubprocessError) as error:
        reason = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        raise FrontendUnavailable(
            f"Ray's dashboard files are not on this machine and could not be downloaded"
            f" ({reason[-1] if reason else error}). Run `historyserver frontend` where there is a network,"
            f" or install ray=={RAY_VERSION} beside this program, and start again."
        ) from error
    return next(folder.glob("ray-*.whl"))


def extract_build(wheel: Path, target: Path) -> None:
    """Take the build folder out of a ray wheel, without source maps.

    Raises: FrontendUnavailable when the wheel holds none.
    """
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            path = PurePosixPath(name)
            if not path.is_relative_to(_BUILD) or name.endswith("/") or path.suffix == ".map":
                continue
            if ".." in path.parts:
                raise FrontendUnavailable(f"{wheel.name} holds a path that leaves its folder: {name!r}.")
            destination = target / path.relative_to(_BUILD)
            destination.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(name) as source, destination.open("wb") as sink:
                shutil.copyfileobj(source, sink)
    if not (target / "index.html").is_file():
        raise FrontendUnavailable(
            f"{wheel.name} holds no built dashboard: is it a wheel of ray {RAY_VERSION}?"
        )
