"""Requests of the official client: signed (version 4), sent once, answered by OSS or told as an error.

Importing the client costs 14 MiB and 0.2 s, so only the first request does.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Final, NamedTuple, NoReturn
from urllib.parse import urlsplit

from archive.credentials import Credentials, CredentialSource
from archive.errors import StoreError
from archive.store.oss.address import Address
from archive.store.oss.clock import StoreClock
from archive.store.oss.errors import RENEWABLE, Answer, Asked, refused, unanswered
from archive.store.oss.sdk import (
    CaseInsensitiveDict,
    Client,
    Config,
    CredentialsFetchError,
    CredentialsProvider,
    NopRetryer,
    OperationError,
    OperationInput,
    ServiceError,
    SignerV4,
    SigningContext,
)
from archive.store.oss.sdk import Credentials as ClientCredentials
from archive.store.oss.transport import Transport, trouble

_ID: Final = "x-oss-request-id"
_NOTHING_THERE: Final = 416
_UNREADABLE: Final = "BadErrorResponse"
"""The client's word for an answer without OSS's error in it, as one to HEAD."""


class Reply(NamedTuple):
    """A success, or 416: there is nothing in the range asked for. `headers` are found in any case."""

    status: int
    headers: Mapping[str, str]
    data: bytes


class Requests:
    """Thread-safe. Of one process: neither connections nor locks survive a fork."""

    def __init__(self, address: Address, credentials: CredentialSource, clock: StoreClock) -> None:
        self._address = address
        self._clock = clock
        self._identity = _Identity(credentials)
        self._client = Client(
            Config(
                region=address.region,
                endpoint=address.endpoint,
                use_cname=address.cname,
                credentials_provider=self._identity,
                http_client=Transport(_base(address)),
                retryer=NopRetryer(),
            ),
            signer=_Signer(clock),
        )

    def send(
        self,
        asked: Asked,
        method: str,
        *,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        parameters: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Reply:
        """One request. `key`: the object's name in the bucket. Raises StoreError."""
        request = OperationInput(
            op_name=asked.action,
            method=method,
            bucket=self._address.bucket,
            key=key,
            headers=CaseInsensitiveDict(headers or {}),
            parameters=dict(parameters or {}),
            body=body,
        )
        try:
            output = self._client.invoke_operation(request)
        except OperationError as error:
            failure = error.unwrap()
            if isinstance(failure, ServiceError) and failure.status_code == _NOTHING_THERE:
                return Reply(_NOTHING_THERE, failure.headers, b"")
            self._raise(asked, failure)
        if not _is_of_oss(output.headers):
            raise refused(asked, _stranger(output.status_code, output.headers))
        self._clock.heard(output.headers.get("Date", ""))
        return Reply(output.status_code, output.headers, output.http_response.content)

    def _raise(self, asked: Asked, error: Exception) -> NoReturn:
        if isinstance(error, ServiceError):
            answer = self._answer(error)
            if answer.code in RENEWABLE:
                self._identity.invalidate()
            raise refused(asked, answer) from None
        if isinstance(error, CredentialsFetchError) and isinstance(error.kwargs["error"], StoreError):
            raise error.kwargs["error"]
        raise unanswered(asked, *trouble(error)) from error

    def _answer(self, error: ServiceError) -> Answer:
        headers: Mapping[str, str] = error.headers
        if not _is_of_oss(headers):
            return _stranger(error.status_code, headers)
        self._clock.heard(headers.get("Date", ""))
        fields: Mapping[str, str | None] = error.error_fileds
        told = error.code != _UNREADABLE
        return Answer(
            status=error.status_code,
            code=error.code or "" if told else "",
            message=error.message or "" if told else "",
            ec=error.ec or "",
            request_id=error.request_id or "",
            endpoint=fields.get("Endpoint") or "",
            skew=self._clock.ahead(),
        )


class _Identity(CredentialsProvider):  # type: ignore[misc]  # the client has no types
    """Our source of credentials as the client asks for it; remembers what each thread signed with last."""

    def __init__(self, source: CredentialSource) -> None:
        self._source = source
        self._used = threading.local()

    def get_credentials(self) -> ClientCredentials:
        found = self._source.current()
        self._used.last = found
        return ClientCredentials(found.access_key_id, found.access_key_secret, found.security_token)

    def invalidate(self) -> None:
        """What this thread signed with last is no longer accepted."""
        last: Credentials = self._used.last
        self._source.invalidate(last)


class _Signer(SignerV4):  # type: ignore[misc]  # as above
    """Signs by the store's clock: the client has a place for the difference, and never fills it."""

    def __init__(self, clock: StoreClock) -> None:
        self._clock = clock

    def sign(self, signing_ctx: SigningContext) -> None:
        signing_ctx.clock_offset = self._clock.ahead()
        super().sign(signing_ctx)


def _is_of_oss(headers: Mapping[str, str]) -> bool:
    return _ID in headers and "html" not in headers.get("Content-Type", "")


def _stranger(status: int, headers: Mapping[str, str]) -> Answer:
    return Answer(status, content_type=headers.get("Content-Type", ""), by_oss=False)


def _base(address: Address) -> str:
    """A URL on the host that requests go to, by which the proxy is chosen."""
    parts = urlsplit(address.endpoint)
    return address.endpoint if address.cname else f"{parts.scheme}://{address.bucket}.{parts.netloc}"
