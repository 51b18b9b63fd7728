"""The front end's files, ready to be served: read once, compressed once, found by exact name only."""

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Final

from server.frontend.adapted import adapted
from server.frontend.errors import FrontendChanged

_BODY: Final = "<body>"
_HEAD_END: Final = "</head>"
_MAIN_SCRIPT: Final = "static/js/main.*.js"
_COMPRESSED: Final = frozenset({".js", ".css", ".html", ".json", ".svg", ".txt"})
_TYPES: Final = {
    ".js": "text/javascript",
    ".woff2": "font/woff2",
    ".woff": "font/woff",
    ".ico": "image/x-icon",
}


@dataclass(frozen=True)
class Asset:
    """One file: its bytes, the same compressed where that helps, and what a browser needs to know."""

    content: bytes
    compressed: bytes | None
    media_type: str
    etag: str


class Frontend:
    """Ray's built front end in a folder; anything that is not one of its files does not exist.

    Raises: FrontendChanged for a build that this server doesn't know.
    """

    def __init__(self, build: Path) -> None:
        self._build = build
        self._names = frozenset(
            path.relative_to(build).as_posix()
            for path in build.rglob("*")
            if path.is_file() and path.suffix != ".map"
        )
        self._main = self._main_script()
        script = (build / self._main).read_text(encoding="utf-8")
        self._script = adapted(script).encode()
        # The file's name tells Ray's content, which browsers may keep for ever; the query tells ours.
        ours = f"{self._main}?v={hashlib.sha256(self._script).hexdigest()[:8]}"
        self._index = (build / "index.html").read_text(encoding="utf-8").replace(self._main, ours, 1)
        self._asset = lru_cache(maxsize=len(self._names))(self._read)

    @property
    def names(self) -> frozenset[str]:
        """The names of all files, relative to the build folder; source maps are left out."""
        return self._names

    def index(self, head: str, bar: str) -> str:
        """index.html with the HTML `head` at the end of its head and `bar` at the beginning of its body."""
        page = self._index.replace(_HEAD_END, f"{head}{_HEAD_END}", 1)
        return page.replace(_BODY, f"{_BODY}{bar}", 1)

    def asset(self, name: str) -> Asset | None:
        """The file of that name, or None."""
        return self._asset(name) if name in self._names else None

    def _main_script(self) -> str:
        found = [name for name in self._names if PurePosixPath(name).match(_MAIN_SCRIPT)]
        if len(found) != 1:
            raise FrontendChanged(
                f"Ray's front end in {self._build} has {len(found)} main scripts, not one:"
                " it is not of the version that this server is made for. Install the pinned version of ray."
            )
        return found[0]

    def _read(self, name: str) -> Asset:
        path = self._build / name
        return _asset(path, self._script) if name == self._main else read_asset(path)


def read_asset(path: Path) -> Asset:
    """A file as an asset."""
    return _asset(path, path.read_bytes())


def _asset(path: Path, content: bytes) -> Asset:
    """Text is compressed once, here."""
    media_type = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return Asset(
        content=content,
        compressed=gzip.compress(content, 6, mtime=0) if path.suffix in _COMPRESSED else None,
        media_type=media_type,
        etag=f'"{hashlib.sha256(content).hexdigest()[:20]}"',
    )
