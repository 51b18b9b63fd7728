"""One session's address: Ray's dashboard, Ray's API, its logs, answered from the archive.

Below `/clusters/<namespace>/<cluster>/<session>/`, in this order: Ray's index page with our bar, our own
pages under `history/`, the log endpoints, Ray's API, the front end's files by exact name. All else is 404.
"""

import asyncio

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from archive.layout import SessionKey
from server.catalog import Catalog
from server.logs.history import routes as history_routes
from server.logs.routes import routes as log_routes
from server.logs.session import LogShelf
from server.opening import Openings, OpenSession
from server.pages.render import SESSION_ROOT, Bar, bar_head, bar_html, message_page, progress_page
from server.pages.words import utc
from server.parts import Parts
from server.ray import routes as ray_routes
from server.responses import asset_response, page_asset_response, page_response, wants_page
from server.sessions import END_MISSING, Session, State
from server.view.errors import ViewPending
from server.view.view import View

NEWEST = "latest"
NOT_IN_CATALOG = "It is not in the catalog: it is being removed, or was never listed; parts of it may be gone"
_INDEX_PATIENCE_SECONDS = 1.0


class SessionSite:
    """An ASGI application for all sessions; the session is in the path parameters."""

    def __init__(self, parts: Parts, catalog: Catalog, openings: Openings, shelf: LogShelf) -> None:
        self._catalog = catalog
        self._openings = openings
        self._frontend = parts.frontend
        self._frontend_trouble = parts.frontend_trouble
        self._lost_after_ms = parts.lost_after_ms
        self._shelf = shelf
        routes = [
            Route("/", self._index),
            Route("/index.html", self._index),
            Route("/history/assets/{name}", page_asset_response),
            *history_routes,
            *log_routes,
            *ray_routes,
            Route("/{name:path}", self._asset),
        ]
        self._router = Router(routes, redirect_slashes=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Find the session and pass the request on. Raises: SessionUnknown, NameInvalid, StoreError."""
        named = scope["path_params"]
        if scope["type"] == "http" and scope["method"] not in {"GET", "HEAD"}:
            raise HTTPException(405)
        if named["session"] == NEWEST:
            newest = await self._catalog.newest(named["namespace"], named["cluster"])
            await _redirect_to(newest, scope)(scope, receive, send)
            return
        key = SessionKey(named["namespace"], named["cluster"], named["session"])
        await self._catalog.require(key)
        session = OpenSession(key, self._shelf.logs(key), self._openings, self._catalog, self._lost_after_ms)
        inner = dict(scope, state={**scope.get("state", {}), "session": session})
        await self._router(inner, receive, send)

    async def _index(self, request: Request) -> Response:
        """Ray's dashboard with our bar; a page with progress while the session is being opened."""
        session: OpenSession = request.state.session
        try:
            view = await session.view(_INDEX_PATIENCE_SECONDS)
        except ViewPending as pending:
            if not wants_page(request):
                raise
            return page_response(progress_page(session.key, pending.done, pending.total), 202)
        if self._frontend is None:
            page = message_page("Ray's dashboard is not here yet", self._frontend_trouble, SESSION_ROOT)
            return page_response(page, 503)
        html = self._frontend.index(bar_head(), bar_html(_bar(view, self._catalog.known(session.key))))
        return HTMLResponse(html, headers={"Cache-Control": "no-store"})

    async def _asset(self, request: Request) -> Response:
        """A file of the front end. Names below `static/` carry a hash of their content: they never change."""
        name: str = request.path_params["name"]
        asset = await asyncio.to_thread(self._frontend.asset, name) if self._frontend else None
        if asset is None:
            raise HTTPException(404)
        forever = "public, max-age=31536000, immutable" if name.startswith("static/") else "no-cache"
        return asset_response(request, asset, forever)


def _redirect_to(key: SessionKey, scope: Scope) -> Response:
    """To the same place below the newest session; relative, so that it holds behind any proxy."""
    below = scope["path"].partition(f"/{NEWEST}")[2]
    query = f"?{scope['query_string'].decode('latin-1')}" if scope["query_string"] else ""
    return RedirectResponse(f"{'../' * below.count('/')}{key.session}{below or '/'}{query}", 302)


def _bar(view: View, told: Session | None) -> Bar:
    """`told`: what the catalog says of the session; None where there are segments only."""
    facts = view.facts
    state = State(facts.state)
    at = f"{utc(facts.ended_ms)} UTC" if facts.ended_ms is not None else "at an unknown time"
    when = {
        State.RUNNING: "shown as it was some seconds ago",
        State.ENDED: f"{at} ({facts.reason})" if facts.reason else at,
        State.LOST: f"last heard of {at}",
    }[state]
    missing = told.missing(state) if told else (NOT_IN_CATALOG, *(END_MISSING,) * (state is State.LOST))
    return Bar(view.key, state, when, (*missing, *view.gaps))
