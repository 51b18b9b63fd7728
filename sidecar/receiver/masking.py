"""Hides the values of environment variables, byte for byte, so that no offset moves.

Ray writes them as `env_vars` in runtime environments: as JSON; as JSON inside a JSON string
(`serializedRuntimeEnv`, `runtime_env_json`), where each further level escapes the quotes once more; and as
Python prints them (`{'env_vars': {'A': 'b'}}`, `env_vars={'A': 'b'}`). Names stay, every byte of a value
becomes `*`, every digit of a bare number `1`; everything else stays as it is.

What is cut off or malformed is hidden rather than shown, up to the end of its line or the string around it.
"""

import re
from typing import Final

_MARK: Final = b"env_vars"
_SPACE: Final = rb"(?:\s|\\+[nrt])*"
_START: Final = re.compile(rb"(\\*)[\"']?" + _SPACE + rb"[:=]" + _SPACE + rb"[{\[]")
_BETWEEN: Final = re.compile(rb"(?:[\s,:]|\\+[nrt])*+")
_QUOTE: Final = re.compile(rb"(\\*)([\"'])")
_NUMBER: Final = re.compile(rb"-?[0-9][0-9.eE+-]*+(?=[\s,}\]\\])")
_WORD: Final = re.compile(rb"(?:true|false|null|True|False|None)(?=[\s,}\]\\])")
_NAME_ENDS: Final = re.compile(_SPACE + rb":")
_BRACKET: Final = re.compile(rb"[{}\[\]]")
_ENDS: Final = re.compile(rb"(\\*)([\"'\n])")
_REST_ENDS: Final = re.compile(rb"(\\+)(n)|(\\*)([\"\n])")
_JSON: Final = re.compile(rb"\s*(?:\[\s*)?\{\s*\"")
_DIGITS: Final = bytes.maketrans(b"0123456789", b"1111111111")
_REMEMBERED: Final = 8


def mask_equal_length(data: bytes) -> bytes:
    """The same bytes, values of environment variables hidden. Give whole lines: no value may be cut."""
    return Masker().mask(data)[0]


class Masker:
    """Masks, and remembers the latest runtime environments: all tasks of a job carry the same one.

    Not thread-safe.
    """

    def __init__(self) -> None:
        self._known: list[tuple[bytes, bytes]] = []

    def mask(self, data: bytes) -> tuple[bytes, bool]:
        """As `mask_equal_length`, and whether only values were hidden, so that what was JSON still is."""
        found = data.find(_MARK)
        if found < 0:
            return data, True
        is_json = _looks_like_json(data)
        only_values = True
        pieces: list[bytes] = []
        done = 0
        while found >= 0:
            found += len(_MARK)
            start = _START.match(data, found)
            if start:
                at = start.end()
                known = next((pair for pair in self._known if data.startswith(pair[0], at)), None)
                if known:
                    raw, masked = known
                else:
                    variables = _Variables(data, at, _level_of(len(start[1])), is_json=is_json)
                    raw, masked, finished = variables.masked()
                    only_values = only_values and finished
                    if finished:
                        self._known = [(raw, masked), *self._known[: _REMEMBERED - 1]]
                pieces += (data[done:at], masked)
                done = found = at + len(raw)
            found = data.find(_MARK, found)
        pieces.append(data[done:])
        return b"".join(pieces), only_values


def _looks_like_json(data: bytes) -> bool:
    return _JSON.match(data) is not None and data.rstrip().endswith((b"}", b"]"))


class _Variables:
    """One object or list of environment variables, from behind its opening bracket.

    `level`: how many strings it lies in, as the escaping of its quotes tells. Python's single quotes don't
    tell of a JSON string around them; `is_json` does: in JSON they can't be outside of one.
    """

    def __init__(self, data: bytes, at: int, level: int, *, is_json: bool) -> None:
        self._data = data
        self._is_json = is_json
        self._start = at
        self._at = at
        self._level = level
        self._out = bytearray()

    def masked(self) -> tuple[bytes, bytes, bool]:
        """The bytes up to its closing bracket, what replaces them, and whether that bracket was found."""
        depth = 1
        while depth:
            self._keep(_BETWEEN.match(self._data, self._at))
            bracket = _BRACKET.match(self._data, self._at)
            if bracket:
                depth += 1 if bracket[0] in b"{[" else -1
                self._keep(bracket)
            elif not self._value():
                self._hide_rest()
                return self._data[self._start : self._at], bytes(self._out), False
        return self._data[self._start : self._at], bytes(self._out), True

    def _value(self) -> bool:
        number = _NUMBER.match(self._data, self._at)
        if number:
            self._out += number[0].translate(_DIGITS)
            self._at = number.end()
            return True
        word = _WORD.match(self._data, self._at)
        if word:
            self._keep(word)
            return True
        quote = _QUOTE.match(self._data, self._at)
        return quote is not None and self._string(quote)

    def _string(self, opening: re.Match[bytes]) -> bool:
        self._level = _level_of(len(opening[1]))
        end = self._end_of_string(opening.end(), opening[2])
        if end is None:
            self._out += b"*" * len(opening[0])
            self._at = opening.end()
            return False
        text = self._data[opening.end() : end - len(opening[0])]
        is_name = _NAME_ENDS.match(self._data, end) is not None
        self._out += opening[0] + (text if is_name else b"*" * len(text)) + opening[0]
        self._at = end
        return True

    def _end_of_string(self, at: int, quote: bytes) -> int | None:
        """Where it has ended; None if a line, or the string around it, ends first."""
        for found in _ENDS.finditer(self._data, at):
            if found[2] == b"\n":
                return None
            if found[2] == quote:
                level, escaped = _unescaped(len(found[1]), self._level)
                if level < self._level:
                    return None
                if not escaped:
                    return found.end()
            elif found[2] == b'"' and not found[1] and self._is_json:
                return None
        return None

    def _hide_rest(self) -> None:
        end = len(self._data)
        if self._is_json:
            self._level = max(1, self._level)  # JSON that can't be followed lies in a string
        for found in _REST_ENDS.finditer(self._data, self._at):
            if found[2]:
                ends = self._level > 0 and len(found[1]) <= 1 << (self._level - 1)
            else:
                ends = found[4] == b"\n" or _unescaped(len(found[3]), self._level)[0] < self._level
            if ends:
                end = found.start()
                break
        self._out += b"*" * (end - self._at)
        self._at = end

    def _keep(self, match: re.Match[bytes] | None) -> None:
        if match:
            self._out += match[0]
            self._at = match.end()


def _level_of(backslashes: int) -> int:
    """How often a quote was escaped that has so many backslashes before it: 0, 1, 3, 7…"""
    return (backslashes + 1).bit_length() - 1


def _unescaped(backslashes: int, levels: int) -> tuple[int, bool]:
    """Takes a quote out of `levels` strings: out of how many it comes, and whether it is escaped still."""
    for level in range(levels):
        if backslashes % 2 == 0:
            return level, False
        backslashes //= 2
    return levels, backslashes % 2 == 1
