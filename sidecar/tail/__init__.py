"""The tailer: every byte that Ray writes below its logs folder, into the streams of the node's spool.

`chain` is pure: which file of a log comes next, what rotated, what is gone. `names` tells streams and kinds
from paths, `lines` cuts and masks, `folder` and `handles` touch the disk, `tailer` joins them.
"""

from sidecar.tail.settings import TailSettings
from sidecar.tail.tailer import Continuation, ScanResult, Tailer

__all__ = ["Continuation", "ScanResult", "TailSettings", "Tailer"]
