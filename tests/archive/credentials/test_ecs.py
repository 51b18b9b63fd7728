"""The role of the machine, from its metadata service."""

from __future__ import annotations

import pytest
from fake_oss import Fault, Html, Refuse

from archive.credentials import source_from
from archive.errors import CredentialsMissing, CredentialsRefused, TransientStoreError


@pytest.fixture
def environment(services):
    return {"HISTORYSERVER_METADATA_ADDRESS": services.metadata_endpoint}


def named(environment, role="server"):
    return environment | {"ALIBABA_CLOUD_ECS_METADATA": role}


@pytest.mark.parametrize("token_required", [True, False])
def test_the_machine_s_role_gives_credentials_named_or_found(services, environment, token_required) -> None:
    services.set_instance_role("server", token_required=token_required)
    for given in (environment, named(environment)):
        found = source_from(given).current()
        assert found.access_key_id.startswith("STS.")
        assert found.expires == pytest.approx(services.now() + 3600, abs=3)


def test_where_only_the_first_version_answers_it_is_used_unless_that_is_forbidden(
    services, environment
) -> None:
    services.set_instance_role("server", token_required=False)
    services.add(Fault(Refuse(404, "NotFound"), method="PUT", service="metadata"))
    assert source_from(named(environment)).current().access_key_id.startswith("STS.")
    hardened = named(environment) | {"ALIBABA_CLOUD_IMDSV1_DISABLED": "true"}
    with pytest.raises(CredentialsRefused, match=r"ALIBABA_CLOUD_IMDSV1_DISABLED"):
        source_from(hardened).current()


def test_a_role_that_the_machine_does_not_have_is_named(services, environment) -> None:
    services.set_instance_role("server")
    with pytest.raises(CredentialsRefused, match="no role 'other'"):
        source_from(named(environment, "other")).current()


def test_with_nothing_set_and_no_role_of_the_machine_it_is_said_what_to_set(services, environment) -> None:
    with pytest.raises(CredentialsMissing, match=r"ALIBABA_CLOUD_ACCESS_KEY_ID.*this machine has no role"):
        source_from(environment).current()
    services.down(service="metadata")
    with pytest.raises(CredentialsMissing, match=r"ALIBABA_CLOUD_ACCESS_KEY_ID.*this machine has no role"):
        source_from(environment).current()


def test_a_metadata_service_that_is_away_or_in_trouble_is_asked_again(services, environment) -> None:
    services.set_instance_role("server")
    services.add(Fault(Refuse(500, "InternalError"), method="GET", service="metadata", times=1))
    with pytest.raises(TransientStoreError):
        source_from(named(environment)).current()
    services.add(Fault(Html(), method="GET", service="metadata", times=1))
    with pytest.raises(TransientStoreError, match="web page"):
        source_from(named(environment)).current()
    services.down(service="metadata")
    with pytest.raises(TransientStoreError, match="can't be reached"):
        source_from(named(environment)).current()
