"""As much of HTTP/1.1 as a local client needs: Python's own server takes ten times as long for a request."""

from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from typing import Final

LONGEST_LINE: Final = 8 << 10
MOST_HEADERS: Final = 100
PIECE: Final = 256 << 10

OK: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
OK_AND_CLOSE: Final = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
BAD_REQUEST: Final = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class NotHttp(Exception):
    """What came is no HTTP request, or its body's end can't be told."""


class Interrupted(Exception):
    """The client went away within a request."""


@dataclass(frozen=True, slots=True)
class Head:
    """A request line and the headers that matter. `length` is None for a chunked body."""

    method: bytes
    target: bytes
    length: int | None
    keep_alive: bool
    expects_continue: bool


def read_head(reader: BufferedReader) -> Head | None:
    """The next request's head; None if the client has no more. Raises NotHttp, Interrupted, OSError."""
    line = reader.readline(LONGEST_LINE)
    while line in (b"\r\n", b"\n"):
        line = reader.readline(LONGEST_LINE)
    if not line:
        return None
    parts = line.split()
    if len(parts) != 3 or not parts[2].startswith(b"HTTP/1."):
        raise NotHttp("no request line of HTTP/1")
    headers = _headers(reader)
    connection = headers.get(b"connection", b"").lower()
    return Head(
        method=parts[0],
        target=parts[1],
        length=_length(headers),
        keep_alive=b"close" not in connection and (parts[2] != b"HTTP/1.0" or b"keep-alive" in connection),
        expects_continue=headers.get(b"expect", b"").lower() == b"100-continue",
    )


def _headers(reader: BufferedReader) -> dict[bytes, bytes]:
    headers: dict[bytes, bytes] = {}
    for _ in range(MOST_HEADERS):
        line = reader.readline(LONGEST_LINE)
        if line in (b"\r\n", b"\n"):
            return headers
        if not line.endswith(b"\n"):
            if len(line) < LONGEST_LINE:
                raise Interrupted
            raise NotHttp("a header is too long")
        name, _, value = line.partition(b":")
        headers[name.lower()] = value.strip()
    raise NotHttp("too many headers")


def _length(headers: dict[bytes, bytes]) -> int | None:
    if b"chunked" in headers.get(b"transfer-encoding", b"").lower():
        return None
    text = headers.get(b"content-length", b"0")
    if not text.isdigit() or len(text) > 15:
        return -1
    return int(text)


def pieces(reader: BufferedReader, head: Head) -> Iterator[bytes]:
    """The body, in pieces of at most `PIECE` bytes. Raises NotHttp, Interrupted, OSError."""
    if head.length is None:
        yield from _chunks(reader)
    elif head.length < 0:
        raise NotHttp("a content length that is no number")
    else:
        yield from _pieces_of(reader, head.length)


def exactly(reader: BufferedReader, length: int) -> bytes:
    """So many bytes at once. Raises Interrupted, OSError."""
    data = reader.read(length)
    if len(data) < length:
        raise Interrupted
    return data


def _pieces_of(reader: BufferedReader, length: int) -> Iterator[bytes]:
    while length:
        piece = exactly(reader, min(length, PIECE))
        length -= len(piece)
        yield piece


def _chunks(reader: BufferedReader) -> Iterator[bytes]:
    while True:
        size = _chunk_size(reader)
        if size == 0:
            break
        yield from _pieces_of(reader, size)
        if _line(reader).strip():
            raise NotHttp("a chunk longer than it said")
    for _ in range(MOST_HEADERS):
        if not _line(reader).strip():
            return
    raise NotHttp("too many trailers")


def _chunk_size(reader: BufferedReader) -> int:
    text = _line(reader).partition(b";")[0].strip()
    try:
        size = int(text, 16)
    except ValueError:
        raise NotHttp("a chunk's size is no number") from None
    if size < 0:
        raise NotHttp("a chunk's size is less than nothing")
    return size


def _line(reader: BufferedReader) -> bytes:
    line = reader.readline(LONGEST_LINE)
    if not line.endswith(b"\n"):
        raise Interrupted
    return line


def answer(status: str, body: bytes, content_type: str, *, with_body: bool = True) -> bytes:
    """A whole answer, as `200 OK`; for HEAD without its body."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + (body if with_body else b"")
