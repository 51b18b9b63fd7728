"""Posts events as Ray's aggregator agent does: body after body, each again until it is answered 2xx."""

import base64
import http.client
import json
import random
import threading
from datetime import UTC, datetime
from hashlib import sha224

from .ray_node import NODE, SESSION

NODE_ID = base64.b64encode(bytes.fromhex(NODE)).decode()
LARGE = 6000
"""Events of a body that is kept in pieces while it comes."""


class Aggregator:
    """Of one node. `post` sends the next body, and the same one again if it was not answered."""

    def __init__(self, port: int, chance: random.Random, *, large: float = 0.003) -> None:
        """`large`: how probable a body is that a collector keeps in pieces while it comes."""
        self.posted: dict[str, bytes] = {}
        """Every event ever sent, by event id."""
        self.acknowledged: dict[str, float] = {}
        """When an event was made, in Unix seconds, of those in bodies that were answered 2xx."""
        self.unanswered = 0
        """Events sent without an answer, each time: what was kept of them is sent and kept again."""
        self._port = port
        self._chance = chance
        self._large = large
        self._connection: http.client.HTTPConnection | None = None
        self._waiting: dict[str, float] = {}
        self._body = b""
        self._giving_up = threading.Event()

    def post(self) -> bool:
        """One try with the next body, or with the one that got no answer; whether it got one now."""
        if not self._waiting:
            large = self._chance.random() < self._large
            self.make(LARGE if large else self._chance.choice((1, 5, 20, 20, 20, 200)))
        if not self._answered():
            return False
        self.acknowledged.update(self._waiting)
        self._waiting.clear()
        return True

    def settle(self, tries: int = 2000) -> None:
        """Posts what got no answer yet, until it gets one."""
        for _ in range(tries):
            if not self._waiting:
                self.close()
                return
            self.post()
            self._giving_up.wait(0.01)
        raise AssertionError("nobody takes the last body")

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def make(self, count: int) -> None:
        """The next body: so many events."""
        now = datetime.now(UTC)
        lines = []
        for _ in range(count):
            event_id, line = self._event(now)
            self.posted[event_id] = line
            self._waiting[event_id] = now.timestamp()
            lines.append(line)
        self._body = b"[" + b",".join(lines) + b"]"

    def _event(self, now: datetime) -> tuple[str, bytes]:
        number = len(self.posted)
        kind = "TASK_PROFILE_EVENT" if number % 3 == 0 else "TASK_LIFECYCLE_EVENT"
        event_id = base64.b64encode(sha224(f"{SESSION} {number}".encode()).digest()).decode()
        event = {
            "eventId": event_id,
            "sourceType": "CORE_WORKER",
            "eventType": kind,
            "timestamp": now.isoformat().replace("+00:00", "Z"),
            "severity": "INFO",
            "message": "",
            "sessionName": SESSION,
            "nodeId": NODE_ID,
            "text": self._chance.randbytes(60).hex(),
        }
        return event_id, json.dumps(event).encode()

    def _answered(self) -> bool:
        try:
            if self._connection is None:
                self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
                self._connection.connect()
        except OSError:
            self.close()
            return False
        try:
            headers = {"Content-Type": "application/json"}
            self._connection.request("POST", "/v1/events", self._body, headers)
            answer = self._connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            self.unanswered += len(self._waiting)
            self.close()
            return False
        assert 200 <= answer.status < 300, f"Ray would send this body for ever: {answer.status}"
        return True
