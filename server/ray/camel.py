"""Names as the dashboard's front end wants them: camelCase."""

from typing import Any


def camel(value: Any) -> Any:
    """A value whose keys, at any depth, are in camelCase."""
    match value:
        case dict():
            return {camel_name(str(name)): camel(item) for name, item in value.items()}
        case list():
            return [camel(item) for item in value]
        case _:
            return value


def camel_name(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.title() for word in rest)
