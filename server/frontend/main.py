"""`historyserver frontend`: put Ray's front end in place before the server starts, for images."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from server.frontend.assets import Frontend
from server.frontend.errors import FrontendError
from server.frontend.wheel import RAY_VERSION, find_build
from server.settings import default_cache


def main(argv: Sequence[str]) -> int:
    """Find or fetch the front end and say where it is; 1 with a sentence when that is impossible."""
    parser = argparse.ArgumentParser(
        prog="historyserver frontend",
        description=f"Fetch the dashboard of Ray {RAY_VERSION}, so that the server needs no network.",
    )
    parser.add_argument(
        "--cache", type=Path, default=default_cache(), help="folder to keep it in (default: %(default)s)"
    )
    folder: Path = parser.parse_args(argv).cache
    try:
        build = find_build(folder)
    except FrontendError as error:
        sys.stderr.write(f"historyserver frontend: {error}\n")
        return 1
    sys.stdout.write(f"The dashboard of Ray {RAY_VERSION}: {len(Frontend(build).names)} files in {build}\n")
    return 0
