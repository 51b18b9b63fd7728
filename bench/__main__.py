"""`python -m bench [MODULE…]`: runs the benchmarks and prints a table of their figures beside the goals."""

import argparse
import importlib
import platform
import sys
import traceback
from collections.abc import Iterator
from os import cpu_count

from bench.figure import Figure

MODULES = (
    *("opening", "scale", "pages", "users", "sessions"),
    *("collector", "outage", "loss", "tailer", "store", "sizes", "idle"),
)
LINE = "{:<64} {:>10} {:<4} {:>12}  {}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "modules", nargs="*", metavar="MODULE", help=f"any of {', '.join(MODULES)}; all by default"
    )
    modules: list[str] = parser.parse_args().modules or list(MODULES)
    unknown = sorted(set(modules) - set(MODULES))
    if unknown:
        parser.error(f"no benchmark is called {', '.join(unknown)}; there are {', '.join(MODULES)}")
    print(f"{cpu_count()} CPUs, {platform.machine()}, Python {platform.python_version()}\n")
    print(LINE.format("what", "measured", "", "goal", ""))
    failed = False
    for module in modules:
        try:
            for figure in measured(module):
                print(row(figure), flush=True)
        except Exception:  # noqa: BLE001 - the other benchmarks still say something
            failed = True
            print(f"{module}: did not finish, so its figures are missing", flush=True)
            traceback.print_exc()
    return 1 if failed else 0


def measured(module: str) -> Iterator[Figure]:
    """The figures of one benchmark, as they come."""
    yield from importlib.import_module(f"bench.{module}").figures()


def row(figure: Figure) -> str:
    verdict = "reached" if figure.reached else "MISSED"
    value = f"{figure.value:,.0f}" if figure.value >= 100 else f"{figure.value:.3g}"
    return LINE.format(figure.name, value, figure.unit, f"<= {figure.goal:g} {figure.unit}", verdict)


if __name__ == "__main__":
    sys.exit(main())
