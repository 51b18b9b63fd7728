"""docs/settings.md and the command that writes it."""

import subprocess
import sys
from pathlib import Path

from archive.settings import rows
from historyserver.settings import page
from server.settings import ServerSettings
from sidecar.settings import CollectorSettings

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "settings.md"


def test_the_page_of_settings_is_what_the_tables_say() -> None:
    assert PAGE.read_text() == page(), "the tables have changed: make docs"


def test_the_page_has_every_setting_of_both_commands() -> None:
    collect, serve = PAGE.read_text().split("## historyserver serve")
    assert all(f"| `{row.flag}` | `{row.variable}` |" in collect for row in rows(CollectorSettings))
    assert all(f"| `{row.flag}` | `{row.variable}` |" in serve for row in rows(ServerSettings))


def test_the_command_prints_the_page() -> None:
    command = [sys.executable, "-m", "historyserver", "settings"]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode() == page()
