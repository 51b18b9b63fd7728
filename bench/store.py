"""The store of OSS: what a request costs, and how soon a server has what it needs to open a session."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from typing import Final

from archive.credentials import source_from
from archive.store.base import Store
from archive.store.oss import OssStore
from archive.store.oss.address import parse
from bench.figure import Figure
from bench.oss import oss

REQUESTS: Final = 200
SMALL: Final = 4 << 10
SEGMENTS: Final = 36
SEGMENT: Final = 1 << 20
SUFFIX: Final = 256 << 10
THREADS: Final = 24
PAGES: Final = 5
_ADDED: Final = """
import http.client, logging, ssl, xml.etree.ElementTree, msgspec, zstandard, archive.store.oss, archive.trust

def pss():
    with open("/proc/self/smaps_rollup") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Pss:"))

before = pss()
import archive.store.oss.client, archive.store.oss.checksum
print(pss() - before)
"""


def figures() -> Iterator[Figure]:
    """CPU is that of this process; the stand-in has one of its own."""
    with oss(latency=0.0) as fast:
        store = OssStore(parse(fast.url()), source_from(fast.environment("operator")))
        yield from _processor(store)
        for number in range(1000):
            fast.put(
                f"root/v1/catalog/{number:04}~team~cluster~session_2026-11-23_02-43-27_490622_12278", b"{}"
            )
        page = _cpu_ms(lambda _: sum(1 for _ in store.list("v1/catalog/")), PAGES)
        yield Figure("OSS: a listing's page of 1,000, CPU", page, "ms", 15)
    with oss() as slow:
        store = OssStore(parse(slow.url()), source_from(slow.environment("operator")))
        yield Figure(f"OSS: the ends of {SEGMENTS} segments by {THREADS} threads", _ends_s(store), "s", 0.2)
    added = subprocess.run([sys.executable, "-c", _ADDED], capture_output=True, check=True, text=True)
    yield Figure("OSS: memory that the client adds to a process", int(added.stdout) / 1024, "MiB", 18)


def _processor(store: Store) -> Iterator[Figure]:
    small = os.urandom(SMALL)
    put = _cpu_ms(lambda number: store.put(f"v1/small/{number}", small), REQUESTS)
    get = _cpu_ms(lambda number: store.get(f"v1/small/{number}"), REQUESTS)
    yield Figure(f"OSS: a put of {SMALL >> 10} KiB, CPU", put, "ms", 2)
    yield Figure(f"OSS: a get of {SMALL >> 10} KiB, CPU", get, "ms", 2)


def _cpu_ms(ask: Callable[[int], object], times: int) -> float:
    ask(0)
    spent: list[float] = []
    for number in range(times):
        before = time.process_time()
        ask(number)
        spent.append(time.process_time() - before)
    return 1000 * median(spent)


def _ends_s(store: Store) -> float:
    data = os.urandom(SEGMENT)
    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(lambda number: store.put(f"v1/segments/{number}", data), range(SEGMENTS)))
        rounds: list[float] = []
        for _ in range(5):
            before = time.perf_counter()
            list(
                threads.map(lambda number: store.get_suffix(f"v1/segments/{number}", SUFFIX), range(SEGMENTS))
            )
            rounds.append(time.perf_counter() - before)
    return median(rounds)
