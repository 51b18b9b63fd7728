"""The fault script: which requests go wrong, and how.

Deterministic: it looks at requests, counts, seeds, and the time since a fault was added. Of several faults
that fit a request the first one added acts.
"""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass
from typing import Literal

from fake_oss.pattern import fits


@dataclass(frozen=True, slots=True)
class Refuse:
    """Nothing is done, and the service says so."""

    status: int
    code: str
    message: str = "This request was refused by the test."
    ec: str = ""


@dataclass(frozen=True, slots=True)
class ResetRequest:
    """The connection is reset after that many bytes of the request's body; nothing is done."""

    after: int = 0


@dataclass(frozen=True, slots=True)
class ResetAnswer:
    """Done, and the connection is reset after that many bytes of the answer's body."""

    after: int = 0


@dataclass(frozen=True, slots=True)
class LoseAnswer:
    """Done, and the connection is closed without an answer."""


@dataclass(frozen=True, slots=True)
class ApplyLater:
    """A put without an answer that is stored later, at FakeOss.release() or before.

    Namely after `seconds`, or when another put, of another key or of the same one, is through. The
    connection is closed after `hang` seconds.
    """

    seconds: float | None = None
    successor: Literal["other", "same"] | None = None
    hang: float = 0.0


@dataclass(frozen=True, slots=True)
class Trickle:
    """Done at so many bytes a second, of the request's body, the answer, or both."""

    bytes_per_second: float
    request: bool = True
    answer: bool = True


@dataclass(frozen=True, slots=True)
class Withhold:
    """Nothing is done, and nothing is answered; the connection is closed after `seconds`, or at the end."""

    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """Done and answered, after so many more seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class WrongChecksum:
    """Done, and x-oss-hash-crc64ecma in the answer is another one."""


@dataclass(frozen=True, slots=True)
class FlipBit:
    """One bit of the body changes on its way, in the request or in the answer."""

    where: Literal["request", "answer"] = "answer"
    place: int = 0


@dataclass(frozen=True, slots=True)
class Html:
    """A captive portal or proxy answers a page of its own, with a Date or without; nothing is done."""

    status: int = 200
    dated: bool = True


@dataclass(frozen=True, slots=True)
class Redirect:
    """Sent elsewhere; nothing is done."""

    location: str
    status: int = 302


@dataclass(frozen=True, slots=True)
class ListLate:
    """A listing does not show objects younger than so many seconds."""

    seconds: float


Act = (
    Refuse
    | ResetRequest
    | ResetAnswer
    | LoseAnswer
    | ApplyLater
    | Trickle
    | Withhold
    | Wait
    | WrongChecksum
    | FlipBit
    | Html
    | Redirect
    | ListLate
)

SERVER_BUSY = Refuse(503, "ServerBusy", "The server is busy, please retry later.")
UNAVAILABLE = Refuse(503, "ServiceUnavailable", "Thread pool is almost full, please retry later.")
THROTTLED = Refuse(503, "TotalQpsLimitExceeded", "Max total qps limit is exceeded.", "0004-00000302")
BANDWIDTH = Refuse(503, "DownloadTrafficRateLimitExceeded", "Please reduce your download request traffic.")
TOO_MANY = Refuse(429, "QpsLimitExceeded", "Qps limit is exceeded.")
INTERNAL = Refuse(500, "InternalError", "Please contact the server administrator, oss@service.aliyun.com.")
TOKEN_EXPIRED = Refuse(
    403, "SecurityTokenExpired", "The security token you provided has expired.", "0002-00000007"
)


@dataclass(frozen=True)
class Fault:
    """`act` for requests of `service` that fit.

    `method` is GET, PUT…; `operation` its name (PutObject, AssumeRoleWithOIDC…); `key` a pattern with `*` for
    the whole key, for a listing its prefix; `identity` a name. Of these the first `skip` are spared and
    `times` are struck, each with `probability` drawn from `seed`, from `start` seconds after the fault was
    added, for `seconds`.
    """

    act: Act
    method: str | None = None
    key: str | None = None
    operation: str | None = None
    identity: str | None = None
    service: str = "oss"
    skip: int = 0
    times: int | None = None
    probability: float = 1.0
    seed: int = 0
    start: float = 0.0
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """What a fault can look at."""

    service: str
    method: str
    operation: str
    key: str
    identity: str


@dataclass
class _Entry:
    fault: Fault
    added: float
    chance: random.Random
    seen: int = 0
    struck: int = 0

    def strikes(self, subject: Subject, now: float) -> bool:
        fault = self.fault
        if not self._fits(subject) or not self._in_time(now):
            return False
        self.seen += 1
        if self.seen <= fault.skip or (fault.times is not None and self.struck >= fault.times):
            return False
        if fault.probability < 1 and self.chance.random() >= fault.probability:
            return False
        self.struck += 1
        return True

    def _fits(self, subject: Subject) -> bool:
        fault = self.fault
        return (
            fault.service == subject.service
            and fault.method in {None, subject.method}
            and fault.operation in {None, subject.operation}
            and fault.identity in {None, subject.identity}
            and (fault.key is None or fits(fault.key, subject.key))
        )

    def _in_time(self, now: float) -> bool:
        since = now - self.added - self.fault.start
        return since >= 0 and (self.fault.seconds is None or since < self.fault.seconds)


class Script:
    """Faults in the order they were added. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: list[_Entry] = []

    def add(self, fault: Fault) -> None:
        entry = _Entry(fault, time.monotonic(), random.Random(fault.seed))
        with self._lock:
            self._entries.append(entry)

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()

    def act_for(self, subject: Subject) -> Act | None:
        with self._lock:
            now = time.monotonic()
            for entry in self._entries:
                if entry.strikes(subject, now):
                    return entry.fault.act
        return None
