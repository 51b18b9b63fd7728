"""Segments: what a node's streams gained in some seconds, as one object."""

from archive.segment.build import assemble, build, compress, framed
from archive.segment.format import Facts, Footer, Frame, FrameEntry, Mark, MarkKind, Range
from archive.segment.read import fetch_footer, footer_of, read_frame

__all__ = [
    "Facts",
    "Footer",
    "Frame",
    "FrameEntry",
    "Mark",
    "MarkKind",
    "Range",
    "assemble",
    "build",
    "compress",
    "fetch_footer",
    "footer_of",
    "framed",
    "read_frame",
]
