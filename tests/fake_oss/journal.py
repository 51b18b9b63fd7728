"""What the services were asked, for tests to look at and benches to count."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass

from fake_oss.pattern import fits


@dataclass(frozen=True, slots=True)
class Asked:
    """One request. `status` 0: no answer; `started` by this machine's clock; `act` names the fault."""

    service: str
    method: str
    operation: str
    key: str
    identity: str
    status: int
    code: str
    bytes_in: int
    bytes_out: int
    started: float
    seconds: float
    act: str


class Journal:
    """Thread-safe, in the order of answers. A request is there before its answer can be seen."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked: list[Asked] = []

    def add(self, asked: Asked) -> None:
        with self._lock:
            self._asked.append(asked)

    def replace(self, before: Asked, after: Asked) -> None:
        """Correct what add() was told."""
        with self._lock:
            for place in range(len(self._asked) - 1, -1, -1):
                if self._asked[place] is before:
                    self._asked[place] = after
                    return

    def clear(self) -> None:
        with self._lock:
            self._asked.clear()

    def requests(
        self,
        *,
        service: str | None = "oss",
        method: str | None = None,
        operation: str | None = None,
        key: str | None = None,
        identity: str | None = None,
        status: int | None = None,
    ) -> list[Asked]:
        """Those that fit; `key` is a pattern with `*`."""
        with self._lock:
            asked = list(self._asked)
        return [
            one
            for one in asked
            if service in {None, one.service}
            and method in {None, one.method}
            and operation in {None, one.operation}
            and identity in {None, one.identity}
            and status in {None, one.status}
            and (key is None or fits(key, one.key))
        ]

    def counts(self) -> Counter[str]:
        """Of OSS: requests by operation, and the bytes of bodies as bytes_in and bytes_out."""
        counts: Counter[str] = Counter()
        for one in self.requests():
            counts[one.operation] += 1
            counts["bytes_in"] += one.bytes_in
            counts["bytes_out"] += one.bytes_out
        return counts
