"""The tailer's scan: 5,000 logs as Ray names them, of which 100 gain lines each second."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from archive.layout import SessionKey
from bench.figure import Figure
from sidecar.spool import Spool
from sidecar.tail import Tailer

LOGS = 5_000
ACTIVE = 100
GAIN = b"(RayTrainWorker pid=4711) epoch 3, step 128: loss 0.0173, 1342 samples/s\n" * 20
SCANS = 20
BUDGET = 1 << 30


def figures() -> Iterator[Figure]:
    """CPU of one scan, the spool's work with what it appends included."""
    with tempfile.TemporaryDirectory(prefix="bench-tailer-") as folder:
        yield Figure(f"{LOGS:,} logs, {ACTIVE} active: a scan, CPU", _scan_ms(Path(folder)), "ms", 50)


def _scan_ms(folder: Path) -> float:
    logs = folder / "logs"
    logs.mkdir()
    paths = [logs / f"worker-{number:056x}-01000000-{number}.out" for number in range(LOGS)]
    for path in paths:
        path.write_bytes(GAIN)
    spent: list[float] = []
    with Spool(folder / "spool", BUDGET, log_room=BUDGET) as spool:
        tailer = Tailer(logs, spool.node(SessionKey("bench", "bench", "bench"), "ab" * 28))
        tailer.scan()
        for _ in range(SCANS):
            for path in paths[:: LOGS // ACTIVE]:
                with path.open("ab") as file:
                    file.write(GAIN)
            before = time.process_time()
            taken = tailer.scan().bytes_read
            spent.append(time.process_time() - before)
            assert taken == ACTIVE * len(GAIN)
        tailer.close()
    return 1000 * median(spent)
