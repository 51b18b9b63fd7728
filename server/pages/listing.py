"""The list of sessions: what is asked, what matches, which page of it. Pure."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from server.pages.errors import QuestionInvalid
from server.sessions import Session, Snapshot, State

PAGE_SIZE: Final = 50
LARGEST_PAGE: Final = 1000


@dataclass(frozen=True)
class Question:
    """What a reader asks of the list. Empty means all; `cursor` is the `order` of the last one seen."""

    text: str = ""
    namespace: str = ""
    owner: str = ""
    state: str = ""
    since: date | None = None
    until: date | None = None
    cursor: str = ""
    limit: int = PAGE_SIZE

    @property
    def filtered(self) -> bool:
        """Whether anything but the place in the list was asked."""
        return bool(self.text or self.namespace or self.owner or self.state or self.since or self.until)

    def parameters(self, **changes: str) -> dict[str, str]:
        """The query parameters that ask this again, with changes; an empty value removes one."""
        asked = {
            "q": self.text,
            "namespace": self.namespace,
            "owner": self.owner,
            "state": self.state,
            "since": self.since.isoformat() if self.since else "",
            "until": self.until.isoformat() if self.until else "",
            "limit": str(self.limit) if self.limit != PAGE_SIZE else "",
            "cursor": self.cursor,
        }
        return {name: value for name, value in (asked | changes).items() if value}


@dataclass(frozen=True)
class Page:
    """One page of the answer: the sessions, how many match in all, how many came before, where to go on."""

    sessions: Sequence[Session]
    total: int
    before: int
    next_cursor: str | None


def read_question(parameters: Mapping[str, str]) -> Question:
    """A question from query parameters (unknown ones are ignored). Raises: QuestionInvalid."""
    state = parameters.get("state", "")
    if state and state not in list(State):
        raise QuestionInvalid(f"There is no state {state!r}: use one of {', '.join(State)}, or leave it out.")
    limit = parameters.get("limit", "") or str(PAGE_SIZE)
    if not (limit.isdecimal() and limit.isascii() and 1 <= int(limit[:9]) <= LARGEST_PAGE):
        raise QuestionInvalid(f"limit must be a whole number from 1 to {LARGEST_PAGE}, not {limit!r}.")
    return Question(
        text=parameters.get("q", "").strip(),
        namespace=parameters.get("namespace", ""),
        owner=parameters.get("owner", "").strip(),
        state=state,
        since=_day(parameters, "since"),
        until=_day(parameters, "until"),
        cursor=parameters.get("cursor", ""),
        limit=int(limit),
    )


def _day(parameters: Mapping[str, str], name: str) -> date | None:
    text = parameters.get(name, "")
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise QuestionInvalid(f"{name} must be a day like 2026-11-23, not {text!r}.") from error


def answer(snapshot: Snapshot, question: Question, lost_after_ms: int) -> Page:
    """The page of sessions that was asked for, newest first."""
    matching = snapshot.sessions if not question.filtered else _matching(snapshot, question, lost_after_ms)
    begin = (
        bisect_right(matching, question.cursor, key=lambda session: session.order) if question.cursor else 0
    )
    shown = matching[begin : begin + question.limit]
    more = begin + len(shown) < len(matching)
    return Page(shown, len(matching), begin, shown[-1].order if more else None)


def _matching(snapshot: Snapshot, question: Question, lost_after_ms: int) -> list[Session]:
    since_ms = _midnight_ms(question.since) if question.since else None
    until_ms = _midnight_ms(question.until + timedelta(days=1)) if question.until else None
    words = question.text.casefold().split()
    owner = question.owner.casefold()

    def matches(session: Session) -> bool:
        if question.namespace and session.key.namespace != question.namespace:
            return False
        if question.state and session.state(snapshot.clock_ms, lost_after_ms) != question.state:
            return False
        if since_ms is not None and (session.started_ms is None or session.started_ms < since_ms):
            return False
        if until_ms is not None and (session.started_ms is None or session.started_ms >= until_ms):
            return False
        if owner and owner not in f"{session.owner_kind}/{session.owner_name}".casefold():
            return False
        if not words:
            return True
        text = _searchable(session)
        return all(word in text for word in words)

    return [session for session in snapshot.sessions if matches(session)]


def _searchable(session: Session) -> str:
    told = (session.key.path, session.owner_kind, session.owner_name, session.ray_version, session.reason)
    return " ".join(told).casefold()


def _midnight_ms(day: date) -> int:
    return int(datetime.combine(day, time(), UTC).timestamp() * 1000)
