"""What a collector counts as lost, in its segments' footers: reason and amount, cumulative for an origin.

A reason is a word that stays; an unknown one, of another version, is shown as it is. Amounts are bytes or
cases, as the sentence says.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Loss(StrEnum):
    """Reasons. What was dropped for want of room is counted by stream: `dropped(stream)`."""

    BODY_UNDECODABLE = "body.undecodable"
    EVENT_UNDECODABLE = "event.undecodable"
    EVENT_TOO_LARGE = "event.too_large"
    POLL_TOO_LARGE = "polls.too_large"
    JOURNAL_DAMAGED = "journal.damaged"
    LOGS_UNREAD = "logs.unread"
    LOGS_DELETED = "logs.deleted"
    LOGS_CUT = "logs.cut"
    LOGS_UNMASKED = "logs.unmasked"
    LOGS_UNREADABLE = "logs.unreadable"
    LOGS_VANISHED = "logs.vanished"
    LOGS_TURNED = "logs.turned"
    LOGS_LATE = "logs.late"
    LOGS_CAPPED = "logs.capped"
    LOGS_UNNAMEABLE = "logs.unnameable"
    LOGS_BEYOND_LIMIT = "logs.beyond_limit"


_DROPPED: Final = ".dropped"

_SENTENCES: Final = {
    Loss.BODY_UNDECODABLE: "posted bodies that were no list of events, of which samples are kept: {}",
    Loss.EVENT_UNDECODABLE: "posted events that were none, of which samples are kept: {}",
    Loss.EVENT_TOO_LARGE: "events too large to keep, of which samples are kept: {}",
    Loss.POLL_TOO_LARGE: "answers of the dashboard too large to keep: {}",
    Loss.JOURNAL_DAMAGED: "damaged records on the node's disk: {}",
    Loss.LOGS_UNREAD: "bytes of logs that the end came too soon for: {}",
    Loss.LOGS_DELETED: "bytes of logs deleted before they were read: {}",
    Loss.LOGS_CUT: "bytes of logs cut off before they were read: {}",
    Loss.LOGS_UNMASKED: "bytes of logs blanked, since secrets in them could not be told apart: {}",
    Loss.LOGS_UNREADABLE: "bytes of logs that could not be read: {}",
    Loss.LOGS_VANISHED: "logs that vanished before they were read: {}",
    Loss.LOGS_TURNED: "rotated logs that may have lost files before they were seen: {}",
    Loss.LOGS_LATE: "bytes written to rotated logs too late to be put in their place: {}",
    Loss.LOGS_CAPPED: "logs kept up to the largest size only: {}",
    Loss.LOGS_UNNAMEABLE: "logs whose names can't be kept: {}",
    Loss.LOGS_BEYOND_LIMIT: "scans that found more logs than are followed: {}",
}


def dropped(stream: str) -> str:
    """The reason of what was dropped of a stream for want of room on the node's disk."""
    return stream + _DROPPED


def told(reason: str, amount: int) -> str:
    """The loss for people."""
    if reason.endswith(_DROPPED):
        return f"dropped from {reason.removesuffix(_DROPPED)} for want of room on the node's disk: {amount}"
    if reason in set(Loss):
        return _SENTENCES[Loss(reason)].format(amount)
    return f"{reason}: {amount}"
