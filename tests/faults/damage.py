"""Ways in which a collector's folder can be damaged while no collector is alive."""

import random
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path

import msgspec

from sidecar.spool.record import Kind, State, encode

Way = Callable[[Path, random.Random], None]


def _journals(spool: Path) -> list[Path]:
    return sorted(spool.glob("nodes/*/*/*/*/*/journal-*.log"))


def _checkpoints(spool: Path) -> list[Path]:
    return sorted(spool.glob("nodes/*/*/*/*/*/checkpoint"))


def _each(found: Callable[[Path], list[Path]], change: Callable[[bytes, random.Random], bytes]) -> Way:
    def damage(spool: Path, chance: random.Random) -> None:
        for path in found(spool):
            path.write_bytes(change(path.read_bytes(), chance))

    return damage


def cut(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data) + 1)]


def flipped(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    if changed:
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def zeros(data: bytes, chance: random.Random) -> bytes:
    begin = chance.randrange(len(data) + 1)
    return data[:begin] + bytes(len(data) - begin)


def empty(_data: bytes, _chance: random.Random) -> bytes:
    return b""


def garbage(data: bytes, chance: random.Random) -> bytes:
    return chance.randbytes(len(data) or 100)


def _newer_journal(_data: bytes, _chance: random.Random) -> bytes:
    payload = msgspec.msgpack.encode(State(2, {}, {}))
    return encode(Kind.STATE, "", 0, len(payload), payload, time_ms=0) + b"what only the next version knows"


def _newer_checkpoint(_data: bytes, _chance: random.Random) -> bytes:
    packed = msgspec.msgpack.encode({"sequence": "one", "moon": "full"})
    rest = len(packed).to_bytes(4, "little") + packed
    return zlib.crc32(rest).to_bytes(4, "little") + rest


def _gone(found: Callable[[Path], list[Path]]) -> Way:
    return lambda spool, _: [path.unlink() for path in found(spool)] and None


def _folders(found: Callable[[Path], list[Path]]) -> Way:
    def damage(spool: Path, _chance: random.Random) -> None:
        for path in found(spool):
            path.unlink()
            path.mkdir()

    return damage


def _misnamed(spool: Path, _chance: random.Random) -> None:
    for path in _journals(spool):
        path.rename(path.with_name("journal-00000099.log"))


def _beside(spool: Path, chance: random.Random) -> None:
    """Folders and files that no collector made."""
    some = next(iter(spool.glob("nodes/*/*/*/*")))
    for path in (
        spool / "nodes" / "a file",
        spool / "nodes" / "~" / "c" / "session" / "node" / "1-00000000" / "x",
        some / "no origin",
        some / "1795402103123-9f3ac210.discarded" / "x",
        some.with_name("ef" * 28) / "1795402103123-9f3ac210" / "journal-00000000.log",
        some.with_name("no node") / "1795402103124-9f3ac210" / "checkpoint",
        spool / "unassigned" / "1795402103125-9f3ac210" / "journal-00000000.log",
        spool / "damaged" / "journal-00000000.log",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(chance.randbytes(300))


def _small_files(change: Callable[[Path, random.Random], None]) -> Way:
    def damage(spool: Path, chance: random.Random) -> None:
        for name in ("supervisor.pid", "youngest", "reserve", "lock"):
            change(spool / name, chance)

    return damage


def _to_folder(path: Path, _chance: random.Random) -> None:
    path.unlink(missing_ok=True)
    if path.name != "lock":
        path.mkdir()


def _origins_to_files(spool: Path, _chance: random.Random) -> None:
    for path in spool.glob("nodes/*/*/*/*/*"):
        shutil.rmtree(path)
        path.write_bytes(b"once a folder")


WAYS: dict[str, Way] = {
    "journals cut short": _each(_journals, cut),
    "a bit of journals flipped": _each(_journals, flipped),
    "journals end in zeros": _each(_journals, zeros),
    "journals of zeros": _each(_journals, lambda data, _: bytes(len(data))),
    "journals of garbage": _each(_journals, garbage),
    "journals empty": _each(_journals, empty),
    "journals of a newer version": _each(_journals, _newer_journal),
    "journals gone": _gone(_journals),
    "journals misnamed": _misnamed,
    "folders named as journals": _folders(_journals),
    "checkpoints cut short": _each(_checkpoints, cut),
    "a bit of checkpoints flipped": _each(_checkpoints, lambda data, chance: flipped(data[:200], chance)),
    "checkpoints of zeros": _each(_checkpoints, lambda data, _: bytes(len(data))),
    "checkpoints of garbage": _each(_checkpoints, garbage),
    "checkpoints empty": _each(_checkpoints, empty),
    "checkpoints of a newer version": _each(_checkpoints, _newer_checkpoint),
    "checkpoints gone": _gone(_checkpoints),
    "folders named as checkpoints": _folders(_checkpoints),
    "files that no collector made": _beside,
    "small files of garbage": _small_files(
        lambda path, chance: path.write_bytes(chance.randbytes(40)) and None
    ),
    "folders named as small files": _small_files(_to_folder),
    "files named as origins": _origins_to_files,
}
