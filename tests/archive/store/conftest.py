"""Every kind of store, as the contract and the faults need it."""

from __future__ import annotations

import hashlib
import itertools
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvicorn
from fake_oss import FakeOss
from starlette.applications import Starlette
from starlette.routing import Route

from archive.credentials import source_from
from archive.store import Store
from archive.store.http import HttpStore
from archive.store.local import LocalStore
from archive.store.oss import OssStore
from archive.store.oss.address import parse
from archive.store.putting import PATH
from server.callers import TokenFile
from server.metrics import Metrics
from server.puts import Puts

MakeStore = Callable[[], Store]
ROOTS = itertools.count()


@dataclass(frozen=True)
class Putting:
    """A store that takes puts, and one that reads what it took."""

    store: Store
    reading: Store


@pytest.fixture(scope="session")
def contract_oss() -> Iterator[FakeOss]:
    """One bucket for the whole contract; each store has a root of its own in it."""
    with FakeOss() as fake:
        yield fake


@pytest.fixture(params=["local", "oss"])
def make_store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, contract_oss: FakeOss
) -> MakeStore:
    """Gives an empty store of a kind."""
    if request.param == "local":
        return lambda: LocalStore(tmp_path_factory.mktemp("store"))
    source = source_from(contract_oss.environment("operator"))
    return lambda: OssStore(parse(contract_oss.url(f"root/{next(ROOTS)}")), source)


@pytest.fixture
def any_store(make_store: MakeStore) -> Store:
    return make_store()


@pytest.fixture(scope="session")
def putting_over_http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Putting]:
    folder = tmp_path_factory.mktemp("server")
    (folder / "tokens").write_text(f"team sha256:{hashlib.sha256(b'ours').hexdigest()}\n")
    (folder / "token").write_text("ours")
    local = LocalStore(tmp_path_factory.mktemp("volume"))
    with taking_puts(local, TokenFile(folder / "tokens")) as url:
        store = HttpStore(url, folder / "token")
        yield Putting(store, local)
        store.close()


@pytest.fixture(params=["local", "oss", "http"])
def putting(request: pytest.FixtureRequest, tmp_path: Path, contract_oss: FakeOss) -> Putting:
    """As a collector of the namespace `team` has it."""
    if request.param == "http":
        over_http: Putting = request.getfixturevalue("putting_over_http")
        return over_http
    if request.param == "local":
        return Putting(LocalStore(tmp_path), LocalStore(tmp_path))
    address = parse(contract_oss.url())
    return Putting(
        OssStore(address, source_from(contract_oss.environment("collector"))),
        OssStore(address, source_from(contract_oss.environment("operator"))),
    )


@contextmanager
def taking_puts(store: Store, callers: TokenFile) -> Iterator[str]:
    """The part of a server that takes puts."""
    app = Starlette(routes=[Route(f"{PATH}{{key:path}}", Puts(store, callers, Metrics()))])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(30)
