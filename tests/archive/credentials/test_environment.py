"""Which kind of credentials an environment names."""

from __future__ import annotations

import pickle

import pytest

from archive.credentials import source_from
from archive.errors import CredentialsMissing

RRSA = {
    "ALIBABA_CLOUD_ROLE_ARN": "acs:ram::1:role/x",
    "ALIBABA_CLOUD_OIDC_PROVIDER_ARN": "acs:ram::1:oidc-provider/y",
    "ALIBABA_CLOUD_OIDC_TOKEN_FILE": "/token",
}
KEYS = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "LTAI1", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "s1"}
OSS_KEYS = {"OSS_ACCESS_KEY_ID": "LTAI2", "OSS_ACCESS_KEY_SECRET": "s2"}


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        (KEYS | OSS_KEYS | RRSA, "access key LTAI1"),
        (KEYS | {"ALIBABA_CLOUD_SECURITY_TOKEN": "t"}, "STS token of access key LTAI1"),
        (OSS_KEYS | RRSA, "access key LTAI2"),
        (OSS_KEYS | {"OSS_SESSION_TOKEN": "t"}, "STS token of access key LTAI2"),
        (RRSA | {"ALIBABA_CLOUD_ECS_METADATA": "machine"}, "role acs:ram::1:role/x by RRSA"),
        (dict.fromkeys(KEYS, "") | RRSA, "role acs:ram::1:role/x by RRSA"),
        ({"ALIBABA_CLOUD_ECS_METADATA": "machine"}, "role machine by ECS metadata"),
        ({}, "role of this machine by ECS metadata"),
    ],
)
def test_the_first_kind_that_is_set_is_taken(environment, words) -> None:
    assert source_from(environment).description == words


@pytest.mark.parametrize("whole", [KEYS, OSS_KEYS, RRSA])
def test_half_a_set_is_an_error_that_names_what_is_missing(whole) -> None:
    for name in whole:
        half = {other: value for other, value in whole.items() if other != name}
        with pytest.raises(CredentialsMissing, match=f"{name}.* not set"):
            source_from(half | RRSA if whole is not RRSA else half)


@pytest.mark.parametrize("token", ["ALIBABA_CLOUD_SECURITY_TOKEN", "OSS_SESSION_TOKEN"])
def test_a_security_token_without_its_keys_is_an_error(token) -> None:
    with pytest.raises(CredentialsMissing, match=r"KEY_ID and .*KEY_SECRET are not set"):
        source_from({token: "t"})


def test_a_line_s_end_behind_a_key_is_not_part_of_it() -> None:
    found = source_from({name: f" {value}\n" for name, value in KEYS.items()}).current()
    assert (found.access_key_id, found.access_key_secret) == ("LTAI1", "s1")


def test_letters_that_no_key_has_are_an_error_which_does_not_show_them() -> None:
    with pytest.raises(CredentialsMissing) as told:
        source_from(KEYS | {"ALIBABA_CLOUD_ACCESS_KEY_SECRET": "se\ncret"})
    assert "cret\n" not in str(told.value)


def test_with_nothing_set_and_the_machine_left_out_it_is_said_what_to_set() -> None:
    with pytest.raises(CredentialsMissing, match=r"ALIBABA_CLOUD_ACCESS_KEY_ID.*ALIBABA_CLOUD_ROLE_ARN"):
        source_from({"ALIBABA_CLOUD_ECS_METADATA_DISABLED": "true"})


def test_keys_that_were_given_survive_pickling_and_can_t_be_renewed() -> None:
    source = pickle.loads(pickle.dumps(source_from(KEYS)))  # noqa: S301 - our own bytes
    found = source.current()
    source.invalidate(found)
    assert source.current() == found
    assert found.access_key_secret == "s1"
    assert "s1" not in repr(source)
