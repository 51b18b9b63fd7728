"""Ray's log endpoints, below a session's address: lists, files, streams, drivers' logs.

Source: `api/v0/logs`, `api/v0/logs/file|stream`, `api/jobs/<id>/logs[/tail]` of Ray 2.60. Log errors are 500
with the reason as plain text, since that is what Ray's own clients show.
"""

import asyncio
import codecs
from collections.abc import AsyncIterator

import msgspec
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from archive.errors import StoreError
from server.logs.errors import LogError, LogMissing, LogUnclear, ParameterInvalid
from server.logs.listing import grouped, matching
from server.logs.question import ALL_LINES, read_log_question
from server.logs.resolve import Whereabouts, find_node, of_driver, resolve
from server.logs.sending import Follow, Sending
from server.logs.text import ColourFilter
from server.opening import OpenSession
from server.ray.errors import NotRecorded
from server.responses import json_response, streamed_response
from server.view.errors import ServerError


async def list_logs(request: Request) -> Response:
    """`GET api/v0/logs`: a node's files and folders by component, in Ray's wrapper."""
    session: OpenSession = request.state.session
    asked = request.query_params
    try:
        node = await asyncio.to_thread(find_node, session.logs, asked.get("node_id"), asked.get("node_ip"))
        names = await asyncio.to_thread(matching, node.paths, asked.get("glob") or "*")
    except (LogUnclear, ParameterInvalid) as error:
        return _wrapped(400, str(error), None)
    except LogMissing as error:
        return _wrapped(404, str(error), None)
    return _wrapped(200, "", grouped(names))


def _wrapped(status: int, message: str, result: dict[str, list[str]] | None) -> Response:
    return json_response({"result": status == 200, "msg": message, "data": {"result": result}}, status)


async def send_log(request: Request) -> Response:
    """`GET api/v0/logs/file|stream`: the bytes as they were written, but for colours if that is asked."""
    session: OpenSession = request.state.session
    try:
        followed = _is_followed(request.path_params["media_type"])
        question = read_log_question(request.query_params)
        found = await resolve(session, question)
        sending = await Sending.of(session.logs, found, question.lines)
    except ParameterInvalid as error:
        return PlainTextResponse(str(error), 400)
    except LogError as error:
        return PlainTextResponse(str(error), 500)
    body = Follow(session, sending).bytes() if followed else sending.bytes()
    return streamed_response(
        request,
        _without_colours(body) if question.without_colours else body,
        "text/plain",
        {"Content-Disposition": f'attachment; filename="{question.download_name}"'},
    )


def _is_followed(media_type: str) -> bool:
    if media_type not in {"file", "stream"}:
        raise ParameterInvalid(f"Invalid media type: {media_type}")
    return media_type == "stream"


async def _without_colours(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    colours = ColourFilter()
    async for piece in body:
        if kept := colours.feed(piece):
            yield kept
    yield colours.finish()


async def job_logs(request: Request) -> Response:
    """`GET api/jobs/<id>/logs`: a submitted job's whole driver log as `{"logs": text}`."""
    session: OpenSession = request.state.session
    job = request.path_params["job"]
    found = await _driver(session, job)
    if isinstance(found, Response):
        return found
    try:
        sending = await Sending.of(session.logs, found, ALL_LINES)
    except LogMissing:
        return json_response({"logs": ""})  # as Ray answers for a job whose driver never started
    return streamed_response(request, _as_json(sending.bytes()), "application/json")


async def _driver(session: OpenSession, job: str) -> Whereabouts | Response:
    """Where a job's driver log is, or Ray's answer for a job that has none."""
    try:
        return await of_driver(session, job)
    except NotRecorded as error:
        view = await session.view()
        known = await asyncio.to_thread(
            view.rows,
            "SELECT submission_id FROM submissions WHERE submission_id = ?"
            " UNION ALL SELECT submission_id FROM jobs WHERE job_id = ?",
            (job, job),
        )
        if not known:
            return PlainTextResponse(f"Job {job} does not exist", 404)
        if known[0][0] is None:
            return PlainTextResponse("Can only get logs of submission type jobs", 400)
        return PlainTextResponse(str(error), 500)


async def _as_json(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield b'{"logs": "'
    async for text in _text(body):
        yield msgspec.json.encode(text)[1:-1]
    yield b'"}'


async def _text(body: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """Bytes as text; a letter that lies across two pieces stays whole, and what is no text is replaced."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    async for piece in body:
        if text := decoder.decode(piece):
            yield text
    if rest := decoder.decode(b"", final=True):
        yield rest


async def tail_job(websocket: WebSocket) -> None:
    """`api/jobs/<id>/logs/tail`: the driver's log in text frames; goes on while the job may still write."""
    session: OpenSession = websocket.state.session
    job = websocket.path_params["job"]
    try:
        found = await _driver(session, job)
        if isinstance(found, Response):
            await websocket.send_denial_response(found)
            return
        await websocket.accept()
        sending = await Sending.of(session.logs, found, ALL_LINES)
        async for text in _text(Follow(session, sending, job).bytes()):
            await websocket.send_text(text)
        await websocket.close()
    except LogMissing:
        await websocket.close()
    except (ServerError, StoreError) as error:
        await websocket.close(1011, str(error)[:120])
    except WebSocketDisconnect:
        return


routes: list[BaseRoute] = [
    Route("/api/v0/logs", list_logs),
    Route("/api/v0/logs/{media_type}", send_log),
    Route("/api/jobs/{job}/logs", job_logs),
    WebSocketRoute("/api/jobs/{job}/logs/tail", tail_job),
]
