"""`historyserver settings`: all settings as a page, written from the tables that the commands read."""

import sys
from collections.abc import Sequence
from typing import Final

from archive.settings import PREFIX, markdown
from historyserver.canary.settings import CanarySettings
from server.settings import ServerSettings
from sidecar.settings import CollectorSettings

_USAGE: Final = """\
usage: historyserver settings

Prints all settings of collect, serve and canary as a page. It takes none itself.
"""

_HEAD: Final = f"""\
# Settings

<!-- Written by `make docs` from the tables in each command's settings.py: change those, not this. -->

Each setting is a flag of its command, or a variable in its environment: `--flush-seconds 5` or
`{PREFIX}FLUSH_SECONDS=5`. The flag wins, and an empty variable counts as not set. Sizes are bytes, or
have a unit: `512MiB`, `4GiB`. A list has commas between its parts; its flag may also be given more than once.

A store's URL is one of these:

| URL | what it names |
|---|---|
| `oss://bucket/root?region=cn-hangzhou` | a root in a bucket of OSS, by the region's internal endpoint; \
`endpoint=` names another one, with `cname=true` a domain of your own. Who asks is in the environment: \
access keys, an STS token, RRSA, or the machine's role |
| `file:///path` | a folder of this machine, which must be there |
| `http://host/base?token_file=/path` | for collectors: a server that takes puts into its folder, and the \
token that it knows them by; `https://`, too |
"""

_COLLECT: Final = """
## historyserver collect

Beside every Ray node. A value that can't be used never ends it: the default takes its place, and the log and
`/healthz` say so. Without a usable store, namespace or cluster nothing is kept until they are set right.

"""

_SERVE: Final = """
## historyserver serve

One that can't be used is refused at the start, with a sentence for each.

"""


_CANARY: Final = """
## historyserver canary

Beside a collector, with an identity that may read. See [canary](canary.md).

"""


def main(arguments: Sequence[str]) -> int:
    """Prints the page; 2 for arguments, of which it takes none."""
    if arguments:
        asks = arguments[0] in {"-h", "--help"}
        (sys.stdout if asks else sys.stderr).write(_USAGE)
        return 0 if asks else 2
    sys.stdout.write(page())
    return 0


def page() -> str:
    """docs/settings.md."""
    tables = ((_COLLECT, CollectorSettings), (_SERVE, ServerSettings), (_CANARY, CanarySettings))
    return _HEAD + "".join(head + markdown(table) for head, table in tables)
