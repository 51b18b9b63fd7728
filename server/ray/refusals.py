"""What can only be asked of a living cluster, and what does not exist: a sentence instead of a page."""

from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from server.ray.answers import Answer, refused, text
from server.view.view import View

GONE: Final = (
    "This is the record of a Ray session. Stack traces and profiles are taken from living processes, "
    "so they are to be asked of the cluster itself while it runs."
)
UNKNOWN: Final = "404: Not Found. Ray 2.60 answers no such path, or the history has no record for it."


def cluster_is_gone(_view: View, _request: Request) -> Answer:
    """`worker/traceback`, `memory_profile` and the like."""
    return text(GONE, 404)


def no_platform_events(_view: View, request: Request) -> Answer:
    """`api/v0/platform_events`: 404, as in a cluster that does not record them.

    The front end asks by HEAD, as it is served here (`server/frontend/adapted.py`): 204 hides the tab.
    """
    if request.method == "HEAD":
        return Answer(b"", 204)
    return text("404: Not Found. Platform events were not recorded in this session.", 404)


async def unknown(request: Request) -> Response:
    """Any other path below Ray's API: never the index page, which clients would take for an answer."""
    if "/api/v0/" in request.url.path:
        answer = refused(UNKNOWN, 404)
        return Response(answer.body, 404, {"Cache-Control": "no-store"}, answer.media_type)
    return PlainTextResponse(UNKNOWN, 404, {"Cache-Control": "no-store"})
