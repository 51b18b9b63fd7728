"""All checks in their order, so that a failure stands before what follows from it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from archive.layout import CATALOG, SEGMENTS, SERVER, VIEWS
from historyserver.doctor import identity, node, place, rights, rules
from historyserver.doctor.finding import Check, Identity, Kind

_COLLECTOR: Final = frozenset({Identity.COLLECTOR})
_SERVER: Final = frozenset({Identity.SERVER})
_OPERATOR: Final = frozenset({Identity.OPERATOR})
_READERS: Final = _SERVER | _OPERATOR
_OSS: Final = frozenset({Kind.OSS})
_FILE: Final = frozenset({Kind.FILE})
_HTTP: Final = frozenset({Kind.HTTP})
_READABLE: Final = _OSS | _FILE
_READY: Final = ("bucket", "folder", "history server", "retention", "object retention", "overwriting")

CHECKS: Final = (
    Check("settings", "the settings can be used, and the store's URL is one", identity.settings),
    Check(
        "identity",
        "which credentials are set: a whole set of one kind",
        identity.identity,
        ("settings",),
        kinds=_OSS,
    ),
    Check(
        "token file",
        "the service account's token: there, for STS, not expired, of the expected account",
        identity.token,
        ("identity",),
        kinds=_OSS,
    ),
    Check(
        "credentials",
        "STS, or the machine, gives credentials for it: provider, role and trust are right",
        identity.credentials,
        ("token file", "identity"),
        kinds=_OSS,
    ),
    Check(
        "endpoint",
        "name, connection, TLS; OSS answers and nothing else; by the internal way",
        place.endpoint,
        ("settings",),
        kinds=_OSS,
    ),
    Check("history server", "it answers", place.taker, ("settings",), kinds=_HTTP),
    Check(
        "clock",
        "this machine's clock is the store's: a warning over 60 s, a failure over 15 min",
        place.clock,
        ("endpoint", "history server", "settings"),
        kinds=_OSS | _HTTP,
    ),
    Check(
        "bucket",
        "the keys are known, the bucket exists, in the region that the URL names",
        place.bucket,
        ("endpoint", "clock", "credentials"),
        kinds=_OSS,
    ),
    Check("folder", "it is there, and this user may use it", place.folder, ("settings",), kinds=_FILE),
    # What of the bucket would break rewriting.
    Check("retention", "no retention policy (WORM) of the bucket", rules.retention, ("bucket",), kinds=_OSS),
    Check("object retention", "none by default for objects", rules.object_retention, ("bucket",), kinds=_OSS),
    Check("overwriting", "no rule forbids it", rules.overwriting, ("bucket",), kinds=_OSS),
    # What each identity needs.
    Check(
        "put segments",
        f"may put under `{SEGMENTS}`, and replace what it put",
        rights.puts(SEGMENTS),
        _READY,
        _COLLECTOR,
    ),
    Check(
        "put catalog",
        f"may put under `{CATALOG}`, and replace what it put",
        rights.puts(CATALOG),
        _READY,
        _COLLECTOR,
    ),
    Check(
        "keep segments",
        f"may put, replace, read and delete under `{SEGMENTS}`",
        rights.keeps(SEGMENTS),
        _READY,
        _OPERATOR,
        _READABLE,
    ),
    Check(
        "keep catalog",
        f"may put, replace, read and delete under `{CATALOG}`",
        rights.keeps(CATALOG),
        _READY,
        _OPERATOR,
        _READABLE,
    ),
    Check("list", "may list", rights.lists, _READY, _READERS, _READABLE),
    Check(
        "get",
        "may read segments, in part and by version",
        rights.reads,
        ("list", *_READY),
        _READERS,
        _READABLE,
    ),
    Check(
        "keep views",
        f"may put, replace, read and delete under `{VIEWS}`",
        rights.keeps(VIEWS),
        _READY,
        _READERS,
        _READABLE,
    ),
    Check(
        "keep its own",
        f"may put, replace, read and delete under `{SERVER}`",
        rights.keeps(SERVER),
        _READY,
        _READERS,
        _READABLE,
    ),
    # What it should not have.
    Check("no get", "can't read", rights.does_not_get, ("put segments",), _COLLECTOR, _OSS),
    Check("no list", "can't list", rights.does_not_list, ("put segments",), _COLLECTOR, _OSS),
    Check(
        "no put views",
        f"can't put under `{VIEWS}`",
        rights.does_not_put(VIEWS),
        ("put segments",),
        _COLLECTOR,
        _OSS,
    ),
    Check(
        "no put server",
        f"can't put under `{SERVER}`",
        rights.does_not_put(SERVER),
        ("put segments",),
        _COLLECTOR,
        _OSS,
    ),
    Check(
        "no put segments",
        f"can't put under `{SEGMENTS}`",
        rights.does_not_put(SEGMENTS),
        ("keep its own",),
        _SERVER,
        _OSS,
    ),
    Check(
        "no put catalog",
        f"can't put under `{CATALOG}`",
        rights.does_not_put(CATALOG),
        ("keep its own",),
        _SERVER,
        _OSS,
    ),
    Check(
        "no delete",
        f"can't delete under `{SEGMENTS}`",
        rights.does_not_delete(SEGMENTS),
        _READY,
        _COLLECTOR | _SERVER,
        _OSS,
    ),
    # The bucket's other settings.
    Check("versioning", "off, or old versions go within 7 days", rules.versioning, ("bucket",), kinds=_OSS),
    Check("storage class", "Standard", rules.storage_class, ("bucket",), kinds=_OSS),
    Check(
        "lifecycle",
        "no rule deletes or archives segments or catalog by age",
        rules.lifecycle,
        ("bucket",),
        kinds=_OSS,
    ),
    Check(
        "public access", "nobody without credentials reads or writes", rules.public, ("bucket",), kinds=_OSS
    ),
    # This machine.
    Check("ray folder", "Ray's temp folder is there and can be read", node.ray_folder, (), _COLLECTOR),
    Check("ray switches", "Ray tells what it does, to the collector", node.ray_switches, (), _COLLECTOR),
    Check("spool", "it can be written, and the disk has room for its budget", node.spool, (), _COLLECTOR),
    Check("events port", "free, or the collector's", node.events_port, (), _COLLECTOR),
    Check("health port", "free, or the collector's, and what that says", node.health_port, (), _COLLECTOR),
    Check("port", "where the server answers is free, or a history server's", node.server_port, (), _SERVER),
)


def page() -> Iterator[str]:
    """The lines of the table in docs/doctor.md."""
    yield "| check | what must be so | for | with |"
    yield "|---|---|---|---|"
    for check in CHECKS:
        identities = "all" if check.identities == frozenset(Identity) else _listed(Identity, check.identities)
        kinds = "all" if check.kinds == frozenset(Kind) else _listed(Kind, check.kinds)
        yield f"| {check.name} | {check.meaning} | {identities} | {kinds} |"


def _listed(order: type[Identity | Kind], chosen: frozenset[Identity] | frozenset[Kind]) -> str:
    return ", ".join(one for one in order if one in chosen)
