"""`PUT store/<key>`: takes segments and catalog entries of collectors where the server owns a volume.

The other end is `archive.store.http`; what both say is in `archive.store.putting`. A caller shows a token,
and puts into the namespace that is the token's and nowhere else. A body is held in memory until it is whole
and its digest right, so half a body stores nothing; there is room for some, and the others wait unread.
"""

import asyncio
import errno
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from email.utils import formatdate
from typing import Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from archive.errors import NameInvalid, StoreError, TransientStoreError
from archive.layout import CATALOG, SEGMENTS, CatalogName, SegmentName, TrialName
from archive.store.base import ObjectInfo, Store
from archive.store.putting import DIGEST, LARGEST_ENTRY, LARGEST_SEGMENT, OUTCOME, Outcome, digest_of
from server.callers import Callers, CallersUnknowable
from server.metrics import Metrics

_log = logging.getLogger(__name__)

_ROOM: Final = 2 * LARGEST_SEGMENT
"""Bytes of bodies in memory."""
_ROOM_SECONDS: Final = 10.0
_BODY_SECONDS: Final = 40.0
"""For a whole body; a collector waits for its answer for a minute in all."""
_RETRY_SECONDS: Final = 5
_NOT_UTF8: Final = "\ufffd"
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class Refusal(Exception):
    """Why a put stores nothing, or may not have."""

    def __init__(self, status: int, outcome: Outcome, sentence: str, **headers: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.outcome = outcome
        self.headers = headers


class Puts:
    """An ASGI application for everything below `store/`; `key` is in the path parameters."""

    def __init__(self, store: Store, callers: Callers, metrics: Metrics) -> None:
        self._store = store
        self._callers = callers
        self._metrics = metrics
        self._room = Room(_ROOM)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        request = Request(scope, receive)
        if request.method != "PUT":
            sentence = "Here a collector puts what it keeps; the sessions are read elsewhere.\n"
            await PlainTextResponse(sentence, 405, {"Allow": "PUT"})(scope, receive, send)
            return
        try:
            outcome, response = Outcome.STORED, await self._put(request)
        except ClientDisconnect:
            outcome, response = Outcome.INTERRUPTED, Response()
        except Refusal as refusal:
            outcome = refusal.outcome
            headers = {name.replace("_", "-"): text for name, text in refusal.headers.items()}
            response = PlainTextResponse(f"{refusal}\n", refusal.status, headers)
        response.headers[OUTCOME] = outcome
        self._metrics.puts.labels(outcome).inc()
        await response(scope, receive, send)

    async def _put(self, request: Request) -> Response:
        key: str = request.path_params["key"]
        largest = _permitted(key, await self._namespace(request))
        size = _size(request, largest)
        wanted = request.headers.get(DIGEST)
        if wanted is None:
            raise Refusal(400, Outcome.MALFORMED, f"A put needs the digest of its body, as {DIGEST}.")
        async with self._room.of(size):
            data = await _body(request, size)
            stored = await asyncio.to_thread(self._stored, key, data, wanted)
        self._metrics.put_bytes.inc(size)
        headers = {
            "ETag": f'"{stored.etag}"',
            "Last-Modified": formatdate(stored.modified, usegmt=True),
            DIGEST: wanted,
        }
        return PlainTextResponse("", 200, headers)

    async def _namespace(self, request: Request) -> str:
        """The caller's namespace."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        try:
            known = scheme.lower() == "bearer" and token.strip()
            namespace = await asyncio.to_thread(self._callers.namespace_of, token.strip()) if known else None
        except CallersUnknowable as error:
            _log.error("puts are denied: %s", error)
            sentence = f"Nobody's token can be checked now, so nobody may put: {error}."
            raise Refusal(503, Outcome.CALLERS_OUT, sentence, Retry_After=str(_RETRY_SECONDS)) from error
        if namespace is None:
            sentence = "A put needs a token that this server knows, as Authorization: Bearer."
            raise Refusal(401, Outcome.CALLER_UNKNOWN, sentence, WWW_Authenticate="Bearer")
        return namespace

    def _stored(self, key: str, data: bytes, wanted: str) -> ObjectInfo:
        """In a thread: the digest of some MiB takes milliseconds, and the disk what it takes."""
        if digest_of(data) != wanted:
            raise Refusal(
                400, Outcome.DAMAGED, f"The body is not the one that its {DIGEST} is of: send it again."
            )
        try:
            return self._store.put(key, data)
        except StoreError as error:
            _log.error("a put of %r failed: %s", key, error)
            cause = error.__cause__
            if isinstance(cause, OSError) and cause.errno in _NO_ROOM:
                raise Refusal(507, Outcome.FULL, f"The server's volume is full: {error}.") from error
            if isinstance(error, TransientStoreError) and error.effect_unknown:
                raise Refusal(500, Outcome.UNKNOWN, f"The server's volume failed: {error}.") from error
            raise Refusal(503, Outcome.FAILED, f"The server's volume failed: {error}.") from error


class Room:
    """So many bytes of bodies may be in memory at a time."""

    def __init__(self, size: int) -> None:
        self._free = size
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def of(self, size: int) -> AsyncIterator[None]:
        """Room for that many bytes, for as long as the context. Raises Refusal if none gets free."""
        try:
            async with asyncio.timeout(_ROOM_SECONDS), self._changed:
                await self._changed.wait_for(lambda: self._free >= size)
                self._free -= size
        except TimeoutError:
            sentence = "Too many puts at a time: try again."
            raise Refusal(503, Outcome.BUSY, sentence, Retry_After=str(_RETRY_SECONDS)) from None
        try:
            yield
        finally:
            self._free += size
            async with self._changed:
                self._changed.notify_all()


def _permitted(key: str, namespace: str) -> int:
    """How many bytes the object may have, if the caller may put it. Raises Refusal."""
    try:
        owner, largest = _named(key)
    except NameInvalid as error:
        sentence = f"Only segments and catalog entries can be put: {error}."
        raise Refusal(403, Outcome.DENIED, sentence) from None
    if _NOT_UTF8 in key:
        raise Refusal(403, Outcome.DENIED, "The object's name is no UTF-8.")
    if owner != namespace:
        sentence = f"This token is of the namespace {namespace!r}, the object of {owner!r}."
        raise Refusal(403, Outcome.DENIED, sentence)
    return largest


def _named(key: str) -> tuple[str, int]:
    """The namespace of an object that collectors put, and its greatest size. Raises NameInvalid."""
    with suppress(NameInvalid):
        trial = TrialName.parse(key)
        if trial.place in {CATALOG, SEGMENTS}:
            return trial.namespace, LARGEST_ENTRY
    if key.startswith(CATALOG):
        return CatalogName.parse(key).session.namespace, LARGEST_ENTRY
    return SegmentName.parse(key).session.namespace, LARGEST_SEGMENT


def _size(request: Request, largest: int) -> int:
    """What the body will have, as announced. Raises Refusal."""
    told = request.headers.get("Content-Length", "")
    if not (told.isascii() and told.isdecimal()):
        raise Refusal(411, Outcome.MALFORMED, "A put needs the length of its body, as Content-Length.")
    if len(told) > 15 or int(told) > largest:
        raise Refusal(
            413, Outcome.TOO_LARGE, f"The body has {told[:30]} bytes; this server takes {largest} at most."
        )
    return int(told)


async def _body(request: Request, size: int) -> bytes:
    """The whole body. Raises Refusal, ClientDisconnect."""
    pieces: list[bytes] = []
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for piece in request.stream():
                pieces.append(piece)  # noqa: PERF401 - an asynchronous comprehension would hide the limit
    except TimeoutError:
        sentence = f"The body did not come within {_BODY_SECONDS:g} s."
        raise Refusal(408, Outcome.TOO_SLOW, sentence, Connection="close") from None
    data = b"".join(pieces)
    if len(data) != size:
        raise Refusal(400, Outcome.MALFORMED, f"The body has {len(data)} bytes instead of {size}.")
    return data
