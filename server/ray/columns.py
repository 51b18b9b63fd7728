"""Columns of Ray's State API: their names, kinds, and filters on them as SQL."""

from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeVar

from server.ray.errors import QueryInvalid
from server.ray.query import Filter, boolean

BIGGEST: Final = 2**63 - 1

Value = str | int | float | bool
Number = TypeVar("Number", int, float)


class Kind(Enum):
    TEXT = "string"
    ID = "id"
    INTEGER = "int"
    NUMBER = "float"
    BOOLEAN = "boolean"
    JSON = "json"


@dataclass(frozen=True)
class Column:
    """A column of an answer. `filterable` and `detail` as in Ray's `ray.util.state.common`."""

    name: str
    kind: Kind = Kind.TEXT
    filterable: bool = True
    detail: bool = False


@dataclass(frozen=True)
class Condition:
    """A boolean SQL expression with its parameters."""

    sql: str
    parameters: tuple[Value, ...] = ()


def condition(columns: tuple[Column, ...], asked: tuple[Filter, ...]) -> Condition:
    """All filters joined by AND. `QueryInvalid` on a column one cannot filter by, or a value of the wrong
    kind.
    """
    by_name = {column.name: column for column in columns if column.filterable}
    parts = []
    for one in asked:
        if one.column not in by_name:
            raise QueryInvalid(
                f"The given filter column {one.column} is not supported. Enter filters with "
                "\u2013-filter key=value or \u2013-filter key!=value "
                f"Supported filter columns: {set(by_name)}"
            )
        parts.append(_condition(by_name[one.column], one))
    return Condition(
        " AND ".join(part.sql for part in parts) or "TRUE",
        tuple(value for part in parts for value in part.parameters),
    )


def _condition(column: Column, asked: Filter) -> Condition:
    operator = "IS NOT DISTINCT FROM" if asked.predicate == "=" else "IS DISTINCT FROM"
    match column.kind:
        case Kind.TEXT:
            return Condition(f"lower({column.name}) {operator} lower(?)", (asked.value,))
        case Kind.ID:  # lower case already, so the database can look it up
            return Condition(f"{column.name} {operator} ?", (asked.value.lower(),))
        case Kind.JSON:
            return Condition(f"CAST({column.name} AS VARCHAR) {operator} ?", (asked.value,))
        case Kind.BOOLEAN:
            return Condition(f"{column.name} {operator} ?", (_boolean(column.name, asked.value),))
        case Kind.INTEGER:
            whole = _number(column.name, asked.value, int)
            if abs(whole) > BIGGEST:
                return Condition("FALSE" if asked.predicate == "=" else "TRUE")
            return Condition(f"{column.name} {operator} ?", (whole,))
        case Kind.NUMBER:
            return Condition(f"{column.name} {operator} ?", (_number(column.name, asked.value, float),))


def _boolean(name: str, text: str) -> bool:
    try:
        return boolean(text)
    except QueryInvalid:
        raise QueryInvalid(
            f"Invalid filter `--filter {name} {text}` for a boolean type column. Please provide "
            f"`--filter {name} [True|true|1]` for True or `--filter {name} [False|false|0]` for False."
        ) from None


def _number(name: str, text: str, read: type[Number]) -> Number:
    try:
        return read(text)
    except ValueError:
        raise QueryInvalid(
            f"Invalid filter `--filter {name} {text}` for a {read.__name__} type column. "
            f"Please provide an integer filter `--filter {name} [{read.__name__}]`"
        ) from None


REDACTED: Final = "<redacted>"


def redacted(environment: str) -> str:
    """SQL of a runtime environment (JSON text) whose variables have no values, as Ray shows it to a browser.

    The collector has masked them already; archives written by anything else are read as safely.
    """
    variables = (
        f"to_json(map_from_entries(list_transform(json_keys({environment}, '$.env_vars'), "
        f"lambda k: {{'k': k, 'v': '{REDACTED}'}})))"
    )
    return (
        f"CASE WHEN {environment} IS NULL OR NOT contains({environment}, 'env_vars') THEN {environment} "
        f"WHEN NOT json_valid({environment}) THEN '{REDACTED}' "
        f"ELSE CAST(json_merge_patch({environment}, json_object('env_vars', {variables})) AS VARCHAR) END"
    )
