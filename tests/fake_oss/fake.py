"""The fake as a whole: OSS, STS and metadata service on three ports; one clock, one script, one journal."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import quote

from fake_oss import sts
from fake_oss.clock import Clock
from fake_oss.faults import Fault, Script
from fake_oss.journal import Asked, Journal
from fake_oss.metadata import MetadataService
from fake_oss.objects import Objects
from fake_oss.operations import Operations
from fake_oss.rights import ROLES, Identity
from fake_oss.server import Server
from fake_oss.service import OssService, Signer


class FakeOss:
    """One bucket with its region, and who may use it. `elsewhere` names buckets of other regions."""

    def __init__(
        self,
        bucket: str = "history",
        region: str = "cn-hangzhou",
        *,
        latency: float = 0.0,
        folder: Path | str | None = None,
        root: str = "root",
        elsewhere: Mapping[str, str] | None = None,
    ) -> None:
        self.bucket = bucket
        self.region = region
        self.root = root
        self._clock = Clock()
        self._script = Script()
        self._journal = Journal()
        self._identities: dict[str, Identity] = {}
        self._objects = Objects(None if folder is None else Path(folder))
        self._operations = Operations(bucket, self._objects, self._clock)
        self._oss = OssService(
            bucket,
            region,
            operations=self._operations,
            clock=self._clock,
            signer_of=self._signer_of,
            elsewhere=dict(elsewhere or {}),
        )
        self._sts = sts.StsService(self._clock, self._signer_of)
        self._metadata = MetadataService(self._clock, self._issue)
        self._server = Server(self._oss, self._script, self._journal, latency)
        self._sts_server = Server(self._sts, self._script, self._journal, 0.0)
        self._metadata_server = Server(self._metadata, self._script, self._journal, 0.0)
        for make in ROLES.values():
            self.add_identity(make(root))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        for server in (self._server, self._sts_server, self._metadata_server):
            server.close()
        self._objects.close()

    # Where it is, and how to come in

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.port}"

    @property
    def sts_endpoint(self) -> str:
        return f"http://127.0.0.1:{self._sts_server.port}"

    @property
    def metadata_endpoint(self) -> str:
        return f"http://127.0.0.1:{self._metadata_server.port}"

    def url(self, root: str | None = None, *, bucket: str | None = None, region: str | None = None) -> str:
        """The store's URL; `root` is the fake's own unless given."""
        below = quote((self.root if root is None else root).strip("/"))
        name = self.bucket if bucket is None else bucket
        return f"oss://{name}/{below}?region={region or self.region}&endpoint={self.endpoint}"

    def environment(self, identity: str = "operator") -> dict[str, str]:
        """An identity's own access key."""
        who = self._identities[identity]
        return {
            "ALIBABA_CLOUD_ACCESS_KEY_ID": who.access_key_id,
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET": who.access_key_secret,
        }

    def token_environment(self, identity: str = "operator", seconds: float = 3600) -> dict[str, str]:
        """Temporary credentials of an identity, with their token."""
        access_key_id, signer = self._sts.issue(self._identities[identity], seconds)
        return {
            "ALIBABA_CLOUD_ACCESS_KEY_ID": access_key_id,
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET": signer.secret,
            "ALIBABA_CLOUD_SECURITY_TOKEN": signer.token or "",
        }

    def rrsa_environment(self, token_file: Path | str, role: str = "collector") -> dict[str, str]:
        """What the pod identity webhook sets; the token file is written unless it is there."""
        path = Path(token_file)
        if not path.exists():
            path.write_text(self.oidc_token(role), encoding="ascii")
        return {
            "ALIBABA_CLOUD_ROLE_ARN": sts.role_arn(role),
            "ALIBABA_CLOUD_OIDC_PROVIDER_ARN": sts.PROVIDER_ARN,
            "ALIBABA_CLOUD_OIDC_TOKEN_FILE": str(path),
            "ALIBABA_CLOUD_STS_ENDPOINT": self.sts_endpoint,
        }

    def oidc_token(
        self,
        role: str = "collector",
        *,
        subject: str | None = None,
        seconds: float = 3600,
        audience: str = sts.AUDIENCE,
        issuer: str = sts.ISSUER,
    ) -> str:
        """A service account's token, that of the role's own one unless another `subject` is given."""
        who = subject or f"system:serviceaccount:team:ray-history-{role}"
        return sts.write_token(who, self._clock.now() + seconds, audience=audience, issuer=issuer)

    # Who may do what

    def add_identity(
        self, identity: Identity, *, subjects: tuple[str, ...] | None = None, issuer: str = sts.ISSUER
    ) -> None:
        """Add or replace an identity, its access key, and its role, which trusts `subjects`."""
        self._identities[identity.name] = identity
        trusted = subjects or (f"system:serviceaccount:*:ray-history-{identity.name}*",)
        self._sts.roles[sts.role_arn(identity.name)] = sts.Role(identity, trusted, issuer=issuer)

    def remove_identity(self, name: str) -> None:
        """Its access key and its role are gone; credentials issued before are good until they expire."""
        del self._identities[name]
        del self._sts.roles[sts.role_arn(name)]

    def set_instance_role(self, role: str | None, *, token_required: bool = True) -> None:
        """What the metadata service tells: the name of the instance's role, which is an identity's."""
        self._metadata.role = role
        self._metadata.token_required = token_required

    def set_lifetime(self, seconds: float | None) -> None:
        """How long credentials of STS and of the metadata service live, whatever is asked for."""
        self._sts.lifetime = seconds

    # What goes wrong

    def add(self, fault: Fault) -> None:
        self._script.add(fault)

    def clear(self) -> None:
        """Forget all faults. What they hold back stays held back: see release()."""
        self._script.clear()

    def release(self) -> None:
        """Store now whatever ApplyLater holds."""
        self._operations.release()

    def down(self, how: Literal["refused", "cut"] = "refused", *, service: str = "oss") -> None:
        """Refuse connections and reset those there are; or "cut": nothing comes through, nobody is told."""
        self._port(service).down(how)

    def up(self, *, service: str = "oss") -> None:
        self._port(service).up()

    def set_clock(self, offset: float) -> None:
        """How many seconds the services' clock is ahead of this machine's."""
        self._clock.offset = offset

    def set_latency(self, seconds: float) -> None:
        self._server.latency = seconds

    def configure(self, **settings: Any) -> None:
        """Change BucketSettings."""
        self._operations.settings = dataclasses.replace(self._operations.settings, **settings)

    # What came of it

    def requests(self, **wanted: Any) -> list[Asked]:
        """See Journal.requests."""
        return self._journal.requests(**wanted)

    def counts(self) -> Counter[str]:
        return self._journal.counts()

    def forget_requests(self) -> None:
        self._journal.clear()

    def put(self, key: str, data: bytes) -> None:
        """Past rights, faults and journal; `key` is the bucket's, with the root."""
        self._objects.put(key, data, "application/octet-stream", self._clock.now())

    def get(self, key: str) -> bytes | None:
        stored = self._objects.get(key)
        return None if stored is None else stored.read()

    def keys(self, prefix: str = "") -> list[str]:
        return self._objects.keys(prefix)

    def now(self) -> float:
        return self._clock.now()

    def _port(self, service: str) -> Server:
        return {"oss": self._server, "sts": self._sts_server, "metadata": self._metadata_server}[service]

    def _issue(self, role: str) -> tuple[str, Signer]:
        return self._sts.issue(self._identities[role], 3600)

    def _signer_of(self, access_key_id: str) -> Signer | None:
        for identity in list(self._identities.values()):
            if identity.access_key_id == access_key_id:
                return Signer(identity, identity.access_key_secret)
        return self._sts.issued(access_key_id)
