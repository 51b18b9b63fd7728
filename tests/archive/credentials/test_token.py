"""What a service account's token says of itself."""

import base64
import json

import pytest

from archive.credentials.token import Claims, claims


def token(told: object) -> str:
    part = base64.urlsafe_b64encode(json.dumps(told).encode()).rstrip(b"=").decode()
    return f"e30.{part}.sig"


def test_claims_are_read_whether_the_audience_is_one_or_several() -> None:
    told = {
        "iss": "https://i",
        "sub": "system:serviceaccount:team:x",
        "exp": 1795402103,
        "aud": "sts.aliyuncs.com",
    }
    expected = Claims("https://i", "system:serviceaccount:team:x", ("sts.aliyuncs.com",), 1795402103.0)
    assert claims(token(told)) == expected
    assert claims(token(told | {"aud": ["sts.aliyuncs.com"]})) == expected


def test_claims_that_are_missing_are_empty() -> None:
    assert claims(token({})) == Claims()
    assert claims(token({"exp": "soon", "aud": None})) == Claims()


@pytest.mark.parametrize("text", ["", "abc", "a.b.c", "a.bm8.c", token([1]), "a.b"])
def test_what_is_no_token_has_no_claims(text) -> None:
    assert claims(text) is None
