"""The questions of Ray's State API (`/api/v0/<noun>`), read from a query string and checked as Ray checks
them.

`limit` (default 100, at most 10000), `detail`, `exclude_driver` (default true), and filters as three
repeated parameters `filter_keys`, `filter_predicates` (`=` or `!=`), `filter_values`. A question that Ray
refuses raises `QueryInvalid` with Ray's sentence.
"""

from dataclasses import dataclass
from typing import Final, Literal

from starlette.datastructures import QueryParams

from server.ray.errors import QueryInvalid

DEFAULT_LIMIT: Final = 100
MAX_LIMIT: Final = 10_000

Predicate = Literal["=", "!="]


@dataclass(frozen=True)
class Filter:
    """One condition on a column; the value is text as it came, converted by the column's kind."""

    column: str
    predicate: Predicate
    value: str


@dataclass(frozen=True)
class ListQuery:
    """What is asked of a list."""

    limit: int = DEFAULT_LIMIT
    detail: bool = False
    exclude_driver: bool = True
    filters: tuple[Filter, ...] = ()


def list_query(parameters: QueryParams) -> ListQuery:
    limit = _integer("limit", parameters.get("limit"), DEFAULT_LIMIT)
    if limit > MAX_LIMIT:
        raise QueryInvalid(
            f"Given limit {limit} exceeds the supported limit {MAX_LIMIT}. Use a lower limit, or set the "
            "`RAY_MAX_LIMIT_FROM_API_SERVER` environment variable to a larger value."
        )
    if limit < 0:
        raise QueryInvalid(f"Given limit {limit} is negative. Use a limit between 0 and {MAX_LIMIT}.")
    return ListQuery(
        limit=limit,
        detail=boolean(parameters.get("detail", "false")),
        exclude_driver=boolean(parameters.get("exclude_driver", "true")),
        filters=filters(parameters),
    )


def filters(parameters: QueryParams) -> tuple[Filter, ...]:
    keys = parameters.getlist("filter_keys")
    predicates = parameters.getlist("filter_predicates")
    values = parameters.getlist("filter_values")
    if not len(keys) == len(predicates) == len(values):
        raise QueryInvalid(
            f"Filters need a key, a predicate and a value each: got {len(keys)} filter_keys, "
            f"{len(predicates)} filter_predicates and {len(values)} filter_values."
        )
    return tuple(_filter(*parts) for parts in zip(keys, predicates, values, strict=True))


def boolean(text: str) -> bool:
    """`true`, `True`, `1` and `false`, `False`, `0`, as Ray's clients write them."""
    if text in {"true", "True", "1"}:
        return True
    if text in {"false", "False", "0"}:
        return False
    raise QueryInvalid(f"Failed to convert a value {text} of type <class 'str'> to <class 'bool'>")


def _filter(column: str, predicate: str, value: str) -> Filter:
    match predicate:
        case "=" | "!=":
            return Filter(column.lower(), predicate, value)
        case _:
            raise QueryInvalid(
                f"Unsupported filter predicate {predicate} is given. Available predicates: =, !=."
            )


def _integer(name: str, text: str | None, default: int) -> int:
    if text is None:
        return default
    try:
        return int(text)
    except ValueError:
        raise QueryInvalid(f"The parameter {name} must be a whole number, not {text!r}.") from None
