"""Each right alone, tried by deed: those that the identity needs, and those that it should not have.

The objects it is tried with have names of their own (`archive.layout.TrialName`), which every reader passes
over. A collector can't take its two away again; the next doctor writes over them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from archive.errors import ObjectChanged, ObjectMissing, StoreRefused
from archive.layout import CATALOG, SEGMENTS, TRIAL
from archive.store.base import ObjectInfo, Store
from historyserver.doctor.finding import Finding, fail, ok, skip, warn
from historyserver.doctor.room import Room

_BODY: Final = (
    b"historyserver doctor tried here whether it may write. Nobody reads this; it may be deleted.\n"
)
_LEFT: Final = "; what was put stays, and readers pass over it"


def puts(place: str) -> Callable[[Room], Finding]:
    """May put there, and replace: segments that are open and heartbeats are rewritten."""

    def find(room: Room) -> Finding:
        return _failed(room, place, "PutObject") or ok(f"put and replaced {room.trial(place)}{_LEFT}")

    return find


def keeps(place: str) -> Callable[[Room], Finding]:
    """May put there, replace, read and delete."""

    def find(room: Room) -> Finding:
        failure = _failed(room, place, "PutObject", "GetObject", "DeleteObject")
        return failure or ok(f"put, replaced, read and deleted {room.trial(place)}")

    return find


def _failed(room: Room, place: str, *actions: str) -> Finding | None:
    """The first action that is refused, with the right it takes."""
    key = room.trial(place)
    deeds: Mapping[str, Callable[[], object]] = {
        "PutObject": lambda: (room.store.put(key, _BODY), room.store.put(key, _BODY + b"And again.\n")),
        "GetObject": lambda: room.store.get(key),
        "DeleteObject": lambda: room.store.delete([key]),
    }
    for action in actions:
        try:
            deeds[action]()
        except StoreRefused as error:
            return fail(str(error), f"grant {room.policy(action, place)}")
    return None


def lists(room: Room) -> Finding:
    """May list everything."""
    try:
        found = [place for place in (CATALOG, SEGMENTS) if _first(room.store, place) is not None]
    except StoreRefused as error:
        return fail(str(error), f"grant {room.policy('ListObjects')}")
    return ok("may list" if found else "may list; nothing is stored yet")


def reads(room: Room) -> Finding:
    """May read what collectors put: a suffix of an object, and of that very version only (If-Match)."""
    try:
        first = _first(room.store, SEGMENTS)
        if first is None:
            room.store.get(room.trial(SEGMENTS))
            return ok("may read")
        last = room.store.get_suffix(first.key, 16, if_match=first.etag)
        if len(last.data) != min(16, first.size):
            return fail(
                f"16 bytes of {first.key} were asked for, and {len(last.data)} came",
                "does a proxy stand between that knows no ranges?",
            )
    except ObjectMissing:
        return ok("may read; nothing is stored yet")
    except ObjectChanged:
        return skip("the object to read was replaced meanwhile")
    except StoreRefused as error:
        return fail(str(error), f"grant {room.policy('GetObject', 'v1/')}")
    return _other_version(room.store, first)


def _other_version(store: Store, first: ObjectInfo) -> Finding:
    try:
        store.get_suffix(first.key, 16, if_match="0" * 32)
    except ObjectChanged:
        return ok("may read, in part and by version")
    except ObjectMissing:
        return skip("the object to read was removed meanwhile")
    return fail(
        "another version was asked for (If-Match), and the wrong one came", "does a cache stand between?"
    )


def does_not_put(place: str) -> Callable[[Room], Finding]:
    """Can't put there."""

    def find(room: Room) -> Finding:
        key = room.trial(place)
        if _refused(lambda: room.store.put(key, _BODY)):
            return ok("can't, as it should be")
        left = _LEFT if _refused(lambda: room.store.delete([key])) else ""
        return warn(
            f"may put under {place}, which this identity never needs{left}",
            f"least privilege: take away {room.policy('PutObject', place)}",
        )

    return find


def does_not_get(room: Room) -> Finding:
    """Can't read."""
    key = room.trial(SEGMENTS)
    if _refused(lambda: room.store.get(key)):
        return ok("can't, as it should be")
    return warn(
        "may read, which a collector never needs: whoever takes over a Ray pod reads everybody's logs",
        f"least privilege: take away {room.policy('GetObject', 'v1/')}",
    )


def does_not_list(room: Room) -> Finding:
    """Can't list."""
    if _refused(lambda: _first(room.store, CATALOG)):
        return ok("can't, as it should be")
    return warn(
        "may list, which a collector never needs", f"least privilege: take away {room.policy('ListObjects')}"
    )


def does_not_delete(place: str) -> Callable[[Room], Finding]:
    """Can't delete there."""

    def find(room: Room) -> Finding:
        key = room.trial(place)
        if _refused(lambda: room.store.delete([key])):
            return ok("can't, as it should be")
        return warn(
            f"may delete under {place}, which is the operator's alone",
            f"least privilege: take away {room.policy('DeleteObject', place)}",
        )

    return find


def _refused(deed: Callable[[], object]) -> bool:
    try:
        deed()
    except StoreRefused:
        return True
    except ObjectMissing:
        pass
    return False


def _first(store: Store, prefix: str) -> ObjectInfo | None:
    return next((info for info in store.list(prefix) if TRIAL not in info.key), None)
