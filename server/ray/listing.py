"""One list of the State API: totals, filters, order, cut; the rows go from the database to the wire as
JSON.

A `Noun` names a relation (SQL with every column of its short form, and whatever its details need) and its
columns.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.requests import Request

from server.ray.answers import Answer, Handler, encode
from server.ray.columns import Column, Condition, Value, condition
from server.ray.query import ListQuery, list_query
from server.view.view import Only, SessionFacts, View


@dataclass(frozen=True)
class Wanted:
    """A page in terms of SQL: `matching` are all rows that the filters let through, with all columns."""

    matching: str
    columns: str
    order: str
    limit: int


def as_they_are(wanted: Wanted) -> str:
    """The rows of a page without anything added."""
    return f"SELECT {wanted.columns} FROM ({wanted.matching}) ORDER BY {wanted.order} LIMIT {wanted.limit}"


@dataclass(frozen=True)
class Noun:
    """What the State API lists.

    `relation` gives SQL with a column for each of `columns`, but for those that `details` adds to the rows
    of a page, from the rows of `detailed` with the page's keys alone; `order` is by what rows are sorted
    before they are cut, their `key` first, a text. Filters on `at_source` columns, and `always`, are applied
    by Ray before it counts what there is in total. `stored` is a shorter relation with the same rows, for
    counting by those `stored_columns` that need no closing. `polled` answers instead where neither events
    nor export files told of any.
    """

    name: str
    columns: tuple[Column, ...]
    order: str
    relation: Callable[[SessionFacts], str]
    details: Callable[[Wanted], str] = as_they_are
    key: str = ""
    detailed: tuple[str, ...] = ()
    at_source: frozenset[str] = frozenset()
    stored: str = ""
    stored_columns: frozenset[str] = frozenset()
    always: Callable[[ListQuery], str] = field(default=lambda _: "TRUE")
    polled: "Noun | None" = None


@dataclass(frozen=True)
class Counts:
    """How many rows there are before and after filters, and the page's keys where its details need them."""

    total: int
    num_filtered: int
    keys: tuple[str, ...] = ()

    def envelope(self, result: bytes, warnings: list[str] | None = None) -> Answer:
        """Ray's envelope of a list; `result` is JSON: an array of rows, or a summary."""
        head = (
            f'{{"result": true, "msg": "", "data": {{"result": {{"total": {self.total}, '
            f'"num_after_truncation": {self.total}, "num_filtered": {self.num_filtered}, "result": '
        )
        tail = b', "partial_failure_warning": "", "warnings": ' + encode(warnings) + b"}}}"
        return Answer(b"".join((head.encode(), result, tail)))


def best_told(view: View, noun: Noun) -> Noun:
    """The noun, or what was polled of it where nothing else tells of it."""
    if noun.polled is None or view.rows(f"SELECT 1 FROM ({noun.stored}) LIMIT 1"):
        return noun
    return noun.polled


def counted(view: View, noun: Noun, query: ListQuery) -> tuple[Noun, Counts]:
    """What tells best, and its counts; who does is asked only where the noun itself has nothing."""
    found = counts(view, noun, query)
    if found.total or (told := best_told(view, noun)) is noun:
        return noun, found
    return told, counts(view, told, query)


def selection(view: View, noun: Noun, query: ListQuery) -> tuple[str, tuple[Value, ...]]:
    """SQL of all rows that match, neither sorted nor cut, with its parameters."""
    matching = condition(noun.columns, query.filters)
    sql = f"SELECT * FROM ({noun.relation(view.facts)}) WHERE {noun.always(query)} AND {matching.sql}"
    return sql, matching.parameters


def counts(view: View, noun: Noun, query: ListQuery) -> Counts:
    """Counts rows. `QueryInvalid` on filters that Ray would refuse."""
    matching = condition(noun.columns, query.filters)
    source = condition(noun.columns, tuple(one for one in query.filters if one.column in noun.at_source))
    keys, of_keys = "NULL", Condition("TRUE")
    if query.detail and noun.key and query.limit:
        keys, of_keys = f"min({noun.key}, {query.limit}) FILTER ({matching.sql})", matching
    total, num_filtered, found = view.rows(
        f"SELECT count(*), count(*) FILTER ({matching.sql}), {keys} "
        f"FROM ({_shortest(view, noun, query)}) "
        f"WHERE {noun.always(query)} AND {source.sql}",
        (*matching.parameters, *of_keys.parameters, *source.parameters),
    )[0]
    return Counts(total, num_filtered, tuple(found or ()))


def _shortest(view: View, noun: Noun, query: ListQuery) -> str:
    """SQL of the rows with at least the key and the columns that the query filters by."""
    shorter = noun.stored and noun.stored_columns.issuperset(one.column for one in query.filters)
    return noun.stored if shorter else noun.relation(view.facts)


def rows(view: View, noun: Noun, query: ListQuery, keys: tuple[str, ...]) -> bytes:
    """A page of rows as a JSON array; `keys` as counted."""
    sql, parameters = selection(view, noun, query)
    shown = ", ".join(column.name for column in noun.columns if query.detail or not column.detail)
    wanted = Wanted(sql, shown, noun.order, query.limit)
    if not keys:
        return view.json(as_they_are(wanted), parameters)
    return view.json(noun.details(wanted), parameters, Only(noun.detailed, noun.key, keys))


def listing(noun: Noun, warnings: Callable[[View], list[str] | None] = lambda _: None) -> Handler:
    """The handler of `api/v0/<noun>`."""

    def handler(view: View, request: Request) -> Answer:
        query = list_query(request.query_params)
        told, found = counted(view, noun, query)
        page = rows(view, told, query, found.keys) if found.num_filtered and query.limit else b"[]"
        return found.envelope(page, warnings(view))

    return handler
