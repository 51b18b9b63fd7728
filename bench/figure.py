"""One measured figure, with the goal it is held against.

Every benchmark module offers `figures() -> Iterable[Figure]`; `python -m bench` prints them all as one table.
Each goal is an upper bound in the figure's own unit.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """`value` and `goal` are in `unit` ("s", "ms", "µs", "MiB", "KiB"); `goal` is the most it may be."""

    name: str
    value: float
    unit: str
    goal: float

    @property
    def reached(self) -> bool:
        return self.value <= self.goal
