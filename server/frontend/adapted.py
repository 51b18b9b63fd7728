"""The few places where Ray's front end takes for granted that its cluster lives, changed in its script.

A live dashboard can't reach a dead node's logs, so its Logs page lists living nodes only, and a dead node's
row has no link to them. Here every node of an ended session is dead and its logs are at hand. With both
places taken out, nodes can be reported as what they are.

Whether there are platform events is asked by HEAD at each start, and no means 404, which every browser notes
as an error. Here no means 204.
"""

import re
from typing import Final

from server.frontend.errors import FrontendChanged

_CHANGES: Final = (
    # The Logs page: only living nodes of the summary.
    (re.compile(r'\.filter\(\((\w+)=>"ALIVE"===\1\.raylet\.state\)\)'), ""),
    # A node's row: the link to its logs.
    (
        re.compile(
            r'"DEAD"!==\w+\.state&&(?=\(0,\w+\.jsx\)\(\w+\.\w+,\{component:\w+\.\w+,to:"/logs/\?nodeId=")'
        ),
        "",
    ),
    # The start: whether there is a page of platform events.
    (
        re.compile(r'return await(\(0,\w+\.\w+\)\("api/v0/platform_events"\)),!0'),
        r"return 204!==(await\1).status",
    ),
)


def adapted(script: str) -> str:
    """The main script with its changes. Raises: FrontendChanged where a place is not found exactly once."""
    for place, instead in _CHANGES:
        script, found = place.subn(instead, script)
        if found != 1:
            raise FrontendChanged(
                f"Ray's front end has {found} places that look like {place.pattern!r}, not one:"
                " it is not of the version that this server is made for. Install the pinned version of ray."
            )
    return script
