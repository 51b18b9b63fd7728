"""The end, within the few seconds that a pod may have left.

Order: first what only this process still holds (the last bytes of logs and polls go into the spool), then the
catalog entry, which is small, at the same time as the last segments, newest first. What does not reach the
store in time stays in the spool and is finished by the next collector that has the volume.
"""

import logging
import time
from typing import Final

from sidecar.catalog import Catalog
from sidecar.errors import SpoolError
from sidecar.flushing import Flushing
from sidecar.life import Life

log = logging.getLogger(__name__)

TAIL_SHARE: Final = 0.3
"""The share of the time that the last look at logs and polls may take."""
LEAST_FOR_CATALOG: Final = 0.5


def end(life: Life | None, flushing: Flushing, catalog: Catalog, reason: str, seconds: float) -> bool:
    """Ends everything; true if all of it is stored. Takes `seconds` at most."""
    began = time.monotonic()
    if life is not None:
        try:
            life.end(reason, began + seconds * TAIL_SHARE)
        except SpoolError as error:
            log.warning("the last bytes could not be spooled: %s", error)
        catalog.show(life.entry("ended", reason))
    stored = flushing.finish(reason, began + seconds)
    shown = catalog.finish(max(LEAST_FOR_CATALOG, began + seconds - time.monotonic()))
    if not stored:
        log.warning("not everything was stored within %g s; what is left stays in the spool", seconds)
    return stored and shown
