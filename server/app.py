"""The server's addresses: the list of sessions, each session below its own prefix, and what
watches the server.

`/clusters/<namespace>/<cluster>/<session>/…` is handed to `server.session_site`; all else is here.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from archive.errors import NameInvalid, StoreError
from archive.layout import SessionKey
from archive.store.putting import PATH
from archive.store.retry import Retrying
from server.catalog import Catalog
from server.logs.session import LogShelf
from server.metrics import Measured, Metrics
from server.opening import Openings
from server.pages.errors import QuestionInvalid
from server.pages.listing import answer, read_question
from server.pages.render import empty_page, session_json, sessions_page
from server.parts import Parts
from server.puts import Puts
from server.responses import Sentence, json_response, page_asset_response, page_response, sentence_response
from server.session_site import SessionSite
from server.view.errors import FoldFailed, SessionUnknown, ViewPending

_log = logging.getLogger(__name__)
_WORKERS: Final = 16
_RETRY_SECONDS: Final = 5


class HistoryPages:
    """The pages above the sessions."""

    def __init__(self, parts: Parts, catalog: Catalog, metrics: Metrics) -> None:
        self._parts = parts
        self._catalog = catalog
        self._metrics = metrics

    async def sessions_page(self, request: Request) -> Response:
        """The list of sessions, for people."""
        snapshot = await self._catalog.snapshot()
        question = read_question(request.query_params)
        if not snapshot.sessions:
            return page_response(empty_page(self._parts.store_url))
        page = await asyncio.to_thread(answer, snapshot, question, self._parts.lost_after_ms)
        return page_response(sessions_page(snapshot, question, page, self._parts.lost_after_ms))

    async def sessions_json(self, request: Request) -> Response:
        """The list of sessions, for programs: `limit` (at most 1000) and `cursor`, and the page's filters."""
        snapshot = await self._catalog.snapshot()
        lost_after_ms = self._parts.lost_after_ms
        page = await asyncio.to_thread(answer, snapshot, read_question(request.query_params), lost_after_ms)
        told = [session_json(session, snapshot.clock_ms, lost_after_ms) for session in page.sessions]
        body = {
            "sessions": told,
            "total": page.total,
            "next_cursor": page.next_cursor,
            "as_of_ms": snapshot.clock_ms,
            "complete": snapshot.complete and not snapshot.unread,
        }
        return json_response(body, headers={"Cache-Control": "no-store"})

    async def healthy(self, _request: Request) -> Response:
        """The process answers."""
        return PlainTextResponse("ok\n")

    async def ready(self, _request: Request) -> Response:
        """The archive can be listed."""
        await self._catalog.snapshot()
        return PlainTextResponse("ready\n")

    async def metrics(self, _request: Request) -> Response:
        """Prometheus' text format."""
        return Response(self._metrics.exposition(), media_type=self._metrics.content_type)


def create_app(parts: Parts) -> Starlette:
    """The whole server as an ASGI application."""
    metrics = Metrics()
    if isinstance(store := parts.store, Retrying):
        metrics.watch_retries(lambda: store.retries)
    shelf = LogShelf(parts.store)

    def forget(key: SessionKey) -> None:
        parts.views.forget(key)
        shelf.forget(key)

    catalog = Catalog(parts.store, forget)
    openings = Openings(parts.views, parts.patience_seconds)
    pages = HistoryPages(parts, catalog, metrics)
    site = SessionSite(parts, catalog, openings, shelf)
    routes: list[BaseRoute] = [
        Route("/", pages.sessions_page),
        Route("/api/sessions", pages.sessions_json),
        Route("/assets/{name}", page_asset_response),
        Route("/healthz", pages.healthy),
        Route("/readyz", pages.ready),
        Route("/metrics", pages.metrics),
        Route("/clusters/{namespace}/{cluster}/{session}", _with_slash),
        Mount("/clusters/{namespace}/{cluster}/{session}", app=site),
    ]
    if parts.callers is not None:
        routes.append(Route(f"{PATH}{{key:path}}", Puts(parts.store, parts.callers, metrics)))
    if parts.base_path:
        outside = [route for route in routes[3:6] if isinstance(route, Route)]  # probes know no base path
        routes = [*outside, Route(parts.base_path, _with_slash), Mount(parts.base_path, routes=routes)]
    app = Starlette(
        routes=routes,
        middleware=[Middleware(Measured, metrics=metrics)],
        exception_handlers=_handlers(parts.base_path),
        lifespan=_lifespan(catalog, openings, shelf),
    )
    app.router.redirect_slashes = False
    return app


async def _with_slash(request: Request) -> Response:
    """An address without its last slash: everything below it is relative, so the slash has to be there."""
    query = f"?{request.url.query}" if request.url.query else ""
    last = request.url.path.rpartition("/")[2]
    return RedirectResponse(f"{last}/{query}", 307)


def _lifespan(
    catalog: Catalog, openings: Openings, shelf: LogShelf
) -> Callable[[Starlette], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        # Handlers ask views and stores in threads; the default of five or six would be the server's width.
        asyncio.get_running_loop().set_default_executor(
            ThreadPoolExecutor(_WORKERS, thread_name_prefix="work")
        )
        keeper = asyncio.create_task(catalog.keep())
        yield
        keeper.cancel()
        shelf.close()
        openings.close()

    return lifespan


def _handlers(base_path: str) -> dict[Any, Callable[[Request, Exception], Response]]:
    """What becomes of errors: a sentence and a status, never a stack trace."""

    def tell(connection: HTTPConnection, sentence: Sentence) -> Response:
        return sentence_response(connection, connection.scope["path"].removeprefix(base_path), sentence)

    def unknown_session(request: Request, error: Exception) -> Response:
        return tell(request, Sentence(404, "No such session", str(error)))

    def pending(request: Request, error: Exception) -> Response:
        return tell(request, Sentence(503, "Being opened", str(error), _RETRY_SECONDS))

    def store_trouble(request: Request, error: Exception) -> Response:
        _log.warning("the archive did not answer %s: %s", request.url.path, error)
        text = f"The archive can't be read: {error}"
        return tell(request, Sentence(503, "The archive can't be read", text, _RETRY_SECONDS))

    def not_opened(request: Request, error: Exception) -> Response:
        _log.error("%s could not be opened: %s", request.url.path, error)
        text = f"This session could not be opened: {error}"
        return tell(request, Sentence(503, "This session could not be opened", text, _RETRY_SECONDS))

    def bad_question(request: Request, error: Exception) -> Response:
        return tell(request, Sentence(400, "That can't be asked", str(error)))

    def refused(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 404
        if status == 405:
            text = "This server shows history and changes nothing: it answers GET and HEAD only."
            return tell(request, Sentence(405, "History can't be changed", text))
        return tell(
            request,
            Sentence(
                status,
                "Nothing here",
                f"There is nothing at {request.url.path}; the sessions are listed at {base_path}/.",
            ),
        )

    def unexpected(request: Request, _error: Exception) -> Response:
        return tell(request, Sentence(500, "A fault of this server", "This server failed; its log says how."))

    return {
        SessionUnknown: unknown_session,
        NameInvalid: unknown_session,
        ViewPending: pending,
        FoldFailed: not_opened,
        StoreError: store_trouble,
        QuestionInvalid: bad_question,
        HTTPException: refused,
        Exception: unexpected,
    }
