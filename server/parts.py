"""What the server is made of, put together once by `server.main`."""

from dataclasses import dataclass

from archive.store.base import Store
from server.frontend.assets import Frontend
from server.opening import OpensViews


@dataclass(frozen=True)
class Parts:
    """What the server is made of. `frontend_trouble` says why there is no front end, if there is none."""

    store: Store
    store_url: str
    views: OpensViews
    frontend: Frontend | None
    frontend_trouble: str = ""
    base_path: str = ""
    lost_after_ms: int = 180_000
