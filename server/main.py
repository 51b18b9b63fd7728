"""`historyserver serve`: read the settings, put the parts together, answer until told to stop."""

import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import uvicorn

from archive.errors import StoreError, StoreMisconfigured
from archive.settings import read, usage
from archive.store.url import open_archive, open_store
from server.app import create_app
from server.callers import Callers, CallersUnknowable, TokenFile
from server.frontend.assets import Frontend
from server.frontend.errors import FrontendError
from server.frontend.wheel import find_build
from server.parts import Parts
from server.settings import ServerSettings
from server.view.views import Views

_PURPOSE = "Shows the sessions of an archive, each in Ray's own dashboard and for Ray's own command line."
_IDLE_SECONDS: Final = 30
"""Longer than a collector waits between two puts, so that a connection does for many."""
_log = logging.getLogger("historyserver")


def main(argv: Sequence[str]) -> int:
    """Serve until SIGTERM or SIGINT; 2 with sentences when the settings can't be used."""
    if "--help" in argv or "-h" in argv:
        sys.stdout.write(usage(ServerSettings, "historyserver serve", _PURPOSE))
        return 0
    reading = read(ServerSettings, argv, os.environ)
    if reading.problems:
        sys.stderr.write("".join(f"historyserver serve: {problem}\n" for problem in reading.problems))
        return 2
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        return _serve(reading.values)
    except StoreError as error:
        sys.stderr.write(f"historyserver serve: --store can't be used: {error}\n")
        return 2
    except CallersUnknowable as error:
        sys.stderr.write(f"historyserver serve: --put-tokens can't be used: {error}\n")
        return 2


def _serve(settings: ServerSettings) -> int:
    callers = _callers(settings)
    # Whoever puts over HTTP tries again by himself, and waits for an answer meanwhile.
    store = open_store(settings.store) if callers else open_archive(settings.store)
    frontend, trouble = _frontend(settings)
    with Views(
        store, settings.cache_folder, settings.cache_bytes, lost_after_seconds=settings.lost_seconds
    ) as views:
        parts = Parts(
            store=store,
            store_url=settings.store,
            views=views,
            frontend=frontend,
            frontend_trouble=trouble,
            base_path=settings.base_path,
            lost_after_ms=int(settings.lost_seconds * 1000),
            callers=callers,
        )
        config = uvicorn.Config(
            create_app(parts),
            host=settings.listen.host or "0.0.0.0",  # noqa: S104 - an empty host means every interface
            port=settings.listen.port,
            log_level="warning",
            server_header=False,
            timeout_graceful_shutdown=5,
            timeout_keep_alive=_IDLE_SECONDS,
        )
        server = uvicorn.Server(config)
        _log.info("answering on http://%s%s/", settings.listen, settings.base_path)
        # uvicorn raises the signal once more after its end; what is open here has to be closed first.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _ended_already)
        server.run()
        return 0 if server.started else 1


def _ended_already(_number: int, _frame: object) -> None:
    """The server has stopped because of this signal; nothing is left to do."""


def _callers(settings: ServerSettings) -> Callers | None:
    """Who may put; nobody unless the settings say so. Raises StoreMisconfigured, CallersUnknowable."""
    if not settings.put_tokens:
        return None
    if urlsplit(settings.store).scheme != "file":
        raise StoreMisconfigured(
            "only a server whose store is a folder, file:///path, takes puts: leave --put-tokens out, and "
            "let collectors put into the store itself"
        )
    return TokenFile(Path(settings.put_tokens))


def _frontend(settings: ServerSettings) -> tuple[Frontend | None, str]:
    """Ray's front end, or the sentence that says why there is none; lists and APIs answer without it."""
    try:
        return Frontend(find_build(settings.cache_folder)), ""
    except FrontendError as error:
        _log.warning("%s", error)
        return None, str(error)
