"""Who we are: settings, identity, token, credentials."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Final

from archive.credentials import Credentials
from archive.credentials.base import Fixed
from archive.credentials.fetched import Fetched
from archive.credentials.rrsa import TOKEN_FILE
from archive.credentials.token import AUDIENCE, Claims, claims, read
from archive.errors import CredentialsMissing
from archive.layout import SessionKey
from archive.store.url import open_store
from historyserver.doctor.finding import Finding, Identity, Kind, fail, ok, skip, warn
from historyserver.doctor.room import Room
from sidecar.settings import CollectorSettings

_SOON: Final = 300.0
_ACCOUNT: Final = re.compile(r"system:serviceaccount:([^:]+):([^:]+)")


def settings(room: Room) -> Finding:
    """The settings can be used, and the store's URL is one."""
    chosen = room.settings
    if room.kind is Kind.HTTP and room.identity is not Identity.COLLECTOR:
        return fail(
            f"{chosen.store} is a history server, which takes puts of collectors and gives nothing back",
            f"give the store that this {room.identity} reads: oss://… or file://…",
        )
    with suppress(CredentialsMissing):  # which the next check tells
        open_store(chosen.store)
    problems = " ".join(room.problems)
    needed = isinstance(chosen, CollectorSettings)
    if problems and not (needed and chosen.namespace and chosen.cluster):
        return fail(problems, "set these right: nothing is kept or shown until then")
    if needed or chosen.namespace or chosen.cluster:
        SessionKey(chosen.namespace, chosen.cluster, "session")
    if problems:
        return warn(problems, "set these right: until then the defaults are used")
    return ok("nothing is missing")


def identity(room: Room) -> Finding:
    """Which kind of credentials is set."""
    source = room.source
    if isinstance(source, Fixed):
        if source.credentials.security_token is None:
            return ok(source.description)
        return warn(
            f"{source.description}, which nobody renews",
            "fine for a trial; for more than its hour use RRSA or an access key",
        )
    if "ECS" in source.description:
        return warn(
            f"{source.description}, the same for every pod on this machine",
            "give this pod a role of its own by RRSA (ALIBABA_CLOUD_ROLE_ARN and its two companions)",
        )
    return ok(source.description)


def token(room: Room) -> Finding:
    """The service account's token: there, of the right audience, not expired, of the expected account."""
    path = room.environment.get(TOKEN_FILE, "").strip()
    if not path or not isinstance(room.source, Fetched):
        return skip("this identity needs no token file")
    told = claims(read(path))
    if told is None:
        return fail(
            f"{path} holds something that is no token",
            f"mount a projected service account token with the audience {AUDIENCE}",
        )
    what = f"{told.subject or 'nobody'}, issued by {told.issuer or 'nobody'}"
    if AUDIENCE not in told.audiences:
        return fail(
            f"the token in {path} is for {', '.join(told.audiences) or 'nobody'}, not for STS",
            f"the projected volume's audience must be {AUDIENCE}",
        )
    left = None if told.expires is None else told.expires - room.wall()
    if left is not None and left <= 0:
        return fail(
            f"the token in {path} expired {-left / 60:.0f} min ago ({what})",
            "the kubelet renews it: is the clock right? Else recreate the pod",
        )
    good = "" if left is None else f", good for {left / 60:.0f} min"
    if left is not None and left < _SOON:
        good += " (the kubelet renews it in time)"
    doubt = _doubt(room, told)
    if doubt:
        return warn(f"{what}{good}: {doubt}", "is that the account whose trust the role has?")
    return ok(f"{what}{good}")


def _doubt(room: Room, told: Claims) -> str:
    """What is unexpected of the account: a collector's is `<prefix>-<cluster>` in the cluster's namespace."""
    match = _ACCOUNT.fullmatch(told.subject)
    if match is None:
        return "that is no service account"
    chosen = room.settings
    if room.identity is not Identity.COLLECTOR:
        return ""
    if match[1] != chosen.namespace:
        return f"sessions are filed under {chosen.namespace!r}, the account is of {match[1]!r}"
    if not match[2].endswith(f"-{chosen.cluster}"):
        return f"an account of its own would be <prefix>-{chosen.cluster}"
    return ""


def credentials(room: Room) -> Finding:
    """STS, or the machine, gives credentials for it: role and trust are right."""
    found: Credentials = room.source.current()
    if isinstance(room.source, Fixed):
        return ok("given as they are; the bucket will tell whether they are good")
    left = "" if found.expires is None else f", good for {(found.expires - room.wall()) / 60:.0f} min"
    return ok(f"got {found.access_key_id[:12]}…{left}")
