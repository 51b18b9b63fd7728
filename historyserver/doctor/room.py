"""What the checks look at: the settings, and what follows from them, made once when first needed."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from archive.credentials import CredentialSource, source_from
from archive.errors import TransientStoreError
from archive.layout import TrialName
from archive.settings import STORE, TEXT, required, setting
from archive.store.base import Store
from archive.store.oss.address import Address, parse
from archive.store.url import open_store
from historyserver.doctor.endpoint import Spoken, speak
from historyserver.doctor.finding import Identity, Kind
from server.settings import ServerSettings
from sidecar.settings import CollectorSettings

if TYPE_CHECKING:
    from archive.store.oss.client import Requests


@dataclass(frozen=True, slots=True)
class ServerChoices(ServerSettings):
    """The server's settings, and whose objects to try rights with."""

    namespace: str = setting(TEXT, "the namespace to try rights in", "")
    cluster: str = setting(TEXT, "the cluster to try rights in", "")


@dataclass(frozen=True, slots=True)
class OperatorChoices:
    """What an operator's commands need."""

    store: str = required(STORE, "the archive to look after", "")
    namespace: str = setting(TEXT, "the namespace to try rights in", "")
    cluster: str = setting(TEXT, "the cluster to try rights in", "")


Choices = CollectorSettings | ServerChoices | OperatorChoices


class Room:
    """`problems`: settings that can't be used. `environment`: where the credentials are named."""

    def __init__(
        self,
        identity: Identity,
        settings: Choices,
        problems: tuple[str, ...],
        environment: Mapping[str, str],
    ) -> None:
        self.identity = identity
        self.settings = settings
        self.problems = problems
        self.environment = environment

    @property
    def kind(self) -> Kind:
        """By the URL's scheme; what is no kind of store at all is told by the first check."""
        scheme = self.settings.store.partition("://")[0]
        return Kind.HTTP if scheme in {"http", "https"} else Kind.FILE if scheme == "file" else Kind.OSS

    @property
    def shown_store(self) -> str:
        """The store's URL without a name or password, which it should not have."""
        return re.sub(r"//[^/?]*@", "//…@", self.settings.store)

    @cached_property
    def address(self) -> Address:
        return parse(self.settings.store)

    @cached_property
    def source(self) -> CredentialSource:
        return source_from(self.environment)

    @cached_property
    def store(self) -> Store:
        if self.kind is not Kind.OSS:
            return open_store(self.settings.store)
        from archive.store.oss import OssStore  # noqa: PLC0415 - heavy, and not for other stores

        return OssStore(self.address, self.source)

    @cached_property
    def spoken(self) -> Spoken:
        """What the endpoint says to a stranger."""
        return speak(self.address)

    @cached_property
    def bucket_info(self) -> ET.Element:
        """Needs the right oss:GetBucketInfo."""
        return self.told_of_bucket("GetBucketInfo", "bucketInfo")

    @cached_property
    def lifecycle(self) -> ET.Element:
        """Needs the right oss:GetBucketLifecycle."""
        return self.told_of_bucket("GetBucketLifecycle", "lifecycle")

    def told_of_bucket(self, action: str, parameter: str) -> ET.Element:
        """A setting of the bucket, as OSS's XML. Raises StoreError, its `code` what OSS calls it."""
        from archive.store.oss.errors import Asked  # noqa: PLC0415 - as above

        asked = Asked(action, self.address.bucket, "", self.address.endpoint)
        reply = self._requests.send(asked, "GET", parameters={parameter: ""})
        try:
            return ET.fromstring(reply.data)  # noqa: S314 - from OSS itself; expat expands no entities of others
        except ET.ParseError as error:
            raise TransientStoreError(f"{action} was answered with no XML: {error}") from error

    def trial(self, place: str) -> str:
        """The key of an object to try rights with."""
        return TrialName(place, self.settings.namespace, self.settings.cluster).key

    def policy(self, action: str, place: str = "") -> str:
        """A right as a policy writes it."""
        if self.kind is not Kind.OSS:
            return action
        what = f"{self.address.bucket}/{self.address.inside(place)}*" if place else self.address.bucket
        return f"oss:{action} on acs:oss:*:*:{what}"

    def wall(self) -> float:
        """This machine's clock, in seconds since 1970."""
        return time.time()

    @cached_property
    def _requests(self) -> Requests:
        from archive.store.oss.client import Requests  # noqa: PLC0415 - as above
        from archive.store.oss.clock import StoreClock  # noqa: PLC0415 - as above

        return Requests(self.address, self.source, StoreClock())
