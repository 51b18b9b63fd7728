"""All logs of a session as one zip file, made while it is sent: nothing is held whole or written to disk."""

import zipfile
from collections.abc import Iterator, Sequence
from typing import Final

from server.logs.node import NodeLogs
from server.logs.session import SessionLogs

_LEVEL: Final = 1
_OLDEST: Final = (1980, 1, 1, 0, 0, 0)


class _Outlet:
    """A file that can only be written; what was written is taken away by and by."""

    def __init__(self) -> None:
        self._waiting: list[bytes] = []

    def write(self, data: bytes, /) -> int:
        """Keep the bytes until they are taken."""
        self._waiting.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""

    def take(self) -> bytes:
        """What was written since the last time."""
        taken, self._waiting = b"".join(self._waiting), []
        return taken


def zipped(logs: SessionLogs, nodes: Sequence[NodeLogs]) -> Iterator[bytes]:
    """The zip's bytes: `<node id>/<path>` for each log, and a file that tells what could not be read."""
    outlet = _Outlet()
    with zipfile.ZipFile(outlet, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as archive:
        for node in nodes:
            for path in node.paths:
                reader = logs.reader(node.node_id, path)
                if reader is None:
                    continue
                entry = zipfile.ZipInfo(f"{node.node_id}/{path}", _OLDEST)
                entry.compress_type = zipfile.ZIP_DEFLATED
                with archive.open(entry, "w", force_zip64=True) as file:
                    for piece in logs.read(node.node_id, path, reader.begin, reader.end):
                        file.write(piece)
                        yield outlet.take()
        troubles = [f"{node.node_id}: {trouble}\n" for node in nodes for trouble in node.troubles]
        if troubles:
            archive.writestr("COULD-NOT-BE-READ.txt", "".join(troubles))
    yield outlet.take()
