"""Which parts of a view are merged into one when another comes, so that each byte is stored again few times.

Parts are in tiers by size, each tier four times as large as the one below. A tier never holds four: they are
merged, with all that is smaller, into one part of a tier above. So a view of n times the smallest part has
three parts a tier at most, and each byte of it was written once a tier: log4(n) times. Pure.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final

FAN_IN: Final = 4
SMALLEST: Final = 64 << 10
"""Parts up to this size are alike: a request costs more than their bytes."""


def tier(size: int) -> int:
    """0 for the smallest; `size` in bytes."""
    result = 0
    while size > SMALLEST:
        size //= FAN_IN
        result += 1
    return result


def to_merge(sizes: Sequence[int]) -> list[int]:
    """The places of the parts that become one now, none if all stay as they are."""
    chosen: set[int] = set()
    while True:
        left = {place: tier(size) for place, size in enumerate(sizes) if place not in chosen}
        together = [tier(sum(sizes[place] for place in chosen))] if chosen else []
        counts = Counter([*left.values(), *together])
        crowded = [one for one, count in counts.items() if count >= FAN_IN]
        if not crowded:
            return sorted(chosen)
        chosen |= {place for place, one in left.items() if one <= min(crowded)}
