"""Where the archive is: endpoint, clock, bucket, folder, history server."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from archive.errors import StoreRefused
from historyserver.doctor.endpoint import judge
from historyserver.doctor.finding import Finding, Identity, Kind, fail, ok, skip, warn
from historyserver.doctor.room import Room

_WARN_SECONDS: Final = 60.0
_FAIL_SECONDS: Final = 15 * 60.0
_NTP: Final = "set this machine's clock (NTP)"


def endpoint(room: Room) -> Finding:
    """The name is known, the way open, TLS trusted, and OSS answers; internal or public."""
    return judge(room.spoken, room.address)


def taker(room: Room) -> Finding:
    """The history server that takes puts answers."""
    room.store.now()
    return ok(f"{room.shown_store} answers")


def clock(room: Room) -> Finding:
    """This machine's clock and the store's: more than 15 minutes apart, signatures and tokens are refused."""
    ahead = room.spoken.ahead if room.kind is Kind.OSS else room.store.now() - room.wall()
    if ahead is None:
        return skip("the store's answer doesn't tell the time")
    way = "behind" if ahead > 0 else "ahead of"
    what = f"this machine's clock is {_span(abs(ahead))} {way} the store's"
    if abs(ahead) > _FAIL_SECONDS:
        return fail(what, f"{_NTP}: OSS and STS refuse more than 15 min")
    if abs(ahead) > _WARN_SECONDS:
        return warn(what, f"{_NTP}: times of sessions are wrong by that")
    return ok(what if abs(ahead) >= 2 else "as the store's")


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def bucket(room: Room) -> Finding:
    """The keys are known there, the bucket exists, and is in the region that the URL names."""
    name, region = room.address.bucket, room.address.region
    try:
        found = room.told_of_bucket("GetBucketLocation", "location").text or ""
    except StoreRefused as error:
        if error.code != "AccessDenied":
            raise
        return ok(f"{name} is there (no right to ask where it lies)")
    if found.removeprefix("oss-") != region:
        return fail(
            f"{name} lies in {found.removeprefix('oss-')}, not in {region}",
            "correct region= in the store's URL",
        )
    return ok(f"{name} is there, in {region}")


def folder(room: Room) -> Finding:
    """The folder is there, and this user may use it."""
    path = Path(unquote(urlsplit(room.settings.store).path))
    if not path.is_dir():
        return fail(f"there is no folder {path}", "make it, or mount the volume it is on")
    wanted = os.R_OK | os.X_OK | (0 if room.identity is Identity.SERVER else os.W_OK)
    if not os.access(path, wanted):
        return fail(
            f"the user {os.getuid()} may not use {path}",
            "let it belong to that user, or to one of its groups",
        )
    free = os.statvfs(path)
    return ok(f"{path} is there, {free.f_bavail * free.f_frsize / 2**30:.1f} GiB free")
