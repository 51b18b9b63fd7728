"""`historyserver <command>`: finds the command's room and steps aside. Heavy imports stay in the commands."""

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Final

USAGE = """\
usage: historyserver <command> [options]

commands:
  collect   keep what the Ray node on this machine does (beside every Ray node)
  serve     open kept sessions in Ray's own dashboard
  frontend  fetch Ray's dashboard beforehand, for images and machines without a network
  doctor    check store, rights, clock, Ray's switches, with the rights of this identity
  fold      make the views that sessions lack, here or on a Ray cluster
  rm        remove sessions that ended long ago, or those that are named
  settings  print all settings of collect and serve, as a page
  canary    write known events and lines beside a collector, and tell what of them is missing or late
  demo      see it: a real Ray cluster is killed, and its dashboard opens again

historyserver <command> --help lists the options.
"""


# Each module's `main` takes the arguments and returns the exit code.
COMMANDS: Final = {
    "serve": "server.main",
    "frontend": "server.frontend.main",
    "doctor": "historyserver.doctor",
    "fold": "historyserver.fold",
    "rm": "historyserver.rm",
    "canary": "historyserver.canary",
    "settings": "historyserver.settings",
    "demo": "historyserver.demo",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; the return value is the exit code of the process."""
    command, *rest = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if command == "collect":
        return _collect(rest)
    if command in COMMANDS:
        run: Callable[[list[str]], int] = import_module(COMMANDS[command]).main
        return run(rest)
    if command in {"-h", "--help", "help"}:
        sys.stdout.write(USAGE)
        return 0
    sys.stderr.write(f"historyserver: there is no command {command!r}\n\n{USAGE}")
    return 2


def _collect(arguments: list[str]) -> int:
    """The supervisor in this process; the collector, with all its imports, in its child."""

    supervisor = os.getpid()

    def collect() -> int:
        from sidecar.main import main as run  # noqa: PLC0415 - after the fork, so that the supervisor stays small

        return run(arguments, supervisor)

    if "-h" in arguments or "--help" in arguments:
        return collect()
    from sidecar.supervisor import supervise  # noqa: PLC0415 - not needed by the other commands

    return supervise(collect)


if __name__ == "__main__":
    sys.exit(main())
