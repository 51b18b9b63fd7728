"""Patterns as RAM policies have them: `*` stands for anything, slashes too, `?` for one letter."""

from __future__ import annotations

import functools
import re


def fits(pattern: str, text: str) -> bool:
    """Whether the pattern is one of the whole text."""
    return _compiled(pattern).fullmatch(text) is not None


@functools.lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), re.DOTALL)
