"""HTTP around the answers: versions, caching, errors, refusals.

A handler is a function of the view and the request that returns an `Answer`; `answered` makes an endpoint
of it. Every answer carries an ETag made of the view's version and the question, so that a page that asks
each four seconds gets 304 while nothing is new. Answers of ended sessions may be kept for a minute; they
can still gain what arrives late.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from server.ray.errors import NotRecorded, QueryInvalid
from server.view.view import View

JSON: Final = "application/json"
TEXT: Final = "text/plain"

KEEP_ENDED: Final = "private, max-age=60, must-revalidate"
KEEP_RUNNING: Final = "private, no-cache"


@dataclass(frozen=True)
class Answer:
    body: bytes
    status: int = 200
    media_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[View, Request], Answer]
Endpoint = Callable[[Request], Awaitable[Response]]


def encode(value: Any) -> bytes:
    """Any plain value as JSON."""
    return msgspec.json.encode(value)


def plain(value: Any) -> Answer:
    """JSON as it is, for endpoints that Ray does not wrap."""
    return Answer(encode(value))


def wrapped(message: str, data: Mapping[str, Any], *, result: bool = True, status: int = 200) -> Answer:
    """Ray's envelope `{"result": bool, "msg": str, "data": {…}}`."""
    return Answer(encode({"result": result, "msg": message, "data": data}), status)


def refused(message: str, status: int = 400) -> Answer:
    """The State API's envelope of an error."""
    return wrapped(message, {"result": None}, result=False, status=status)


def text(message: str, status: int = 200) -> Answer:
    return Answer(message.encode(), status, TEXT)


def answered(handler: Handler) -> Endpoint:
    """The endpoint of a handler, which runs in a thread since it asks a database."""

    async def endpoint(request: Request) -> Response:
        view: View = await request.state.session.view()
        tag = _etag(view, request)
        caching = {
            "ETag": tag,
            "Cache-Control": KEEP_RUNNING if view.facts.state == "running" else KEEP_ENDED,
        }
        if tag in {
            one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")
        }:
            return Response(status_code=304, headers=caching)
        known = view.remembered.get(tag)
        if known is not None:
            return Response(known, 200, caching, JSON)
        try:
            answer = await asyncio.to_thread(handler, view, request)
        except QueryInvalid as error:
            answer = refused(str(error))
        except NotRecorded as error:
            answer = text(str(error), 404)
        if answer.status == 200 and answer.media_type == JSON and not answer.headers:
            view.remembered.put(tag, answer.body)
        headers = {**answer.headers, **(caching if answer.status == 200 else {"Cache-Control": "no-store"})}
        return Response(answer.body, answer.status, headers, answer.media_type)

    return endpoint


def get(path: str, handler: Handler) -> Route:
    """A route that can be read; what would change something is refused before it gets here."""
    return Route(path, answered(handler), methods=["GET"])


def _etag(view: View, request: Request) -> str:
    question = f"{view.version}\n{view.facts.state}\n{request.url.path}?{request.url.query}"
    return f'"{blake2b(question.encode(), digest_size=12).hexdigest()}"'
