"""Finds the elements of a JSON array that comes in pieces, without holding more than one of them. Pure.

Only brackets, strings and commas are looked at; whether an element is JSON is for the splitter to say. Any
cut of the same bytes gives the same elements.
"""

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

from sidecar.receiver.quarantine import Sample

LARGEST_EVENT: Final = 8 << 20
"""An element with more bytes than this is not kept, only sampled."""

_STRING: Final = rb'"(?:[^"\\]++|\\.)*+"'
_INSIDE: Final = re.compile(rb'(?:[^"{}\[\]]++|' + _STRING + rb")*+", re.DOTALL)
_BETWEEN: Final = re.compile(rb'(?:[^"{}\[\],]++|' + _STRING + rb")*+", re.DOTALL)
_REST_OF_STRING: Final = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
_BLANK: Final = b" \t\r\n"


class State(Enum):
    BEFORE = "before the array"
    ARRAY = "in the array"
    AFTER = "after its end"
    NO_ARRAY = "no array at all"


@dataclass(frozen=True, slots=True)
class Found:
    """What a piece completed: elements in order, and samples of what can't be an element."""

    elements: list[bytes]
    odd: list[Sample]


class Scanner:
    """One body: `feed` every piece, then `finish`."""

    def __init__(self, largest: int = LARGEST_EVENT) -> None:
        self.largest = largest
        self._state = State.BEFORE
        self._depth = 0
        self._in_string = False
        self._escape = False
        self._element = bytearray()
        self._sample: Sample | None = None
        self._elements: list[bytes] = []
        self._odd: list[Sample] = []
        self._commas = False

    def feed(self, piece: bytes) -> Found:
        at = 0
        if self._state is State.BEFORE:
            at = self._begin(piece)
        if self._state is State.ARRAY:
            at = self._scan(piece, at)
        if self._state is State.AFTER and not self._begun:
            at = len(piece) - len(piece[at:].lstrip(_BLANK))
        if self._state is State.AFTER:
            self._add(piece, at, len(piece))
        if self._state is State.NO_ARRAY:
            self._add(piece, at, len(piece))
        return self._found()

    def finish(self) -> Found:
        """The body has ended; what it left open is odd."""
        if self._begun or self._state in (State.BEFORE, State.ARRAY):
            self._sample = self._sample or Sample(bytes(self._element))
            self._close()
        return self._found()

    @property
    def is_array(self) -> bool:
        """False once the body turned out to be something else."""
        return self._state in (State.ARRAY, State.AFTER)

    def _begin(self, piece: bytes) -> int:
        rest = piece.lstrip(_BLANK)
        if not rest:
            return len(piece)
        if not rest.startswith(b"["):
            self._state = State.NO_ARRAY
            return len(piece) - len(rest)
        self._state = State.ARRAY
        self._depth = 1
        return len(piece) - len(rest) + 1

    def _scan(self, piece: bytes, at: int) -> int:
        """Goes on to the end of the piece or of the array; returns where it stopped."""
        start = at
        while at < len(piece):
            if self._in_string:
                at = self._string(piece, at)
                continue
            run = (_BETWEEN if self._depth == 1 else _INSIDE).match(piece, at)
            at = run.end() if run else at
            byte = piece[at : at + 1]
            if byte == b'"':
                self._in_string = True
            elif byte in (b"{", b"["):
                self._depth += 1
            elif byte == b"," or (byte in (b"}", b"]") and self._depth == 1):
                self._add(piece, start, at)
                start = at + 1
                self._end_of_element(byte)
                if byte != b",":
                    return start
            elif byte:
                self._depth -= 1
            at += len(byte)
        self._add(piece, start, at)
        return at

    def _string(self, piece: bytes, at: int) -> int:
        if self._escape:
            self._escape = False
            return at + 1
        run = _REST_OF_STRING.match(piece, at)
        at = run.end() if run else at
        byte = piece[at : at + 1]
        self._in_string = byte != b'"'
        self._escape = byte == b"\\"
        return at + len(byte)

    def _end_of_element(self, byte: bytes) -> None:
        nothing = self._sample is None and not self._element.strip(_BLANK)
        empty = byte == b"]" and not self._commas and nothing
        last = byte != b","
        self._commas = True
        if last:
            self._state = State.AFTER
        if empty:
            self._element.clear()
        else:
            self._close()

    @property
    def _begun(self) -> bool:
        return self._sample is not None or bool(self._element)

    def _add(self, piece: bytes, start: int, end: int) -> None:
        if self._sample is None and len(self._element) + end - start > self.largest:
            self._sample = Sample(bytes(self._element))
            self._element.clear()
        view = memoryview(piece)[start:end]
        if self._sample is None:
            self._element += view
        else:
            self._sample.add(view)

    def _close(self) -> None:
        if self._sample is not None:
            self._odd.append(self._sample)
            self._sample = None
        else:
            self._elements.append(bytes(self._element).strip(_BLANK))
        self._element.clear()

    def _found(self) -> Found:
        found = Found(self._elements, self._odd)
        self._elements, self._odd = [], []
        return found
