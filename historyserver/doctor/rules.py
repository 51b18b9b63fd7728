"""What the bucket itself is set to, as far as this identity may look."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from xml.etree.ElementTree import Element

from archive.errors import PermanentStoreError, StoreRefused
from archive.layout import CATALOG, SEGMENTS
from historyserver.doctor.finding import Finding, fail, ok, skip, warn
from historyserver.doctor.room import Room

_REWRITTEN: Final = "open segments and heartbeats are rewritten every few seconds"
_SHORT_DAYS: Final = 7


def retention(room: Room) -> Finding:
    """No retention policy (WORM) on the bucket: what is rewritten would be refused."""
    told = _told(room, "GetBucketWorm", "worm")
    if isinstance(told, Finding):
        return told
    state = "" if told is None else told.findtext("State", "")
    if state not in {"InProgress", "Locked"}:
        return ok("none")
    return fail(
        f"the bucket has a retention policy ({state}), and {_REWRITTEN}",
        "use a bucket without, since a locked one can't be unlocked"
        if state == "Locked"
        else "delete the policy before it locks itself (24 hours), or use another bucket",
    )


def object_retention(room: Room) -> Finding:
    """No retention by object as a default (object WORM)."""
    told = _told(room, "GetBucketObjectWormConfiguration", "objectWorm")
    if isinstance(told, Finding):
        return told
    if told is None or told.findtext("ObjectWormEnabled") != "Enabled" or told.find("Rule") is None:
        return ok("none")
    return fail(
        f"the bucket keeps every object from being changed for a while, and {_REWRITTEN}",
        "use a bucket without object retention",
    )


def overwriting(room: Room) -> Finding:
    """No rule that forbids overwriting."""
    told = _told(room, "GetBucketOverwriteConfig", "overwriteConfig")
    if isinstance(told, Finding):
        return told
    for rule in () if told is None else told.iter("Rule"):
        prefix = rule.findtext("Prefix") or ""
        if rule.findtext("Action") == "forbid" and _concerns(room, prefix, ""):
            return fail(
                f"rule {rule.findtext('ID')!r} forbids it under {prefix or 'all prefixes'}, and {_REWRITTEN}",
                f"take the rule away, or let it spare {_ours(room)}",
            )
    return ok("allowed")


def versioning(room: Room) -> Finding:
    """No versioning, or old versions go soon: each rewrite would leave one behind."""
    info = _info(room)
    if isinstance(info, Finding):
        return info
    if info.findtext("Bucket/Versioning") != "Enabled":
        return ok("off")
    kept = f"each rewrite leaves a version behind, and {_REWRITTEN}"
    remedy = f"a lifecycle rule of NoncurrentVersionExpiration, {_SHORT_DAYS} days or less, for {_ours(room)}"
    rules = _lifecycle(room)
    if isinstance(rules, Finding):
        return warn(f"on, and whether old versions go can't be seen: {kept}", f"there should be {remedy}")
    days = [
        int(rule.findtext("NoncurrentVersionExpiration/NoncurrentDays", ""))
        for rule in rules
        if rule.findtext("NoncurrentVersionExpiration/NoncurrentDays", "").isdecimal()
        and _covers(room, rule.findtext("Prefix") or "")
    ]
    if days and min(days) <= _SHORT_DAYS:
        return ok(f"on; old versions go after {min(days)} days")
    return warn(
        f"on, and old versions stay {f'for {min(days)} days' if days else 'for ever'}: {kept}",
        f"add {remedy}",
    )


def storage_class(room: Room) -> Finding:
    """Standard: the others charge for each reading, or for days that a rewritten object does not live."""
    info = _info(room)
    if isinstance(info, Finding):
        return info
    found = info.findtext("Bucket/StorageClass", "")
    if found == "Standard":
        return ok(found)
    return warn(
        f"{found}: each rewrite is charged for 30 days or more, and so is reading",
        "use a bucket of the class Standard",
    )


def lifecycle(room: Room) -> Finding:
    """No rule that deletes or archives what collectors put: OSS counts an object's age, not its session's."""
    rules = _lifecycle(room)
    if isinstance(rules, Finding):
        return rules
    for rule in rules:
        prefix, name = rule.findtext("Prefix") or "", rule.findtext("ID") or ""
        if not any(_concerns(room, prefix, place) for place in (SEGMENTS, CATALOG)):
            continue
        if rule.find("Expiration/Days") is not None or rule.find("Expiration/CreatedBeforeDate") is not None:
            return warn(
                f"rule {name!r} deletes by an object's age, and tears holes into sessions that live longer",
                "take it away, and let `historyserver rm --older-than` count from a session's end",
            )
        classes = {found.text or "" for found in rule.iterfind("Transition/StorageClass")} - {"IA"}
        if classes:
            return warn(
                f"rule {name!r} moves objects to {', '.join(sorted(classes))}, where nobody can read them",
                f"take it away, or let it spare {_ours(room)}",
            )
    return ok("nothing here is deleted or archived by age")


def public(room: Room) -> Finding:
    """Nobody without credentials reads or writes."""
    if room.spoken.status == 200:
        return warn(
            "anybody may list the bucket, without credentials", "make it private, and block public access"
        )
    info = _info(room)
    if isinstance(info, Finding):
        return info
    access = info.findtext("Bucket/AccessControlList/Grant", "")
    if access.startswith("public"):
        return warn(f"the bucket is {access}: logs are for everybody", "set its ACL to private")
    if info.findtext("Bucket/BlockPublicAccess") == "false":
        return ok("private; public access is not blocked, so that objects could still be made public")
    return ok("private")


def _told(room: Room, action: str, parameter: str) -> Element | Finding | None:
    """What the bucket is set to, None where nothing is, or that we may not look."""
    return _looked(lambda: room.told_of_bucket(action, parameter), action)


def _looked(ask: Callable[[], Element], action: str) -> Element | Finding | None:
    """OSS has a code of its own for each thing that is not set, all of which begin alike."""
    try:
        return ask()
    except StoreRefused:
        return skip(f"no right to look: oss:{action}")
    except PermanentStoreError as error:
        if error.code.startswith("NoSuch"):
            return None
        return skip(f"OSS does not tell: {error}")


def _info(room: Room) -> Element | Finding:
    told = _looked(lambda: room.bucket_info, "GetBucketInfo")
    return skip("OSS does not tell") if told is None else told


def _lifecycle(room: Room) -> list[Element] | Finding:
    """The rules that are enabled."""
    told = _looked(lambda: room.lifecycle, "GetBucketLifecycle")
    if isinstance(told, Finding):
        return told
    return (
        [] if told is None else [rule for rule in told.iter("Rule") if rule.findtext("Status") == "Enabled"]
    )


def _ours(room: Room) -> str:
    return room.address.inside("v1/")


def _concerns(room: Room, prefix: str, place: str) -> bool:
    """Whether a rule for a prefix touches anything of ours below a place."""
    ours = room.address.inside(place)
    return prefix.startswith(ours) or ours.startswith(prefix)


def _covers(room: Room, prefix: str) -> bool:
    """Whether a rule for a prefix is for all that is rewritten."""
    return all(room.address.inside(place).startswith(prefix) for place in (SEGMENTS, CATALOG))
