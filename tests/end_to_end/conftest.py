"""One run of `historyserver demo` for all tests here, and one Chromium. What they leave is kept in build/."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen
from uuid import uuid4

import psutil
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Response, sync_playwright

from historyserver.demo.addresses import free_ports
from historyserver.demo.cluster import clean_environment

BUILD = Path(__file__).parents[2] / "build"
SCREENSHOTS = BUILD / "screenshots"
STORY_SECONDS = 300
CHROMIUM = (
    "--no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-component-update \
--disable-sync --disable-quic"
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The quick tests first."""
    items.sort(key=lambda item: Path(__file__).parent in item.path.parents)


@dataclass(frozen=True)
class DeadSession:
    """The demo's session after the kill; URLs end with a slash."""

    url: str
    session_url: str
    name: str
    killed_at: str
    """The local time of the kill, as HH:MM:SS."""

    def text(self, path: str) -> str:
        """What the session answers there."""
        with urlopen(self.session_url + path, timeout=30) as response:  # noqa: S310 - our own server
            return str(response.read(), "utf-8")

    def ask(self, path: str) -> Any:
        """The JSON that the session answers there."""
        return json.loads(self.text(path))

    def rows(self, resource: str, **filters: str) -> list[dict[str, Any]]:
        """Rows of the State API with every detail."""
        query = [("detail", "1"), ("limit", "10000")]
        for key, value in filters.items():
            query += [("filter_keys", key), ("filter_predicates", "="), ("filter_values", value)]
        rows: list[dict[str, Any]] = self.ask(f"api/v0/{resource}?{urlencode(query)}")["data"]["result"][
            "result"
        ]
        return rows


class RunningDemo:
    """The demo's command in a terminal session of its own, its output in `log`."""

    def __init__(self, log: Path, *options: str) -> None:
        self._log = log
        self._mark = f"DEMO_UNDER_TEST={uuid4().hex}"
        name, _, value = self._mark.partition("=")
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "historyserver", "demo", "--no-browser", *options],
                env={**clean_environment(), name: value},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_for(self, text: str, seconds: float) -> str:
        """The line of its output with that text, once it is there; fails when it is late or never comes."""
        deadline = time.monotonic() + seconds
        while True:
            over = self._process.poll() is not None or time.monotonic() > deadline
            output = self._log.read_text()
            for line in output.splitlines():
                if text in line:
                    return line
            assert not over, f"{text!r} is not in the output:\n{output}"
            time.sleep(0.1)

    def end(self, number: signal.Signals) -> int:
        """The exit code after that signal."""
        self._process.send_signal(number)
        return self._process.wait(60)

    def members(self) -> list[psutil.Process]:
        """The demo and whatever descends from it, by its environment or by its parents."""
        found = set()
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if self._mark in (f"{name}={value}" for name, value in process.environ().items()):
                    found |= {process, *process.children(recursive=True)}
        return self.living(found)

    @staticmethod
    def living(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
        """Those that run on."""
        found = []
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                if process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def kill(self) -> None:
        """For tests that have failed."""
        for process in self.members():
            with suppress(psutil.Error):
                process.kill()
        self._process.wait()


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[RunningDemo]:
    """A demo that has only begun."""
    demo = RunningDemo(tmp_path / "demo.log")
    yield demo
    demo.kill()


@pytest.fixture(scope="session")
def dead_session() -> Iterator[DeadSession]:
    """The demo has told its story and serves; at the end Ctrl-C must leave nothing behind."""
    folder = BUILD / "end_to_end"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    address = f"127.0.0.1:{free_ports(1)[0]}"
    demo = RunningDemo(folder / "demo.log", "--listen", address, "--keep", str(folder))
    try:
        demo.wait_for("Ctrl-C ends the demo", STORY_SECONDS)
        killed_at = demo.wait_for("Killed all", 0).split()[0]
        with urlopen(f"http://{address}/api/sessions", timeout=30) as response:
            (listed,) = json.load(response)["sessions"]
        yield DeadSession(
            f"http://{address}/", f"http://{address}/{listed['href']}", listed["session"], killed_at
        )
        assert demo.end(signal.SIGINT) == 0
        assert demo.members() == []
    finally:
        demo.kill()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium without a window; its driver runs an event loop, which no other test must meet."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        sentence = "There is no Chromium; on Debian: apt install chromium."
        if os.environ.get("CI"):
            pytest.fail(sentence)
        pytest.skip(sentence)
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM.split())
        yield browser
        browser.close()


class Visit:
    """A page in Chromium that notes whatever a visitor should never meet."""

    def __init__(self, page: Page, session: DeadSession) -> None:
        self.page = page
        self.session = session
        self.problems: list[str] = []
        self._allowed = (session.session_url,)
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: self.problems.append(f"page error: {error}"))
        page.on("console", self._console)
        page.on("request", self._request)
        page.on("response", self._response)

    def open(self, place: str) -> None:
        """A place of the session's dashboard, as `#/jobs`."""
        self.page.goto(self.session.session_url + place)

    def open_list(self) -> None:
        """The list of sessions; from here on its own files are fine, too."""
        self.allow_list()
        self.page.goto(self.session.url)

    def allow_list(self) -> None:
        self._allowed = (self.session.session_url, self.session.url + "assets/")

    def sees(self, *texts: str) -> None:
        """Each text is visible on the page, or soon is."""
        for text in texts:
            self.page.get_by_text(text).locator("visible=true").first.wait_for()

    def screenshot(self, name: str) -> None:
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png")

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.problems.append(f"console: {message.text} ({message.location['url']})")

    def _request(self, request: Request) -> None:
        if not request.url.startswith((*self._allowed, "data:", "blob:")) and request.url != self.session.url:
            self.problems.append(f"request outside the session: {request.method} {request.url}")

    def _response(self, response: Response) -> None:
        if response.status >= 400:
            self.problems.append(f"{response.status}: {response.request.method} {response.url}")


@pytest.fixture
def visit(chromium: Browser, dead_session: DeadSession) -> Iterator[Visit]:
    """A visitor with a fresh profile; the test fails if anything untoward was noted."""
    context = chromium.new_context(viewport={"width": 1400, "height": 900}, accept_downloads=True)
    visitor = Visit(context.new_page(), dead_session)
    yield visitor
    context.close()
    assert visitor.problems == []
