"""The metadata service of an ECS instance: its role's credentials, behind a session token (IMDSv2)."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from fake_oss.clock import Clock
from fake_oss.errors import ServiceError
from fake_oss.faults import Act, Subject
from fake_oss.service import Signer
from fake_oss.wire import Answer, Request

_CREDENTIALS: Final = "/latest/meta-data/ram/security-credentials/"
_TOKEN: Final = "/latest/api/token"
_MOST_TTL: Final = 21600


class MetadataService:
    """`role` is the name of the instance's role, None for an instance without one."""

    name = "metadata"
    asks_in_body = False

    def __init__(self, clock: Clock, issue: Callable[[str], tuple[str, Signer]]) -> None:
        self.role: str | None = None
        self.token_required = True
        self._clock = clock
        self._issue = issue
        self._lock = threading.Lock()
        self._tokens: dict[str, float] = {}

    def subject(self, request: Request) -> Subject:
        return Subject(self.name, request.method, request.path, request.path, "")

    def common_headers(self) -> dict[str, str]:
        return {"Content-Type": "text/plain", "Connection": "keep-alive"}

    def refusal(self, request: Request, error: ServiceError) -> Answer:
        return Answer(error.status, {}, error.message.encode(), error.code)

    def answer(self, request: Request, subject: Subject, act: Act | None) -> Answer | None:
        if request.path == _TOKEN:
            return self._token(request)
        token = request.headers.get("x-aliyun-ecs-metadata-token")
        with self._lock:
            lives = token is not None and self._tokens.get(token, 0) > self._clock.now()
        if not lives and (self.token_required or token is not None):
            raise ServiceError(403, "Forbidden", "Forbidden")
        if self.role is None or not request.path.startswith(_CREDENTIALS):
            raise ServiceError(404, "NotFound", "Not Found")
        wanted = request.path.removeprefix(_CREDENTIALS)
        if not wanted:
            return Answer(200, {}, self.role.encode())
        if wanted != self.role:
            raise ServiceError(404, "NotFound", "Not Found")
        return Answer(200, {"Content-Type": "application/json"}, self._credentials(wanted))

    def _token(self, request: Request) -> Answer:
        text = request.headers.get("x-aliyun-ecs-metadata-token-ttl-seconds", "")
        if request.method != "PUT" or not text.isdigit() or not 1 <= int(text) <= _MOST_TTL:
            raise ServiceError(400, "BadRequest", "Bad Request")
        token = secrets.token_urlsafe(24)
        with self._lock:
            self._tokens[token] = self._clock.now() + int(text)
        return Answer(200, {}, token.encode())

    def _credentials(self, role: str) -> bytes:
        access_key_id, signer = self._issue(role)
        expires, now = signer.expires or 0, self._clock.now()
        return json.dumps(
            {
                "AccessKeyId": access_key_id,
                "AccessKeySecret": signer.secret,
                "Expiration": _time(expires),
                "SecurityToken": signer.token,
                "LastUpdated": _time(now),
                "Code": "Success",
            }
        ).encode()


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
