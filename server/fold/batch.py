"""What folding hands on: columns of one table, and what could not be read."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

UNREADABLE: Final = (
    msgspec.DecodeError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What a line that isn't what it should be may raise on its way through an observer: it is counted, since one
line must not hide a session.
"""


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows of one table, column by column; columns that are not named are absent in every row."""

    table: str
    columns: Mapping[str, Sequence[Any]]


@dataclass(slots=True)
class Gathered:
    """Rows of the small tables and counts of what could not be read, while a run of segments is folded."""

    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    faults: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, table: str, row: dict[str, Any]) -> None:
        """One row; what is None or empty text is absent."""
        self.rows.setdefault(table, []).append(row)

    def fault(self, reason: str, detail: str = "", amount: int = 1) -> None:
        """Counts what could not be read, or was read and not understood."""
        self.faults[reason, detail] += amount
