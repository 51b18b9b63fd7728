"""When a session's view is brought up to date without anybody asking. Pure.

Sessions that somebody has open come first, then views of running sessions, then sessions that nobody folded
yet, newest first. No session takes more than a tenth of the time: after an opening that took a second, ten
pass before the next.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from archive.layout import SessionKey
from server.view.view import SessionFacts

LOOKED_AT_SECONDS: Final = 120.0
"""Somebody has a session open if it was asked for that lately: a page asks every 4 s."""
FRESH_SECONDS: Final = 10.0
"""How old the view of a session gets that somebody has open."""
GIVEN_SECONDS: Final = 30.0
"""How old a view may be that is given as it is, while a fresher one is made."""
BACKGROUND_SECONDS: Final = 300.0
"""How old the view of any other running session gets."""
FORGET_SECONDS: Final = 900.0
"""A view that nobody asked for this long is closed."""
SHARE: Final = 10.0
QUIET_MS: Final = {"ended": 60_000, "lost": 3_600_000}
"""How long after its end a session can be expected to grow no more, by its state."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a server knows of one session; times are of one monotonic clock, 0 for never.

    `settled`: its end is long past, and its view holds all that is stored.
    """

    asked: float = 0.0
    checked: float = 0.0
    cost: float = 0.0
    settled: bool = False


def settled(facts: SessionFacts, now_ms: float) -> bool:
    """Whether a session seen in this state will grow no more."""
    quiet = QUIET_MS.get(facts.state)
    return quiet is not None and now_ms - (facts.ended_ms or 0) > quiet


def fresh(known: Known, now: float) -> bool:
    """Whether an opened view needs no refresh when somebody asks."""
    return known.settled or now - known.checked < max(FRESH_SECONDS, known.cost * SHARE)


def given(known: Known, now: float) -> bool:
    """Whether somebody who asks gets an opened view as it is, without waiting for its refresh."""
    return now - known.checked < GIVEN_SECONDS


def due(known: Known, now: float) -> float | None:
    """How urgent an opening is, the larger the more; None if it can wait."""
    if known.settled and known.checked:
        return None
    looked_at = known.asked > 0 and now - known.asked < LOOKED_AT_SECONDS
    age = now - known.checked if known.checked else float("inf")
    patience = max(FRESH_SECONDS if looked_at else BACKGROUND_SECONDS, known.cost * SHARE)
    if age < patience:
        return None
    return 2.0 if looked_at else 1.0 if known.checked else 0.0


def most_urgent(sessions: Iterable[tuple[SessionKey, Known]], now: float) -> SessionKey | None:
    """The session to open next; of equals the first."""
    best: tuple[float, SessionKey] | None = None
    for key, known in sessions:
        urgency = due(known, now)
        if urgency is not None and (best is None or urgency > best[0]):
            best = urgency, key
    return best[1] if best else None
