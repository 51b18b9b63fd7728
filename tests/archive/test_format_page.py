import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "archive-format.md").read_text()


def test_the_script_on_the_page_prints_a_segments_index(tmp_path: Path) -> None:
    match = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert match is not None
    script = tmp_path / "index.py"
    script.write_text(match[1])
    segment = ROOT / "tests" / "fixtures" / "archive" / "segment-v1.seg"
    printed = subprocess.run(
        [sys.executable, script, segment], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert printed[-2] == "events 100 144 403 36"
    assert "'final': 'sigterm'" in printed[-1]
