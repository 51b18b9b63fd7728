"""Listings of the catalog, session by session."""

from collections.abc import Callable, Container, Iterable, Iterator
from itertools import groupby, islice
from operator import itemgetter
from typing import Final

from archive.errors import NameInvalid
from archive.layout import CATALOG, CatalogName, Role
from archive.store.base import ObjectInfo, Store

PAGE: Final = 1_000
"""Objects that a store lists with one request."""
_ROLES: Final = {f"{role}.json": role for role in Role}

Listed = dict[Role, ObjectInfo]
"""A session's objects as they were listed."""
Group = tuple[str, Listed]
"""A session's order, and its objects."""


class Listings:
    """The newest sessions, and rounds through all of them. `known`: orders that need no checking again."""

    def __init__(self, store: Store, known: Container[str]) -> None:
        self._store = store
        self._known = known
        self._round: Iterator[Group] | None = None
        self._behind = ""

    def newest(self) -> tuple[list[Group], str | None]:
        """The first page's sessions, and the order of the last one; None where there are no others."""
        infos = list(islice(self._store.list(CATALOG), PAGE))
        groups = list(self._grouped(infos))
        if len(infos) < PAGE:
            return groups, None
        groups = groups[:-1]  # the next page may begin with another object of the last one
        return groups, groups[-1][0] if groups else ""

    def stretch(self, sessions: int) -> tuple[list[Group], str, str | None]:
        """The round's next sessions; from behind which order, to which: None where the round ends.

        Raises: StoreError; the round then goes on where it was.
        """
        behind = self._behind
        if self._round is None:
            self._round = self._grouped(self._store.list(CATALOG, after=CATALOG + behind))
        round_, self._round = self._round, None
        groups = list(islice(round_, sessions))
        if len(groups) < sessions:
            self._behind = ""
            return groups, behind, None
        self._round, self._behind = round_, groups[-1][0]
        return groups, behind, self._behind

    @property
    def at_the_beginning(self) -> bool:
        """Whether the next stretch begins a round."""
        return not self._behind

    def _grouped(self, infos: Iterable[ObjectInfo]) -> Iterator[Group]:
        """Sessions with their objects; what no collector of ours would write is left out."""
        named = ((*place, info) for info in infos if (place := self._place(info.key)) is not None)
        first: Callable[[tuple[str, Role, ObjectInfo]], str] = itemgetter(0)
        for order, members in groupby(named, key=first):
            yield order, {role: info for _, role, info in members}

    def _place(self, key: str) -> tuple[str, Role] | None:
        before, tilde, last = key.rpartition("~")
        order = before.removeprefix(CATALOG) + tilde
        role = _ROLES.get(last)
        if role is None:
            return None
        if order not in self._known:
            try:
                CatalogName.parse(key)
            except NameInvalid:
                return None
        return order, role
