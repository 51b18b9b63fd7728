"""Answers of one view, kept while there is room: they are true as long as the view is."""

import threading
from collections import OrderedDict

SHARE = 8
"""One answer takes up to this part of the room."""


class Remembered:
    """Up to `limit` bytes of answers by question; those asked for longest ago make room. Thread-safe."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._taken = 0
        self._answers: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, question: str) -> bytes | None:
        with self._lock:
            answer = self._answers.get(question)
            if answer is not None:
                self._answers.move_to_end(question)
            return answer

    def put(self, question: str, answer: bytes) -> None:
        """Keep it, unless it is too large or known."""
        if len(answer) > self._limit // SHARE:
            return
        with self._lock:
            if question in self._answers:
                return
            self._answers[question] = answer
            self._taken += _size(question, answer)
            while self._taken > self._limit:
                self._taken -= _size(*self._answers.popitem(last=False))

    @property
    def taken(self) -> int:
        """Bytes that are kept."""
        return self._taken

    def clear(self) -> None:
        with self._lock:
            self._answers.clear()
            self._taken = 0


def _size(question: str, answer: bytes) -> int:
    return len(question) + len(answer)
