"""Loopback addresses and ports for the demo's processes."""

import errno
import random
import socket

from historyserver.demo.errors import DemoError

# Above Ray's own worker ports (10002-19999), below the range the kernel hands out to outgoing connections.
PORTS = range(20000, 32000)
EVERY_ADDRESS = "0.0.0.0"  # noqa: S104 - bound for an instant, to ask about all of them at once


def free_ports(count: int) -> list[int]:
    """`count` different ports that nothing listens on at any address of this machine."""
    found: list[int] = []
    for port in random.sample(PORTS, len(PORTS)):
        if is_free(EVERY_ADDRESS, port):
            found.append(port)
            if len(found) == count:
                return found
    raise DemoError(
        f"No {count} free ports.",
        f"{PORTS.start}-{PORTS.stop} are in use.",
        "End other programs, then try again.",
    )


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        # As servers do, so that connections in TIME_WAIT don't count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise DemoError(
                f"Cannot listen on {host}:{port}.", str(error), "Choose another address with --listen."
            ) from error
    return True


def split_listen(listen: str) -> tuple[str, int]:
    """`HOST:PORT` as its two halves; DemoError when it isn't that."""
    host, colon, port = listen.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise DemoError(
            f"--listen {listen} is not an address.",
            "It needs a host and a port.",
            "Try --listen 127.0.0.1:8080.",
        )
    return host.strip("[]"), int(port)
