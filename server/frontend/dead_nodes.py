"""The two places where Ray's front end hides the logs of dead nodes, taken out of its script.

A live dashboard can't reach a dead node's logs, so its Logs page lists living nodes only, and a dead node's
row has no link to them. Here every node of an ended session is dead and its logs are at hand. With the places
taken out, nodes can be reported as what they are.
"""

import re
from typing import Final

from server.frontend.errors import FrontendChanged

_PLACES: Final = (
    # The Logs page: only living nodes of the summary.
    (re.compile(r'\.filter\(\((\w+)=>"ALIVE"===\1\.raylet\.state\)\)'), ""),
    # A node's row: the link to its logs.
    (
        re.compile(
            r'"DEAD"!==\w+\.state&&(?=\(0,\w+\.jsx\)\(\w+\.\w+,\{component:\w+\.\w+,to:"/logs/\?nodeId=")'
        ),
        "",
    ),
)


def with_logs_of_dead_nodes(script: str) -> str:
    """The main script without both places. Raises: FrontendChanged where one is not found exactly once."""
    for place, instead in _PLACES:
        script, found = place.subn(instead, script)
        if found != 1:
            raise FrontendChanged(
                f"Ray's front end hides dead nodes in {found} places that look like {place.pattern!r},"
                " not in one: it is not of the version that this server is made for."
                " Install the pinned version of ray."
            )
    return script
