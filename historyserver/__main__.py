"""`historyserver <command>`: finds the command's room and steps aside. Heavy imports stay in the commands."""

import os
import sys
from collections.abc import Sequence

USAGE = """\
usage: historyserver <command> [options]

commands:
  collect   keep what the Ray node on this machine does (beside every Ray node)
  serve     open kept sessions in Ray's own dashboard
  frontend  fetch Ray's dashboard beforehand, for images and machines without a network
  doctor    check store, rights, clock, Ray's switches, with the rights of this identity
  rm        remove sessions that ended long ago, or those that are named
  settings  print all settings of collect and serve, as a page
  demo      see it: a real Ray cluster is killed, and its dashboard opens again

historyserver <command> --help lists the options.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; the return value is the exit code of the process."""
    command, *rest = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    match command:
        case "collect":
            return _collect(rest)
        case "serve":
            from server.main import main as serve  # noqa: PLC0415 - heavy

            return serve(rest)
        case "frontend":
            from server.frontend.main import main as frontend  # noqa: PLC0415 - heavy

            return frontend(rest)
        case "doctor":
            from historyserver.doctor import main as doctor  # noqa: PLC0415 - heavy

            return doctor(rest)
        case "rm":
            from historyserver.rm import main as remove  # noqa: PLC0415 - not needed by the other commands

            return remove(rest)
        case "settings":
            from historyserver.settings import page  # noqa: PLC0415 - needs what the other commands don't

            sys.stdout.write(page())
            return 0
        case "demo":
            from historyserver.demo import main as demo  # noqa: PLC0415 - heavy

            return demo(rest)
        case "-h" | "--help" | "help":
            sys.stdout.write(USAGE)
            return 0
        case _:
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
