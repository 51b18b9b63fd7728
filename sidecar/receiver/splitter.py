"""Splits a body into events, one a line, without decoding them. Pure.

Ray posts a JSON array of events. They stay byte for byte as they came, but for environment variables (masked
to equal length) and line breaks between tokens (a blank each). Task profile events, a third of the bytes and
needed by the timeline alone, are told by one byte search and kept apart.
"""

import contextlib
from dataclasses import dataclass, field
from typing import Final

import msgspec

from archive.losses import Loss
from sidecar.receiver.masking import Masker
from sidecar.receiver.quarantine import Sample
from sidecar.receiver.scanner import Found, Scanner

EVENTS: Final = "events"
PROFILE: Final = "events.profile"
PROFILE_MARK: Final = b'"TASK_PROFILE_EVENT"'
"""With its quotes it can't be part of another string: there they would be escaped."""

_TYPE_WITHIN: Final = 512
"""Ray writes an event's type third; one that came later would only be kept among the other events."""

_ARRAY: Final = msgspec.json.Decoder(list[msgspec.Raw])


_UNDECODABLE: Final = (msgspec.DecodeError, RecursionError)
_MOST_SAMPLES: Final = 100
_BRACE: Final = ord("{")


@dataclass(slots=True)
class Split:
    """Events by stream, and what is none with the reason."""

    events: list[bytes] = field(default_factory=list)
    profile: list[bytes] = field(default_factory=list)
    odd: list[tuple[Loss, Sample]] = field(default_factory=list)

    def set_apart(self, element: bytes) -> None:
        """Takes in what is no event; after many the rest is one sample."""
        if len(self.odd) < _MOST_SAMPLES:
            self.odd.append((Loss.EVENT_UNDECODABLE, Sample(element)))
        else:
            rest = self.odd[-1][1]
            rest.add(element)
            rest.items += 1


class Splitter:
    """Splits bodies. Not thread-safe."""

    def __init__(self) -> None:
        self._masker = Masker()

    def whole(self, body: bytes) -> Split:
        """Splits a body that is all there. One that is no JSON array is a single odd thing."""
        split = Split()
        try:
            self._sort(body, split)
        except _UNDECODABLE:
            split.odd.append((Loss.BODY_UNDECODABLE, Sample(body)))
        return split

    def begin(self) -> "BodyInPieces":
        """Splits a body of any length that comes in pieces."""
        return BodyInPieces(self)

    def elements(self, elements: list[bytes]) -> Split:
        """Sorts what was found between the commas of an array; each may be anything."""
        split = Split()
        if all(elements):
            with contextlib.suppress(*_UNDECODABLE):
                self._sort(b"[%s]" % b",".join(elements), split)
                return split
        for element in elements:
            self._judge(element, split)
        return split

    def _judge(self, element: bytes, split: Split) -> None:
        if not element:  # `[]` is an array, but what stood between these commas is no event
            split.set_apart(element)
            return
        try:
            self._sort(b"[%s]" % element, split)
        except _UNDECODABLE:
            split.set_apart(element)

    def _sort(self, array: bytes, split: Split) -> None:
        """Raises DecodeError or RecursionError if this is no JSON array; then nothing was sorted."""
        masked, only_values = self._masker.mask(array)
        has_lines = b"\n" in array
        for raw in _ARRAY.decode(masked if only_values else array):
            element = bytes(raw)
            if element[0] != _BRACE:
                split.set_apart(element)
                continue
            if not only_values:
                # One that can't be followed to its end must not hide its neighbours.
                element, _ = self._masker.mask(element)
            if has_lines:
                # JSON has no bare line break inside a string, so these lie between tokens.
                element = element.replace(b"\n", b" ")
            if element.find(PROFILE_MARK, 0, _TYPE_WITHIN) >= 0:
                split.profile.append(element)
            else:
                split.events.append(element)


class BodyInPieces:
    """One body that comes in pieces: what `feed` and `finish` return is complete and can be kept at once."""

    def __init__(self, splitter: Splitter) -> None:
        self._splitter = splitter
        self._scanner = Scanner()

    def feed(self, piece: bytes) -> Split:
        return self._kept(self._scanner.feed(piece))

    def finish(self) -> Split:
        """The body has ended as it should; an element that it left open is odd."""
        return self._kept(self._scanner.finish())

    def _kept(self, found: Found) -> Split:
        split = self._splitter.elements(found.elements) if found.elements else Split()
        split.odd += [(self._reason(sample), sample) for sample in found.odd]
        return split

    def _reason(self, sample: Sample) -> Loss:
        if not self._scanner.is_array:
            return Loss.BODY_UNDECODABLE
        return Loss.EVENT_TOO_LARGE if sample.length > self._scanner.largest else Loss.EVENT_UNDECODABLE
