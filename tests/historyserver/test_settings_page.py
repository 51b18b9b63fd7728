"""docs/settings.md and the command that writes it."""

import subprocess
import sys
from pathlib import Path

from archive.settings import rows
from historyserver.canary.settings import CanarySettings
from historyserver.settings import page
from server.settings import ServerSettings
from sidecar.settings import CollectorSettings

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "settings.md"


def test_the_page_of_settings_is_what_the_tables_say() -> None:
    assert PAGE.read_text() == page(), "the tables have changed: make docs"


def test_the_page_has_every_setting_of_each_command() -> None:
    _, *sections = PAGE.read_text().split("## historyserver ")
    tables = (CollectorSettings, ServerSettings, CanarySettings)
    for table, section in zip(tables, sections, strict=True):
        assert all(f"| `{row.flag}` | `{row.variable}` |" in section for row in rows(table))


def test_the_command_prints_the_page() -> None:
    command = [sys.executable, "-m", "historyserver", "settings"]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode() == page()
