"""docs/credentials.md names what the code reads."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_the_page_names_every_variable_that_is_read_and_no_other() -> None:
    pattern = r"\b(?:ALIBABA_CLOUD|OSS)_[A-Z0-9_]+\b"
    sources = (path.read_text() for path in (ROOT / "archive" / "credentials").glob("*.py"))
    read = set(re.findall(pattern, "\n".join(sources)))
    assert set(re.findall(pattern, (ROOT / "docs" / "credentials.md").read_text())) == read
