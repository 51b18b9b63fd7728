"""docs/sizing.md counts with the numbers that the code has, and names benchmarks that are there."""

import re
from dataclasses import fields
from pathlib import Path

from bench.__main__ import MODULES
from server.settings import ServerSettings
from server.view.views import OPENED_BYTES
from sidecar.catalog import BEAT
from sidecar.flush.schedule import CLOSE_PUTS, CLOSE_SIZE, LARGEST_SIZE
from sidecar.settings import CollectorSettings

PAGE = (Path(__file__).parents[2] / "docs" / "sizing.md").read_text()
MIB = 1 << 20


def test_every_figure_that_a_constant_gives_is_that_constants() -> None:
    collector = {each.name: each.default for each in fields(CollectorSettings)}
    cache = {each.name: each.default for each in fields(ServerSettings)}["cache_bytes"]
    flush, budget = float(collector["flush_seconds"]), int(collector["spool_budget"])
    hourly = round(3600 / (flush + 1))
    for words in (
        f"{60 / (flush + 1):g} a minute with {flush:g} s",
        f"puts = {hourly}·B",
        f"one in {BEAT:g} s: {60 / BEAT:g} a minute",
        f"{round(3600 / BEAT)}·H",
        f"more than {LARGEST_SIZE // MIB} MiB compressed",
        f"until it has {CLOSE_SIZE // MIB} MiB or was\nput {CLOSE_PUTS} times",
        f"`--spool-budget` ({budget // MIB} MiB), logs half of it",
        f"{collector['deleted_files']} of Ray's logs at most",
        f"all opened ones together at most {OPENED_BYTES // MIB} MiB",
        f"`--cache-bytes` ({int(cache) >> 30} GiB)",
    ):
        assert words in PAGE, words
    assert collector["log_share"] == 0.5


def test_every_benchmark_that_is_named_is_there() -> None:
    named = {
        name
        for row in PAGE.splitlines()
        if row.startswith("| ") and row.count("|") == 4
        for name in re.findall(r"`(\w+)`", row.split("|")[3])
    }
    assert len(named) > 5
    assert named <= set(MODULES)
