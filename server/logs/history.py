"""What a history can do with logs beyond Ray's dashboard: search them, take them all, show them at once.

`api/history/logs/search|archive` and the page `history/logs/`, below a session's address.
"""

import asyncio
import re
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from server.logs.bundle import zipped
from server.logs.errors import LogError, ParameterInvalid
from server.logs.listing import grouped
from server.logs.node import NodeLogs
from server.logs.resolve import find_node
from server.logs.search import LARGEST_LIMIT, Found, search
from server.logs.sending import in_threads
from server.opening import OpenSession
from server.pages.render import NodeListing, logs_page
from server.responses import json_response, page_response, streamed_response

_DEFAULT_LIMIT = 100
_SHORTEST = 2
_EVERYWHERE = "**/*"


async def search_logs(request: Request) -> Response:
    """`GET api/history/logs/search?q=…[&node_id=…][&glob=…][&limit=…]`: lines with these words, as JSON."""
    session: OpenSession = request.state.session
    try:
        nodes = await asyncio.to_thread(_nodes, session, request.query_params.get("node_id"))
        found = await _search(session, request, nodes)
    except LogError as error:
        return json_response({"result": False, "msg": str(error), "data": {}}, 400)
    hits = [{"node_id": hit.node_id, "filename": hit.filename, "line": hit.line} for hit in found.hits]
    body = {"hits": hits, "searched_bytes": found.searched, "complete": found.complete}
    return json_response({"result": True, "msg": "", "data": body})


async def send_archive(request: Request) -> Response:
    """`GET api/history/logs/archive[?node_id=…]`: all logs of the session or of a node, zipped on the way."""
    session: OpenSession = request.state.session
    try:
        nodes = await asyncio.to_thread(_nodes, session, request.query_params.get("node_id"))
    except LogError as error:
        return json_response({"result": False, "msg": str(error), "data": {}}, 404)
    name = re.sub(r"[^A-Za-z0-9._-]", "_", f"{session.key.cluster}-{session.key.session}-logs.zip")
    body: AsyncIterator[bytes] = in_threads(zipped(session.logs, nodes))
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return streamed_response(request, body, "application/zip", headers)


async def show_logs(request: Request) -> Response:
    """`GET history/logs/[?q=…]`: every node's logs, and what was found in them; needs no view."""
    session: OpenSession = request.state.session
    words = request.query_params.get("q", "").strip()
    nodes = await asyncio.to_thread(session.logs.nodes)
    found: Found | None = None
    trouble = ""
    if words:
        try:
            found = await _search(session, request, nodes)
        except LogError as error:
            trouble = str(error)
    listings = [NodeListing(node.node_id, node.facts, grouped(node.paths), node.troubles) for node in nodes]
    return page_response(logs_page(session.key, words, listings, found, trouble))


def _nodes(session: OpenSession, node_id: str | None) -> list[NodeLogs]:
    return [find_node(session.logs, node_id, None)] if node_id else session.logs.nodes()


async def _search(session: OpenSession, request: Request, nodes: list[NodeLogs]) -> Found:
    asked = request.query_params
    words = asked.get("q", "").strip()
    limit = asked.get("limit") or str(_DEFAULT_LIMIT)
    if len(words) < _SHORTEST:
        raise ParameterInvalid("Give at least two letters to search for, as q=….")
    if not (limit.isascii() and limit.isdecimal() and 1 <= int(limit[:9]) <= LARGEST_LIMIT):
        raise ParameterInvalid(f"limit must be a whole number from 1 to {LARGEST_LIMIT}, not {limit!r}.")
    pattern = asked.get("glob") or _EVERYWHERE
    return await asyncio.to_thread(
        search, session.logs, words, nodes=nodes, pattern=pattern, limit=int(limit)
    )


routes: list[BaseRoute] = [
    Route("/history/logs/", show_logs),
    Route("/api/history/logs/search", search_logs),
    Route("/api/history/logs/archive", send_archive),
]
