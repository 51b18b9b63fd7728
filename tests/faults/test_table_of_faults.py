"""README.md of this folder names tests that are there, and all that have a long form."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (Path(__file__).parent / "README.md").read_text()
NAMED = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGE)


def test_every_test_that_is_named_is_there() -> None:
    assert len(NAMED) > 25
    for path, name in NAMED:
        assert f"def {name or 'test_'}" in (ROOT / path).read_text(), f"{path}::{name} is not there"


def test_every_fault_has_its_row() -> None:
    rows = set(re.findall(r"^\| ([CS]\d+) \|", PAGE, re.MULTILINE))
    assert rows >= {f"C{number}" for number in range(1, 14)} | {"S4", "S5", "S6"}


def test_every_file_of_this_folder_with_a_long_form_is_named() -> None:
    named = {path for path, _ in NAMED}
    for file in Path(__file__).parent.glob("test_*.py"):
        if file != Path(__file__) and re.search(r"\brounds\(|mark\.soak|\bsoaking\b", file.read_text()):
            assert f"tests/faults/{file.name}" in named
