"""The files of our own pages: style sheets and an icon."""

from functools import cache
from pathlib import Path

from server.frontend.assets import Asset, read_asset

_FOLDER = Path(__file__).with_name("assets")


@cache
def _all() -> dict[str, Asset]:
    return {path.name: read_asset(path) for path in _FOLDER.iterdir()}


def page_asset(name: str) -> Asset | None:
    """The file of that name, or None."""
    return _all().get(name)
