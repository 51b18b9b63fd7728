"""What a bucket is set to, and how the service tells it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from fake_oss.errors import ServiceError
from fake_oss.listing import ACCOUNT

_HEAD: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'


@dataclass(frozen=True, slots=True)
class BucketSettings:
    """A private bucket's, where nothing else is given.

    `worm` locks the objects of the whole bucket, `object_worm` one by one; under the prefixes of
    `no_overwrite` an object can't be put again; `lifecycle` holds rules as XML.
    """

    storage_class: str = "Standard"
    versioning: Literal["", "Enabled", "Suspended"] = ""
    worm: Literal["", "InProgress", "Locked"] = ""
    object_worm: bool = False
    no_overwrite: tuple[str, ...] = ()
    lifecycle: tuple[str, ...] = ()
    acl: str = "private"
    block_public_access: bool = True
    redundancy: str = "LRS"


def noncurrent_expiry(days: int, prefix: str = "") -> str:
    """A lifecycle rule that removes what is no longer the current version."""
    return (
        f"<Rule><ID>noncurrent-{days}</ID><Prefix>{prefix}</Prefix><Status>Enabled</Status>"
        f"<NoncurrentVersionExpiration><NoncurrentDays>{days}</NoncurrentDays></NoncurrentVersionExpiration></Rule>"
    )


def _info(bucket: str, region: str, settings: BucketSettings) -> str:
    versioning = f"<Versioning>{settings.versioning}</Versioning>" if settings.versioning else ""
    return (
        "<BucketInfo><Bucket><AccessMonitor>Disabled</AccessMonitor>"
        "<CreationDate>2026-01-05T08:00:00.000Z</CreationDate>"
        f"<ExtranetEndpoint>oss-{region}.aliyuncs.com</ExtranetEndpoint>"
        f"<IntranetEndpoint>oss-{region}-internal.aliyuncs.com</IntranetEndpoint><Location>oss-{region}</Location>"
        f"<StorageClass>{settings.storage_class}</StorageClass><TransferAcceleration>Disabled</TransferAcceleration>"
        f"<CrossRegionReplication>Disabled</CrossRegionReplication>"
        f"<DataRedundancyType>{settings.redundancy}</DataRedundancyType><HierarchicalNamespace>Disabled"
        f"</HierarchicalNamespace><Name>{bucket}</Name><ResourceGroupId>rg-fake</ResourceGroupId>{versioning}"
        f"<Owner><DisplayName>{ACCOUNT}</DisplayName><ID>{ACCOUNT}</ID></Owner>"
        f"<AccessControlList><Grant>{settings.acl}</Grant></AccessControlList>"
        f"<BlockPublicAccess>{str(settings.block_public_access).lower()}</BlockPublicAccess>"
        "<ServerSideEncryptionRule><SSEAlgorithm>None</SSEAlgorithm></ServerSideEncryptionRule>"
        "<BucketPolicy><LogBucket></LogBucket><LogPrefix></LogPrefix></BucketPolicy></Bucket></BucketInfo>"
    )


def _location(_: str, region: str, __: BucketSettings) -> str:
    return f"<LocationConstraint>oss-{region}</LocationConstraint>"


def _acl(_: str, __: str, settings: BucketSettings) -> str:
    return (
        f"<AccessControlPolicy><Owner><ID>{ACCOUNT}</ID><DisplayName>{ACCOUNT}</DisplayName></Owner>"
        f"<AccessControlList><Grant>{settings.acl}</Grant></AccessControlList></AccessControlPolicy>"
    )


def _versioning(_: str, __: str, settings: BucketSettings) -> str:
    status = f"<Status>{settings.versioning}</Status>" if settings.versioning else ""
    return f"<VersioningConfiguration>{status}</VersioningConfiguration>"


def _worm(_: str, __: str, settings: BucketSettings) -> str:
    if not settings.worm:
        raise ServiceError(404, "NoSuchWORMConfiguration", "The WORM Configuration does not exist.")
    return (
        f"<WormConfiguration><WormId>1666E2CFB2B3418</WormId><State>{settings.worm}</State>"
        "<RetentionPeriodInDays>1</RetentionPeriodInDays><CreationDate>2026-01-05T08:00:00.000Z</CreationDate>"
        "<ExpirationDate>2027-01-05T08:00:00.000Z</ExpirationDate></WormConfiguration>"
    )


def _object_worm(_: str, __: str, settings: BucketSettings) -> str:
    if not settings.object_worm:
        raise ServiceError(
            404,
            "NoSuchObjectWormConfiguration",
            "The object WORM configuration does not exist.",
        )
    return (
        "<ObjectWormConfiguration><ObjectWormEnabled>Enabled</ObjectWormEnabled><Rule><DefaultRetention>"
        "<Mode>COMPLIANCE</Mode><Days>1</Days></DefaultRetention></Rule></ObjectWormConfiguration>"
    )


def _lifecycle(_: str, __: str, settings: BucketSettings) -> str:
    if not settings.lifecycle:
        raise ServiceError(404, "NoSuchLifecycle", "No Row found in Lifecycle Table.")
    return f"<LifecycleConfiguration>{''.join(settings.lifecycle)}</LifecycleConfiguration>"


def _overwrite(_: str, __: str, settings: BucketSettings) -> str:
    if not settings.no_overwrite:
        raise ServiceError(404, "NoSuchBucketOverwriteConfig", "The bucket overwrite config does not exist.")
    rules = "".join(
        f"<Rule><ID>rule-{number}</ID><Action>forbid</Action><Prefix>{prefix}</Prefix><Suffix></Suffix></Rule>"
        for number, prefix in enumerate(settings.no_overwrite)
    )
    return f"<OverwriteConfiguration>{rules}</OverwriteConfiguration>"


def _public_access(_: str, __: str, settings: BucketSettings) -> str:
    return (
        "<PublicAccessBlockConfiguration><BlockPublicAccess>"
        f"{str(settings.block_public_access).lower()}</BlockPublicAccess></PublicAccessBlockConfiguration>"
    )


def _encryption(_: str, __: str, ___: BucketSettings) -> str:
    raise ServiceError(
        404,
        "NoSuchServerSideEncryptionRule",
        "The server side encryption configuration was not found.",
    )


def _referer(_: str, __: str, ___: BucketSettings) -> str:
    return "<RefererConfiguration><AllowEmptyReferer>true</AllowEmptyReferer></RefererConfiguration>"


def _policy(_: str, __: str, ___: BucketSettings) -> str:
    raise ServiceError(404, "NoSuchBucketPolicy", "The bucket policy does not exist.")


Teller = Callable[[str, str, BucketSettings], str]
# What is told, by the operation's name, which is its RAM action too.
TOLD: Final[Mapping[str, Teller]] = {
    "GetBucketInfo": _info,
    "GetBucketLocation": _location,
    "GetBucketAcl": _acl,
    "GetBucketVersioning": _versioning,
    "GetBucketWorm": _worm,
    "GetBucketObjectWormConfiguration": _object_worm,
    "GetBucketLifecycle": _lifecycle,
    "GetBucketOverwriteConfig": _overwrite,
    "GetBucketPublicAccessBlock": _public_access,
    "GetBucketEncryption": _encryption,
    "GetBucketReferer": _referer,
    "GetBucketPolicy": _policy,
}
SUB_RESOURCES: Final[Mapping[str, str]] = {
    "bucketInfo": "GetBucketInfo",
    "location": "GetBucketLocation",
    "acl": "GetBucketAcl",
    "versioning": "GetBucketVersioning",
    "worm": "GetBucketWorm",
    "objectWorm": "GetBucketObjectWormConfiguration",
    "lifecycle": "GetBucketLifecycle",
    "overwriteConfig": "GetBucketOverwriteConfig",
    "publicAccessBlock": "GetBucketPublicAccessBlock",
    "encryption": "GetBucketEncryption",
    "referer": "GetBucketReferer",
    "policy": "GetBucketPolicy",
}


def xml(operation: str, bucket: str, region: str, settings: BucketSettings) -> bytes:
    """The answer to one of TOLD. Raises ServiceError where the bucket has no such setting."""
    return (_HEAD + TOLD[operation](bucket, region, settings)).encode()
