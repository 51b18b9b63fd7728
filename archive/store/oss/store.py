"""OSS as a store: what base.py promises, in requests of the official client."""

from __future__ import annotations

import base64
import hashlib
import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

from archive.credentials import CredentialSource
from archive.store.base import Object, ObjectInfo
from archive.store.keys import require_key
from archive.store.oss.address import Address
from archive.store.oss.answers import (
    NOTHING_THERE,
    PART,
    Page,
    info_of,
    nothing_of,
    object_of,
    page_of,
    require_checksum,
    undeleted,
)
from archive.store.oss.clock import StoreClock
from archive.store.oss.errors import DELETE, GET, HEAD, LIST, PUT, Asked
from archive.store.oss.span import Span

if TYPE_CHECKING:
    from archive.store.oss.client import Requests

PAGE: Final = 1000
"""Entries that a listing answers with, and keys that a delete takes, at most."""


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
        headers = {"Content-Type": "application/octet-stream", "Content-MD5": _digest(data)}
        reply = self._client().send(asked, "PUT", key=name, headers=headers, body=data)
        require_checksum(asked, reply, data)
        return info_of(asked, key, reply, len(data))

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
            yield from page.objects

    def list_folders(self, prefix: str) -> Iterator[str]:
        for page in self._pages(prefix, {"delimiter": "/"}):
            for name in page.folders:
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
            from archive.store.oss.client import Requests  # noqa: PLC0415 - what other stores do without

            self._requests = os.getpid(), Requests(self._address, self._credentials, self._clock)
        return self._requests[1]

    def _asked(self, action: str, name: str) -> Asked:
        return Asked(action, self._address.bucket, name, self._address.endpoint)

    def _read(self, key: str, span: Span, if_match: str | None) -> Object:
        name = self._address.full(key)
        headers = {"If-Match": f'"{if_match}"'} if if_match is not None else {}
        if span.length != 0:
            asked = self._asked(GET, name)
            # Without the second, a range behind the end is answered by the whole object.
            ranged = {"Range": span.header, "x-oss-range-behavior": "standard"} if span.header else {}
            reply = self._client().send(asked, "GET", key=name, headers={**headers, **ranged})
            if reply.status != NOTHING_THERE and (reply.status != PART or reply.data):
                return object_of(asked, key, span, reply)
        asked = self._asked(HEAD, name)
        return nothing_of(asked, key, span, self._client().send(asked, "HEAD", key=name, headers=headers))

    def _pages(self, prefix: str, first: Mapping[str, str]) -> Iterator[Page]:
        folder = prefix.rpartition("/")[0]
        if folder:
            require_key(folder)
        whole = self._address.inside(prefix)
        asked = self._asked(LIST, whole)
        always = {"list-type": "2", "encoding-type": "url", "max-keys": str(PAGE), "prefix": whole}
        parameters = {**always, **first}
        while True:
            reply = self._client().send(asked, "GET", parameters=parameters)
            page = page_of(asked, reply, self._address.relative)
            yield page
            if page.next is None:
                return
            parameters["continuation-token"] = page.next

    def _delete(self, names: Sequence[str]) -> None:
        asked = self._asked(DELETE, names[0])
        objects = "".join(f"<Object><Key>{escape(name)}</Key></Object>" for name in names)
        body = f"<Delete><Quiet>true</Quiet>{objects}</Delete>".encode()
        headers = {"Content-Type": "application/xml", "Content-MD5": _digest(body)}
        parameters = {"delete": "", "encoding-type": "url"}
        reply = self._client().send(asked, "POST", headers=headers, parameters=parameters, body=body)
        error = undeleted(asked, reply)
        if error is not None:
            raise error


def _digest(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
