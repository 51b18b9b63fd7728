"""OSS as a store: what base.py promises, in requests of the official client."""

from __future__ import annotations

import base64
import hashlib
import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from archive.credentials import CredentialSource
from archive.errors import TransientStoreError
from archive.store.base import Object, ObjectInfo
from archive.store.keys import require_key
from archive.store.oss.address import Address
from archive.store.oss.clock import StoreClock, seconds_of
from archive.store.oss.errors import DELETE, GET, HEAD, LIST, PUT, Answer, Asked, Trouble, refused, unanswered
from archive.store.oss.span import Span, answered

if TYPE_CHECKING:
    from archive.store.oss.client import Reply, Requests

PAGE: Final = 1000
"""Entries that a listing answers with, and keys that a delete takes, at most."""
_PART: Final = 206
_NOTHING_THERE: Final = 416
_BINARY: Final = "application/octet-stream"
_CODES: Final = {"InternalError": 500, "ServiceUnavailable": 503}


class OssStore:
    """The objects below an address. Survives pickling and forking: each process makes its own client."""

    def __init__(self, address: Address, credentials: CredentialSource) -> None:
        self._address = address
        self._credentials = credentials
        self._clock = StoreClock()
        self._requests: tuple[int, Requests] | None = None

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self._address, self._credentials)

    def put(self, key: str, data: bytes) -> ObjectInfo:
        name = self._address.full(key)
        asked = self._asked(PUT, name)
        # By the digest OSS turns damaged bytes away; by the checksum it tells what it has stored.
        headers = {"Content-Type": _BINARY, "Content-MD5": _digest(data)}
        reply = self._client().send(asked, "PUT", key=name, headers=headers, body=data)
        _require_checksum(asked, reply, data)
        return _info(asked, key, reply, len(data))

    def get(
        self, key: str, *, start: int = 0, length: int | None = None, if_match: str | None = None
    ) -> Object:
        if start < 0 or (length is not None and length < 0):
            raise ValueError("start and length count bytes from 0")
        return self._read(key, Span(start, length), if_match)

    def get_suffix(self, key: str, length: int, *, if_match: str | None = None) -> Object:
        if length < 0:
            raise ValueError("length counts bytes from 0")
        return self._read(key, Span(None, length), if_match)

    def list(self, prefix: str, *, after: str = "") -> Iterator[ObjectInfo]:
        first = {"start-after": self._address.inside(after)} if after else {}
        for page in self._pages(prefix, first):
            for entry in page.iterfind("Contents"):
                yield ObjectInfo(
                    key=self._address.relative(unquote(entry.findtext("Key", ""))),
                    size=int(entry.findtext("Size", "")),
                    etag=entry.findtext("ETag", "").strip('"'),
                    modified=datetime.fromisoformat(entry.findtext("LastModified", "")).timestamp(),
                )

    def list_folders(self, prefix: str) -> Iterator[str]:
        for page in self._pages(prefix, {"delimiter": "/"}):
            for entry in page.iterfind("CommonPrefixes"):
                name = self._address.relative(unquote(entry.findtext("Prefix", "")))
                yield name.removeprefix(prefix).removesuffix("/")

    def delete(self, keys: Iterable[str]) -> None:
        names = (self._address.full(key) for key in keys)
        while batch := list(itertools.islice(names, PAGE)):
            self._delete(batch)

    def now(self) -> float:
        return self._clock.now()

    def _client(self) -> Requests:
        """This process's requests. Two threads may make them at once at first: then one pool is idle."""
        if self._requests is None or self._requests[0] != os.getpid():
            from archive.store.oss.client import Requests  # noqa: PLC0415 - 20 MiB that a file:// store does without

            self._requests = os.getpid(), Requests(self._address, self._credentials, self._clock)
        return self._requests[1]

    def _asked(self, action: str, name: str) -> Asked:
        return Asked(action, self._address.bucket, name, self._address.endpoint)

    def _read(self, key: str, span: Span, if_match: str | None) -> Object:
        if span.length == 0:
            return self._nothing(key, span, if_match)
        name = self._address.full(key)
        asked = self._asked(GET, name)
        headers = {"If-Match": f'"{if_match}"'} if if_match is not None else {}
        if span.header is not None:
            # Without the second, a range behind the end is answered by the whole object.
            headers |= {"Range": span.header, "x-oss-range-behavior": "standard"}
        reply = self._client().send(asked, "GET", key=name, headers=headers)
        if reply.status == _NOTHING_THERE or (reply.status == _PART and not reply.data):
            return self._nothing(key, span, if_match)
        return _object(asked, key, span, reply)

    def _nothing(self, key: str, span: Span, if_match: str | None) -> Object:
        """No bytes, and the version that has none there."""
        name = self._address.full(key)
        asked = self._asked(HEAD, name)
        headers = {"If-Match": f'"{if_match}"'} if if_match is not None else {}
        reply = self._client().send(asked, "HEAD", key=name, headers=headers)
        info = _info(asked, key, reply, int(reply.headers.get("Content-Length", "0")))
        begin, end = span.place(info.size)
        if end > begin:
            raise TransientStoreError(f"{asked.what} failed: it was replaced meanwhile; read it again")
        return Object(info, b"", begin)

    def _pages(self, prefix: str, parameters: Mapping[str, str]) -> Iterator[ET.Element]:
        folder = prefix.rpartition("/")[0]
        if folder:
            require_key(folder)
        whole = self._address.inside(prefix)
        asked = self._asked(LIST, whole)
        fixed = {"list-type": "2", "encoding-type": "url", "max-keys": str(PAGE), "prefix": whole}
        while True:
            reply = self._client().send(asked, "GET", parameters={**fixed, **parameters})
            page = _parsed(asked, reply, "ListBucketResult")
            yield page
            if page.findtext("IsTruncated") != "true":
                return
            token = page.findtext("NextContinuationToken")
            if not token:
                raise unanswered(asked, Trouble.DAMAGED, "a page does not say where the next one begins")
            parameters = {**parameters, "continuation-token": unquote(token)}
            parameters.pop("start-after", None)

    def _delete(self, names: Sequence[str]) -> None:
        asked = self._asked(DELETE, names[0])
        objects = "".join(f"<Object><Key>{escape(name)}</Key></Object>" for name in names)
        body = f"<Delete><Quiet>true</Quiet>{objects}</Delete>".encode()
        headers = {"Content-Type": "application/xml", "Content-MD5": _digest(body)}
        reply = self._client().send(
            asked, "POST", headers=headers, parameters={"delete": "", "encoding-type": "url"}, body=body
        )
        if not reply.data:
            return
        for failed in _parsed(asked, reply, "DeleteResult").iterfind("Error"):
            code = failed.findtext("Code", "")
            answer = Answer(
                status=_CODES.get(code, 403),
                code=code,
                message=failed.findtext("Message", ""),
                request_id=reply.headers.get("x-oss-request-id", ""),
            )
            raise refused(self._asked(DELETE, unquote(failed.findtext("Key", ""))), answer)


