"""What the official client says of a refusal."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from alibabacloud_oss_v2.exceptions import OperationError, ServiceError


@dataclass
class Refusal:
    status: int = 0
    code: str = ""
    message: str = ""
    ec: str = ""


@contextlib.contextmanager
def refusal() -> Iterator[Refusal]:
    """Expects the service to refuse; tells with what, behind the block."""
    told = Refusal()
    with pytest.raises(OperationError) as caught:
        yield told
    error = caught.value.unwrap()
    assert isinstance(error, ServiceError), error
    assert error.request_id
    told.status, told.code, told.message, told.ec = error.status_code, error.code, error.message, error.ec
