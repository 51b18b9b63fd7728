"""The fake, and the official client for it."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import alibabacloud_oss_v2 as official
import pytest
from alibabacloud_oss_v2.retry import NopRetryer

from fake_oss import FakeOss

MakeClient = Callable[..., official.Client]


@pytest.fixture
def oss() -> Iterator[FakeOss]:
    with FakeOss() as fake:
        yield fake


@pytest.fixture
def client_of(oss: FakeOss) -> Iterator[MakeClient]:
    """The official client by an identity's key, or by credentials as environment variables name them."""
    clients = []

    def make(
        identity: str = "operator",
        *,
        region: str = "cn-hangzhou",
        credentials: dict[str, str] | None = None,
        **settings: object,
    ) -> official.Client:
        given = credentials or oss.environment(identity)
        provider = official.credentials.StaticCredentialsProvider(
            given["ALIBABA_CLOUD_ACCESS_KEY_ID"],
            given["ALIBABA_CLOUD_ACCESS_KEY_SECRET"],
            given.get("ALIBABA_CLOUD_SECURITY_TOKEN"),
        )
        transport = official.transport.RequestsHttpClient(connect_timeout=5, readwrite_timeout=5)
        clients.append(transport)
        return official.Client(
            official.Config(
                region=region,
                credentials_provider=provider,
                retryer=NopRetryer(),
                http_client=transport,
                **{"endpoint": oss.endpoint, **settings},
            )
        )

    yield make
    for transport in clients:
        transport.close()


@pytest.fixture
def client(client_of: MakeClient) -> official.Client:
    return client_of()


@pytest.fixture
def raw(oss: FakeOss) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection(urlsplit(oss.endpoint).netloc, timeout=5)
    yield connection
    connection.close()