def _object(asked: Asked, key: str, span: Span, reply: Reply) -> Object:
    """The bytes asked for out of an answer, once it is seen to be those."""
    if reply.status == _PART:
        there = answered(reply.headers.get("Content-Range", ""))
        if there is None or span.place(there[2]) != there[:2] or len(reply.data) != there[1] - there[0]:
            raise unanswered(asked, Trouble.DAMAGED, "other bytes came than were asked for")
        return Object(_info(asked, key, reply, there[2]), reply.data, there[0])
    _require_checksum(asked, reply, reply.data)
    info = _info(asked, key, reply, len(reply.data))
    if span.header is None:
        return Object(info, reply.data, 0)
    begin, end = span.place(info.size)
    return Object(info, reply.data[begin:end], begin)


def _info(asked: Asked, key: str, reply: Reply, size: int) -> ObjectInfo:
    modified = seconds_of(reply.headers.get("Last-Modified", "") or reply.headers.get("Date", ""))
    etag = reply.headers.get("ETag", "").strip('"')
    if modified is None or not etag:
        raise unanswered(asked, Trouble.DAMAGED, "ETag or date are missing")
    return ObjectInfo(key, size, etag, modified)


def _require_checksum(asked: Asked, reply: Reply, data: bytes) -> None:
    told = reply.headers.get("x-oss-hash-crc64ecma")
    if told is None:
        return
    from archive.store.oss.checksum import crc64  # noqa: PLC0415 - as the client

    if told != str(crc64(data)):
        raise unanswered(asked, Trouble.DAMAGED, "CRC-64 differs")


def _parsed(asked: Asked, reply: Reply, tag: str) -> ET.Element:
    try:
        root = ET.fromstring(reply.data)  # noqa: S314 - the store's own answer, and expat limits expansion
    except ET.ParseError as error:
        raise unanswered(asked, Trouble.DAMAGED, f"the answer can't be read: {error}") from None
    if root.tag != tag:
        raise unanswered(asked, Trouble.DAMAGED, f"the answer is no {tag}")
    return root


def _digest(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
