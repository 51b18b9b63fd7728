"""Takes what Ray's aggregator agent posts, and always thanks for it.

Ray retries any answer but 2xx for ever, and everything behind it waits. So every POST that ends gets 200 once
its body is in the spool, or is counted as lost; whatever else comes can't be an event and is answered kindly.
"""

import logging
from collections.abc import Callable, Iterator
from typing import Final

from sidecar.metrics import Metrics
from sidecar.receiver import http
from sidecar.receiver.intake import Intake, Sink
from sidecar.receiver.listener import Connection, Listener

WHOLE_LIMIT: Final = 2 << 20
"""Longer bodies are kept in pieces while they come. Ray's usual ones stay below 1.3 MB."""

_LOG: Final = logging.getLogger(__name__)
_WELCOME: Final = b"This is the history server's collector. Ray posts its events here.\n"
_TEXT: Final = "text/plain; charset=utf-8"


class Receiver(Listener):
    """What it takes goes to the spool that `sink` gives; `stop` keeps and answers what is all there."""

    def __init__(
        self,
        listen: tuple[str, int],
        sink: Callable[[], Sink],
        metrics: Metrics,
        problem: Callable[[str], None] = lambda _: None,
    ) -> None:
        super().__init__(listen, "receiver", problem)
        self._intake = Intake(sink, metrics)
        metrics.refresh_with(lambda: metrics.connections.set(self.connections))

    def settle(self) -> None:
        """Counts what was lost while there was no spool, as soon as there is one: call it now and then."""
        self._intake.settle()

    def serve(self, connection: Connection) -> None:
        going = True
        while going:
            try:
                head = http.read_head(connection.reader)
                if head is None:
                    return
                connection.touch()
                going = self._answer(connection, head)
            except http.NotHttp:
                connection.send(http.BAD_REQUEST)
                return
            except http.Interrupted:
                return

    def _answer(self, connection: Connection, head: http.Head) -> bool:
        """Answers one request; False if the connection is to end."""
        if head.expects_continue:
            connection.send(http.CONTINUE)
        if head.method == b"POST":
            return self._post(connection, head)
        for _ in http.pieces(connection.reader, head):
            pass
        if head.method in (b"GET", b"HEAD"):
            connection.send(http.answer("200 OK", _WELCOME, _TEXT, with_body=head.method == b"GET"))
        else:
            connection.send(http.answer("405 Method Not Allowed", _WELCOME, _TEXT))
        return head.keep_alive

    def _post(self, connection: Connection, head: http.Head) -> bool:
        try:
            if head.length is not None and 0 <= head.length <= WHOLE_LIMIT:
                self._intake.whole(http.exactly(connection.reader, head.length))
            else:
                self._take(http.pieces(connection.reader, head))
        except http.NotHttp:
            self._intake.broken()
            connection.send(http.OK_AND_CLOSE)
            return False
        except (OSError, http.Interrupted):
            raise
        except Exception:  # noqa: BLE001 - a fault of ours must not make Ray wait for ever
            _LOG.exception("a body could not be kept; it is counted as lost")
            self._intake.broken()
        connection.send(http.OK if head.keep_alive else http.OK_AND_CLOSE)
        return head.keep_alive

    def _take(self, pieces: Iterator[bytes]) -> None:
        held: list[bytes] = []
        size = 0
        for piece in pieces:
            held.append(piece)
            size += len(piece)
            if size > WHOLE_LIMIT:
                break
        else:
            self._intake.whole(b"".join(held))
            return
        body = self._intake.begin()
        while held:
            body.feed(held.pop(0))
        for piece in pieces:
            body.feed(piece)
        body.finish()
