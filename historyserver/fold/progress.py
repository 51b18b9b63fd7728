"""What a run says: how far it is, which sessions failed, and how long it may take yet."""

import time
from collections import Counter
from collections.abc import Callable
from typing import Final

from historyserver.fold.one import Outcome, Result

TELL_SECONDS: Final = 5.0


class Progress:
    """Takes results as they come. `say` prints a line; `clock` tells seconds."""

    def __init__(
        self, total: int, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._total = total
        self._say = say
        self._clock = clock
        self._began = self._told_at = clock()
        self._counts: Counter[Outcome] = Counter()
        self.failed: list[Result] = []

    def take(self, result: Result) -> None:
        """Note one more; say how far it is from time to time, and at once what failed."""
        self._counts[result.outcome] += 1
        if result.outcome is Outcome.FAILED:
            self.failed.append(result)
            self._say(f"{result.key.path} FAILED: {result.trouble}")
        now = self._clock()
        if now - self._told_at >= TELL_SECONDS:
            self._told_at = now
            self._say(f"{self.done:,} of {self._total:,} sessions done{self._left(now)}")

    @property
    def done(self) -> int:
        return sum(self._counts.values())

    def _left(self, now: float) -> str:
        """A guess from those that were folded: those that had a current view took next to nothing."""
        folded = self._counts[Outcome.FOLDED] + self._counts[Outcome.FAILED]
        if not folded:
            return ""
        seconds = (now - self._began) / folded * (self._total - self.done)
        return f", about {duration(seconds)} left at most"

    def summary(self) -> str:
        """The last line."""
        took = self._clock() - self._began
        counts = self._counts
        told = (
            f"{counts[Outcome.FOLDED]:,} folded, {counts[Outcome.CURRENT]:,} had a current view,"
            f" {counts[Outcome.GONE]:,} were gone, {counts[Outcome.FAILED]:,} failed"
        )
        left = self._total - self.done
        return f"{told}{f', {left:,} not begun' if left else ''}, in {duration(took)}."


def duration(seconds: float) -> str:
    """Seconds in words."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
