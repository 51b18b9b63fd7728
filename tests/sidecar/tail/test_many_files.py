"""Thousands of logs, some of them busy and turning: nothing piles up."""

from collections.abc import Callable
from pathlib import Path
from typing import Any


def test_many_logs_of_which_some_turn_again_and_again_are_kept_up_with(
    collect: Callable[..., Any],
    ring: Callable[..., Any],
    logs: Path,
    rounds: Callable[[int, int], int],
    open_files: Callable[[], int],
) -> None:
    """A scan stands for a second, and every ring turns in every other one."""
    collector = collect(logs, handles=200)
    quiet, active = rounds(200, 4_900), rounds(20, 100)
    for number in range(quiet):
        (logs / f"quiet-{number}.out").write_text(f"{number}\n")
    rings = [ring(f"worker-{number}.out", 3) for number in range(active)]
    written = dict.fromkeys(range(active), b"")
    while collector.scan().lag_bytes:
        pass
    opened, most, behind = open_files(), 0, 0
    for second in range(rounds(20, 100)):
        for number, log in enumerate(rings):
            line = b"%d of %d\n" % (second, number)
            with log.path.open("ab") as file:
                file.write(line)
            written[number] += line
            if second % 2:
                log.turn()
        behind = behind + 1 if collector.scan().lag_bytes else 0
        assert behind < 10
        most = max(most, open_files())
    assert most <= opened + 200
    collector.finish()
    for number, data in list(written.items())[:10]:
        assert collector.text(f"logs/worker-{number}.out") == data
    assert collector.losses == {}
