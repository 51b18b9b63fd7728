"""The type of the canary's own events: kept like any other, and shown nowhere, for they are none of Ray's."""

from typing import Final

CANARY_EVENT: Final = "HISTORYSERVER_CANARY"
