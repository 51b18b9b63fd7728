"""Credentials that somebody issues for a while: fetched in the background, ahead of their end.

One fetch at a time, in a thread of its own: a name server or an issuer that hangs costs a caller `PATIENCE`
seconds at most, and nothing as long as the credentials at hand are good. For how long they are good is the
difference of two times of the issuer's clock, counted here by a clock that nobody sets: a wrong clock on this
machine neither keeps dead credentials nor throws good ones away.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from archive.credentials.base import Credentials
from archive.errors import StoreError, TransientStoreError
from archive.store.retry import Backoff

PATIENCE: Final = 12.0
"""Seconds a caller without good credentials waits for a fetch under way."""

_MARGIN: Final = 10.0  # credentials that end within these seconds are not handed out
_SHORTEST_GAP: Final = 5.0  # between fetches that a store's refusal asks for
_BACKOFF: Final = Backoff(first=2.0, most=60.0)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Issued:
    """Credentials, and for how many seconds they are good by the issuer's clock."""

    credentials: Credentials
    lifetime: float


class Issuer(Protocol):
    """Who issues credentials. Survives pickling."""

    @property
    def description(self) -> str:
        """Which identity is asked for, without secrets."""
        ...

    def fetch(self) -> Issued:
        """Asks once. Raises StoreError."""
        ...


class Fetched:
    """A CredentialSource. `at_hand`: to begin with; `clock`: monotonic seconds; `chance`: from 0 to 1."""

    def __init__(
        self,
        issuer: Issuer,
        at_hand: Credentials | None = None,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._issuer = issuer
        self._clock = clock
        self._chance = chance
        self._lock = threading.Lock()
        self._running: threading.Event | None = None  # set when the fetch under way has ended
        self._held: Credentials | None = None
        self._good_until = self._refresh_at = 0.0
        self._rejected = False
        self._begun = self._not_before = float("-inf")
        self._failures = 0
        self._failure: StoreError = TransientStoreError("no credentials were asked for yet")
        left = 0.0 if at_hand is None or at_hand.expires is None else at_hand.expires - time.time()
        if at_hand is not None and left > _MARGIN:
            self._keep(Issued(at_hand, left))

    def __reduce__(self) -> tuple[object, ...]:
        with self._lock:
            return type(self), (self._issuer, self._held)

    @property
    def description(self) -> str:
        return self._issuer.description

    def current(self) -> Credentials:
        with self._lock:
            if self._wanted():
                self._start()
            running = self._running
            if self._held is not None and self._usable() and not (self._rejected and running):
                return self._held
        if running is not None and not running.wait(PATIENCE):
            raise TransientStoreError(f"{self.description}: nobody answered within {PATIENCE:.0f} s")
        with self._lock:
            if self._held is not None and self._usable():
                return self._held
            raise _again(self._failure)

    def invalidate(self, credentials: Credentials) -> None:
        with self._lock:
            if self._held == credentials and not self._rejected:
                self._rejected = True
                self._not_before = max(self._not_before, self._begun + _SHORTEST_GAP)

    def _wanted(self) -> bool:
        now = self._clock()
        if self._running is not None or now < self._not_before:
            return False
        return self._held is None or self._rejected or now >= self._refresh_at

    def _usable(self) -> bool:
        """Rejected ones too, until a fetch has failed: so far, the store's own words say more than ours."""
        return self._clock() < self._good_until and not (self._rejected and self._failures)

    def _start(self) -> None:
        self._begun = self._clock()
        self._running = threading.Event()
        thread = threading.Thread(target=self._fetch, args=(self._running,), name="credentials", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            self._running = None
            self._fail(TransientStoreError(f"{self.description}: no thread could be started ({error})"))

    def _fetch(self, ended: threading.Event) -> None:
        outcome: Issued | StoreError = TransientStoreError(f"{self.description}: the fetch broke off")
        try:
            outcome = self._issuer.fetch()
        except StoreError as error:
            outcome = error
        finally:
            with self._lock:
                self._running = None
                if isinstance(outcome, StoreError):
                    self._fail(outcome)
                else:
                    self._keep(outcome)
            ended.set()

    def _keep(self, issued: Issued) -> None:
        if issued.lifetime <= _MARGIN:
            self._fail(
                TransientStoreError(
                    f"{self.description}: was given credentials that end at once; asked again"
                )
            )
            return
        if self._failures:
            log.info("%s: well again", self.description)
        now = self._clock()
        self._held = issued.credentials
        self._good_until = now + issued.lifetime - _MARGIN
        self._refresh_at = now + max(issued.lifetime * (0.7 + 0.1 * self._chance()), _SHORTEST_GAP)
        self._rejected = False
        self._failures = 0

    def _fail(self, failure: StoreError) -> None:
        now = self._clock()
        if not self._failures or not _alike(failure, self._failure):
            left = (self._good_until - now) / 60
            told = (
                f"renewed (those at hand are good for {left:.0f} min)" if self._held and left > 0 else "got"
            )
            log.warning("credentials can't be %s: %s", told, failure)
        self._not_before = now + _BACKOFF.delay(self._failures, self._chance())
        self._failures += 1
        self._failure = failure


def _again(failure: StoreError) -> StoreError:
    """A copy for each thread that is told: raising one adds to its traceback."""
    copy = type(failure)(str(failure))
    copy.code = failure.code
    return copy


def _alike(one: StoreError, other: StoreError) -> bool:
    """Whether both say the same, whatever the ids of their requests."""
    if one.code or other.code:
        return (type(one), one.code) == (type(other), other.code)
    return str(one) == str(other)
