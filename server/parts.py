"""What the server is made of, put together once by `server.main`."""

from dataclasses import dataclass

from archive.store.base import Store
from server.callers import Callers
from server.frontend.assets import Frontend
from server.opening import OpensViews
from server.view.facts import LOST_AFTER_SECONDS


@dataclass(frozen=True)
class Parts:
    """Where sessions are read from, how they are opened and shown.

    `frontend_trouble` says why there is no front end, if there is none; `patience_seconds`: how long a
    request waits for a session to be opened; `callers`: who may put into the store, if anybody may.
    """

    store: Store
    store_url: str
    views: OpensViews
    frontend: Frontend | None
    frontend_trouble: str = ""
    base_path: str = ""
    lost_after_ms: int = int(LOST_AFTER_SECONDS * 1000)
    patience_seconds: float = 20.0
    callers: Callers | None = None
