"""Answers that several parts of the server give alike: assets, sentences for people and for programs."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, Response, StreamingResponse

from server.frontend.assets import Asset
from server.pages.assets import page_asset
from server.pages.render import message_page

_POLICY = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'"


def json_response(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Anything msgspec can encode, as JSON."""
    return Response(msgspec.json.encode(content), status, headers, media_type="application/json")


def page_response(html: str, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """One of our own pages: never kept by a browser, and nothing from elsewhere may run in it."""
    fixed = {"Cache-Control": "no-store", "Content-Security-Policy": _POLICY}
    return HTMLResponse(html, status, fixed | (headers or {}))


def asset_response(request: Request, asset: Asset, cache_control: str) -> Response:
    """A file, compressed if the client takes that, or 304 if it has it already."""
    headers = {"Cache-Control": cache_control, "ETag": asset.etag, "Vary": "Accept-Encoding"}
    if asset.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    if asset.compressed is not None and "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
        return Response(asset.compressed, headers=headers, media_type=asset.media_type)
    return Response(asset.content, headers=headers, media_type=asset.media_type)


async def page_asset_response(request: Request) -> Response:
    """The file of our own pages that `name` in the path asks for. Raises: HTTPException."""
    asset = page_asset(request.path_params["name"])
    if asset is None:
        raise HTTPException(404)
    return asset_response(request, asset, "no-cache")


def streamed_response(
    request: Request, pieces: AsyncIterator[bytes], media_type: str, headers: dict[str, str] | None = None
) -> Response:
    """An answer sent piece by piece; who asks with HEAD gets the headers, and no piece is made."""
    body = () if request.method == "HEAD" else pieces
    return StreamingResponse(body, headers=headers, media_type=media_type)


def wants_page(connection: HTTPConnection) -> bool:
    """Whether a person in a browser asks, rather than a program."""
    return "text/html" in connection.headers.get("accept", "")


def way_to_root(path: str) -> str:
    """The relative way to the list from a path below the base path; "/clusters/a/b/c/" is four deep."""
    return "../" * (path.count("/") - 1)


@dataclass(frozen=True)
class Sentence:
    """What went wrong, in words; `retry_after` in seconds where trying again helps."""

    status: int
    title: str
    text: str
    retry_after: int | None = None


def sentence_response(connection: HTTPConnection, path: str, sentence: Sentence) -> Response:
    """A sentence: a page for people, Ray's wrapper for programs. `path` is below the base path."""
    retry = sentence.retry_after
    headers = {"Retry-After": str(retry)} if retry is not None else {}
    if wants_page(connection):
        page = message_page(sentence.title, sentence.text, way_to_root(path), retry)
        return page_response(page, sentence.status, headers)
    body = {"result": False, "msg": sentence.text, "data": {"result": None}}
    return json_response(body, sentence.status, headers)
