"""Parts of a view stay few, and no byte is stored again and again."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.view.tiers import FAN_IN, SMALLEST, tier, to_merge


def grown(sizes: list[int]) -> tuple[list[int], int]:
    """The parts after parts of these sizes came one by one, and how many bytes were written in all."""
    parts: list[int] = []
    written = 0
    for size in sizes:
        parts.append(size)
        chosen = to_merge(parts)
        together = sum(parts[place] for place in chosen)
        written += together or size
        parts = [one for place, one in enumerate(parts) if place not in chosen] + [together] * bool(chosen)
    return parts, written


@pytest.mark.parametrize("count", [3, 40, 4_032])
def test_each_byte_is_written_once_a_tier(count: int) -> None:
    sizes = [SMALLEST] * count
    parts, written = grown(sizes)
    tiers = tier(sum(sizes)) + 1
    assert sum(parts) == sum(sizes)
    assert len(parts) < FAN_IN * tiers
    assert written <= sum(sizes) * tiers


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(), count=st.integers(1, 300))
def test_parts_of_any_sizes_stay_few(seed: int, count: int) -> None:
    random = Random(seed)
    sizes = [int(SMALLEST * 4 ** random.uniform(-3, 5)) for _ in range(count)]
    parts, written = grown(sizes)
    assert sum(parts) == sum(sizes)
    assert len(parts) < FAN_IN * (tier(max(parts)) + 1)
    assert written <= sum(sizes) * (tier(sum(sizes)) + 2)


def test_a_large_part_is_left_alone_by_small_ones() -> None:
    assert to_merge([1 << 30, 10, 10, 10]) == []
    assert to_merge([1 << 30, 10, 10, 10, 10]) == [1, 2, 3, 4]
