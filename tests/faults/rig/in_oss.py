"""The rig with object storage as its archive, and what its collector says of itself."""

import random
import urllib.error
import urllib.request
from pathlib import Path

from fake_oss import FakeOss

from archive.credentials import source_from
from archive.store.oss import OssStore
from archive.store.oss.address import parse

from .collecting import Collecting, until
from .rig import Rig


def rig_in(oss: FakeOss, folder: Path, chance: random.Random, environment: dict[str, str]) -> Rig:
    """Not begun yet. `environment`: the collector's credentials."""
    store = OssStore(parse(oss.url()), source_from(oss.environment("operator")))
    return Rig(folder, oss.url(), store, chance, environment)


def metric(rig: Rig, name: str) -> float:
    """The sum over a metric's labels; 0 while the collector doesn't listen yet."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{rig.collecting.health}/metrics", timeout=10) as said:
            lines = said.read().decode().splitlines()
    except OSError:
        return 0.0
    wanted = f"historyserver_collector_{name}"
    return sum(float(line.split()[-1]) for line in lines if line.startswith((f"{wanted} ", f"{wanted}{{")))


def health(rig: Rig) -> str:
    """What is wrong, "" when nothing is."""
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{rig.collecting.health}/healthz", timeout=10).close()
    except urllib.error.HTTPError as told:
        with told:
            return told.read().decode()
    except OSError:
        return ""
    return ""


def start_again(rig: Rig) -> None:
    """Another collector takes the spool over."""
    rig.collecting = Collecting(rig.folder, rig.url, rig.environment, flush_seconds=0.2)
    rig.collecting.start()


def end_when_stored(rig: Rig) -> None:
    """Everything is stored before the end, so that the end is no part of what is tested."""
    rig.rest()
    until(lambda: health(rig) == "" and metric(rig, "oldest_unstored_seconds") == 0, 120)
    assert rig.collecting.end() == 0
