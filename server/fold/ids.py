"""Ids as Ray's REST API prints them, from ids as events carry them."""

from binascii import Error, a2b_base64, hexlify
from functools import lru_cache

TASK_ID_TEXT = 32
"""Characters of a task id in base64: 24 bytes, no padding."""


@lru_cache(maxsize=65536)
def hex_id(text: str) -> str | None:
    """Base64 to hex; None for nothing, for nil (every byte 0xff) and for what is no id at all."""
    try:
        raw = a2b_base64(text)
    except (Error, ValueError):
        return None
    return None if not raw.strip(b"\xff") else raw.hex()


def hex_task_ids(texts: list[str]) -> list[str | None]:
    """Base64 task ids to hex, all at once where they look right."""
    joined = "".join(texts)
    if len(joined) == TASK_ID_TEXT * len(texts) and "=" not in joined:
        try:
            whole = hexlify(a2b_base64(joined)).decode()
        except (Error, ValueError):
            whole = ""
        if len(whole) == 48 * len(texts) and all(len(text) == TASK_ID_TEXT for text in texts):
            return [whole[at : at + 48] for at in range(0, len(whole), 48)]
    return [hex_id(text) for text in texts]
